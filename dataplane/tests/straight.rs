//! The straight path decides as the stages do, packet by packet and byte by byte, and hands out in
//! the same order, whatever a burst is mixed of.

mod rig;

use std::sync::Arc;

use ironlane_dataplane::burst::{Arrival, BurstStore, Origin, Outlet};
use ironlane_dataplane::eal::{BURST_MAX, Mbuf, MbufBatch, Mempool, RxChecksum};
use ironlane_dataplane::ipsec::Ipsec;
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_dataplane::stage::{
    GleanLimit, HeaderPath, Interfaces, JoinedGroups, Pipeline, PipelineConfig, StageMeter,
    TablesView,
};
use ironlane_fib::{
    Adjacency, AdjacencyKind, Group, Member, Nexthop, NexthopIndex, PortId, Tables, VrfId, Writer,
};
use ironlane_packet::checksum;
use ironlane_packet::eth::{EthFields, EtherType, Mac};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::ip6::Ip6Fields;
use ironlane_rcu::{Domain, Reader};
use rig::{bytes, eal};

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const ARRIVAL: Arrival = Arrival {
    port: PortId(0),
    mac: OWN,
    vrf: VrfId::DEFAULT,
    origin: Origin::Wire,
};

/// What became of a packet, and what it looked like then.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Send(PortId, Vec<u8>),
    Punt(PuntReason, Vec<u8>),
    Drop(DropReason, Vec<u8>),
}

/// Writes down what is handed out, in order, and frees it.
#[derive(Default)]
struct Ends {
    all: Vec<End>,
    /// Bursts that were handed out as one.
    whole: usize,
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

    fn punt(&mut self, reason: PuntReason, mbuf: Mbuf) {
        self.end(|bytes| End::Punt(reason, bytes), mbuf);
    }

    fn drop(&mut self, reason: DropReason, mbuf: Mbuf) {
        self.end(|bytes| End::Drop(reason, bytes), mbuf);
    }
}

/// Packets that met a stage.
struct Met(Vec<u64>);

impl StageMeter for Met {
    fn lap(&mut self, stage: StageId, packets: u64) {
        self.0[stage.index()] += packets;
    }
}

/// A small generator of repeatable numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % end as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A frame before it is received.
#[derive(Clone, Debug)]
struct Frame {
    bytes: Vec<u8>,
    /// Bytes in the first buffer; the others are in a second one.
    first: usize,
    nic: RxChecksum,
}

impl Frame {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            first: bytes.len(),
            bytes,
            nic: RxChecksum::Unknown,
        }
    }

    fn receive(&self, pool: &Mempool) -> Mbuf {
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
        mbuf
    }
}

fn frame(ethertype: EtherType, packet: &[u8], padding: usize) -> Vec<u8> {
    let header = EthFields {
        dst: OWN,
        src: PEER,
        ethertype,
    };
    [&header.to_bytes()[..], packet, &vec![0xab; padding]].concat()
}

