//! What became of the frames of one test step, and the claims that a test makes about it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use ironlane_dataplane::lcore::CounterSnapshot;
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_fib::PortId;
use ironlane_packet::eth::Mac;

use crate::expect_forwarded;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A port sent a frame.
    Sent {
        /// The port.
        port: String,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A frame went to the exception thread.
    Punted {
        /// The port that it came from.
        port: String,
        /// Why.
        reason: PuntReason,
        /// The frame.
        bytes: Vec<u8>,
    },
}

/// What was put in: place of the port and length of the frame.
pub(crate) struct Sent<'a> {
    pub(crate) received: &'a [(usize, usize)],
    pub(crate) injected: &'a [(usize, usize)],
}

/// Frames and bytes that a counter must show.
type Traffic = HashMap<usize, (u64, u64)>;

/// The outcome of one step. Claims take events away; [`nothing_else`](Self::nothing_else) checks
/// that none is left and that every counter says the same. A test that forgets it fails.
#[must_use = "end with nothing_else()"]
pub struct Outcome {
    names: Vec<String>,
    ids: Vec<PortId>,
    macs: Vec<Mac>,
    events: RefCell<Vec<Event>>,
    counts: CounterSnapshot,
    received: Traffic,
    injected: Traffic,
    sent: RefCell<Traffic>,
    punts: RefCell<HashMap<(usize, PuntReason), u64>>,
    drops: RefCell<HashMap<(usize, DropReason), u64>>,
    policed: RefCell<HashMap<PuntReason, u64>>,
    ring_full: RefCell<HashMap<PuntReason, u64>>,
    handoffs: Cell<bool>,
    /// Fragments that came together in this step, and that wait since it or one before.
    joined: Cell<u64>,
    held: Cell<u64>,
    closed: Cell<bool>,
}

thread_local! {
    /// Reasons that tests on this thread claimed, and that were there.
    static SEEN: RefCell<(HashSet<DropReason>, HashSet<PuntReason>)> = RefCell::default();
}

/// Drop and punt reasons that steps on this thread claimed and found, since the last call.
pub fn take_seen() -> (HashSet<DropReason>, HashSet<PuntReason>) {
    SEEN.take()
}

fn add(traffic: &mut Traffic, place: usize, len: usize) {
    let entry = traffic.entry(place).or_default();
    entry.0 += 1;
    entry.1 += len as u64;
}

