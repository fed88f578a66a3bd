//! IPsec on an lcore: what the stages gave to an SA comes back as a burst of its own.
//!
//! The stages only say which SA a packet is to pass ([`Fate::Open`](crate::burst::Fate::Open),
//! [`Fate::Seal`](crate::burst::Fate::Seal)). Behind them, within the same turn, all such packets of a
//! burst are opened together, and what was inside runs through the stages as if it had arrived by the
//! same port, or by the IPsec interface of its SA ([`Origin::Opened`]); then those to be sealed are, and run through them once more
//! ([`Origin::Sealed`]). An SA inside another makes another round.
//!
//! Fragments of what is to be opened wait until all of a packet are there, which then runs through the stages as
//! if it had arrived whole.
//!
//! Sequence number and replay window of an SA belong to one lcore, the first that met a packet of it.
//! Others hand their packets over, before they do anything to them, so that numbers leave in order.

mod answer;
mod fit;
mod gather;
mod in_place;
mod inject;
mod lists;
mod open;
mod own;
mod path_mtu;
mod seal;
mod split;
mod split6;
mod told;

use std::mem;

use ironlane_fib::{PortId, VrfId};
use ironlane_ipsec::{Layout, Reject, Sa, SaId, Span};
use ironlane_packet::eth::{EtherType, Mac};

use super::outlet::LcoreOutlet;
use super::poll::Lcore;
use crate::burst::{Arrival, BurstStore, Origin};
use crate::eal::crypto::{Engine, Job, Jobs, Outcome, Part, Session};
use crate::eal::{BURST_MAX, Mbuf, MbufBatch, Mempool, PORTS_MAX};
use crate::reason::DropReason;
use crate::stage::TablesView;
pub(crate) use gather::{Gatherer, LONG_BUFFERS, LONG_ROOM};
pub(crate) use lists::{IpsecLists, SaBatch};
pub use own::OwnAddresses;
pub use path_mtu::PathMtus;
pub(crate) use told::Told;

/// Rounds of opening and sealing in one turn: an SA inside another, inside another.
const ROUNDS: usize = 4;

/// Length of the Ethernet header that stands before what is opened and sealed.
const L2: usize = 14;

/// What an lcore needs to open and seal.
#[derive(Debug)]
pub(crate) struct Crypto {
    /// `None`: the data plane was started without IPsec, and nothing ever gets here.
    pub(crate) engine: Option<Engine>,
    /// What arrives by each port.
    pub(crate) arrivals: [Option<Arrival>; PORTS_MAX],
    /// Fragments that wait; where there is an engine.
    pub(crate) gatherer: Option<Box<Gatherer>>,
    /// Buffers for packets that are made here.
    pub(crate) pool: Mempool,
    /// Identification of the next packet that is fragmented and has none.
    pub(crate) next_id: u32,
}

/// Says in [`Mbuf::port`] what a packet on a ring between lcores is.
pub(crate) struct Tag;

impl Tag {
    /// To be opened by the SA in [`Mbuf::user`].
    pub(crate) const OPEN: u16 = 1 << 15;
    /// To be sealed by it.
    pub(crate) const SEAL: u16 = 1 << 14;
    /// A fragment, with its IP header behind [`Mbuf::user`] bytes.
    pub(crate) const GATHER: u16 = Self::OPEN | Self::SEAL;
    /// Came from the kernel, to leave by this port.
    pub(crate) const INJECTED: u16 = 1 << 13;

    /// The port without the rest.
    #[inline]
    pub(crate) const fn port(word: u16) -> PortId {
        PortId(word & (Self::INJECTED - 1))
    }
}

const _: () = assert!(PORTS_MAX <= Tag::INJECTED as usize);

impl Lcore {
    /// Opens and seals what the stages gave to IPsec, and runs it through the stages again.
    #[inline]
    pub(crate) fn cross_ipsec(&mut self, store: &mut BurstStore, view: &TablesView<'_>) {
        if !self.outlet.ipsec.is_empty() {
            self.cross(store, ROUNDS, view);
        }
    }

    fn cross(&mut self, store: &mut BurstStore, rounds: usize, view: &TablesView<'_>) {
        for _ in 0..rounds {
            if self.outlet.ipsec.is_empty() {
                return;
            }
            let batch = mem::take(&mut self.outlet.ipsec.gather);
            self.gather(batch, store, view);
            let batch = mem::replace(&mut self.outlet.ipsec.open, SaBatch::new());
            self.open(batch, store, view);
            let batch = mem::replace(&mut self.outlet.ipsec.seal, SaBatch::new());
            self.seal(batch, store, view);
        }
        let lists = mem::replace(&mut self.outlet.ipsec, IpsecLists::new());
        for mut batch in [lists.gather, lists.open.packets, lists.seal.packets] {
            for mbuf in batch.drain() {
                let port = Tag::port(mbuf.port());
                self.outlet.lose(port, DropReason::IpsecNested, mbuf);
            }
        }
    }

