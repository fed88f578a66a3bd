//! The hot loops by themselves, each in a function that callgrind counts (`perf/cost.py`): all stages over
//! bursts of one kind, lookups in bulk, changes of the tables. No port and no lcore takes part.

use std::hint::black_box;
use std::sync::Arc;

use clap::Args;
use ironlane_dataplane::burst::{Arrival, BurstStore, Origin, Outlet};
use ironlane_dataplane::eal::{DATA_ROOM, Eal, EalConfig, Mbuf, MbufBatch, Mempool};
use ironlane_dataplane::ipsec::Ipsec;
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_dataplane::stage::{Interfaces, JoinedGroups, Pipeline, StageMeter, TablesView};
use ironlane_fib::{Adjacency, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_packet::eth::Mac;
use ironlane_rcu::{Domain, Reader};

use crate::frames::ROUTER_MAC;
use crate::oracle::{SINK_MAC, nexthop_mac};
use crate::scene::{self, Scene};
use crate::table::{self, Route};
use crate::{frames, table::Tables as Files};

type Failure = Box<dyn std::error::Error>;

const BURST: usize = 64;
const ROUTES: usize = 20_000;

/// The hot loops, for callgrind to count their instructions.
#[derive(Args)]
pub struct CostArgs {
    /// Bursts of each kind.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
}

/// Scene, name of the function, function.
type Kind = (&'static str, &'static str, fn(&mut Bench));

struct NoClock;

impl StageMeter for NoClock {
    fn lap(&mut self, _: StageId, packets: u64) {
        black_box(packets);
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

    fn punt(&mut self, _: PuntReason, mbuf: Mbuf) {
        self.keep(mbuf);
    }

    fn drop(&mut self, _: DropReason, mbuf: Mbuf) {
        self.keep(mbuf);
    }
}

struct Bench {
    pipeline: Pipeline,
    store: BurstStore,
    keep: Keep,
    pool: Mempool,
    reader: Reader,
    tables: Arc<Tables>,
    joined: JoinedGroups,
    interfaces: Interfaces,
    ipsec: Ipsec,
}

/// Functions that differ in their names alone, so that callgrind tells them apart.
macro_rules! counted {
    ($($name:ident = $number:literal)*) => {$(
        #[inline(never)]
        fn $name(bench: &mut Bench) {
            // Else the linker would make one of them all.
            black_box($number);
            one_burst(bench);
        }
    )*};
}

counted! {
    cost_ipv4 = 1 cost_ipv4_512 = 2 cost_ipv6 = 3 cost_ipv6_512 = 4 cost_mixed = 5 cost_punt25 = 6
    cost_drop = 7 cost_full4 = 8 cost_full6 = 9
}

#[inline(always)]
fn one_burst(bench: &mut Bench) {
    let arrival = Arrival {
        port: PortId(0),
        mac: Mac(ROUTER_MAC),
        vrf: VrfId::DEFAULT,
        origin: Origin::Wire,
    };
    let guard = bench.reader.read();
    let view = TablesView {
        tables: &bench.tables,
        guard: &guard,
        joined: &bench.joined,
        ipsec: &bench.ipsec,
        interfaces: &bench.interfaces,
        now_ns: 0,
    };
    bench
        .pipeline
        .run(&mut bench.store, arrival, &view, &mut NoClock);
    bench.store.settle(&mut bench.keep);
}

#[inline(never)]
fn cost_lookup4(bench: &mut Bench, addresses: &[u32]) {
    let guard = bench.reader.read();
    let mut answers = [NexthopIndex::NONE; BURST];
    let fib = bench.tables.ip4(&guard, VrfId::DEFAULT);
    fib.lookup_bulk(&guard, addresses, &mut answers);
    black_box(answers);
}

#[inline(never)]
fn cost_lookup6(bench: &mut Bench, addresses: &[u128]) {
    let guard = bench.reader.read();
    let mut answers = [NexthopIndex::NONE; BURST];
    let fib = bench.tables.ip6(&guard, VrfId::DEFAULT);
    fib.lookup_bulk(&guard, addresses, &mut answers);
    black_box(answers);
}

#[inline(never)]
fn cost_insert(
    writer: &mut Writer,
    routes: &[Route],
    nexthop: NexthopIndex,
) -> Result<(), Failure> {
    for route in routes {
        writer.insert(VrfId::DEFAULT, route.prefix.net(), nexthop)?;
    }
    Ok(())
}

impl CostArgs {
    /// Does it, and prints how often each function met a packet, a lookup or a route.
    ///
    /// # Errors
    /// What EAL or the tables answer.
    pub fn run(&self) -> Result<(), Failure> {
        let eal = Eal::start(&EalConfig::without_hugepages(64))?;
        let files = Files {
            ip4: table::synthetic(false, ROUTES, 256),
            ip6: table::synthetic(true, ROUTES, 256),
        };
        let kinds: [Kind; 9] = [
            ("ipv4", "cost_ipv4", cost_ipv4),
            ("ipv4-512", "cost_ipv4_512", cost_ipv4_512),
            ("ipv6", "cost_ipv6", cost_ipv6),
            ("ipv6-512", "cost_ipv6_512", cost_ipv6_512),
            ("mixed", "cost_mixed", cost_mixed),
            ("punt25", "cost_punt25", cost_punt25),
            ("drop", "cost_drop", cost_drop),
            ("full4", "cost_full4", cost_full4),
            ("full6", "cost_full6", cost_full6),
        ];
        for (name, function, counted) in kinds {
            let scene = scene::named(name)?.with(None, Some(self.rounds * BURST));
            let (mut bench, _) = Bench::new(eal, &scene, &files)?;
            bench.play(&frames::make(&scene, &files, 0)?, counted)?;
            println!("{function} {}", self.rounds * BURST);
        }
        self.tables(eal, &files)
    }

    fn tables(&self, eal: Eal, files: &Files) -> Result<(), Failure> {
        for name in ["full4", "full6"] {
            let scene = scene::named(name)?.with(None, Some(self.rounds * BURST));
            let (mut bench, _) = Bench::new(eal, &scene, files)?;
            let frames = frames::make(&scene, files, 0)?;
            if name == "full4" {
                let all: Vec<u32> = frames.iter().map(|f| word(&f[30..34]) as u32).collect();
                all.chunks_exact(BURST)
                    .for_each(|some| cost_lookup4(&mut bench, some));
            } else {
                let all: Vec<u128> = frames.iter().map(|f| word(&f[38..54])).collect();
                all.chunks_exact(BURST)
                    .for_each(|some| cost_lookup6(&mut bench, some));
            }
            println!("cost_lookup{} {}", &name[4..], frames.len());
        }
        let empty = Scene {
            routes: Vec::new(),
            ..scene::named("ipv4")?
        };
        let (_bench, mut writer) = Bench::new(eal, &empty, files)?;
        let adjacency = Adjacency::forward(PortId(1), 1500, nexthop_mac(0), SINK_MAC);
        let nexthop = writer.add_nexthop(adjacency.into())?;
        cost_insert(&mut writer, &files.ip4, nexthop)?;
        println!("cost_insert {}", files.ip4.len());
        Ok(())
    }
}

impl Bench {
    fn new(eal: Eal, scene: &Scene, files: &Files) -> Result<(Self, Writer), Failure> {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let routes = scene.routes(files)?;
        let most = routes.iter().map(|route| route.nexthop).max();
        let mut slots = Vec::new();
        for index in 0..=most.unwrap_or(0) {
            let adjacency = Adjacency::forward(PortId(1), 1500, nexthop_mac(index), SINK_MAC);
            slots.push(writer.add_nexthop(adjacency.into())?);
        }
        for route in &routes {
            let slot = slots[route.nexthop as usize];
            writer.insert(VrfId::DEFAULT, route.prefix.net(), slot)?;
        }
        let bench = Self {
            pipeline: Pipeline::default(),
            store: BurstStore::new(),
            keep: Keep(MbufBatch::new()),
            pool: Mempool::create(eal, "cost", 511, DATA_ROOM, -1)?,
            reader: Domain::register(&domain)?,
            tables,
            joined: JoinedGroups::default(),
            interfaces: Interfaces::default(),
            ipsec: Ipsec::with_room(&domain, 0, 0),
        };
        Ok((bench, writer))
    }

    fn play(&mut self, frames: &[Vec<u8>], counted: fn(&mut Self)) -> Result<(), Failure> {
        for burst in frames.chunks_exact(BURST) {
            if self.keep.0.is_empty() && !self.pool.alloc(&mut self.keep.0, BURST) {
                return Err("no packet buffers".into());
            }
            for (mut mbuf, frame) in self.keep.0.drain().zip(burst) {
                mbuf.truncate(0);
                let bytes = mbuf.append(frame.len()).ok_or("a frame fits")?;
                bytes.copy_from_slice(frame);
                if self.store.packets_mut().push(mbuf).is_err() {
                    return Err("a burst fits".into());
                }
            }
            counted(self);
        }
        self.keep.0.free();
        Ok(())
    }
}

fn word(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |word, &byte| word << 8 | u128::from(byte))
}
