//! A thousand VRFs of a hundred routes in each family take 128 MiB at most, all in all. Alone in
//! its process, so that what the system says about memory is about this.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}

/// Scattered: hardly two routes share a node.
fn routes(vrf: u32) -> impl Iterator<Item = IpNet> {
    (0..100).flat_map(move |i| {
        let mixed = (vrf * 100 + i + 1).wrapping_mul(0x9e37_79b1);
        let len = [16, 20, 24, 24, 24, 24, 24, 28, 30, 32][i as usize % 10];
        let ip4 = Ipv4Net::new_assert(Ipv4Addr::from(mixed), len).trunc();
        let len = [32, 40, 48, 48, 48, 48, 56, 64, 64, 128][i as usize % 10];
        let ip6 = u128::from(mixed) << 93 | u128::from(!mixed) << 64 | 1 << 125;
        let ip6 = Ipv6Net::new_assert(Ipv6Addr::from(ip6), len).trunc();
        [IpNet::V4(ip4), IpNet::V6(ip6)]
    })
}

#[test]
fn a_thousand_vrfs_fit() {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let hop = writer
        .add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())
        .expect("room");
    let before = resident_bytes();
    for vrf in 1..=1000 {
        writer.add_vrf(VrfId(vrf));
        for prefix in routes(u32::from(vrf)) {
            writer.insert(VrfId(vrf), prefix, hop).expect("room");
        }
    }
    writer.synchronize();
    let grown = resident_bytes() - before;
    let stats = writer.stats();
    let mut reader = Domain::register(&domain).expect("room");
    let guard = reader.read();
    let (mut prefixes, mut bytes) = (0, 0);
    for vrf in (1..=1000).map(VrfId) {
        for stats in [
            tables.ip4(&guard, vrf).stats(),
            tables.ip6(&guard, vrf).stats(),
        ] {
            prefixes += stats.prefixes;
            bytes += stats.bytes;
        }
        for prefix in routes(u32::from(vrf.0)) {
            let found: NexthopIndex = match prefix.network() {
                std::net::IpAddr::V4(a) => tables.ip4(&guard, vrf).lookup(&guard, a.into()),
                std::net::IpAddr::V6(a) => tables.ip6(&guard, vrf).lookup(&guard, a.into()),
            };
            assert_eq!(found, hop, "{prefix}");
        }
    }
    assert!(prefixes > 195_000, "{prefixes}");
    println!(
        "{prefixes} prefixes: lookups may touch {:.1} MiB, nodes {:.1} MiB, prefixes {:.1} MiB, resident {:.1} MiB",
        bytes as f64 / 1048576.0,
        stats.node_bytes as f64 / 1048576.0,
        stats.prefix_bytes as f64 / 1048576.0,
        grown as f64 / 1048576.0,
    );
    assert!(grown < 128 << 20, "{grown} bytes");
}
