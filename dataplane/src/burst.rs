//! A burst on its way through the stages: packets, what is known of each, and verdicts.
//!
//! Stages only decide. A packet starts on the lane [`Lane::Input`]. The straight path sends what is
//! plain and leaves the others on [`Lane::Frame`]; from there on each stage takes the packets of its
//! lane and gives each exactly one [`Verdict`]: on to the next lane, aside to another, or an end
//! ([`Fate`]). When all stages have run, every packet has its fate and [`BurstStore::settle`]
//! hands the packets out, in the order in which they came. So a packet cannot be lost or sent
//! twice, and flows keep their order whichever lanes their packets took.

mod arrival;
mod given;
mod lane;
mod names;
mod packet;
mod plain;
mod verdict;

use std::mem;

use ironlane_fib::{PortId, Resolved};
use ironlane_ipsec::SaId;

use crate::eal::{BURST_MAX, HeadRoom, Mbuf, MbufBatch};
use crate::reason::{DropReason, PuntReason};
pub use arrival::{Arrival, Origin};
pub(crate) use given::{Given, Placed};
pub use lane::Lane;
pub(crate) use lane::LaneList;
pub(crate) use names::{NOTHING_ASKED, Names, Some64};
pub(crate) use packet::Packet;
pub(crate) use plain::{Arrived, Plain, PlainList, Sole, Straightway};
pub(crate) use verdict::Info;
pub use verdict::{Fate, Verdict};

/// The packets of a burst and their verdicts; one a lcore, used again for every burst.
///
/// Like the [`MbufBatch`] in it, it must be empty when it goes out of scope.
#[derive(Debug)]
pub struct BurstStore {
    packets: MbufBatch,
    info: [Info; BURST_MAX],
    hops: [Option<Resolved>; BURST_MAX],
    fates: [Fate; BURST_MAX],
    lanes: [LaneList; Lane::COUNT],
    arrived: Arrived,
    heads: HeadRoom,
    ip4: PlainList<u32>,
    ip6: PlainList<u128>,
    ports: [PortId; BURST_MAX],
    sole: Option<Sole>,
    /// The SA that a packet came through, or is to go through.
    sas: [SaId; BURST_MAX],
    given: Given,
    names: Names,
}

impl Default for BurstStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes packets whose fate is known. The lcore implements it: transmit queues and hand-off
/// rings, policers and punt rings, freeing and counting.
pub trait Outlet {
    /// The packet leaves by `port`.
    fn send(&mut self, port: PortId, mbuf: Mbuf);
    /// All packets of the batch, `bytes` long together and each in one segment, leave by `port`. The
    /// batch is empty after it.
    fn send_all(&mut self, port: PortId, batch: &mut MbufBatch, _bytes: u64) {
        for mbuf in batch.drain() {
            self.send(port, mbuf);
        }
    }
    /// The packet, its IP header behind fourteen bytes and without padding, is to be opened by this SA. An
    /// outlet without IPsec loses it.
    fn open(&mut self, _sa: SaId, mbuf: Mbuf) {
        self.drop(DropReason::IpsecDevice, mbuf);
    }
    /// The same, to be sealed.
    fn seal(&mut self, _sa: SaId, mbuf: Mbuf) {
        self.drop(DropReason::IpsecDevice, mbuf);
    }
    /// The packet, unchanged, with its IP header behind `l3` bytes, is to be put together with others. An outlet
    /// without IPsec loses it.
    fn gather(&mut self, _l3: u8, mbuf: Mbuf) {
        self.drop(DropReason::IpsecDevice, mbuf);
    }
    /// The packet, unchanged, goes to the kernel.
    fn punt(&mut self, reason: PuntReason, mbuf: Mbuf);
    /// The packet is lost.
    fn drop(&mut self, reason: DropReason, mbuf: Mbuf);
    /// The packet is lost, and must not be freed: a crypto device may yet write to it. An outlet without IPsec
    /// meets none.
    fn lost(&mut self, mbuf: Mbuf) {
        self.drop(DropReason::IpsecDevice, mbuf);
    }
}

