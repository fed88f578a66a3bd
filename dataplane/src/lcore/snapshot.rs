//! Counters that belong together: snapshots taken at the border of a burst.
//!
//! In the middle of a burst a packet can be counted as received and not yet as sent. A reader
//! who wants the identity `rx + injected + handoff_in + made = tx + dropped + punted + handoff_out +
//! joined + held` must not see that. So it asks: it raises `requested` of the lcore and wakes it, should it
//! sleep. Between two bursts the lcore sees that the number is not the one it answered last
//! (one relaxed load a turn), copies its counters to a second block and publishes the number
//! as `answered`. The reader waits for that and reads the copy. Once an lcore has stopped, its
//! counters change no more and are read directly. Each lcore's identity so is exact.
//!
//! What waits between threads is asked of the rings themselves ([`RingCounts`]). Between lcores and
//! rings the moments differ by microseconds, so the rings agree with the counters of both sides
//! only while nothing moves: [`CounterSet::snapshot_at_rest`] finds such a moment, if there is one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::counters::{Block, LcoreCounters, LoopCounts, PortCounts, StageCounts};
use super::rings::{RingCounts, Rings};
use super::wake::Waker;
use crate::reason::StageId;

/// An lcore that does not answer for this long is read as it is: its host took the CPU away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counters of one lcore, shared between it and readers.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) live: Box<Block>,
    copy: Box<Block>,
    /// Number of the snapshot that a reader asks for. Stored by readers, under a lock.
    requested: AtomicU64,
    /// Number of the snapshot in `copy`. Stored by the lcore.
    answered: AtomicU64,
    running: AtomicBool,
    cpu: usize,
    pub(super) waker: Waker,
}

impl Slot {
    pub(super) fn new(cpu: usize) -> Self {
        Self {
            live: Block::new(),
            copy: Block::new(),
            requested: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            running: AtomicBool::new(false),
            cpu,
            waker: Waker::new(),
        }
    }

    /// Lcore: the request to answer, if it is not `last`.
    #[inline]
    pub(super) fn asked(&self, last: u64) -> Option<u64> {
        // Pairs with the store in `read`. Nothing else is read through it, so relaxed; a
        // sleeping lcore is made to look by its waker.
        let request = self.requested.load(Ordering::Relaxed);
        (request != last).then_some(request)
    }

    /// Lcore: makes the copy.
    #[cold]
    pub(super) fn answer(&self, request: u64) {
        self.copy.copy_from(&self.live);
        // Pairs with the acquire load in `read`: who sees the number sees the copy.
        self.answered.store(request, Ordering::Release);
    }

    pub(super) fn started(&self) {
        // Pairs with the load in `read`.
        self.running.store(true, Ordering::Release);
    }

    pub(super) fn stopped(&self) {
        // Pairs with the acquire load in `read`: who sees it sees the last counts.
        self.running.store(false, Ordering::Release);
    }

    /// Reader: the counters at a burst's border. `number` is above all before.
    fn read(&self, number: u64) -> LcoreSnapshot {
        // Pairs with the load in `asked`.
        self.requested.store(number, Ordering::Relaxed);
        self.waker.wake();
        let start = Instant::now();
        let mut turns = 0u32;
        let (block, exact) = loop {
            // Pairs with the release store in `answer`.
            if self.answered.load(Ordering::Acquire) == number {
                break (&self.copy, true);
            }
            // Pairs with the release store in `stopped`.
            if !self.running.load(Ordering::Acquire) {
                break (&self.live, true);
            }
            if start.elapsed() > PATIENCE {
                break (&self.live, false);
            }
            turns += 1;
            if turns < 64 {
                thread::yield_now();
            } else {
                thread::sleep(Duration::from_micros(100));
            }
        };
        LcoreSnapshot {
            cpu: self.cpu,
            exact,
            // Pairs with the stores in `started` and `stopped`.
            running: self.running.load(Ordering::Acquire),
            ports: block.ports.iter().map(|p| p.read()).collect(),
            stages: block.stages.iter().map(|s| s.read()).collect(),
            turns: block.turns.read(),
            held: block.held.get(),
            held_before: 0,
        }
    }
}

