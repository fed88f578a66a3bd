//! Where packets go whose fate is known: transmit queues, hand-off rings, punt rings, or back to
//! their pools. Everything is gathered and moved by the burst, and counted when it moves.
//!
//! Drops of the stages `tx` and `handoff` are counted at the port that the packet was to leave by,
//! all others at the port that it came from.

use std::mem;
use std::sync::Arc;

use ironlane_fib::PortId;
use ironlane_ipsec::SaId;

use super::counters::LcoreCounters;
use super::ipsec::{IpsecLists, Tag};
use super::policer::Policers;
use super::shared::Shared;
use super::snapshot::CounterSet;
use super::wake::Waker;
use crate::burst::Outlet;
use crate::eal::{BURST_MAX, Mbuf, MbufBatch, PORTS_MAX, RingProducer, TxQueue};
use crate::reason::{DropReason, PuntPriority, PuntReason, StageId};
use crate::stage::StageMeter;

/// How this lcore reaches a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// There is no such port.
    None,
    /// By the transmit queue at this place in the list.
    Queue(u8),
    /// By the lcore that has a queue of it.
    Handoff(u8),
}

/// A transmit queue and what is gathered for it.
#[derive(Debug)]
struct TxLane {
    port: PortId,
    queue: TxQueue,
    takes_chains: bool,
    batch: MbufBatch,
    /// Bytes in `batch`.
    bytes: u64,
}

impl TxLane {
    /// Gathers a packet, or gives it back if there is no room.
    #[inline]
    fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        let len = mbuf.pkt_len() as u64;
        self.batch.push(mbuf)?;
        self.bytes += len;
        Ok(())
    }
}

/// A ring to another lcore and what is gathered for it.
#[derive(Debug)]
struct HandoffLane {
    lcore: usize,
    ring: RingProducer,
    batch: MbufBatch,
}

/// A ring to the exception thread and what is gathered for it.
#[derive(Debug)]
struct PuntLane {
    ring: RingProducer,
    batch: MbufBatch,
}

/// Everything that an lcore sends to.
#[derive(Debug)]
pub(crate) struct LcoreOutlet {
    pub(crate) counters: LcoreCounters,
    /// What is on its way to an SA.
    pub(crate) ipsec: IpsecLists,
    ways: [Way; PORTS_MAX],
    tx: Vec<TxLane>,
    handoff: Vec<HandoffLane>,
    /// Place in `handoff` of the ring to each lcore.
    handoff_to: Vec<Option<u8>>,
    punt: [PuntLane; PuntPriority::COUNT],
    policers: Arc<Policers>,
    freed: MbufBatch,
    shared: Arc<Shared>,
    set: Arc<CounterSet>,
    exception: Arc<Waker>,
    /// Where the burst that is being settled came from.
    arrival: PortId,
    now_ns: u64,
}

/// What an outlet is made of.
#[derive(Debug)]
pub(crate) struct OutletParts {
    pub(crate) counters: LcoreCounters,
    pub(crate) ways: [Way; PORTS_MAX],
    pub(crate) tx: Vec<(PortId, TxQueue)>,
    /// Rings to other lcores, by lcore.
    pub(crate) handoff: Vec<Option<RingProducer>>,
    pub(crate) punt: [RingProducer; PuntPriority::COUNT],
    pub(crate) policers: Arc<Policers>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) set: Arc<CounterSet>,
    pub(crate) exception: Arc<Waker>,
}

impl LcoreOutlet {
    pub(crate) fn new(parts: OutletParts) -> Self {
        let mut handoff = Vec::new();
        let mut handoff_to = Vec::new();
        for (lcore, ring) in parts.handoff.into_iter().enumerate() {
            // There are at most 128 lcores: RCU has no place for more.
            handoff_to.push(ring.is_some().then_some(handoff.len() as u8));
            handoff.extend(ring.map(|ring| HandoffLane {
                lcore,
                ring,
                batch: MbufBatch::new(),
            }));
        }
        let lane = |(port, queue): (PortId, TxQueue)| TxLane {
            port,
            takes_chains: queue.multi_segment(),
            queue,
            batch: MbufBatch::new(),
            bytes: 0,
        };
        Self {
            counters: parts.counters,
            ipsec: IpsecLists::new(),
            ways: parts.ways,
            tx: parts.tx.into_iter().map(lane).collect(),
            handoff,
            handoff_to,
            punt: parts.punt.map(|ring| PuntLane {
                ring,
                batch: MbufBatch::new(),
            }),
            policers: parts.policers,
            freed: MbufBatch::new(),
            shared: parts.shared,
            set: parts.set,
            exception: parts.exception,
            arrival: PortId(0),
            now_ns: 0,
        }
    }

    /// Says where the packets settled next came from, and when it is.
    #[inline]
    pub(crate) fn begin(&mut self, arrival: PortId, now_ns: u64) {
        self.arrival = arrival;
        self.now_ns = now_ns;
    }

