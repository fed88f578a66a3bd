//! What the exception thread counted, by port and by priority.
//!
//! One thread writes, any thread reads. The two directions have an identity each, exact once the
//! thread is between two rounds: `punted = delivered + dropped` and `read = injected + dropped`.

use std::sync::atomic::{AtomicU64, Ordering};

use ironlane_dataplane::reason::PuntPriority;

/// Declares a list of reasons with name and help.
macro_rules! reasons {
    ($(#[$doc:meta])* $enum:ident { $($(#[doc = $help:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $($(#[doc = $help])+ $variant,)+
        }

        impl $enum {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Dense index below [`Self::COUNT`].
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it means, in one line.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($help),+).trim(),)+
                }
            }
        }
    };
}

reasons! {
    /// Why a punted frame did not reach its tap.
    TapDrop {
        /// The tap is set down, and the kernel takes nothing (EIO).
        TapDown = "tap_down",
        /// The kernel's queue behind the tap is full (EAGAIN).
        TapQueueFull = "tap_queue_full",
        /// The frame's port has no tap, or somebody deleted it.
        TapMissing = "tap_missing",
        /// The kernel refused the frame for another cause; the log has it.
        TapRefused = "tap_refused",
    }
}

reasons! {
    /// Why a frame that the kernel wrote to a tap did not reach an lcore.
    InjectDrop {
        /// Longer than the port's MTU allows.
        InjectTooBig = "inject_too_big",
        /// Shorter than an Ethernet header.
        InjectTooShort = "inject_too_short",
        /// No packet buffer was free.
        InjectNoMbuf = "inject_no_mbuf",
        /// The ring to the lcore that owns the port is full.
        InjectRingFull = "inject_ring_full",
    }
}

/// Adds to a counter that only the calling thread writes.
fn add(counter: &AtomicU64, n: u64) {
    // A single writer: no read-modify-write is needed. Pairs with nothing: a reader wants some
    // recent value, and only the value.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Counters of one port, written by the exception thread.
#[derive(Debug, Default)]
pub(super) struct PortCounters {
    delivered: [AtomicU64; PuntPriority::COUNT],
    delivered_bytes: AtomicU64,
    dropped: [AtomicU64; TapDrop::COUNT],
    read: AtomicU64,
    injected: AtomicU64,
    injected_bytes: AtomicU64,
    inject_dropped: [AtomicU64; InjectDrop::COUNT],
}

impl PortCounters {
    pub(super) fn delivered(&self, priority: PuntPriority, bytes: usize) {
        add(&self.delivered[priority.index()], 1);
        add(&self.delivered_bytes, bytes as u64);
    }

    pub(super) fn dropped(&self, reason: TapDrop) {
        add(&self.dropped[reason.index()], 1);
    }

    pub(super) fn read(&self) {
        add(&self.read, 1);
    }

    pub(super) fn injected(&self, frames: usize, bytes: usize) {
        add(&self.injected, frames as u64);
        add(&self.injected_bytes, bytes as u64);
    }

    pub(super) fn inject_dropped(&self, reason: InjectDrop, frames: usize) {
        add(&self.inject_dropped[reason.index()], frames as u64);
    }

    fn snapshot(&self) -> ExceptionCounts {
        ExceptionCounts {
            delivered: self.delivered.each_ref().map(get),
            delivered_bytes: get(&self.delivered_bytes),
            dropped: self.dropped.each_ref().map(get),
            read: get(&self.read),
            injected: get(&self.injected),
            injected_bytes: get(&self.injected_bytes),
            inject_dropped: self.inject_dropped.each_ref().map(get),
        }
    }
}

/// Counters of the exception thread; shared with whoever reads them.
#[derive(Debug)]
pub struct ExceptionCounters {
    /// By port number.
    pub(super) ports: Box<[PortCounters]>,
    /// Frames of a port number that was never told.
    pub(super) unknown: PortCounters,
    rounds: AtomicU64,
    sleeps: AtomicU64,
}

impl ExceptionCounters {
    /// Zeroes, for ports numbered below `ports`.
    pub fn new(ports: usize) -> Self {
        Self {
            ports: (0..ports).map(|_| PortCounters::default()).collect(),
            unknown: PortCounters::default(),
            rounds: AtomicU64::new(0),
            sleeps: AtomicU64::new(0),
        }
    }

    pub(super) fn port(&self, port: u16) -> &PortCounters {
        self.ports.get(usize::from(port)).unwrap_or(&self.unknown)
    }

    pub(super) fn round(&self) {
        add(&self.rounds, 1);
    }

    pub(super) fn sleep(&self) {
        add(&self.sleeps, 1);
    }

    /// The counts of a port by its number; zeroes for a number that does not exist.
    pub fn of_port(&self, port: u16) -> ExceptionCounts {
        self.ports
            .get(usize::from(port))
            .map(PortCounters::snapshot)
            .unwrap_or_default()
    }

    /// The counts over all ports.
    pub fn total(&self) -> ExceptionCounts {
        let mut sum = self.unknown.snapshot();
        self.ports.iter().for_each(|port| sum.add(&port.snapshot()));
        sum
    }

    /// How often the thread looked for work, and how often it found none and slept.
    pub fn rounds_and_sleeps(&self) -> (u64, u64) {
        (get(&self.rounds), get(&self.sleeps))
    }
}

/// A copy of the counters of one port, or of their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExceptionCounts {
    /// Punted frames written to the tap, by [`PuntPriority::index`].
    pub delivered: [u64; PuntPriority::COUNT],
    /// Bytes of them.
    pub delivered_bytes: u64,
    /// Punted frames lost, by [`TapDrop::index`].
    pub dropped: [u64; TapDrop::COUNT],
    /// Frames that the kernel wrote to the tap.
    pub read: u64,
    /// Those of them put on the ring of an lcore.
    pub injected: u64,
    /// Bytes of those.
    pub injected_bytes: u64,
    /// Those of them lost, by [`InjectDrop::index`].
    pub inject_dropped: [u64; InjectDrop::COUNT],
}

