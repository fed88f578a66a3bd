//! Parts by themselves, in nanoseconds: lookup, checksum and rewrite, RCU, netlink decoding.
//!
//!     cargo bench -p ironlane-perf --bench parts [-- FILTER]
//!
//! No hugepages, no privileges, no ports. How they do together only the rig tells (`make bench`).

#![allow(missing_docs)] // what criterion's macros make has none

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ironlane_control::netlink::{Messages, change};
use ironlane_fib::{Adjacency, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_packet::checksum;
use ironlane_packet::ip4::{Ip4Fields, Ip4Mut};
use ironlane_perf::numbers::Numbers;
use ironlane_perf::table::{self, Route};
use ironlane_rcu::{Domain, Published, Retirer};

const BURST: usize = 64;

fn writer_with(routes: &[Route]) -> (Arc<Domain>, Arc<Tables>, Writer) {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let slots: Vec<_> = (0..256)
        .map(|port| Adjacency::forward(PortId(port), 1500, [2; 6], [4; 6]))
        .map(|adjacency| writer.add_nexthop(adjacency.into()).expect("room"))
        .collect();
    for route in routes {
        let slot = slots[route.nexthop as usize];
        let installed = writer.insert(VrfId::DEFAULT, route.prefix.net(), slot);
        installed.expect("room");
    }
    (domain, tables, writer)
}

fn lookup(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("lookup");
    group.throughput(Throughput::Elements(BURST as u64));
    for ip6 in [false, true] {
        let routes = table::synthetic(ip6, 200_000, 256);
        let (domain, tables, _writer) = writer_with(&routes);
        let mut reader = Domain::register(&domain).expect("a place");
        let mut numbers = Numbers(7);
        let mut draw = || {
            let route = routes[numbers.draw() as usize % routes.len()];
            route.prefix.address(&mut numbers)
        };
        let to: Vec<u128> = (0..1 << 16).map(|_| draw()).collect();
        let to4: Vec<u32> = to.iter().map(|&address| address as u32).collect();
        let mut answers = [NexthopIndex::NONE; BURST];
        let mut at = 0;
        let name = if ip6 {
            "ip6, 200 k routes"
        } else {
            "ip4, 200 k routes"
        };
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let guard = reader.read();
                at = (at + BURST) % to.len();
                if ip6 {
                    let fib = tables.ip6(&guard, VrfId::DEFAULT);
                    fib.lookup_bulk(&guard, &to[at..at + BURST], &mut answers);
                } else {
                    let fib = tables.ip4(&guard, VrfId::DEFAULT);
                    fib.lookup_bulk(&guard, &to4[at..at + BURST], &mut answers);
                }
                black_box(answers[BURST - 1])
            });
        });
    }
    group.finish();
}

fn writing(bench: &mut Criterion) {
    let routes = table::synthetic(false, 200_000, 256);
    let (_domain, _tables, mut writer) = writer_with(&routes);
    let mut at = 0;
    bench.bench_function("fib: a route changed", |bench| {
        bench.iter(|| {
            at = (at + 1) % routes.len();
            let net = routes[at].prefix.net();
            let old = writer.remove(VrfId::DEFAULT, net).expect("it is there");
            writer.insert(VrfId::DEFAULT, net, old).expect("room")
        });
    });
}

fn header(bench: &mut Criterion) {
    let fields = Ip4Fields {
        ttl: 64,
        src: 0xc000_020a,
        dst: 0xc612_0001,
        ..Ip4Fields::default()
    };
    let bytes = fields.to_bytes(26);
    let payload = [0x5a_u8; 1480];
    bench.bench_function("checksum: an IPv4 header", |bench| {
        bench.iter(|| checksum::is_valid_ip4(black_box(&bytes)));
    });
    bench.bench_function("checksum: 1,480 bytes", |bench| {
        bench.iter(|| checksum::of(black_box(&payload)));
    });
    let mut burst = [bytes; BURST];
    bench.bench_function("rewrite: TTL and checksum of 64 headers", |bench| {
        bench.iter(|| {
            for bytes in &mut burst {
                bytes[8] = 64;
                Ip4Mut::new(black_box(bytes)).expect("20 bytes").lower_ttl();
            }
        });
    });
}

fn rcu(bench: &mut Criterion) {
    let domain = Domain::new();
    let mut reader = Domain::register(&domain).expect("a place");
    let published = Published::new(&domain, Box::new(1_u64));
    bench.bench_function("rcu: a guard, a load, a quiescent state", |bench| {
        bench.iter(|| {
            let guard = reader.read();
            *published.load(&guard)
        });
    });
    reader.offline();
    let mut retirer = Retirer::new(Arc::clone(&domain));
    bench.bench_function("rcu: swap and reclaim, no reader", |bench| {
        bench.iter(|| {
            published.swap(Box::new(2), &mut retirer);
            retirer.reclaim()
        });
    });
}

fn netlink(bench: &mut Criterion) {
    let path = "../control/tests/data/netlink/rtnl-dump.bin";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let file = std::fs::read(path).expect("recorded messages");
    let (mut rest, mut datagrams) = (&file[..], Vec::new());
    while let Some((len, tail)) = rest.split_first_chunk() {
        let (datagram, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        datagrams.push(datagram);
        rest = tail;
    }
    let count = |datagram: &&[u8]| Messages::new(datagram).count() as u64;
    let mut group = bench.benchmark_group("netlink");
    group.throughput(Throughput::Elements(datagrams.iter().map(count).sum()));
    group.bench_function("decode a recorded dump", |bench| {
        bench.iter(|| {
            for datagram in &datagrams {
                for message in Messages::new(datagram) {
                    black_box(change(&message.expect("whole")).expect("well formed"));
                }
            }
        });
    });
    group.finish();
}

criterion_group!(parts, lookup, writing, header, rcu, netlink);
criterion_main!(parts);
