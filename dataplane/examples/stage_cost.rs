//! What the stages cost: ticks of the time stamp counter a packet, stage by stage, for bursts of one
//! kind that are hot in the cache. No port takes part; `tx` is the handing out of the packets alone.
//!
//!     cargo run --release -p ironlane-dataplane --example stage_cost [BURST [plain|avx512]]
//!
//! Needs no hugepages and no privileges. Compare runs on one machine only.

use std::sync::Arc;

use ironlane_dataplane::burst::{Arrival, BurstStore, Origin, Outlet};
use ironlane_dataplane::eal::{DATA_ROOM, Eal, EalConfig, Mbuf, MbufBatch, Mempool, ticks};
use ironlane_dataplane::ipsec::Ipsec;
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_dataplane::stage::{
    HeaderPath, Interfaces, JoinedGroups, Pipeline, PipelineConfig, StageMeter, TablesView,
};
use ironlane_fib::{Adjacency, AdjacencyKind, PortId, Tables, VrfId, Writer};
use ironlane_packet::eth::{EthFields, EtherType, Mac};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::ip6::Ip6Fields;
use ironlane_rcu::Domain;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ROUNDS: usize = 20_000;

/// Ticks of every burst, by stage.
struct Meter {
    stages: Vec<Vec<u64>>,
    clock: u64,
}

impl StageMeter for Meter {
    fn lap(&mut self, stage: StageId, _: u64) {
        let now = ticks();
        self.stages[stage.index()].push(now - self.clock);
        self.clock = now;
    }
}

/// Keeps the packets for the next round.
struct Keep(MbufBatch);

impl Keep {
    fn keep(&mut self, mbuf: Mbuf) {
        if let Err(mbuf) = self.0.push(mbuf) {
            mbuf.free();
        }
    }
}

impl Outlet for Keep {
    fn send(&mut self, _: PortId, mbuf: Mbuf) {
        self.keep(mbuf);
    }

    fn send_all(&mut self, _: PortId, batch: &mut MbufBatch, _: u64) {
        assert!(self.0.append(batch), "room for a burst");
    }

    fn punt(&mut self, _: PuntReason, mbuf: Mbuf) {
        self.keep(mbuf);
    }

    fn drop(&mut self, _: DropReason, mbuf: Mbuf) {
        self.keep(mbuf);
    }
}

fn frame(ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let header = EthFields {
        dst: OWN,
        src: Mac([2, 0, 0, 0, 0, 9]),
        ethertype,
    };
    [&header.to_bytes()[..], packet, &[0; 26]].concat()
}

/// Frames to 64 destinations of one kind.
fn frames(kind: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| match kind {
            "IPv6" => {
                let dst = 0x2001_0db8_000f << 80 | i as u128;
                let fields = Ip6Fields {
                    src: 0x2001_0db8 << 96 | 9,
                    dst,
                    ..Ip6Fields::default()
                };
                frame(EtherType::IP6, &fields.to_bytes(26))
            }
            _ => {
                let ttl = if kind == "IPv4 with TTL 1" { 1 } else { 64 };
                let dst = if kind == "IPv4 for us" {
                    0xc000_0201
                } else {
                    0xcb00_7100 + i as u32
                };
                let fields = Ip4Fields {
                    src: 0xc000_0209,
                    dst,
                    ttl,
                    ..Ip4Fields::default()
                };
                let mut packet = fields.to_bytes(26);
                if kind == "IPv4, one bad" && i == count / 2 {
                    packet[11] ^= 1;
                }
                frame(EtherType::IP4, &packet)
            }
        })
        .collect()
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|arg| arg.parse().ok())
        .unwrap_or(64)
        .clamp(1, 64);
    let eal = Eal::start(&EalConfig::without_hugepages(64)).expect("EAL without hugepages");
    let pool = Mempool::create(eal, "cost", 511, DATA_ROOM, -1).expect("a pool");
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let forward = Adjacency::forward(PortId(1), 1500, [2, 0, 0, 0, 0, 7], OWN.0);
    let forward = writer.add_nexthop(forward.into()).expect("room");
    let local = writer
        .add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())
        .expect("room");
    for (prefix, nexthop) in [
        ("203.0.113.0/24", forward),
        ("2001:db8:f::/48", forward),
        ("192.0.2.1/32", local),
    ] {
        writer
            .insert(VrfId::DEFAULT, prefix.parse().expect("a prefix"), nexthop)
            .expect("room");
    }
    let mut reader = Domain::register(&domain).expect("a place for a reader");
    let wanted = std::env::args().nth(2);
    let mut paths = HeaderPath::ALL.into_iter();
    let pipeline = Pipeline::new(PipelineConfig {
        headers: wanted.and_then(|name| paths.find(|path| path.name() == name)),
        ..PipelineConfig::default()
    });
    let arrival = Arrival {
        port: PortId(0),
        mac: OWN,
        vrf: VrfId::DEFAULT,
        origin: Origin::Wire,
    };
    let (joined, interfaces) = (JoinedGroups::default(), Interfaces::default());
    let ipsec = Ipsec::with_room(&domain, 0, 0);
    let mut store = BurstStore::new();
    println!("bursts of {count}, {ROUNDS} rounds, ticks a packet");
    for kind in [
        "IPv4",
        "IPv6",
        "IPv4, one bad",
        "IPv4 for us",
        "IPv4 with TTL 1",
    ] {
        let frames = frames(kind, count);
        let mut keep = Keep(MbufBatch::new());
        assert!(pool.alloc(&mut keep.0, count));
        let mut meter = Meter {
            stages: vec![Vec::new(); StageId::COUNT],
            clock: 0,
        };
        for _ in 0..ROUNDS {
            for (mut mbuf, frame) in keep.0.drain().zip(&frames) {
                mbuf.truncate(0);
                mbuf.append(frame.len())
                    .expect("room")
                    .copy_from_slice(frame);
                store.packets_mut().push(mbuf).expect("a burst");
            }
            let guard = reader.read();
            let view = TablesView {
                tables: &tables,
                joined: &joined,
                ipsec: &ipsec,
                interfaces: &interfaces,
                guard: &guard,
                now_ns: 0,
            };
            meter.clock = ticks();
            pipeline.run(&mut store, arrival, &view, &mut meter);
            store.settle(&mut keep);
            meter.lap(StageId::Tx, 0);
        }
        keep.0.free();
        print!("{kind}:");
        let mut sum = 0.0;
        for (stage, ticks) in StageId::ALL.iter().zip(&mut meter.stages) {
            // The median: what else the machine did meanwhile does not count.
            ticks.sort_unstable();
            if let Some(median) = ticks.get(ticks.len() / 2) {
                let each = *median as f64 / count as f64;
                print!(" {stage} {each:.1}");
                sum += each;
            }
        }
        println!("; sum {sum:.1}");
    }
}
