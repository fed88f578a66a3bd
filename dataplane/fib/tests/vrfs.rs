//! Tables of VRFs: their roots follow the number of routes, while readers look.

mod naive;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use naive::NaiveTable;

const VRF: VrfId = VrfId(9);

struct Setup {
    domain: Arc<Domain>,
    tables: Arc<Tables>,
    writer: Writer,
    hops: Vec<NexthopIndex>,
}

impl Setup {
    fn new() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        writer.add_vrf(VRF);
        let mut hop = || writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into());
        let hops = (0..5).map(|_| hop().expect("room")).collect();
        Self {
            domain,
            tables,
            writer,
            hops,
        }
    }

    fn bytes(&self) -> (u64, u64) {
        let mut reader = Domain::register(&self.domain).expect("room");
        let guard = reader.read();
        let (ip4, ip6) = (self.tables.ip4(&guard, VRF), self.tables.ip6(&guard, VRF));
        (ip4.stats().bytes, ip6.stats().bytes)
    }

    fn runs4(&self) -> Vec<(u128, u128, NexthopIndex)> {
        let mut reader = Domain::register(&self.domain).expect("room");
        let guard = reader.read();
        let runs = self.tables.ip4(&guard, VRF).runs(&guard);
        runs.map(|run| {
            (
                u128::from(run.first) << 96,
                u128::from(run.last) << 96,
                run.nexthop,
            )
        })
        .collect()
    }

    fn runs6(&self) -> Vec<(u128, u128, NexthopIndex)> {
        let mut reader = Domain::register(&self.domain).expect("room");
        let guard = reader.read();
        let runs = self.tables.ip6(&guard, VRF).runs(&guard);
        runs.map(|run| (run.first, run.last, run.nexthop)).collect()
    }
}

/// Distinct prefixes of many lengths, some within others.
fn ip4(i: u32) -> IpNet {
    let len = [8, 14, 16, 18, 20, 22, 24, 24, 24, 32][i as usize % 10];
    let address = i.wrapping_mul(0x9e37_79b1);
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), len)).trunc()
}

fn ip6(i: u32) -> IpNet {
    let len = [16, 24, 29, 32, 36, 44, 48, 48, 64, 128][i as usize % 10];
    let address = u128::from(i.wrapping_mul(0x9e37_79b1)) << 93 | 1 << 125 | u128::from(i);
    let address = if i.is_multiple_of(16) {
        address | 0xfd << 120
    } else {
        address
    };
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(address), len)).trunc()
}

#[test]
fn a_root_follows_the_number_of_routes_and_says_the_same() {
    let mut setup = Setup::new();
    let small = setup.bytes();
    assert_eq!(small, (4 << 12, 4 << 12));
    let (mut naive4, mut naive6) = (NaiveTable::default(), NaiveTable::default());
    for i in 0..2600 {
        for (prefix, naive) in [(ip4(i), &mut naive4), (ip6(i), &mut naive6)] {
            let hop = setup.hops[i as usize % 5];
            let before = setup.writer.insert(VRF, prefix, hop).expect("room");
            assert_eq!(before, naive.insert(prefix, hop));
        }
        if i % 500 == 250 || i > 2590 {
            assert_eq!(setup.runs4(), naive4.runs(32));
            assert_eq!(setup.runs6(), naive6.runs(128));
        }
    }
    let large = setup.bytes();
    assert!(large.0 > 4 << 18 && large.1 > 1 << 20, "{large:?}");
    for i in (0..2600).rev() {
        for (prefix, naive) in [(ip4(i), &mut naive4), (ip6(i), &mut naive6)] {
            assert_eq!(setup.writer.remove(VRF, prefix), naive.remove(prefix));
        }
        if i % 500 == 250 || i == 470 || i == 10 {
            assert_eq!(setup.runs4(), naive4.runs(32));
            assert_eq!(setup.runs6(), naive6.runs(128));
            assert_eq!(setup.writer.mend(VRF, "0.0.0.0/0".parse().expect("all")), 0);
            assert_eq!(setup.writer.mend(VRF, "::/0".parse().expect("all")), 0);
        }
        if i == 1500 {
            assert!(setup.bytes().1 > 1 << 20, "no change back and forth");
        }
    }
    assert_eq!(setup.bytes(), small);
    setup.writer.synchronize();
    let stats = setup.writer.stats();
    assert_eq!((stats.nodes, stats.node_bytes, stats.pending), (0, 0, 0));
}

#[test]
fn readers_see_no_change_of_the_root() {
    change_roots_under_readers(VRF);
}

/// Here the blocks change with the root: they are flat while routes are few.
#[test]
fn readers_see_no_change_of_the_root_of_the_default_vrf() {
    change_roots_under_readers(VrfId::DEFAULT);
}

/// Readers see what stays, whichever root they have, and what comes and goes either way.
fn change_roots_under_readers(vrf: VrfId) {
    let mut setup = Setup::new();
    let (stays, flaps) = (setup.hops[0], setup.hops[1]);
    let fixed: Vec<IpNet> = (0..400).map(ip4).chain((0..400).map(ip6)).collect();
    for &prefix in &fixed {
        setup.writer.insert(vrf, prefix, stays).expect("room");
    }
    // Hosts that nothing else covers: they alone say that they are there.
    let host = |i: u32| Ipv4Addr::from(0xf000_0000 | i << 12 | 5);
    let host6 = |i: u32| Ipv6Addr::from(0x2a0f << 112 | u128::from(i) << 66 | 5);
    let over = AtomicBool::new(false);
    let Setup {
        domain,
        tables,
        mut writer,
        ..
    } = setup;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut lcore = Domain::register(&domain).expect("room");
                while !over.load(SeqCst) {
                    let guard = lcore.read();
                    let addresses: Vec<u128> = fixed
                        .iter()
                        .map(|prefix| naive::bits(prefix.network()))
                        .collect();
                    let of4: Vec<u32> = addresses[..400].iter().map(|a| (a >> 96) as u32).collect();
                    let mut found = vec![NexthopIndex::NONE; 400];
                    tables
                        .ip4(&guard, vrf)
                        .lookup_bulk(&guard, &of4, &mut found);
                    assert!(found.iter().all(|&hop| hop == stays));
                    tables
                        .ip6(&guard, vrf)
                        .lookup_bulk(&guard, &addresses[400..], &mut found);
                    assert!(found.iter().all(|&hop| hop == stays));
                    let hosts: Vec<u128> = (0..400).map(|i| host6(i * 4).into()).collect();
                    tables
                        .ip6(&guard, vrf)
                        .lookup_bulk(&guard, &hosts, &mut found);
                    assert!(found.iter().all(|&hop| hop == flaps || hop.is_none()));
                    let hosts: Vec<u32> = (0..400).map(|i| host(i * 4).into()).collect();
                    tables
                        .ip4(&guard, vrf)
                        .lookup_bulk(&guard, &hosts, &mut found);
                    assert!(found.iter().all(|&hop| hop == flaps || hop.is_none()));
                }
            });
        }
        for _ in 0..6 {
            for i in 0..1700 {
                for host in [(host(i).into(), 32), (host6(i).into(), 128)] {
                    let prefix = IpNet::new(host.0, host.1).expect("a host");
                    writer.insert(vrf, prefix, flaps).expect("room");
                }
            }
            for i in 0..1700 {
                for host in [(host(i).into(), 32), (host6(i).into(), 128)] {
                    writer.remove(vrf, IpNet::new(host.0, host.1).expect("a host"));
                }
            }
        }
        over.store(true, SeqCst);
    });
}
