//! Fragments of packets for the router's SAs: they wait on one lcore until their packet is whole.
//!
//! The policy stage gives every fragment for the router here that may be of a packet for an SA: by its protocol,
//! since later fragments show no more. The lcore that a hash of their key names keeps them. The first one
//! says what the packet is: if it is for an SA the others are waited for, and the whole packet, in one buffer,
//! runs through the stages as if it had arrived so. If it is the kernel's, as fragments of UDP may be, all of
//! them go on as they came.

mod join;

use std::hash::RandomState;

use ironlane_ipsec::fragments::{FragmentLimits, Fragments, Loss, PARTS_MAX, Piece, Place};
use ironlane_packet::proto::ip;

use super::{Crypto, Tag};
use crate::burst::{Arrival, BurstStore, Origin};
use crate::eal::{BURST_MAX, Mbuf, MbufBatch, Mempool};
use crate::lcore::poll::Lcore;
use crate::reason::{DropReason, StageId};
use crate::stage::named::Named;
use crate::stage::{StageMeter, TablesView};

pub(crate) use join::LONG_ROOM;

/// Buffers for long packets that each lcore brings into their pool.
pub(crate) const LONG_BUFFERS: u32 = 32;

/// What becomes of a packet whose fragments are not put together.
#[derive(Clone, Copy, Debug)]
enum Decision {
    /// They go on by the stages, which make them the kernel's.
    Pass(Origin),
    /// They are lost.
    Lose(DropReason),
}

/// The fragments that wait on an lcore.
#[derive(Debug)]
pub(crate) struct Gatherer {
    table: Fragments<Mbuf, Decision>,
    /// Buffers for packets that one of a port's does not hold.
    long: Mempool,
    lcores: usize,
}

impl Gatherer {
    /// Of one of `lcores`, which have the same `hasher` and share the pool.
    pub(crate) fn new(
        limits: FragmentLimits,
        hasher: RandomState,
        long: Mempool,
        lcores: usize,
    ) -> Box<Self> {
        Box::new(Self {
            table: Fragments::new(limits, hasher),
            long,
            lcores,
        })
    }
}

impl Crypto {
    /// When the first of the fragments that wait will have waited too long, if there are any.
    #[inline]
    pub(crate) fn next_late_ns(&self) -> Option<u64> {
        self.gatherer.as_ref()?.table.next_deadline_ns()
    }
}

impl Lcore {
    /// Adds fragments to those that wait, and runs packets that are whole now through the stages.
    pub(super) fn gather(
        &mut self,
        mut batch: MbufBatch,
        store: &mut BurstStore,
        view: &TablesView<'_>,
    ) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len();
        self.gathering(store, view, |gathering| {
            for mbuf in batch.drain() {
                gathering.take(mbuf);
            }
        });
        // Only where there is no IPsec, and nothing ever gets here.
        for mbuf in batch.drain() {
            self.outlet
                .lose(Tag::port(mbuf.port()), DropReason::IpsecDevice, mbuf);
        }
        self.outlet.counters.lap(StageId::Ipsec, count as u64);
    }

    /// Gives up what has waited too long.
    #[cold]
    pub(crate) fn give_up_late(&mut self, store: &mut BurstStore, view: &TablesView<'_>) {
        self.gathering(store, view, |gathering| {
            while let Some(place) = gathering.gatherer.table.late(view.now_ns) {
                gathering.give_up(place, DropReason::IpsecFragmentLate);
            }
        });
        self.cross_ipsec(store, view);
    }

    /// Loses all that waits: the lcore ends.
    #[cold]
    pub(crate) fn lose_fragments(&mut self) {
        let Some(mut gatherer) = self.crypto.gatherer.take() else {
            return;
        };
        while let Some(place) = gatherer.table.first() {
            gatherer.table.remove(place, |part| {
                let port = Tag::port(part.port());
                self.outlet.lose(port, DropReason::IpsecFragmentLate, part);
            });
        }
        self.outlet.counters.held(0);
    }

    /// Lets `work` work with what waits, and runs what it makes ready through the stages.
    fn gathering(
        &mut self,
        store: &mut BurstStore,
        view: &TablesView<'_>,
        work: impl FnOnce(&mut Gathering<'_, '_>),
    ) {
        let Some(mut gatherer) = self.crypto.gatherer.take() else {
            return;
        };
        let mut gathering = Gathering {
            lcore: self,
            gatherer: &mut gatherer,
            ready: [const { MbufBatch::new() }; ORIGINS.len()],
            store,
            view,
        };
        work(&mut gathering);
        gathering.run();
        self.outlet.counters.held(gatherer.table.held() as u64);
        self.crypto.gatherer = Some(gatherer);
    }
}

