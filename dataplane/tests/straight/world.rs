//! The tables, bursts of any frames, and what becomes of them by each way.

use std::sync::Arc;

use ironlane_dataplane::burst::{Arrival, BurstStore, Origin, Outlet};
use ironlane_dataplane::eal::{Mbuf, MbufBatch, Mempool, RxChecksum};
use ironlane_dataplane::ipsec::Ipsec;
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_dataplane::stage::{
    GleanLimit, HeaderPath, Interfaces, JoinedGroups, Pipeline, PipelineConfig, StageMeter,
    TablesView,
};
use ironlane_fib::{
    Adjacency, AdjacencyKind, Group, Member, Nexthop, NexthopIndex, PortId, Tables, VrfId, Writer,
};
use ironlane_ipsec::SaId;
use ironlane_packet::checksum;
use ironlane_packet::eth::{EthFields, EtherType, Mac};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::ip6::Ip6Fields;
use ironlane_rcu::{Domain, Reader};

use crate::rig::{bytes, eal};

pub(crate) const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(crate) const PEER: Mac = Mac([2, 0, 0, 0, 0, 9]);
pub(crate) const ARRIVAL: Arrival = Arrival {
    port: PortId(0),
    mac: OWN,
    vrf: VrfId::DEFAULT,
    origin: Origin::Wire,
};

/// What became of a packet, and what it looked like then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Send(PortId, Vec<u8>),
    Punt(PuntReason, Vec<u8>),
    Drop(DropReason, Vec<u8>),
    Open(SaId, Vec<u8>),
    Seal(SaId, Vec<u8>),
}

/// Writes down what is handed out, in order, and frees it.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) all: Vec<End>,
    /// Bursts that were handed out as one.
    pub(crate) whole: usize,
}

impl Ends {
    fn end(&mut self, end: impl FnOnce(Vec<u8>) -> End, mbuf: Mbuf) {
        self.all.push(end(bytes(&mbuf)));
        mbuf.free();
    }
}

impl Outlet for Ends {
    fn send(&mut self, port: PortId, mbuf: Mbuf) {
        self.end(|bytes| End::Send(port, bytes), mbuf);
    }

    fn send_all(&mut self, port: PortId, batch: &mut MbufBatch, bytes: u64) {
        let lens = batch.as_slice().iter().map(|mbuf| mbuf.pkt_len() as u64);
        assert_eq!(lens.sum::<u64>(), bytes);
        assert!(batch.as_slice().iter().all(|mbuf| mbuf.nb_segs() == 1));
        self.whole += 1;
        for mbuf in batch.drain() {
            self.send(port, mbuf);
        }
    }

    fn open(&mut self, sa: SaId, mbuf: Mbuf) {
        self.end(|bytes| End::Open(sa, bytes), mbuf);
    }

    fn seal(&mut self, sa: SaId, mbuf: Mbuf) {
        self.end(|bytes| End::Seal(sa, bytes), mbuf);
    }

    fn punt(&mut self, reason: PuntReason, mbuf: Mbuf) {
        self.end(|bytes| End::Punt(reason, bytes), mbuf);
    }

    fn drop(&mut self, reason: DropReason, mbuf: Mbuf) {
        self.end(|bytes| End::Drop(reason, bytes), mbuf);
    }
}

/// Packets that met a stage.
pub(crate) struct Met(pub(crate) Vec<u64>);

impl StageMeter for Met {
    fn lap(&mut self, stage: StageId, packets: u64) {
        self.0[stage.index()] += packets;
    }
}

/// A small generator of repeatable numbers (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % end as u64) as usize
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A frame before it is received.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    /// Bytes in the first buffer; the others are in a second one.
    pub(crate) first: usize,
    pub(crate) nic: RxChecksum,
    /// What the device took off.
    pub(crate) tag: Option<u16>,
}

impl Frame {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self {
            first: bytes.len(),
            bytes,
            nic: RxChecksum::Unknown,
            tag: None,
        }
    }

    pub(crate) fn receive(&self, pool: &Mempool) -> Mbuf {
        let segment = |bytes: &[u8]| {
            let mut batch = MbufBatch::new();
            assert!(pool.alloc(&mut batch, 1));
            let mut mbuf = batch.pop().unwrap();
            mbuf.append(bytes.len()).unwrap().copy_from_slice(bytes);
            mbuf
        };
        let (head, tail) = self.bytes.split_at(self.first);
        let mut mbuf = segment(head);
        if !tail.is_empty() {
            mbuf.chain(segment(tail));
        }
        mbuf.set_ip_checksum(self.nic);
        mbuf.set_stripped_tag(self.tag);
        mbuf
    }
}

pub(crate) fn frame(ethertype: EtherType, packet: &[u8], padding: usize) -> Vec<u8> {
    let header = EthFields {
        dst: OWN,
        src: PEER,
        ethertype,
    };
    [&header.to_bytes()[..], packet, &vec![0xab; padding]].concat()
}