    /// Loses a packet, counted at `port`.
    #[inline]
    pub(crate) fn lose(&mut self, port: PortId, reason: DropReason, mbuf: Mbuf) {
        self.counters.dropped(port, reason, 1);
        self.free_later(mbuf);
    }

    /// Loses a packet, counted at `port`, that a crypto device may yet write to: it is not freed, so that it does not
    /// become another packet.
    #[cold]
    pub(crate) fn abandon(&mut self, port: PortId, _: Mbuf) {
        self.counters.dropped(port, DropReason::IpsecDevice, 1);
    }

    /// Loses a whole batch, counted at `port`.
    pub(crate) fn lose_all(&mut self, port: PortId, reason: DropReason, batch: &mut MbufBatch) {
        self.counters.dropped(port, reason, batch.len() as u64);
        batch.free();
    }

    /// Whether a sender may be told now that its packet is too long.
    pub(crate) fn may_tell(&self, now_ns: u64) -> bool {
        self.policers.admit(PuntReason::TooBig, now_ns)
    }

    #[inline]
    fn free_later(&mut self, mbuf: Mbuf) {
        if self.freed.is_full() {
            self.freed.free();
        }
        push(&mut self.freed, mbuf);
    }

    /// Sends everything gathered. Called once a turn.
    pub(crate) fn flush(&mut self) {
        for place in 0..self.tx.len() {
            if !self.tx[place].batch.is_empty() {
                self.flush_tx(place);
            }
        }
        for place in 0..self.handoff.len() {
            if !self.handoff[place].batch.is_empty() {
                self.flush_handoff(place);
            }
        }
        for priority in 0..self.punt.len() {
            if !self.punt[priority].batch.is_empty() {
                self.flush_punt(priority);
            }
        }
        self.freed.free();
    }

    fn flush_tx(&mut self, place: usize) {
        let lane = &mut self.tx[place];
        let bytes = mem::take(&mut lane.bytes);
        let (port, up) = (lane.port, self.shared.is_admin_up(lane.port));
        transmit(
            &mut self.counters,
            port,
            up,
            &mut lane.queue,
            &mut lane.batch,
            bytes,
        );
    }

    fn flush_handoff(&mut self, place: usize) {
        let lane = &mut self.handoff[place];
        let offered = lane.batch.len();
        // Packets of several ports may share a ring; who has them next may free them at once.
        let mut ports = [PortId(0); BURST_MAX];
        for (port, mbuf) in ports.iter_mut().zip(lane.batch.as_slice()) {
            *port = Tag::port(mbuf.port());
        }
        let sent = lane.ring.enqueue(&mut lane.batch);
        self.set.waker(lane.lcore).wake();
        lane.batch.free();
        for run in ports[..sent].chunk_by(|a, b| a == b) {
            self.counters.handoff_out(run[0], run.len() as u64);
        }
        for run in ports[sent..offered].chunk_by(|a, b| a == b) {
            self.counters
                .dropped(run[0], DropReason::HandoffRingFull, run.len() as u64);
        }
        self.counters.lap(StageId::Handoff, offered as u64);
    }

    fn flush_punt(&mut self, priority: usize) {
        let lane = &mut self.punt[priority];
        let offered = lane.batch.len();
        let mut kinds = [(PortId(0), 0u32); BURST_MAX];
        for (kind, mbuf) in kinds.iter_mut().zip(lane.batch.as_slice()) {
            *kind = (PortId(mbuf.port()), mbuf.user());
        }
        let sent = lane.ring.enqueue(&mut lane.batch);
        self.exception.wake();
        lane.batch.free();
        for (place, (port, word)) in kinds[..offered].iter().enumerate() {
            // The word was made from a reason in `punt`.
            let Some(reason) = PuntReason::from_index(*word as usize) else {
                continue;
            };
            if place < sent {
                self.counters.punted(*port, reason, 1);
            } else {
                self.counters.punt_ring_full(*port, reason, 1);
            }
        }
        self.counters.lap(StageId::Punt, offered as u64);
    }

    /// A packet for a queue whose batch is full, or which sends no chains.
    #[cold]
    fn send_slowly(&mut self, place: usize, port: PortId, mut mbuf: Mbuf) {
        let chained = mbuf.nb_segs() > 1 && !self.tx[place].takes_chains;
        if chained && !mbuf.pullup(mbuf.pkt_len()) {
            return self.lose(port, DropReason::TxChained, mbuf);
        }
        if self.tx[place].batch.is_full() {
            self.flush_tx(place);
        }
        if let Err(mbuf) = self.tx[place].push(mbuf) {
            debug_assert!(false, "pushed to a full batch");
            mbuf.free();
        }
    }

    /// A packet for another lcore, whose [`Mbuf::port`] says what it is; back if there is no way.
    pub(crate) fn hand_off(&mut self, lcore: usize, mbuf: Mbuf) -> Result<(), Mbuf> {
        let place = self.handoff_to.get(lcore).copied().flatten();
        let Some(place) = place.map(usize::from) else {
            return Err(mbuf);
        };
        if self.handoff[place].batch.is_full() {
            self.flush_handoff(place);
        }
        push(&mut self.handoff[place].batch, mbuf);
        Ok(())
    }