/// Of which origin packets are that go back into the stages.
const ORIGINS: [Origin; 3] = [Origin::Wire, Origin::Fragment, Origin::IkeFragment];

/// An lcore at work with the fragments that wait.
struct Gathering<'a, 'v> {
    lcore: &'a mut Lcore,
    gatherer: &'a mut Gatherer,
    /// What goes back into the stages, by origin.
    ready: [MbufBatch; ORIGINS.len()],
    store: &'a mut BurstStore,
    view: &'a TablesView<'v>,
}

impl Gathering<'_, '_> {
    /// Runs what is ready through the stages.
    fn run(&mut self) {
        for (batch, origin) in self.ready.iter_mut().zip(ORIGINS) {
            self.lcore.run_by_port(batch, origin, self.store, self.view);
        }
    }

    fn push_ready(&mut self, origin: Origin, mbuf: Mbuf) {
        let place = ORIGINS.iter().position(|&of| of == origin).unwrap_or(0);
        if self.ready[place].is_full() {
            self.run();
        }
        push(&mut self.ready[place], mbuf);
    }

    fn lose(&mut self, reason: DropReason, mbuf: Mbuf) {
        let port = Tag::port(mbuf.port());
        self.lcore.outlet.lose(port, reason, mbuf);
    }

    /// Does with a fragment what was decided about its packet.
    fn carry_out(&mut self, decision: Decision, mbuf: Mbuf) {
        match decision {
            Decision::Pass(origin) => self.push_ready(origin, mbuf),
            Decision::Lose(reason) => self.lose(reason, mbuf),
        }
    }

    /// Takes a fragment, or hands it to the lcore that keeps those of its packet.
    fn take(&mut self, mut mbuf: Mbuf) {
        let port = Tag::port(mbuf.port());
        let Some(arrival) = self.lcore.crypto.arrival(port) else {
            return self.lose(DropReason::IpsecDevice, mbuf);
        };
        let piece = match join::read(&mbuf, arrival.vrf) {
            Ok(piece) => piece,
            Err(loss) => return self.lose(reason(loss), mbuf),
        };
        // The lower half of the hash finds it in the table.
        let hash = self.gatherer.table.hash(&piece.key) >> 32;
        let owner = hash as usize % self.gatherer.lcores;
        if owner != self.lcore.index {
            mbuf.set_port(port.0 | Tag::GATHER);
            if let Err(mbuf) = self.lcore.outlet.hand_off(owner, mbuf) {
                self.lose(DropReason::IpsecDevice, mbuf);
            }
            return;
        }
        let judged = match piece.is_first() {
            true => judge(&mbuf, &piece, arrival, self.view),
            false => None,
        };
        match (piece.is_whole(), judged) {
            (true, Some(decision)) => self.carry_out(decision, mbuf),
            (true, None) => {
                let mut parts = MbufBatch::new();
                push(&mut parts, mbuf);
                self.join(piece.whole(), parts);
            }
            (false, _) => self.keep(&piece, judged, mbuf),
        }
    }