impl BurstStore {
    /// An empty store, about 12 KiB.
    pub const fn new() -> Self {
        Self {
            packets: MbufBatch::new(),
            info: [Info {
                l3: 0,
                flags: 0,
                ip_len: 0,
                dst4: 0,
            }; BURST_MAX],
            hops: [None; BURST_MAX],
            fates: [Fate::Undecided; BURST_MAX],
            lanes: [LaneList::EMPTY; Lane::COUNT],
            arrived: Arrived {
                bytes: 0,
                stripped: false,
            },
            heads: HeadRoom::new(),
            ip4: PlainList::new(0),
            ip6: PlainList::new(0),
            ports: [PortId::NONE; BURST_MAX],
            sole: None,
            sas: [SaId::from_raw(0); BURST_MAX],
            given: Given::NOTHING,
            names: Names::new(),
        }
    }

    /// What the straight path works on.
    #[inline]
    pub(crate) fn straightway(&mut self) -> Straightway<'_> {
        Straightway {
            packets: self.packets.as_mut_slice(),
            heads: &mut self.heads,
            arrived: &mut self.arrived,
            fates: &mut self.fates,
            ip4: &mut self.ip4,
            ip6: &mut self.ip6,
            ports: &mut self.ports,
            sole: &mut self.sole,
            sas: &mut self.sas,
            given: &mut self.given,
            names: &mut self.names,
        }
    }

    /// Where to receive packets into, before the stages run.
    #[inline]
    pub fn packets_mut(&mut self) -> &mut MbufBatch {
        &mut self.packets
    }

    /// What the burst was when it came, once the straight path or [`look`](Self::look) has seen it.
    #[inline]
    pub(crate) fn arrived(&self) -> Arrived {
        self.arrived
    }

    /// Looks at what came, where the straight path does not.
    pub(crate) fn look(&mut self) {
        self.arrived = Arrived::of(self.packets.as_slice());
    }

    /// Adds a packet that an SA has opened, for a burst of [`Origin::Opened`]; back if there is no room.
    #[inline]
    pub(crate) fn push_opened(&mut self, sa: SaId, mbuf: Mbuf) -> Result<(), Mbuf> {
        let place = self.packets.len();
        self.packets.push(mbuf)?;
        self.sas[place] = sa;
        Ok(())
    }

    /// Fates of the packets, in order.
    #[inline]
    pub fn fates(&self) -> &[Fate] {
        &self.fates[..self.packets.len()]
    }

    /// Hands out all packets, each once: in the order in which they came those that are sent, and so those
    /// that are not. A packet that no stage decided would be a broken invariant; it is never leaked.
    #[inline]
    pub fn settle(&mut self, outlet: &mut impl Outlet) {
        let sole = self.sole.take();
        // What the stages send has its place between the others, for the order of its flow.
        if let Some(sole) = sole.filter(|sole| !self.sends_any(sole.left)) {
            self.packets.take_out(sole.left, |place, mbuf| {
                hand_out(
                    outlet,
                    self.fates[place],
                    self.sas[place],
                    &self.info[place],
                    mbuf,
                );
            });
            return outlet.send_all(sole.port, &mut self.packets, sole.bytes);
        }
        let fates = self.fates.iter().zip(&self.sas).zip(&self.info);
        for (mbuf, ((&fate, &sa), info)) in self.packets.drain().zip(fates) {
            hand_out(outlet, fate, sa, info, mbuf);
        }
    }
}

/// Gives a packet to where its fate says; `sa` and `info` are those of its place.
#[inline(always)] // a call for each packet of a mixed burst is a tenth of what it costs
fn hand_out(outlet: &mut impl Outlet, fate: Fate, sa: SaId, info: &Info, mbuf: Mbuf) {
    match fate {
        Fate::Send(port) => outlet.send(port, mbuf),
        Fate::Open => outlet.open(sa, mbuf),
        Fate::Seal => outlet.seal(sa, mbuf),
        Fate::Gather => outlet.gather(info.l3, mbuf),
        Fate::Punt(reason) => outlet.punt(reason, mbuf),
        Fate::Drop(reason) => outlet.drop(reason, mbuf),
        Fate::Lost => outlet.lost(mbuf),
        Fate::Undecided => {
            debug_assert!(false, "a packet left the stages without a verdict");
            outlet.drop(DropReason::EthUnknownType, mbuf);
        }
    }
}

/// The word of all places of a burst of `count` packets.
#[inline]
pub(crate) const fn places(count: usize) -> u64 {
    match count {
        0 => 0,
        _ => u64::MAX >> (BURST_MAX - count),
    }
}