    /// Keeps the packets whose SA this lcore owns, with their SAs; hands the others over.
    fn own<'v>(
        &mut self,
        mut batch: SaBatch,
        tag: u16,
        view: &TablesView<'v>,
    ) -> (SaBatch, [Option<&'v Sa<Session>>; BURST_MAX]) {
        let mut kept = SaBatch::new();
        let mut sas = [None; BURST_MAX];
        if view.ipsec.has_many() {
            let ids = &batch.sas[..batch.packets.len()];
            view.ipsec.warm_sas(view.guard, ids);
        }
        for (mut mbuf, &id) in batch.packets.drain().zip(&batch.sas) {
            let port = Tag::port(mbuf.port());
            let Some(sa) = view.ipsec.sa(view.guard, id) else {
                self.outlet.lose(port, DropReason::IpsecSaGone, mbuf);
                continue;
            };
            // There are at most 128 lcores.
            let owner = sa.state().owner_or(self.index as u32) as usize;
            if owner == self.index {
                sas[kept.packets.len()] = Some(sa);
                // As many as there were.
                let _ = kept.push(id, mbuf);
                continue;
            }
            mbuf.set_user(id.raw());
            mbuf.set_port(mbuf.port() | tag);
            if let Err(mbuf) = self.outlet.hand_off(owner, mbuf) {
                self.outlet.lose(port, DropReason::IpsecDevice, mbuf);
            }
        }
        (kept, sas)
    }

    /// Runs packets through the stages, those of a port together.
    fn run_by_port(
        &mut self,
        batch: &mut MbufBatch,
        origin: Origin,
        store: &mut BurstStore,
        view: &TablesView<'_>,
    ) {
        let mut last = None;
        for mbuf in batch.drain() {
            let port = Tag::port(mbuf.port());
            if last.is_some_and(|last| last != port) {
                self.run_again(store, last.unwrap_or(port), origin, view);
            }
            last = Some(port);
            // As many as a burst.
            if let Err(mbuf) = store.packets_mut().push(mbuf) {
                self.outlet.lose_at(Step::Failed, mbuf);
            }
        }
        if let Some(port) = last {
            self.run_again(store, port, origin, view);
        }
    }

    /// Runs what is in `store`, which came from `port`, through the stages.
    fn run_again(
        &mut self,
        store: &mut BurstStore,
        port: PortId,
        origin: Origin,
        view: &TablesView<'_>,
    ) {
        self.run_again_in(store, port, None, origin, view);
    }

    /// The same, in the tables of `vrf`, or else of the port's.
    fn run_again_in(
        &mut self,
        store: &mut BurstStore,
        port: PortId,
        vrf: Option<VrfId>,
        origin: Origin,
        view: &TablesView<'_>,
    ) {
        if store.packets_mut().is_empty() {
            return;
        }
        match self.crypto.arrival(port) {
            Some(arrival) => {
                let vrf = vrf.unwrap_or(arrival.vrf);
                let arrival = Arrival {
                    origin,
                    vrf,
                    ..arrival
                };
                let counters = &mut self.outlet.counters;
                self.pipeline.run(store, arrival, view, counters);
                self.seal_in_place(store, view);
                self.outlet.begin(port, view.now_ns);
                store.settle(&mut self.outlet);
            }
            None => {
                let packets = store.packets_mut();
                self.outlet.lose_all(port, DropReason::IpsecDevice, packets);
            }
        }
    }
}

/// How far a packet has come.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Laid out for the engine, or done by it.
    Ready(Layout),
    /// Refused by its SA, which has counted it.
    Refused(Reject),
    /// The crypto device could not do it.
    Failed,
    /// The crypto device may yet write to it.
    Lost,
}

impl From<Result<Layout, Reject>> for Step {
    #[inline]
    fn from(result: Result<Layout, Reject>) -> Self {
        result.map_or_else(Self::Refused, Self::Ready)
    }
}

impl Crypto {
    fn arrival(&self, port: PortId) -> Option<Arrival> {
        self.arrivals.get(usize::from(port.0)).copied().flatten()
    }

