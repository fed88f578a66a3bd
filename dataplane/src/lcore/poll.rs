//! The poll loop: run to completion.
//!
//! A turn takes at most one burst from each receive queue, carries it through all stages, takes what
//! waits on the hand-off rings and a burst of the inject ring, then flushes what was gathered. One
//! guard spans a turn: what was read from the tables is let go at its end, and that is the
//! quiescent state that writers wait for. No locks, no allocation, no logging; a system call only
//! to sleep, and in drivers that are made of them (`net_tap`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_fib::{PortId, Tables};
use ironlane_rcu::{Guard, Reader};

use super::idle::{self, Idle, Step};
use super::ipsec::{Crypto, Tag};
use super::outlet::LcoreOutlet;
use super::shared::Shared;
use super::snapshot::CounterSet;
use crate::burst::{Arrival, BurstStore};
use crate::dataplane::IdleConfig;
use crate::eal::{Clock, MbufBatch, RingConsumer, RxQueue};
use crate::ipsec::Ipsec;
use crate::reason::{DropReason, StageId};
use crate::stage::{Pipeline, StageMeter, TablesView};

/// A receive queue and where its packets count as coming from.
#[derive(Debug)]
pub(crate) struct RxLane {
    pub(crate) arrival: Arrival,
    pub(crate) queue: RxQueue,
}

/// What lcores read and others write.
#[derive(Clone, Copy)]
struct Read<'a> {
    tables: &'a Tables,
    ipsec: &'a Ipsec,
    shared: &'a Shared,
}

impl<'a> Read<'a> {
    #[inline]
    fn view<'q>(self, guard: &'q Guard<'q>, now_ns: u64) -> TablesView<'q>
    where
        'a: 'q,
    {
        TablesView {
            tables: self.tables,
            guard,
            joined: &self.shared.joined,
            ipsec: self.ipsec,
            interfaces: &self.shared.interfaces,
            now_ns,
        }
    }
}

/// Everything that one lcore works with. Built by a control thread, moved to the lcore.
#[derive(Debug)]
pub(crate) struct Lcore {
    pub(crate) index: usize,
    pub(crate) rx: Vec<RxLane>,
    pub(crate) handoff: Vec<RingConsumer>,
    pub(crate) inject: RingConsumer,
    pub(crate) outlet: LcoreOutlet,
    pub(crate) pipeline: Pipeline,
    pub(crate) tables: Arc<Tables>,
    pub(crate) ipsec: Arc<Ipsec>,
    pub(crate) crypto: Crypto,
    pub(crate) shared: Arc<Shared>,
    pub(crate) set: Arc<CounterSet>,
    pub(crate) clock: Clock,
    pub(crate) idle: IdleConfig,
    /// Dropped when the lcore takes nothing in any more.
    pub(crate) quiet: Option<Quiet>,
}

impl Lcore {
    /// Runs until told to stop, then lets the hand-off rings run dry.
    pub(crate) fn run(mut self, mut reader: Reader) {
        // Sleeps of tens of microseconds are not to be rounded up to the usual 50 more.
        let _ = nix::sys::prctl::set_timerslack(1_000);
        let mut idle = Idle::new(&self.idle, self.clock, &self.rx);
        let mut store = BurstStore::new();
        let mut batch = MbufBatch::new();
        let (tables, ipsec) = (Arc::clone(&self.tables), Arc::clone(&self.ipsec));
        let shared = Arc::clone(&self.shared);
        let read = Read {
            tables: &tables,
            ipsec: &ipsec,
            shared: &shared,
        };
        self.outlet.counters.begin_turn();
        while !self.shared.is_stopping() {
            let mut moved = self.receive(read, &mut reader, &mut store);
            moved += self.take_handoffs(read, &mut reader, &mut store, &mut batch);
            moved += self.take_injected(read, &mut reader, &mut store, &mut batch);
            if let Some(due_ns) = self.crypto.next_late_ns()
                && let now_ns = self.clock.at_ns(self.outlet.counters.clock())
                && due_ns <= now_ns
            {
                let guard = reader.read();
                self.give_up_late(&mut store, &read.view(&guard, now_ns));
            }
            self.outlet.flush();
            self.outlet.counters.boundary();
            let end = self.outlet.counters.end_turn(moved > 0);
            if moved > 0 {
                idle.busy(end);
            } else if let Step::Sleep(longest) = idle.idle(end) {
                reader.offline();
                self.sleep(longest);
                self.outlet.counters.begin_turn();
            }
        }
        // Everything was flushed at the end of the last turn.
        self.quiet = None;
        loop {
            let last = self.shared.all_quiet();
            let moved = self.take_handoffs(read, &mut reader, &mut store, &mut batch);
            self.outlet.flush();
            if last && moved == 0 {
                break;
            }
        }
        self.lose_fragments();
        self.outlet.flush();
        reader.offline();
    }