/// A burst in the stages.
#[derive(Debug)]
pub struct Burst<'q> {
    store: &'q mut BurstStore,
    arrival: Arrival,
}

impl<'q> Burst<'q> {
    /// The packets of `store` whose bits are set in `left` are undecided, on the frame lane; the
    /// others have their fate.
    #[inline]
    pub(crate) fn new(store: &'q mut BurstStore, arrival: Arrival, left: u64) -> Self {
        for lane in &mut store.lanes {
            lane.len = 0;
        }
        let frames = &mut store.lanes[Lane::Frame as usize];
        let mut rest = left & places(store.packets.len());
        while rest != 0 {
            let place = rest.trailing_zeros() as usize % BURST_MAX;
            rest &= rest - 1;
            store.fates[place] = Fate::Undecided;
            store.hops[place] = None;
            frames.push(place as u8); // below BURST_MAX, which is 64
        }
        Self { store, arrival }
    }

    /// Where the burst came from.
    #[inline]
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// How many packets wait on `lane`.
    #[inline]
    pub fn waiting(&self, lane: Lane) -> usize {
        usize::from(self.store.lanes[lane as usize].len)
    }

    /// Packets that wait on any lane, and packets with a fate: what a debug build balances
    /// around every stage.
    pub(crate) fn balance(&self) -> (usize, usize) {
        let waiting = self.store.lanes.iter().map(|l| usize::from(l.len)).sum();
        let decided = self.store.fates().iter().filter(|f| **f != Fate::Undecided);
        (waiting, decided.count())
    }

    /// Packets of the burst.
    pub(crate) fn len(&self) -> usize {
        self.store.packets.len()
    }

    /// Takes the packets off `lane`: the caller decides each of them.
    #[inline]
    pub(crate) fn take(&mut self, lane: Lane) -> LaneList {
        let list = &mut self.store.lanes[lane as usize];
        let taken = *list;
        list.len = 0;
        taken
    }

    /// One packet, to look at and to rewrite.
    #[inline]
    pub(crate) fn packet(&mut self, place: u8) -> Packet<'_> {
        let place = usize::from(place);
        Packet {
            mbuf: &mut self.store.packets.as_mut_slice()[place],
            info: &mut self.store.info[place],
            hop: &mut self.store.hops[place],
            arrival: self.arrival,
            sa: &self.store.sas[place],
        }
    }

    /// What is known of a packet.
    #[inline]
    pub(crate) fn info(&self, place: u8) -> Info {
        self.store.info[usize::from(place)]
    }

    /// Asks the CPU for the packet's first bytes; nothing happens beyond the burst.
    #[inline]
    pub(crate) fn prefetch(&self, place: usize) {
        if let Some(mbuf) = self.store.packets.as_slice().get(place) {
            mbuf.prefetch_data();
        }
    }

    /// Puts down a verdict; `next` is the lane that [`Verdict::Next`] means.
    #[inline]
    pub(crate) fn put(&mut self, place: u8, verdict: Verdict, next: Lane) {
        let fate = match verdict {
            Verdict::Next => return self.store.lanes[next as usize].push(place),
            Verdict::Lane(lane) => return self.store.lanes[lane as usize].push(place),
            Verdict::Send(port) => Fate::Send(port),
            Verdict::Open(sa) => {
                self.store.sas[usize::from(place)] = sa;
                Fate::Open
            }
            Verdict::Seal(sa) => {
                self.store.sas[usize::from(place)] = sa;
                Fate::Seal
            }
            Verdict::Gather => Fate::Gather,
            Verdict::Punt(reason) => Fate::Punt(reason),
            Verdict::Drop(reason) => Fate::Drop(reason),
        };
        let slot = &mut self.store.fates[usize::from(place)];
        debug_assert_eq!(*slot, Fate::Undecided, "decided twice");
        *slot = fate;
    }

    /// Decides each packet of `lane` by `judge`, in order.
    #[inline]
    pub(crate) fn decide(
        &mut self,
        lane: Lane,
        next: Lane,
        mut judge: impl FnMut(&mut Packet<'_>) -> Verdict,
    ) {
        let list = self.take(lane);
        for &place in list.places() {
            let verdict = judge(&mut self.packet(place));
            self.put(place, verdict, next);
        }
    }
}

const _: () = assert!(BURST_MAX <= u8::MAX as usize && mem::size_of::<Fate>() <= 4);
