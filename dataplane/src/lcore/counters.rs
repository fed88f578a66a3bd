//! Counters of one lcore: plain numbers with one writer, read by anybody.
//!
//! The lcore adds by a relaxed load and a relaxed store, which costs what adding to a plain
//! integer costs. Each number belongs to one lcore alone, and the block starts on a cache line
//! of its own, so lcores do not share lines. How a reader gets numbers that belong together is
//! told in [`snapshot`](super::snapshot).

mod block;
mod interfaces;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironlane_fib::PortId;

pub(super) use block::Block;

use super::snapshot::Slot;
use crate::eal::{PORTS_MAX, ticks};
use crate::reason::{DropReason, PuntReason, StageId};
use crate::stage::StageMeter;

/// One number with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    fn add(&self, n: u64) {
        // Pairs with the load in `get`. Only the lcore that owns the block stores.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        // Pairs with the store in `add`, or in `set` for the copy made for a reader.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u64) {
        // Pairs with the load in `get`.
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Declares a struct of counters and its plain twin that readers get.
macro_rules! counters {
    (
        $(#[$doc:meta])* $live:ident, $plain:ident {
            $($(#[doc = $help:literal])+ $field:ident,)*
            $(@array $(#[doc = $array_help:literal])+ $array:ident: $len:expr,)*
        }
    ) => {
        #[derive(Debug)]
        #[repr(C, align(64))]
        pub(super) struct $live {
            $($field: Counter,)*
            $($array: [Counter; $len],)*
        }

        impl Default for $live {
            fn default() -> Self {
                Self {
                    $($field: Counter::default(),)*
                    $($array: std::array::from_fn(|_| Counter::default()),)*
                }
            }
        }

        impl $live {
            /// The numbers as they are now.
            pub(super) fn read(&self) -> $plain {
                $plain {
                    $($field: self.$field.get(),)*
                    $($array: std::array::from_fn(|i| self.$array[i].get()),)*
                }
            }

            /// Takes over the numbers of `other`.
            pub(super) fn copy_from(&self, other: &Self) {
                $(self.$field.set(other.$field.get());)*
                $(for (to, from) in self.$array.iter().zip(&other.$array) {
                    to.set(from.get());
                })*
            }
        }

        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $plain {
            $($(#[doc = $help])+ pub $field: u64,)*
            $($(#[doc = $array_help])+ pub $array: [u64; $len],)*
        }

        impl Default for $plain {
            fn default() -> Self {
                Self { $($field: 0,)* $($array: [0; $len],)* }
            }
        }

        impl $plain {
            /// Adds the numbers of `other`.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)*
                $(for (to, from) in self.$array.iter_mut().zip(&other.$array) {
                    *to = to.wrapping_add(*from);
                })*
            }

            /// Takes off the numbers of `base`, read earlier: what was counted since.
            pub fn subtract(&mut self, base: &Self) {
                $(self.$field = self.$field.wrapping_sub(base.$field);)*
                $(for (to, from) in self.$array.iter_mut().zip(&base.$array) {
                    *to = to.wrapping_sub(*from);
                })*
            }
        }
    };
}

counters! {
    /// What one lcore counted at one port.
    PortBlock, PortCounts {
        /// Packets taken from the port's queues.
        rx_packets,
        /// Bytes of them, Ethernet header included, frame check sequence not.
        rx_bytes,
        /// Packets that the port's transmit queue took.
        tx_packets,
        /// Bytes of them.
        tx_bytes,
        /// Packets of the kernel, taken from the inject ring to leave by this port.
        injected_packets,
        /// Bytes of them.
        injected_bytes,
        /// Packets passed on to the lcore that owns this port.
        handoff_out,
        /// Packets that other lcores passed here, to leave by this port.
        handoff_in,
        /// Packets that the lcore made: pieces of one that was too long (beyond the first), errors to
        /// senders; at the port that the packet came from.
        made,
        /// Packets that arrived by this IPsec interface: opened by its SAs.
        opened_packets,
        /// Bytes of them, from the IP header on.
        opened_bytes,
        /// Packets that left by this IPsec interface: sealed by its SAs.
        sealed_packets,
        /// Bytes of them, from the IP header on, as they were before.
        sealed_bytes,
        /// Fragments that became part of a packet that another of them stands for; at the port that they came from.
        joined,
        @array
        /// Packets lost, by reason; at the port they came from, or were injected for.
        drops: DropReason::COUNT,
        @array
        /// Packets handed to the exception thread, by reason; at the port they came from.
        punts: PuntReason::COUNT,
    }
}

counters! {
    /// What one lcore counted in one stage.
    StageBlock, StageCounts {
        /// Packets that met the stage.
        packets,
        /// Bursts in which any did.
        bursts,
        /// CPU time stamp ticks spent in it; of an lcore that is never idle, by every eighth turn.
        cycles,
    }
}

counters! {
    /// How one lcore spent its time, and what its policers did.
    LoopBlock, LoopCounts {
        /// Turns of the poll loop.
        iterations,
        /// Turns that moved a packet.
        busy_iterations,
        /// CPU time stamp ticks in turns that moved a packet.
        busy_cycles,
        /// CPU time stamp ticks in turns that moved none, sleep not counted.
        idle_cycles,
        /// Times the lcore slept.
        sleeps,
        /// Sleeps that ended because another thread woke the lcore.
        wakes,
        /// Sleeps that ended because a device had packets.
        device_wakes,
        /// Nanoseconds asleep.
        sleep_ns,
        @array
        /// Packets above the rate of their punt reason (also drops `punt_policed`).
        policed: PuntReason::COUNT,
        @array
        /// Packets that found their punt ring full (also drops `punt_ring_full`).
        ring_full: PuntReason::COUNT,
    }
}

/// The writing end of one lcore's counters. There is one, on the lcore.
///
/// Methods add what was gathered over a burst; a port number beyond the table is counted at
/// the last port, so that no sum ever misses a packet.
#[derive(Debug)]
pub struct LcoreCounters {
    slot: Arc<Slot>,
    /// The request that was answered last; see [`boundary`](Self::boundary).
    answered: u64,
    /// Ticks at the end of the last lap that was timed, or at the beginning of the turn.
    clock: u64,
    /// Ticks at the beginning of the turn.
    turn_start: u64,
    /// Turns that moved packets since the last one that did not.
    busy_turns: u32,
    /// Turns that this one stands for in the stages' cycles: 0 if it is not timed.
    weight: u64,
}

/// Of busy turns in a row the first are timed one by one, then one of so many, which stands for all.
/// Reading the time costs some twenty ticks, three times a turn: much for a burst of four packets.
const TIMED_EVERY: u32 = 8;

impl LcoreCounters {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            answered: 0,
            clock: ticks(),
            turn_start: ticks(),
            busy_turns: 0,
            weight: 1,
        }
    }

    /// Counters that nobody reads over: for tests and benchmarks of stages.
    pub fn detached() -> Self {
        Self::new(Arc::new(Slot::new(0)))
    }

    #[inline]
    fn port(&self, port: PortId) -> &PortBlock {
        &self.slot.live.ports[usize::from(port.0).min(PORTS_MAX - 1)]
    }

    /// Packets and bytes taken from a port.
    #[inline]
    pub fn rx(&mut self, port: PortId, packets: u64, bytes: u64) {
        let port = self.port(port);
        port.rx_packets.add(packets);
        port.rx_bytes.add(bytes);
    }

    /// Packets and bytes that a port's transmit queue took.
    #[inline]
    pub fn tx(&mut self, port: PortId, packets: u64, bytes: u64) {
        let port = self.port(port);
        port.tx_packets.add(packets);
        port.tx_bytes.add(bytes);
    }

    /// Packets and bytes of the kernel that are to leave by a port.
    #[inline]
    pub fn injected(&mut self, port: PortId, packets: u64, bytes: u64) {
        let port = self.port(port);
        port.injected_packets.add(packets);
        port.injected_bytes.add(bytes);
    }

    /// Packets passed to the lcore that owns `port`.
    #[inline]
    pub fn handoff_out(&mut self, port: PortId, packets: u64) {
        self.port(port).handoff_out.add(packets);
    }

    /// Packets that another lcore passed here for `port`.
    #[inline]
    pub fn handoff_in(&mut self, port: PortId, packets: u64) {
        self.port(port).handoff_in.add(packets);
    }

    /// Packets made here.
    #[inline]
    pub fn made(&mut self, port: PortId, packets: u64) {
        self.port(port).made.add(packets);
    }

    /// Fragments that are part of another packet now.
    #[inline]
    pub fn joined(&mut self, port: PortId, packets: u64) {
        self.port(port).joined.add(packets);
    }

    /// How many fragments wait for others.
    #[inline]
    pub fn held(&mut self, packets: u64) {
        self.slot.live.held.set(packets);
    }

    /// Packets lost.
    #[inline]
    pub fn dropped(&mut self, port: PortId, reason: DropReason, packets: u64) {
        self.port(port).drops[reason.index()].add(packets);
    }

    /// Packets put on a punt ring.
    #[inline]
    pub fn punted(&mut self, port: PortId, reason: PuntReason, packets: u64) {
        self.port(port).punts[reason.index()].add(packets);
    }

    /// Packets above the rate of their punt reason: a drop that also says of what kind.
    #[inline]
    pub fn punt_policed(&mut self, port: PortId, reason: PuntReason, packets: u64) {
        self.dropped(port, DropReason::PuntPoliced, packets);
        self.slot.live.turns.policed[reason.index()].add(packets);
    }

    /// Packets that found their punt ring full: a drop that also says of what kind.
    #[inline]
    pub fn punt_ring_full(&mut self, port: PortId, reason: PuntReason, packets: u64) {
        self.dropped(port, DropReason::PuntRingFull, packets);
        self.slot.live.turns.ring_full[reason.index()].add(packets);
    }

    /// One burst in one stage. `cycles` is in ticks of the CPU's time stamp counter.
    #[inline]
    pub fn stage(&mut self, stage: StageId, packets: u64, cycles: u64) {
        let stage = &self.slot.live.stages[stage.index()];
        stage.packets.add(packets);
        stage.bursts.add(1);
        stage.cycles.add(cycles);
    }

    /// Ticks at the beginning of the turn, or at the end of its last lap that was timed.
    #[inline]
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// The ticks since the last lap, as many times as the turn counts; begins the next one.
    #[inline]
    fn lap_ticks(&mut self) -> u64 {
        if self.weight == 0 {
            return 0;
        }
        let now = ticks();
        let passed = now.wrapping_sub(self.clock);
        self.clock = now;
        passed.wrapping_mul(self.weight)
    }

    /// Charges the time since the last lap to a stage in which no new packets or bursts are counted.
    #[inline]
    pub(super) fn more(&mut self, stage: StageId) {
        let cycles = self.lap_ticks();
        self.slot.live.stages[stage.index()].cycles.add(cycles);
    }

    /// Begins a turn now: after a sleep, which no turn is charged for. Returns the ticks.
    #[inline]
    pub(super) fn begin_turn(&mut self) -> u64 {
        self.clock = ticks();
        self.turn_start = self.clock;
        self.weight = match self.busy_turns {
            0..TIMED_EVERY => 1,
            turns if turns % TIMED_EVERY == 0 => u64::from(TIMED_EVERY),
            _ => 0,
        };
        self.clock
    }

    /// Ends a turn, in which packets were moved or not, and begins the next one. What passed since the
    /// last lap is charged to no stage. Returns the ticks.
    #[inline]
    pub(super) fn end_turn(&mut self, busy: bool) -> u64 {
        let start = self.turn_start;
        self.busy_turns = match busy {
            true => self.busy_turns.wrapping_add(1),
            false => 0,
        };
        let now = self.begin_turn();
        let turns = &self.slot.live.turns;
        turns.iterations.add(1);
        if busy {
            turns.busy_iterations.add(1);
            turns.busy_cycles.add(now.wrapping_sub(start));
        } else {
            turns.idle_cycles.add(now.wrapping_sub(start));
        }
        now
    }

    /// One sleep, and who ended it.
    pub(super) fn slept(&mut self, ns: u64, by_thread: bool, by_device: bool) {
        let turns = &self.slot.live.turns;
        turns.sleeps.add(1);
        turns.wakes.add(u64::from(by_thread));
        turns.device_wakes.add(u64::from(by_device));
        turns.sleep_ns.add(ns);
    }

    /// Called between bursts: answers a reader that asked for a snapshot.
    #[inline]
    pub(super) fn boundary(&mut self) {
        if let Some(request) = self.slot.asked(self.answered) {
            self.slot.answer(request);
            self.answered = request;
        }
    }

    /// True if a reader waits for an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.slot.asked(self.answered).is_some()
    }
}

impl StageMeter for LcoreCounters {
    #[inline]
    fn lap(&mut self, stage: StageId, packets: u64) {
        let cycles = self.lap_ticks();
        self.stage(stage, packets, cycles);
    }
}

impl Drop for LcoreCounters {
    fn drop(&mut self) {
        // Also after a panic: the numbers change no more, readers may read them directly.
        self.slot.stopped();
    }
}

#[cfg(test)]
mod tests;