/// The counters of all lcores, for readers on any thread.
#[derive(Debug)]
pub struct CounterSet {
    slots: Vec<Arc<Slot>>,
    rings: OnceLock<Rings>,
    /// Number of the snapshot made last; the lock keeps readers one after another.
    last: Mutex<u64>,
}

impl CounterSet {
    pub(crate) fn new(cpus: &[usize]) -> Arc<Self> {
        let slots = cpus.iter().map(|&cpu| Arc::new(Slot::new(cpu))).collect();
        Arc::new(Self {
            slots,
            rings: OnceLock::new(),
            last: Mutex::new(0),
        })
    }

    /// Says which rings there are. The first call counts.
    pub(crate) fn watch(&self, rings: Rings) {
        let _ = self.rings.set(rings);
    }

    /// The writing end of lcore `index`. To be taken once.
    pub(crate) fn writer(&self, index: usize) -> LcoreCounters {
        let slot = Arc::clone(&self.slots[index]);
        slot.started();
        LcoreCounters::new(slot)
    }

    /// What wakes lcore `index`.
    pub(crate) fn waker(&self, index: usize) -> &Waker {
        &self.slots[index].waker
    }

    /// How many lcores there are.
    pub fn lcores(&self) -> usize {
        self.slots.len()
    }

    /// All counters, each lcore's at the border of a burst. Takes microseconds; waits for
    /// lcores that the host has taken the CPU from, at most a second each.
    pub fn snapshot(&self) -> CounterSnapshot {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        let lcores = self.slots.iter().map(|slot| slot.read(*last)).collect();
        CounterSnapshot {
            at: SystemTime::now(),
            lcores,
            rings: self.rings.get().map(Rings::read).unwrap_or_default(),
        }
    }

    /// A snapshot between which and the look at the rings nothing was handed off, if one can be
    /// had in a few tries: then [`RingCounts::exact`] is set.
    pub fn snapshot_at_rest(&self) -> CounterSnapshot {
        const TRIES: usize = 5;
        let mut first = self.snapshot();
        for _ in 0..TRIES {
            let mut then = self.snapshot();
            // The rings were looked at after the first copy of each lcore, and before the second:
            // whoever moved a packet in or out meanwhile has counted it by then.
            if first.has_same_handoffs(&then) {
                then.rings = RingCounts {
                    exact: true,
                    ..first.rings
                };
                return then;
            }
            first = then;
        }
        first
    }
}

/// Counters of all lcores.
#[derive(Clone, Debug)]
pub struct CounterSnapshot {
    /// When it was taken.
    pub at: SystemTime,
    /// One for each lcore, in the order of the configuration.
    pub lcores: Vec<LcoreSnapshot>,
    /// What was in the rings just after.
    pub rings: RingCounts,
}

impl CounterSnapshot {
    /// Sum over lcores at one port.
    pub fn port(&self, port: ironlane_fib::PortId) -> PortCounts {
        let mut sum = PortCounts::default();
        for lcore in &self.lcores {
            if let Some(counts) = lcore.ports.get(usize::from(port.0)) {
                sum.add(counts);
            }
        }
        sum
    }

    /// Sum over lcores and ports.
    pub fn ports(&self) -> PortCounts {
        let mut sum = PortCounts::default();
        self.lcores
            .iter()
            .flat_map(|lcore| &lcore.ports)
            .for_each(|port| sum.add(port));
        sum
    }

    /// Sum over lcores in one stage.
    pub fn stage(&self, stage: StageId) -> StageCounts {
        let mut sum = StageCounts::default();
        self.lcores
            .iter()
            .for_each(|lcore| sum.add(&lcore.stages[stage.index()]));
        sum
    }

    /// Sum of the loops' counters.
    pub fn turns(&self) -> LoopCounts {
        let mut sum = LoopCounts::default();
        self.lcores.iter().for_each(|lcore| sum.add(&lcore.turns));
        sum
    }

    /// Fragments that wait for others, at all lcores.
    pub fn fragments_held(&self) -> u64 {
        self.lcores.iter().map(|lcore| lcore.held).sum()
    }

