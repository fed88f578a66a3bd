//! Every path of a bulk lookup gives the answers of a naive table, for bursts of any length.

mod naive;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ironlane_fib::{
    Adjacency, AdjacencyKind, BURST, LookupPath, NexthopIndex, Tables, VrfId, Writer,
};
use ironlane_rcu::Domain;
use naive::NaiveTable;

/// The default VRF has a sparse root and flat blocks, others begin with a small root.
const VRFS: [VrfId; 2] = [VrfId::DEFAULT, VrfId(7)];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Mostly near one of a few addresses, so that prefixes nest and nodes fill.
    fn address(&mut self, near: &[u128]) -> u128 {
        let base = near[self.below(near.len())];
        match self.below(8) {
            0 => self.wide(),
            1 => base,
            _ => base ^ (self.wide() >> self.below(127)),
        }
    }
}

fn available() -> impl Iterator<Item = LookupPath> {
    LookupPath::ALL.into_iter().filter(|path| {
        if !path.is_available() {
            println!("SKIP fib/{path}: this CPU has none");
        }
        path.is_available()
    })
}

/// A table with so many routes, in all VRFs alike, none shorter than `shortest`: where some are very
/// short the default VRF has no sparse root.
fn check(width: u32, routes: usize, shortest: usize) {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    VRFS.iter().for_each(|&vrf| writer.add_vrf(vrf));
    let mut hop = || writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into());
    let hops: Vec<NexthopIndex> = (0..7).map(|_| hop().expect("room")).collect();

    let mut random = Random(u64::from(width) + routes as u64);
    let mut near: Vec<u128> = (0..6).map(|_| random.wide()).collect();
    if width == 128 {
        // The Internet, link-local, unique local, multicast, and beside the first.
        let tops = [0x2001, 0x2a00, 0xfe80, 0xfd00, 0xff02, 0x4000];
        for (base, top) in near.iter_mut().zip(tops) {
            *base = *base >> 16 | top << 112;
        }
    }
    let mut naive = NaiveTable::default();
    while naive.len() < routes {
        let address = random.address(&near);
        let len = (shortest + random.below(width as usize + 1 - shortest)) as u8;
        let prefix = match width {
            32 => IpNet::V4(Ipv4Net::new_assert(
                Ipv4Addr::from((address >> 96) as u32),
                len,
            )),
            _ => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(address), len)),
        };
        let hop = hops[random.below(hops.len())];
        naive.insert(prefix, hop);
        for vrf in VRFS {
            writer.insert(vrf, prefix, hop).expect("room");
        }
    }

    let addresses: Vec<u128> = (0..2000).map(|_| random.address(&near)).collect();
    let mask = u128::MAX << (128 - width);
    let answers: Vec<NexthopIndex> = addresses.iter().map(|a| naive.lookup(a & mask)).collect();
    let mut reader = Domain::register(&domain).expect("room");
    let guard = reader.read();
    for (vrf, path) in VRFS
        .into_iter()
        .flat_map(|vrf| available().map(move |path| (vrf, path)))
    {
        let mut first = 0;
        for len in (0..=130).chain([1000]) {
            let range = first..(first + len).min(addresses.len());
            first = (first + len / 2) % (addresses.len() - 130);
            // One more than is asked for, which must stay as it is.
            let canary = hops[0];
            let mut found = vec![canary; range.len() + 1];
            let (asked, beyond) = found.split_at_mut(range.len());
            let some = &addresses[range.clone()];
            if width == 32 {
                let some: Vec<u32> = some.iter().map(|a| (a >> 96) as u32).collect();
                tables
                    .ip4(&guard, vrf)
                    .lookup_bulk_by(path, &guard, &some, asked);
            } else {
                tables
                    .ip6(&guard, vrf)
                    .lookup_bulk_by(path, &guard, some, asked);
            }
            assert_eq!(beyond, [canary]);
            assert_eq!(
                asked,
                &answers[range.clone()],
                "{path}, {len} addresses, VRF {vrf}"
            );
            if len <= BURST {
                let burst = |at| addresses[range.start + at];
                let mut found = [canary; BURST];
                if width == 32 {
                    let some = std::array::from_fn(|at| (burst(at) >> 96) as u32);
                    let fib = tables.ip4(&guard, vrf);
                    fib.lookup_burst(&guard, &some, len, &mut found);
                } else {
                    let fib = tables.ip6(&guard, vrf);
                    fib.lookup_burst(&guard, &std::array::from_fn(burst), len, &mut found);
                }
                assert_eq!(found[..len], answers[range], "{len} of a burst, VRF {vrf}");
            }
        }
    }
}

#[test]
fn every_path_finds_ip4_routes() {
    for routes in [0, 1, 10, 300, 1500] {
        check(32, routes, 0);
    }
    for routes in [1, 10, 300, 2500] {
        check(32, routes, 12);
    }
}

#[test]
fn every_path_finds_ip6_routes() {
    for routes in [0, 1, 10, 300, 1500] {
        check(128, routes, 0);
    }
    for routes in [1, 10, 300, 2500] {
        check(128, routes, 16);
    }
}

/// A lookup need not look at parts of a sparse root to which nothing was written: those are told apart by
/// nine bits of the address, behind 2000::/3 for IPv6.
#[test]
fn every_path_finds_a_route_in_any_part_of_a_sparse_root() {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let mut hop = || writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into());
    let (default, hop) = (hop().expect("room"), hop().expect("room"));
    let mut reader = Domain::register(&domain).expect("room");
    let mut told = Vec::new();
    for part in [0u32, 31, 32, 255, 256, 480, 511] {
        told.push(part);
        let last = (part << 23) | 0x7f_ff00;
        let v4 = Ipv4Net::new_assert(last.into(), 24);
        let v6 = Ipv6Net::new_assert((1 << 125 | u128::from(last) << 93).into(), 27);
        for prefix in [v4.into(), v6.into()] {
            writer.insert(VrfId::DEFAULT, prefix, hop).expect("room");
        }
        for default_now in [NexthopIndex::NONE, default] {
            if default_now == default {
                for prefix in ["0.0.0.0/0", "::/0"] {
                    let prefix = prefix.parse().expect("a prefix");
                    writer
                        .insert(VrfId::DEFAULT, prefix, default)
                        .expect("room");
                }
            }
            let ends = (0..512u32).flat_map(|part| [part << 23, (part << 23) | 0x7f_ffff]);
            let of4: Vec<u32> = ends.collect();
            let of6: Vec<u128> = of4
                .iter()
                .map(|&a| 1 << 125 | u128::from(a) << 93)
                .collect();
            let expected: Vec<NexthopIndex> = of4
                .iter()
                .map(|a| match told.contains(&(a >> 23)) && a & 1 != 0 {
                    true => hop,
                    false => default_now,
                })
                .collect();
            let guard = reader.read();
            for path in available() {
                let mut found = vec![NexthopIndex::NONE; of4.len()];
                let fib = tables.ip4(&guard, VrfId::DEFAULT);
                fib.lookup_bulk_by(path, &guard, &of4, &mut found);
                assert_eq!(found, expected, "{path}, IPv4, {told:?}");
                let fib = tables.ip6(&guard, VrfId::DEFAULT);
                fib.lookup_bulk_by(path, &guard, &of6, &mut found);
                assert_eq!(found, expected, "{path}, IPv6, {told:?}");
            }
        }
        for prefix in ["0.0.0.0/0", "::/0"] {
            let prefix = prefix.parse().expect("a prefix");
            writer.remove(VrfId::DEFAULT, prefix);
        }
    }
}