pub(crate) fn plain4(dst: u32, payload: u16, padding: usize) -> Vec<u8> {
    let fields = Ip4Fields {
        src: 0xc000_0209,
        dst,
        ..Ip4Fields::default()
    };
    let packet = [
        &fields.to_bytes(payload)[..],
        &vec![0; usize::from(payload)],
    ]
    .concat();
    frame(EtherType::IP4, &packet, padding)
}

pub(crate) fn plain6(dst: u128, payload: u16, padding: usize) -> Vec<u8> {
    let fields = Ip6Fields {
        src: 0x2001_0db8 << 96 | 9,
        dst,
        ..Ip6Fields::default()
    };
    let packet = [
        &fields.to_bytes(payload)[..],
        &vec![0; usize::from(payload)],
    ]
    .concat();
    frame(EtherType::IP6, &packet, padding)
}

/// The second byte of an IPv4 destination 10.x.0.1 says how it is routed; of an IPv6 destination, the
/// second word. From 16 on: no route.
pub(crate) const ROUTES: usize = 16;

pub(crate) fn dst4(route: usize, host: usize) -> u32 {
    10 << 24 | (route as u32) << 16 | host as u32 & 0xffff
}

pub(crate) fn dst6(route: usize, host: usize) -> u128 {
    0x2001 << 112 | (route as u128) << 96 | host as u128
}

pub(crate) fn ways() -> Vec<Pipeline> {
    let way = |stages_only, headers| {
        Pipeline::new(PipelineConfig {
            glean: GleanLimit {
                rate_pps: 1_000_000,
                burst: u32::MAX,
            },
            stages_only,
            headers,
        })
    };
    let paths = HeaderPath::ALL.into_iter().filter(|path| {
        if !path.is_available() {
            println!("SKIP straight/{path}: this CPU has none");
        }
        path.is_available()
    });
    let straight = paths.map(|path| way(false, Some(path)));
    [way(true, None)].into_iter().chain(straight).collect()
}

pub(crate) struct World {
    pub(crate) pool: Mempool,
    pub(crate) tables: Arc<Tables>,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) joined: JoinedGroups,
    pub(crate) interfaces: Interfaces,
    pub(crate) ipsec: Arc<Ipsec>,
    /// What has been done to the packets before.
    pub(crate) origin: Origin,
    /// The stages alone, then the straight path in each way that the CPU has.
    pub(crate) ways: Vec<Pipeline>,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut world = Self {
            pool: Mempool::create(eal(), name, 1023, 2048, -1).unwrap(),
            writer: Writer::new(Arc::clone(&tables), Arc::clone(&domain)),
            tables,
            reader: Domain::register(&domain).unwrap(),
            joined: JoinedGroups::default(),
            interfaces: Interfaces::default(),
            ipsec: Arc::new(Ipsec::with_room(&domain, 64, 64)),
            origin: Origin::Wire,
            ways: ways(),
        };
        let forward = |port: u16, mtu| {
            Adjacency::forward(
                PortId(port),
                mtu,
                [2, 0, 0, 1, 0, port as u8],
                [2, 0, 0, 0, 1, 1],
            )
        };
        let mut slots = Vec::new();
        for adjacency in [
            forward(1, 1500),
            forward(2, 1500),
            forward(3, 60),
            forward(0, 1500),
            Adjacency::glean(PortId(1), 1500),
            Adjacency::broadcast(PortId(0)),
        ] {
            slots.push(world.slot(adjacency));
        }
        for kind in AdjacencyKind::ALL {
            if !matches!(kind, AdjacencyKind::Forward | AdjacencyKind::Glean) {
                slots.push(world.slot(Adjacency::simple(kind)));
            }
        }
        let members =
            [(slots[0], 1), (slots[1], 3)].map(|(nexthop, weight)| Member { nexthop, weight });
        let group = Group::new(&members).unwrap();
        slots.push(world.writer.add_nexthop(Nexthop::Group(group)).unwrap());
        assert!(slots.len() <= ROUTES);
        for (route, &slot) in slots.iter().enumerate() {
            world.route(&format!("10.{route}.0.0/16"), slot);
            world.route(&format!("2001:{route:x}::/32"), slot);
        }
        world
    }

    pub(crate) fn slot(&mut self, adjacency: Adjacency) -> NexthopIndex {
        self.writer.add_nexthop(adjacency.into()).unwrap()
    }

    pub(crate) fn route(&mut self, prefix: &str, slot: NexthopIndex) {
        let prefix = prefix.parse().unwrap();
        self.writer.insert(VrfId::DEFAULT, prefix, slot).unwrap();
    }

    /// Carries a burst through the straight path and the stages, or through the stages alone.
    pub(crate) fn carry(&mut self, pipeline: usize, frames: &[Frame], now_ns: u64) -> (Ends, Met) {
        let mut store = BurstStore::new();
        for frame in frames {
            let mbuf = frame.receive(&self.pool);
            store.packets_mut().push(mbuf).unwrap();
        }
        let guard = self.reader.read();
        let view = TablesView {
            tables: &self.tables,
            guard: &guard,
            joined: &self.joined,
            ipsec: &self.ipsec,
            interfaces: &self.interfaces,
            now_ns,
        };
        let mut met = Met(vec![0; StageId::COUNT]);
        let arrival = Arrival {
            origin: self.origin,
            ..ARRIVAL
        };
        let bytes = self.ways[pipeline].run(&mut store, arrival, &view, &mut met);
        let came: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        assert_eq!(bytes, came as u64, "bytes as they came");
        let mut ends = Ends::default();
        store.settle(&mut ends);
        assert!(store.packets_mut().is_empty());
        // What is sent has an order, and what is not; between the two there is none.
        ends.all.sort_by_key(|end| !matches!(end, End::Send(..)));
        (ends, met)
    }

    /// The slots that were marked as used since the last call.
    pub(crate) fn take_used(&mut self) -> Vec<NexthopIndex> {
        let guard = self.reader.read();
        let nexthops = self.tables.nexthops().of_burst(&guard);
        let all = (0..).map_while(NexthopIndex::from_raw).take(1024);
        all.filter(|&index| nexthops.take_used(index)).collect()
    }

    /// Carries the burst all ways, long apart so that policers have forgotten, and compares.
    #[track_caller]
    pub(crate) fn compare(&mut self, frames: &[Frame], now_ns: &mut u64) -> (Ends, Met) {
        *now_ns += 1 << 40;
        let (by_stages, _) = self.carry(0, frames, *now_ns);
        let used = self.take_used();
        let mut last = None;
        for way in 1..self.ways.len() {
            *now_ns += 1 << 40;
            let (straight, met) = self.carry(way, frames, *now_ns);
            assert_eq!(straight.all.len(), frames.len());
            assert_eq!(self.take_used(), used, "way {way}: marks");
            // With the marks still set plain bursts take the short way.
            self.carry(way, frames, *now_ns + (1 << 39));
            let (again, _) = self.carry(way, frames, *now_ns + (2 << 39));
            assert_eq!(again.all, straight.all, "way {way}, once more");
            assert_eq!(self.take_used(), used, "way {way}: marks, once more");
            *now_ns += 2 << 39;
            for (a, b) in straight.all.iter().zip(&by_stages.all) {
                assert_eq!(a, b, "way {way}, {frames:02x?}");
            }
            if let Some((before, met_before)) = last.replace((straight, met)) {
                let (now, met) = last.as_ref().unwrap();
                assert_eq!(
                    (now.whole, &met.0),
                    (before.whole, &met_before.0),
                    "way {way}"
                );
            }
        }
        last.unwrap()
    }
}