    /// A packet for a port of this lcore or of another.
    #[inline]
    pub(crate) fn send_by(&mut self, port: PortId, mut mbuf: Mbuf) {
        match self
            .ways
            .get(usize::from(port.0))
            .copied()
            .unwrap_or(Way::None)
        {
            Way::Queue(place) => {
                let place = usize::from(place);
                match self.tx.get_mut(place) {
                    Some(lane) if lane.takes_chains => {
                        if let Err(mbuf) = lane.push(mbuf) {
                            self.send_slowly(place, port, mbuf);
                        }
                    }
                    _ => self.send_slowly(place, port, mbuf),
                }
            }
            Way::Handoff(lcore) => {
                mbuf.set_port(port.0);
                if let Err(mbuf) = self.hand_off(usize::from(lcore), mbuf) {
                    self.lose(port, DropReason::TxPortDown, mbuf);
                }
            }
            Way::None => self.lose(port, DropReason::TxPortDown, mbuf),
        }
    }
}

impl Outlet for LcoreOutlet {
    #[inline]
    fn send(&mut self, port: PortId, mbuf: Mbuf) {
        self.send_by(port, mbuf);
    }

    #[inline]
    fn send_all(&mut self, port: PortId, batch: &mut MbufBatch, bytes: u64) {
        if let Some(Way::Queue(place)) = self.ways.get(usize::from(port.0))
            && let Some(lane) = self.tx.get_mut(usize::from(*place))
        {
            // Nothing is to leave before them, and no more would be gained by waiting for others.
            if lane.batch.is_empty() && batch.len() >= MANY {
                let up = self.shared.is_admin_up(port);
                return transmit(&mut self.counters, port, up, &mut lane.queue, batch, bytes);
            }
            if lane.batch.append(batch) {
                lane.bytes += bytes;
                return;
            }
        }
        for mbuf in batch.drain() {
            self.send_by(port, mbuf);
        }
    }

    fn open(&mut self, sa: SaId, mut mbuf: Mbuf) {
        mbuf.set_port(self.arrival.0);
        // Emptied after each burst.
        if let Err(mbuf) = self.ipsec.open.push(sa, mbuf) {
            self.lose(self.arrival, DropReason::IpsecNested, mbuf);
        }
    }

    fn seal(&mut self, sa: SaId, mut mbuf: Mbuf) {
        mbuf.set_port(self.arrival.0);
        if let Err(mbuf) = self.ipsec.seal.push(sa, mbuf) {
            self.lose(self.arrival, DropReason::IpsecNested, mbuf);
        }
    }

    fn gather(&mut self, l3: u8, mut mbuf: Mbuf) {
        mbuf.set_port(self.arrival.0);
        mbuf.set_user(l3.into());
        if let Err(mbuf) = self.ipsec.gather.push(mbuf) {
            self.lose(self.arrival, DropReason::IpsecNested, mbuf);
        }
    }

    #[inline]
    fn punt(&mut self, reason: PuntReason, mut mbuf: Mbuf) {
        if !self.policers.admit(reason, self.now_ns) {
            self.counters.punt_policed(self.arrival, reason, 1);
            return self.free_later(mbuf);
        }
        mbuf.set_port(self.arrival.0);
        mbuf.set_user(reason.index() as u32);
        let priority = reason.priority().index();
        if self.punt[priority].batch.is_full() {
            self.flush_punt(priority);
        }
        push(&mut self.punt[priority].batch, mbuf);
    }

    #[inline]
    fn drop(&mut self, reason: DropReason, mbuf: Mbuf) {
        self.lose(self.arrival, reason, mbuf);
    }

    #[cold]
    fn lost(&mut self, mbuf: Mbuf) {
        self.abandon(self.arrival, mbuf);
    }
}

/// Packets of one burst from which on they are not gathered first: half of what is sent at most at once.
const MANY: usize = BURST_MAX / 2;

/// Sends a batch, `bytes` long together, by the queue of a port, which is `up` or not. What cannot be sent is lost.
#[inline]
fn transmit(
    counters: &mut LcoreCounters,
    port: PortId,
    up: bool,
    queue: &mut TxQueue,
    batch: &mut MbufBatch,
    mut bytes: u64,
) {
    let offered = batch.len();
    if !up {
        counters.dropped(port, DropReason::TxPortDown, offered as u64);
        batch.free();
        return;
    }
    let sent = queue.send(batch);
    if sent < offered {
        bytes -= batch.bytes();
        counters.dropped(port, DropReason::TxQueueFull, (offered - sent) as u64);
        batch.free();
    }
    counters.tx(port, sent as u64, bytes);
    counters.lap(StageId::Tx, offered as u64);
}

/// Adds to a batch that was made to have room.
#[inline]
fn push(batch: &mut MbufBatch, mbuf: Mbuf) {
    if let Err(mbuf) = batch.push(mbuf) {
        debug_assert!(false, "pushed to a full batch");
        mbuf.free();
    }
}