    /// A burst from each queue, through all stages. Returns how many packets there were.
    #[inline]
    fn receive(&mut self, read: Read<'_>, reader: &mut Reader, store: &mut BurstStore) -> usize {
        let guard = reader.read();
        let mut moved = 0;
        for place in 0..self.rx.len() {
            let lane = &mut self.rx[place];
            let arrival = lane.arrival;
            if moved > 0 {
                // What was settled of the queue before.
                self.outlet.counters.more(StageId::Tx);
            }
            let packets = store.packets_mut();
            let count = lane.queue.receive(packets);
            if count == 0 {
                continue;
            }
            let port = arrival.port;
            self.outlet.counters.lap(StageId::Rx, count as u64);
            moved += count;
            if !self.shared.is_admin_up(port) {
                let bytes = packets.bytes();
                self.outlet.counters.rx(port, count as u64, bytes);
                self.outlet.lose_all(port, DropReason::RxPortDown, packets);
                continue;
            }
            let now_ns = self.clock.at_ns(self.outlet.counters.clock());
            let view = read.view(&guard, now_ns);
            let counters = &mut self.outlet.counters;
            let bytes = self.pipeline.run(store, arrival, &view, counters);
            counters.rx(port, count as u64, bytes);
            self.settle(store, arrival, &view);
        }
        moved
    }

    /// Packets of other lcores, for ports that this one sends by: all that wait when it looks. A
    /// burst a turn would fall behind an lcore that brings a burst from each of several queues.
    fn take_handoffs(
        &mut self,
        read: Read<'_>,
        reader: &mut Reader,
        store: &mut BurstStore,
        batch: &mut MbufBatch,
    ) -> usize {
        let mut moved = 0;
        for place in 0..self.handoff.len() {
            let ring = &mut self.handoff[place];
            let mut taken = ring.dequeue(batch);
            // Asked for only behind a full burst: an empty ring costs one look.
            let mut left = match batch.is_full() {
                true => ring.len(),
                false => 0,
            };
            while taken > 0 {
                moved += taken;
                for run in batch.as_slice().chunk_by(|a, b| a.port() == b.port()) {
                    self.outlet
                        .counters
                        .handoff_in(Tag::port(run[0].port()), run.len() as u64);
                }
                for mbuf in batch.drain() {
                    match mbuf.port() & (Tag::OPEN | Tag::SEAL) {
                        0 => self.outlet.send_by(PortId(mbuf.port()), mbuf),
                        _ => self.outlet.take_over(mbuf),
                    }
                }
                if !self.outlet.ipsec.is_empty() {
                    let guard = reader.read();
                    let now_ns = self.clock.at_ns(self.outlet.counters.clock());
                    self.cross_handed(store, &read.view(&guard, now_ns));
                }
                taken = match left {
                    0 => 0,
                    _ => self.handoff[place].dequeue(batch),
                };
                left = left.saturating_sub(taken);
            }
        }
        moved
    }

    /// Packets of the kernel.
    fn take_injected(
        &mut self,
        read: Read<'_>,
        reader: &mut Reader,
        store: &mut BurstStore,
        batch: &mut MbufBatch,
    ) -> usize {
        let moved = self.inject.dequeue(batch);
        if moved == 0 {
            return 0;
        }
        for mbuf in batch.as_slice() {
            self.outlet
                .counters
                .injected(PortId(mbuf.port()), 1, mbuf.pkt_len() as u64);
        }
        if self.ipsec.has_policies() || !self.shared.interfaces.is_empty() {
            let guard = reader.read();
            let now_ns = self.clock.at_ns(self.outlet.counters.clock());
            self.inject_by_policy(batch, store, &read.view(&guard, now_ns));
        } else {
            for mbuf in batch.drain() {
                self.outlet.send_by(PortId(mbuf.port()), mbuf);
            }
        }
        self.outlet.counters.lap(StageId::Inject, moved as u64);
        moved
    }

    /// Whether there is work that a thread brought; devices are not asked.
    fn has_work(&self) -> bool {
        self.shared.is_stopping()
            || self.outlet.counters.is_asked()
            || !self.inject.is_empty()
            || self.handoff.iter().any(|ring| !ring.is_empty())
    }

    #[cold]
    fn sleep(&mut self, longest: Duration) {
        assert!(!self.shared.is_broken(self.index), "broken on purpose");
        let waker = self.set.waker(self.index);
        waker.prepare();
        if self.has_work() {
            waker.awake();
            return;
        }
        let now_ns = self.clock.at_ns(self.outlet.counters.clock());
        let longest = match self.crypto.next_late_ns() {
            Some(due_ns) => longest.min(Duration::from_nanos(due_ns.saturating_sub(now_ns))),
            None => longest,
        };
        let start = Instant::now();
        let by_device = idle::sleep(waker, &self.rx, longest);
        let by_thread = waker.awake();
        self.outlet
            .counters
            .slept(start.elapsed().as_nanos() as u64, by_thread, by_device);
    }
}

/// Says, when dropped, that an lcore takes nothing in any more, also if it panics or never
/// started: the others must not wait for it for ever.
#[derive(Debug)]
pub(crate) struct Quiet(pub(crate) Arc<Shared>);

impl Drop for Quiet {
    fn drop(&mut self) {
        self.0.quiet();
    }
}