impl Outcome {
    pub(crate) fn new(
        names: Vec<String>,
        ids: Vec<PortId>,
        macs: Vec<Mac>,
        input: Sent<'_>,
        events: Vec<Event>,
        counts: CounterSnapshot,
    ) -> Self {
        let (mut received, mut injected) = (Traffic::new(), Traffic::new());
        input
            .received
            .iter()
            .for_each(|&(place, len)| add(&mut received, place, len));
        input
            .injected
            .iter()
            .for_each(|&(place, len)| add(&mut injected, place, len));
        Self {
            names,
            ids,
            macs,
            events: RefCell::new(events),
            counts,
            received,
            injected,
            sent: RefCell::default(),
            punts: RefCell::default(),
            drops: RefCell::default(),
            policed: RefCell::default(),
            ring_full: RefCell::default(),
            handoffs: Cell::new(false),
            joined: Cell::new(0),
            held: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    #[track_caller]
    fn place(&self, port: &str) -> usize {
        let place = self.names.iter().position(|name| name == port);
        place.unwrap_or_else(|| panic!("no port is called {port}"))
    }

    /// The port sent exactly this frame, before the others that it sent and that are not yet
    /// claimed.
    #[track_caller]
    pub fn sent(&self, port: &str, frame: &[u8]) -> &Self {
        let place = self.place(port);
        let mut events = self.events.borrow_mut();
        let first = events
            .iter()
            .position(|e| matches!(e, Event::Sent { port: p, .. } if p == port));
        let Some(first) = first else {
            panic!("{port} sent nothing (more); left: {}", self.left(&events));
        };
        let Event::Sent { bytes, .. } = events.remove(first) else {
            unreachable!()
        };
        assert!(
            bytes == frame,
            "{port} sent another frame\n{}",
            difference(frame, &bytes)
        );
        add(&mut self.sent.borrow_mut(), place, frame.len());
        self
    }

    /// The port sent `frame` as a router must: new MACs, one hop less, nothing else changed.
    #[track_caller]
    pub fn forwarded(&self, port: &str, to: &str, frame: &[u8]) -> &Self {
        let src = self.macs[self.place(port)];
        self.sent(port, &expect_forwarded(frame, crate::mac(to), src))
    }

    /// The frame went to the exception thread, as it arrived by this port.
    #[track_caller]
    pub fn punted(&self, port: &str, reason: PuntReason, frame: &[u8]) -> &Self {
        let place = self.place(port);
        let mut events = self.events.borrow_mut();
        let found = events.iter().position(
            |e| matches!(e, Event::Punted { port: p, reason: r, bytes } if p == port && *r == reason && bytes == frame),
        );
        let Some(found) = found else {
            panic!(
                "not punted for {reason} as it arrived by {port}; left: {}",
                self.left(&events)
            );
        };
        events.remove(found);
        *self.punts.borrow_mut().entry((place, reason)).or_default() += 1;
        self
    }

    /// One packet was lost, counted at this port.
    #[track_caller]
    pub fn dropped(&self, port: &str, reason: DropReason) -> &Self {
        self.dropped_n(port, reason, 1)
    }

    /// So many packets were lost, counted at this port.
    #[track_caller]
    pub fn dropped_n(&self, port: &str, reason: DropReason, packets: u64) -> &Self {
        *self
            .drops
            .borrow_mut()
            .entry((self.place(port), reason))
            .or_default() += packets;
        self
    }

    /// So many packets were above the rate of their punt reason.
    #[track_caller]
    pub fn policed(&self, port: &str, reason: PuntReason, packets: u64) -> &Self {
        *self.policed.borrow_mut().entry(reason).or_default() += packets;
        self.dropped_n(port, DropReason::PuntPoliced, packets)
    }

    /// So many packets found the ring of their punt reason full.
    #[track_caller]
    pub fn punt_ring_full(&self, port: &str, reason: PuntReason, packets: u64) -> &Self {
        *self.ring_full.borrow_mut().entry(reason).or_default() += packets;
        self.dropped_n(port, DropReason::PuntRingFull, packets)
    }

    /// Lcores may have handed packets to each other; what matters is that none is held.
    pub fn with_handoffs(&self) -> &Self {
        self.handoffs.set(true);
        self
    }

    /// So many fragments became part of packets that others of theirs stand for.
    pub fn joined(&self, packets: u64) -> &Self {
        self.joined.set(packets);
        self
    }

    /// So many fragments wait for others.
    pub fn held(&self, packets: u64) -> &Self {
        self.held.set(packets);
        self
    }

    /// Fragments may have come together, or wait; the identity of the counters holds all the same.
    pub fn with_fragments(&self) -> &Self {
        self.joined(self.counts.ports().joined)
            .held(self.counts.fragments_held())
    }

    /// All events not yet claimed, now claimed, for tests that judge them by a table. Drops
    /// come as counts by port and reason, and must be claimed by the caller.
    pub fn take_events(&self) -> (Vec<Event>, Vec<(String, DropReason, u64)>) {
        let events = std::mem::take(&mut *self.events.borrow_mut());
        for event in &events {
            match event {
                Event::Sent { port, bytes } => {
                    add(&mut self.sent.borrow_mut(), self.place(port), bytes.len());
                }
                Event::Punted { port, reason, .. } => {
                    let key = (self.place(port), *reason);
                    *self.punts.borrow_mut().entry(key).or_default() += 1;
                }
            }
        }
        let mut drops = Vec::new();
        for (name, &id) in self.names.iter().zip(&self.ids) {
            let port = self.counts.port(id);
            for &reason in DropReason::ALL {
                let packets = port.drops[reason.index()];
                if packets > 0 {
                    drops.push((name.clone(), reason, packets));
                }
            }
        }
        (events, drops)
    }

    /// Counters of the step.
    pub fn counts(&self) -> &CounterSnapshot {
        &self.counts
    }

    fn left(&self, events: &[Event]) -> String {
        let mut text = String::new();
        for event in events {
            let _ = match event {
                Event::Sent { port, bytes } => write!(text, "\n  sent by {port}: {}", hex(bytes)),
                Event::Punted {
                    port,
                    reason,
                    bytes,
                } => {
                    write!(text, "\n  punted from {port}, {reason}: {}", hex(bytes))
                }
            };
        }
        for (name, &id) in self.names.iter().zip(&self.ids) {
            let port = self.counts.port(id);
            for &reason in DropReason::ALL {
                if port.drops[reason.index()] > 0 {
                    let _ = write!(
                        text,
                        "\n  dropped at {name}: {} {reason}",
                        port.drops[reason.index()]
                    );
                }
            }
        }
        if text.is_empty() {
            "nothing".to_owned()
        } else {
            text
        }
    }

    /// No other frame came out and no other counter moved; every lcore's identity holds.
    #[track_caller]
    pub fn nothing_else(&self) {
        self.closed.set(true);
        let events = self.events.borrow();
        assert!(events.is_empty(), "not expected: {}", self.left(&events));
        for lcore in &self.counts.lcores {
            assert!(
                lcore.exact && lcore.identity().holds(),
                "{:?}",
                lcore.identity()
            );
        }
        assert_eq!(
            (self.counts.ports().joined, self.counts.fragments_held()),
            (self.joined.get(), self.held.get()),
            "fragments that came together, and that wait"
        );
        let rings = self.counts.rings;
        let punted: u64 = self.counts.ports().punts.iter().sum();
        assert_eq!(self.counts.handed_off(), 0, "packets between lcores");
        assert_eq!(
            (rings.handoff, rings.inject, rings.punt),
            (0, 0, punted),
            "packets in rings to lcores, from Linux, to Linux"
        );
        for (place, (name, &id)) in self.names.iter().zip(&self.ids).enumerate() {
            self.check_port(place, name, id);
        }
        let turns = self.counts.turns();
        for &reason in PuntReason::ALL {
            let of = |map: &RefCell<HashMap<PuntReason, u64>>| {
                map.borrow().get(&reason).copied().unwrap_or(0)
            };
            assert_eq!(
                turns.policed[reason.index()],
                of(&self.policed),
                "policed {reason}"
            );
            assert_eq!(
                turns.ring_full[reason.index()],
                of(&self.ring_full),
                "ring full {reason}"
            );
        }
        let received: u64 = self.received.values().map(|(packets, _)| packets).sum();
        let rx = self.counts.stage(StageId::Rx);
        assert_eq!(rx.packets, received, "packets of stage rx");
        SEEN.with_borrow_mut(|(drops, punts)| {
            drops.extend(self.drops.borrow().keys().map(|(_, reason)| *reason));
            punts.extend(self.punts.borrow().keys().map(|(_, reason)| *reason));
        });
    }

    #[track_caller]
    fn check_port(&self, place: usize, name: &str, id: PortId) {
        let counts = self.counts.port(id);
        let of = |traffic: &Traffic| traffic.get(&place).copied().unwrap_or_default();
        assert_eq!(
            (counts.rx_packets, counts.rx_bytes),
            of(&self.received),
            "rx of {name}"
        );
        assert_eq!(
            (counts.injected_packets, counts.injected_bytes),
            of(&self.injected),
            "injected for {name}"
        );
        assert_eq!(
            (counts.tx_packets, counts.tx_bytes),
            of(&self.sent.borrow()),
            "tx of {name}: {}",
            self.left(&[])
        );
        if !self.handoffs.get() {
            assert_eq!(
                (counts.handoff_in, counts.handoff_out),
                (0, 0),
                "hand-offs for {name}"
            );
        }
        for &reason in DropReason::ALL {
            let expected = self
                .drops
                .borrow()
                .get(&(place, reason))
                .copied()
                .unwrap_or(0);
            assert_eq!(
                counts.drops[reason.index()],
                expected,
                "drops {reason} at {name}; all: {}",
                self.left(&[])
            );
        }
        for &reason in PuntReason::ALL {
            let expected = self
                .punts
                .borrow()
                .get(&(place, reason))
                .copied()
                .unwrap_or(0);
            assert_eq!(
                counts.punts[reason.index()],
                expected,
                "punts {reason} at {name}"
            );
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        assert!(
            self.closed.get() || std::thread::panicking(),
            "a test step ended without nothing_else()"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(80)];
    let text: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes {text}", bytes.len())
}

fn difference(expected: &[u8], found: &[u8]) -> String {
    let at = expected.iter().zip(found).position(|(a, b)| a != b);
    let at = at.unwrap_or(expected.len().min(found.len()));
    format!(
        "expected {}\n   found {}\nfirst difference at byte {at}",
        hex(expected),
        hex(found)
    )
}