    /// Keeps a fragment, or does with it what `judged` or the first one of its packet said.
    fn keep(&mut self, piece: &Piece, judged: Option<Decision>, mbuf: Mbuf) {
        if let Some(place) = self.gatherer.table.find(&piece.key)
            && let Some(decision) = self.gatherer.table.decision(place)
        {
            self.gatherer.table.pass(place, piece);
            return self.carry_out(decision, mbuf);
        }
        while let Some(place) = self.gatherer.table.crowded(&piece.key) {
            self.give_up(place, DropReason::IpsecFragmentCrowded);
        }
        // Its packet may have had to go.
        let table = &mut self.gatherer.table;
        let place = table.find(&piece.key);
        let place = place.or_else(|| table.start(piece.key, self.view.now_ns));
        let Some(place) = place else {
            debug_assert!(false, "room was made");
            return self.lose(DropReason::IpsecFragmentCrowded, mbuf);
        };
        match judged {
            None => self.add(place, piece, mbuf),
            Some(decision) => {
                self.decide(place, decision);
                self.gatherer.table.pass(place, piece);
                self.carry_out(decision, mbuf);
            }
        }
    }

    /// Keeps a fragment; a packet that is whole goes back into the stages.
    fn add(&mut self, place: Place, piece: &Piece, mbuf: Mbuf) {
        let table = &mut self.gatherer.table;
        match table.add(place, piece, mbuf, join::is_same) {
            Ok(None) => {}
            Ok(Some(whole)) => {
                let mut parts = MbufBatch::new();
                table.remove(place, |part| push(&mut parts, part));
                self.join(whole, parts);
            }
            Err((loss, mbuf)) => {
                let reason = reason(loss);
                // A copy says nothing about the others.
                if loss != Loss::Duplicate {
                    self.decide(place, Decision::Lose(reason));
                }
                if let Some(mbuf) = mbuf {
                    self.lose(reason, mbuf);
                }
            }
        }
    }

    /// Decides about a packet, and does with its fragments what that says.
    fn decide(&mut self, place: Place, decision: Decision) {
        let mut parts = MbufBatch::new();
        let each = |part| push(&mut parts, part);
        self.gatherer.table.decide(place, decision, each);
        for part in parts.drain() {
            self.carry_out(decision, part);
        }
    }

    /// Forgets a packet. Fragments of UDP without the first may be the kernel's, which has more patience.
    fn give_up(&mut self, place: Place, reason: DropReason) {
        let decision = match self.gatherer.table.look(place) {
            Some((key, false)) if key.protocol == ip::UDP => Decision::Pass(Origin::Fragment),
            _ => Decision::Lose(reason),
        };
        let mut parts = MbufBatch::new();
        let each = |part| push(&mut parts, part);
        self.gatherer.table.remove(place, each);
        for part in parts.drain() {
            self.carry_out(decision, part);
        }
    }
}

/// What a first fragment says of its packet; `None`: it is for an SA.
fn judge(mbuf: &Mbuf, piece: &Piece, arrival: Arrival, view: &TablesView<'_>) -> Option<Decision> {
    let upper = mbuf.data().get(join::l3_of(mbuf) + piece.body_at..);
    let upper = upper.unwrap_or(&[]);
    match Named::by(piece.key.protocol, &upper[..upper.len().min(piece.len)]) {
        Named::Other => Some(Decision::Pass(Origin::Fragment)),
        Named::Ike => Some(Decision::Pass(Origin::IkeFragment)),
        Named::Keepalive => Some(Decision::Lose(DropReason::IpsecKeepalive)),
        Named::Sa(sa) if piece.more && piece.len < sa.header_end => {
            Some(Decision::Lose(DropReason::IpsecFragmentBad))
        }
        Named::Sa(sa) => match sa.find(piece.key.dst, arrival.vrf, view) {
            Some(_) => None,
            None => Some(Decision::Lose(DropReason::IpsecNoSa)),
        },
    }
}

/// Adds to a batch that has room: a packet has no more fragments than a burst.
fn push(batch: &mut MbufBatch, mbuf: Mbuf) {
    if let Err(mbuf) = batch.push(mbuf) {
        debug_assert!(false, "pushed to a full batch");
        mbuf.free();
    }
}

const _: () = assert!(PARTS_MAX <= BURST_MAX);

const fn reason(loss: Loss) -> DropReason {
    match loss {
        Loss::Malformed => DropReason::IpsecFragmentBad,
        Loss::Overlap => DropReason::IpsecFragmentOverlap,
        Loss::Duplicate => DropReason::IpsecFragmentTwice,
        Loss::TooLong => DropReason::IpsecFragmentTooLong,
    }
}