    /// Has the engine do all packets that are laid out, `base` bytes behind the start of their data.
    fn process(
        &mut self,
        packets: &mut [Mbuf],
        sas: &[Option<&Sa<Session>>; BURST_MAX],
        steps: &mut [Step; BURST_MAX],
        base: u16,
    ) {
        let Some(engine) = &mut self.engine else {
            steps.fill(Step::Failed);
            return;
        };
        let mut jobs = Jobs::new(engine);
        let mut places = [0; BURST_MAX];
        for (place, mbuf) in packets.iter_mut().enumerate() {
            let (Step::Ready(ref layout), Some(sa)) = (steps[place], sas[place]) else {
                continue;
            };
            let at = jobs.len();
            match jobs.push(sa.session(), mbuf, &job(layout, base)) {
                Ok(()) => places[at] = place,
                Err(_) => steps[place] = Step::Failed,
            }
        }
        engine.process(&mut jobs);
        for (outcome, &place) in jobs.outcomes().zip(&places) {
            match outcome {
                Outcome::Done => {}
                Outcome::BadIcv => {
                    if let Some(sa) = sas[place] {
                        sa.reject(Reject::Integrity);
                    }
                    steps[place] = Step::Refused(Reject::Integrity);
                }
                Outcome::Failed => steps[place] = Step::Failed,
                Outcome::Lost => steps[place] = Step::Lost,
            }
        }
    }
}

/// A layout as the engine wants it. Packets are below 64 KiB, with all that is around them.
fn job(layout: &Layout, base: u16) -> Job {
    let part = |span: Span| Part::new(base + span.at as u16, span.len as u16);
    Job {
        cipher: part(layout.cipher),
        auth: part(layout.auth),
        icv_at: base + layout.icv.at as u16,
        nonce: layout.nonce,
        aad: layout.aad,
    }
}

impl LcoreOutlet {
    /// Takes what another lcore handed over to be opened or sealed here.
    #[cold]
    pub(crate) fn take_over(&mut self, mut mbuf: Mbuf) {
        let (word, sa) = (mbuf.port(), SaId::from_raw(mbuf.user()));
        mbuf.set_port(word & !(Tag::OPEN | Tag::SEAL));
        let pushed = match word & Tag::GATHER {
            Tag::GATHER => self.ipsec.gather.push(mbuf),
            Tag::OPEN => self.ipsec.open.push(sa, mbuf),
            _ => self.ipsec.seal.push(sa, mbuf),
        };
        // The lists are empty between bursts.
        if let Err(mbuf) = pushed {
            self.lose(Tag::port(word), DropReason::IpsecNested, mbuf);
        }
    }

    /// Loses a packet that has not come through.
    fn lose_at(&mut self, step: Step, mbuf: Mbuf) {
        let port = Tag::port(mbuf.port());
        match step {
            Step::Refused(reject) => self.lose(port, reason(reject), mbuf),
            Step::Ready(_) | Step::Failed => self.lose(port, DropReason::IpsecDevice, mbuf),
            Step::Lost => self.abandon(port, mbuf),
        }
    }
}

/// The drop reason of a refusal.
const fn reason(reject: Reject) -> DropReason {
    match reject {
        Reject::Replay => DropReason::IpsecReplay,
        Reject::Integrity => DropReason::IpsecIntegrity,
        Reject::Malformed => DropReason::IpsecMalformed,
        Reject::Padding => DropReason::IpsecPadding,
        Reject::Dummy => DropReason::IpsecDummy,
        Reject::Mode => DropReason::IpsecMode,
        Reject::Inner => DropReason::IpsecInner,
        Reject::Selector => DropReason::IpsecSelector,
        Reject::Ecn => DropReason::IpsecEcn,
        Reject::Fragment => DropReason::IpsecFragment,
        Reject::SequenceExhausted => DropReason::IpsecSequence,
        Reject::Expired => DropReason::IpsecExpired,
        Reject::TooLong => DropReason::IpsecTooLong,
        Reject::NoRoom => DropReason::IpsecNoRoom,
    }
}

/// Writes the Ethernet header before the IP packet that begins behind it. False: it is not IP.
fn write_ethernet(mbuf: &mut Mbuf, dst: Mac, src: Mac) -> bool {
    let frame = mbuf.data_mut();
    let ethertype = match frame.get(L2).map(|byte| byte >> 4) {
        Some(4) => EtherType::IP4,
        Some(6) => EtherType::IP6,
        _ => return false,
    };
    frame[..6].copy_from_slice(&dst.0);
    frame[6..12].copy_from_slice(&src.0);
    frame[12..L2].copy_from_slice(&ethertype.0.to_be_bytes());
    true
}