/// A frame of any kind, most of them nearly plain.
pub(crate) fn any(numbers: &mut Numbers) -> Frame {
    let (route, host) = (numbers.below(ROUTES + 2), 1 + numbers.below(300));
    let (payload, padding) = (numbers.below(60) as u16, numbers.one(&[0, 0, 6, 40]));
    let ip6 = numbers.below(2) == 1;
    let mut bytes = match ip6 {
        true => plain6(dst6(route, host), payload, padding),
        false => plain4(dst4(route, host), payload, padding),
    };
    if numbers.below(3) == 0 {
        for _ in 0..1 + numbers.below(2) {
            let at = numbers.below(bytes.len().min(58));
            bytes[at] = match numbers.below(3) {
                0 => numbers.below(256) as u8,
                1 => bytes[at] ^ 1 << numbers.below(8),
                _ => numbers.one(&[0, 1, 2, 0x45, 0x46, 0x7f, 0xa9, 0xe0, 0xfe, 0xff]),
            };
        }
        if !ip6 && numbers.below(4) != 0 {
            let end = 14 + usize::from(bytes[14] & 15).clamp(5, 6) * 4;
            if bytes.len() >= end {
                bytes[24..26].fill(0);
                let sum = checksum::of(&bytes[14..end]);
                bytes[24..26].copy_from_slice(&sum.to_be_bytes());
            }
        }
    }
    match numbers.below(20) {
        0 => bytes.truncate(numbers.below(70)),
        1 => bytes
            .splice(12..12, [0x81, 0, 0, numbers.below(2) as u8])
            .for_each(drop),
        2 => bytes[26..30].copy_from_slice(&numbers.one(&[[169, 254, 0, 1], [169, 253, 0, 1]])),
        _ => {}
    }
    let mut frame = Frame::of(bytes);
    if numbers.below(20) == 0 {
        frame.first = numbers.below(frame.bytes.len() + 1);
    }
    if numbers.below(40) == 0 {
        frame.tag = Some(numbers.below(3) as u16);
    }
    frame.nic = numbers.one(&[
        RxChecksum::Unknown,
        RxChecksum::Unknown,
        RxChecksum::Unknown,
        RxChecksum::Good,
        RxChecksum::Bad,
    ]);
    frame
}