fn plain4(dst: u32, payload: u16, padding: usize) -> Vec<u8> {
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

fn plain6(dst: u128, payload: u16, padding: usize) -> Vec<u8> {
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
const ROUTES: usize = 16;

fn dst4(route: usize, host: usize) -> u32 {
    10 << 24 | (route as u32) << 16 | host as u32 & 0xffff
}

fn dst6(route: usize, host: usize) -> u128 {
    0x2001 << 112 | (route as u128) << 96 | host as u128
}

fn ways() -> Vec<Pipeline> {
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

struct World {
    pool: Mempool,
    tables: Arc<Tables>,
    writer: Writer,
    reader: Reader,
    joined: JoinedGroups,
    interfaces: Interfaces,
    ipsec: Ipsec,
    /// The stages alone, then the straight path in each way that the CPU has.
    ways: Vec<Pipeline>,
}

impl World {
    fn new(name: &str) -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut world = Self {
            pool: Mempool::create(eal(), name, 1023, 2048, -1).unwrap(),
            writer: Writer::new(Arc::clone(&tables), Arc::clone(&domain)),
            tables,
            reader: Domain::register(&domain).unwrap(),
            joined: JoinedGroups::default(),
            interfaces: Interfaces::default(),
            ipsec: Ipsec::with_room(&domain, 0, 0),
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

    fn slot(&mut self, adjacency: Adjacency) -> NexthopIndex {
        self.writer.add_nexthop(adjacency.into()).unwrap()
    }

    fn route(&mut self, prefix: &str, slot: NexthopIndex) {
        let prefix = prefix.parse().unwrap();
        self.writer.insert(VrfId::DEFAULT, prefix, slot).unwrap();
    }

    /// Carries a burst through the straight path and the stages, or through the stages alone.
    fn carry(&mut self, pipeline: usize, frames: &[Frame], now_ns: u64) -> (Ends, Met) {
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
        self.ways[pipeline].run(&mut store, ARRIVAL, &view, &mut met);
        let mut ends = Ends::default();
        store.settle(&mut ends);
        assert!(store.packets_mut().is_empty());
        (ends, met)
    }

    /// The slots that were marked as used since the last call.
    fn take_used(&mut self) -> Vec<NexthopIndex> {
        let guard = self.reader.read();
        let nexthops = self.tables.nexthops().of_burst(&guard);
        let all = (0..).map_while(NexthopIndex::from_raw).take(1024);
        all.filter(|&index| nexthops.take_used(index)).collect()
    }

    /// Carries the burst all ways, long apart so that policers have forgotten, and compares.
    #[track_caller]
    fn compare(&mut self, frames: &[Frame], now_ns: &mut u64) -> (Ends, Met) {
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
            for ((a, b), frame) in straight.all.iter().zip(&by_stages.all).zip(frames) {
                assert_eq!(a, b, "way {way}, {frame:02x?}");
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
fn any(numbers: &mut Numbers) -> Frame {
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
    frame.nic = numbers.one(&[
        RxChecksum::Unknown,
        RxChecksum::Unknown,
        RxChecksum::Unknown,
        RxChecksum::Good,
        RxChecksum::Bad,
    ]);
    frame
}

#[test]
fn the_straight_path_and_the_stages_agree_on_any_burst() {
    let (mut world, mut numbers, mut now_ns) = (World::new("any"), Numbers(7), 0);
    let (mut sent, mut packets, mut left) = (0, 0, 0);
    for _ in 0..2_000 {
        let count = 1 + numbers.below(BURST_MAX);
        let frames: Vec<_> = (0..count).map(|_| any(&mut numbers)).collect();
        let (ends, met) = world.compare(&frames, &mut now_ns);
        let is_sent = |end: &&End| matches!(end, End::Send(..));
        sent += ends.all.iter().filter(is_sent).count();
        packets += count;
        left += met.0[StageId::Classify.index()];
    }
    // The traffic has both kinds, or it would show nothing.
    assert!(sent * 10 > packets && left as usize * 10 > packets);
}

#[test]
fn each_byte_of_a_plain_frame_matters_to_both_alike() {
    let (mut world, mut now_ns) = (World::new("bytes"), 0);
    for plain in [plain4(dst4(0, 1), 12, 14), plain6(dst6(0, 1), 0, 4)] {
        for at in 0..54 {
            let frames: Vec<_> = (0..=255u8)
                .map(|value| {
                    let mut frame = Frame::of(plain.clone());
                    frame.bytes[at] = value;
                    frame.nic = RxChecksum::Good;
                    frame
                })
                .collect();
            for burst in frames.chunks(BURST_MAX) {
                world.compare(burst, &mut now_ns);
            }
        }
        for len in 0..plain.len() {
            let frame = Frame::of(plain[..len].to_vec());
            world.compare(&[frame], &mut now_ns);
        }
    }
}

#[test]
fn every_checksum_of_a_header_is_lowered_as_the_stages_do() {
    let (mut world, mut now_ns) = (World::new("sums"), 0);
    let mut frames = Vec::new();
    for id in 0..=u16::MAX {
        let mut bytes = plain4(dst4(0, 1), 12, 0);
        bytes[18..20].copy_from_slice(&id.to_be_bytes());
        bytes[24..26].fill(0);
        let sum = checksum::of(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        frames.push(Frame::of(bytes));
    }
    for burst in frames.chunks(BURST_MAX) {
        let (ends, _) = world.compare(burst, &mut now_ns);
        assert_eq!(ends.whole, 1);
    }
}

#[test]
fn a_plain_burst_for_one_port_leaves_as_one_and_meets_no_other_stage() {
    let (mut world, mut now_ns) = (World::new("one"), 0);
    for count in 1..=BURST_MAX {
        let frames: Vec<_> = (0..count)
            .map(|n| match n % 2 {
                0 => Frame::of(plain4(dst4(0, n), 26, 0)),
                _ => Frame::of(plain6(dst6(0, n), 6, 0)),
            })
            .collect();
        let (ends, met) = world.compare(&frames, &mut now_ns);
        assert_eq!(ends.whole, 1);
        let mut stages = vec![0; StageId::COUNT];
        stages[StageId::Straight.index()] = count as u64;
        assert_eq!(met.0, stages);
    }
    // Two ports: one by one, in order, and still no other stage.
    let frames: Vec<_> = (0..64)
        .map(|n| Frame::of(plain4(dst4(n / 3 % 2, n), 26, 0)))
        .collect();
    let (ends, met) = world.compare(&frames, &mut now_ns);
    assert_eq!((ends.whole, met.0[StageId::Classify.index()]), (0, 0));
}

#[test]
fn a_flow_keeps_its_order_though_some_of_its_packets_go_through_the_stages() {
    let (mut world, mut now_ns) = (World::new("order"), 0);
    // Every third packet has a priority tag, every fifth lies in two buffers; both are forwarded.
    let frames: Vec<_> = (0..64u8)
        .map(|n| {
            let mut bytes = plain4(dst4(0, 1), 26, 0);
            bytes[59] = n;
            if n % 3 == 0 {
                bytes.splice(12..12, [0x81, 0, 0, 0]);
            }
            let mut frame = Frame::of(bytes);
            if n % 5 == 0 {
                frame.first = 20;
            }
            frame
        })
        .collect();
    let (ends, met) = world.compare(&frames, &mut now_ns);
    assert_eq!(met.0[StageId::Classify.index()], 30);
    for (n, end) in ends.all.iter().enumerate() {
        let End::Send(PortId(1), bytes) = end else {
            panic!("{end:?}");
        };
        assert_eq!(usize::from(bytes[59]), n);
    }
}

#[test]
fn one_bad_frame_in_a_hundred_takes_no_other_off_the_straight_path() {
    let (mut world, mut now_ns) = (World::new("bad"), 0);
    let frames: Vec<_> = (0..6_400)
        .map(|n| {
            let mut bytes = plain4(dst4(0, n), 26, 0);
            if n % 100 == 50 {
                bytes[25] ^= 1;
            }
            Frame::of(bytes)
        })
        .collect();
    let (mut left, mut dropped) = (0, 0);
    for burst in frames.chunks(BURST_MAX) {
        let (ends, met) = world.compare(burst, &mut now_ns);
        left += met.0[StageId::Classify.index()];
        let bad = |end: &&End| matches!(end, End::Drop(DropReason::Ip4BadChecksum, _));
        dropped += ends.all.iter().filter(bad).count();
    }
    assert_eq!((left, dropped), (64, 64));
}

#[test]
fn each_packet_goes_to_its_own_of_512_nexthops() {
    let (mut world, mut numbers, mut now_ns) = (World::new("many"), Numbers(3), 0);
    let mac = |n: usize| [2, 0, 0, 2, (n >> 8) as u8, n as u8];
    for n in 0..512 {
        let adjacency = Adjacency::forward(PortId(1), 1500, mac(n), [2, 0, 0, 0, 1, 1]);
        let slot = world.slot(adjacency);
        world.route(&format!("198.18.{}.{}/25", n >> 1, (n & 1) << 7), slot);
        world.route(&format!("2001:2:0:{n:x}::/64"), slot);
    }
    for _ in 0..200 {
        let (mut frames, mut macs) = (Vec::new(), Vec::new());
        for _ in 0..BURST_MAX {
            let n = numbers.below(512);
            macs.push(mac(n));
            frames.push(Frame::of(match numbers.below(2) {
                0 => plain4(0xc612_0000 | (n as u32) << 7 | 5, 26, 0),
                _ => plain6(0x2001_0002 << 96 | (n as u128) << 64 | 5, 6, 0),
            }));
        }
        let (ends, _) = world.compare(&frames, &mut now_ns);
        assert_eq!(ends.whole, 1);
        for (end, mac) in ends.all.iter().zip(macs) {
            assert!(matches!(end, End::Send(PortId(1), bytes) if bytes[..6] == mac));
        }
    }
}