    /// Packets that one lcore handed off and another has not taken yet, by the counters of both. At
    /// rest it is what the hand-off rings hold.
    pub fn handed_off(&self) -> i64 {
        let sum = self.ports();
        sum.handoff_out.wrapping_sub(sum.handoff_in) as i64
    }

    /// Whether the hand-off rings hold what the counters say; `None` if packets were moving.
    pub fn rings_agree(&self) -> Option<bool> {
        let held = i64::try_from(self.rings.handoff);
        self.rings.exact.then(|| held == Ok(self.handed_off()))
    }

    fn has_same_handoffs(&self, other: &Self) -> bool {
        let pairs = self.lcores.iter().zip(&other.lcores);
        pairs.into_iter().all(|(a, b)| {
            let (i, j) = (a.identity(), b.identity());
            let same = (i.handoff_in, i.handoff_out) == (j.handoff_in, j.handoff_out);
            same && a.exact && b.exact
        })
    }

    /// What was counted since `base`, an earlier snapshot of the same data plane.
    pub fn since(mut self, base: &Self) -> Self {
        for (lcore, base) in self.lcores.iter_mut().zip(&base.lcores) {
            lcore
                .ports
                .iter_mut()
                .zip(&base.ports)
                .for_each(|(a, b)| a.subtract(b));
            lcore
                .stages
                .iter_mut()
                .zip(&base.stages)
                .for_each(|(a, b)| a.subtract(b));
            lcore.turns.subtract(&base.turns);
            lcore.held_before = base.held;
        }
        // They are what they are, and need not agree with a difference of counters.
        self.rings.exact = false;
        self
    }
}

/// Counters of one lcore.
#[derive(Clone, Debug)]
pub struct LcoreSnapshot {
    /// The CPU it runs on.
    pub cpu: usize,
    /// False if the lcore has stopped.
    pub running: bool,
    /// False if the lcore did not answer in time, so that the numbers may be of the middle of a
    /// burst.
    pub exact: bool,
    /// By port number; ports that do not exist are zero.
    pub ports: Vec<PortCounts>,
    /// By [`StageId::index`].
    pub stages: Vec<StageCounts>,
    /// Loop and policers.
    pub turns: LoopCounts,
    /// Fragments that waited for others.
    pub held: u64,
    /// Fragments that waited when the counts [began](CounterSnapshot::since).
    pub held_before: u64,
}

impl LcoreSnapshot {
    /// The terms of the identity, summed over ports.
    pub fn identity(&self) -> Identity {
        let mut identity = Identity {
            held: self.held,
            held_before: self.held_before,
            ..Identity::default()
        };
        for port in &self.ports {
            identity.rx += port.rx_packets;
            identity.injected += port.injected_packets;
            identity.handoff_in += port.handoff_in;
            identity.tx += port.tx_packets;
            identity.dropped += port.drops.iter().sum::<u64>();
            identity.punted += port.punts.iter().sum::<u64>();
            identity.handoff_out += port.handoff_out;
            identity.made += port.made;
            identity.joined += port.joined;
        }
        identity
    }
}

/// Where packets came from and where they went, at one lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Taken from ports.
    pub rx: u64,
    /// Taken from the kernel.
    pub injected: u64,
    /// Taken from other lcores.
    pub handoff_in: u64,
    /// Taken over by ports.
    pub tx: u64,
    /// Lost, for whatever reason.
    pub dropped: u64,
    /// Handed to the exception thread.
    pub punted: u64,
    /// Passed to other lcores.
    pub handoff_out: u64,
    /// Made here: pieces beyond the first, errors to senders.
    pub made: u64,
    /// Fragments that became part of another packet.
    pub joined: u64,
    /// Fragments that wait for others.
    pub held: u64,
    /// Fragments that waited when the counts began.
    pub held_before: u64,
}

impl Identity {
    /// Whether each packet that came in went somewhere, once.
    pub fn holds(&self) -> bool {
        self.rx + self.injected + self.handoff_in + self.made + self.held_before
            == self.tx + self.dropped + self.punted + self.handoff_out + self.joined + self.held
    }
}

#[cfg(test)]
mod tests;