impl ExceptionCounts {
    /// Adds `other`, field by field.
    pub fn add(&mut self, other: &Self) {
        let sum = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        sum(&mut self.delivered, &other.delivered);
        sum(&mut self.dropped, &other.dropped);
        sum(&mut self.inject_dropped, &other.inject_dropped);
        self.delivered_bytes += other.delivered_bytes;
        self.read += other.read;
        self.injected += other.injected;
        self.injected_bytes += other.injected_bytes;
    }

    /// Frames taken from punt rings.
    pub fn punted(&self) -> u64 {
        self.delivered.iter().chain(&self.dropped).sum()
    }

    /// Whether every frame read from a tap was injected or dropped with a reason.
    pub fn inject_identity_holds(&self) -> bool {
        self.read == self.injected + self.inject_dropped.iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_ports() {
        let counters = ExceptionCounters::new(2);
        counters.port(0).delivered(PuntPriority::High, 100);
        counters.port(1).delivered(PuntPriority::Low, 60);
        counters.port(1).dropped(TapDrop::TapDown);
        counters.port(7).dropped(TapDrop::TapMissing);
        for _ in 0..3 {
            counters.port(1).read();
        }
        counters.port(1).injected(2, 128);
        counters
            .port(1)
            .inject_dropped(InjectDrop::InjectRingFull, 1);
        let total = counters.total();
        assert_eq!(total.delivered, [1, 0, 1]);
        assert_eq!((total.punted(), total.delivered_bytes), (4, 160));
        assert_eq!(total.dropped[TapDrop::TapMissing.index()], 1);
        assert!(total.inject_identity_holds());
        assert_eq!(counters.of_port(9), ExceptionCounts::default());
    }

    #[test]
    fn names_and_help_are_there_for_every_reason() {
        for reason in TapDrop::ALL {
            assert!(reason.name().starts_with("tap_") && !reason.help().is_empty());
        }
        for reason in InjectDrop::ALL {
            assert!(reason.name().starts_with("inject_") && !reason.help().is_empty());
        }
    }
}
