//! The reference: a list of prefixes, searched from the longest to the shortest. No trie, no
//! shortcuts. Addresses are `u128`, IPv4 in the upper 32 bits, so that one source does for both.
#![allow(dead_code)] // each test uses its part

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::NexthopIndex;

/// An address with its first bit in bit 127.
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

fn mask(len: u8) -> u128 {
    !u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}

/// All prefixes of one family.
#[derive(Debug, Default, Clone)]
pub struct NaiveTable {
    routes: BTreeMap<(u8, u128), NexthopIndex>,
}

impl NaiveTable {
    pub fn insert(&mut self, prefix: IpNet, nexthop: NexthopIndex) -> Option<NexthopIndex> {
        self.routes.insert(Self::key(prefix), nexthop)
    }

    pub fn remove(&mut self, prefix: IpNet) -> Option<NexthopIndex> {
        self.routes.remove(&Self::key(prefix))
    }

    pub fn get(&self, prefix: IpNet) -> Option<NexthopIndex> {
        self.routes.get(&Self::key(prefix)).copied()
    }

    pub fn len(&self) -> usize {
        self.routes.len()
    }

    pub fn lookup(&self, address: u128) -> NexthopIndex {
        let covers = |&(&(len, network), _): &(&(u8, u128), _)| address & mask(len) == network;
        self.routes
            .iter()
            .rev()
            .find(covers)
            .map_or(NexthopIndex::NONE, |(_, &nexthop)| nexthop)
    }

    /// The runs of equal answers, first and last address each, for a family of `width` bits.
    pub fn runs(&self, width: u32) -> Vec<(u128, u128, NexthopIndex)> {
        let top = u128::MAX << (128 - width);
        let step = 1u128 << (128 - width);
        let mut edges: Vec<u128> = vec![0];
        for &(len, network) in self.routes.keys() {
            edges.push(network);
            edges.extend((network | (!mask(len) & top)).checked_add(step));
        }
        edges.sort_unstable();
        edges.dedup();
        let mut runs: Vec<(u128, u128, NexthopIndex)> = Vec::new();
        for (place, &first) in edges.iter().enumerate() {
            let last = edges.get(place + 1).map_or(top, |next| next - step);
            let nexthop = self.lookup(first);
            match runs.last_mut() {
                Some(run) if run.2 == nexthop => run.1 = last,
                _ => runs.push((first, last, nexthop)),
            }
        }
        runs
    }

    fn key(prefix: IpNet) -> (u8, u128) {
        (prefix.prefix_len(), bits(prefix.network()))
    }
}

/// The addresses at which a change of the prefix could show: first, last, just outside.
pub fn edges(prefix: IpNet) -> [u128; 4] {
    let step = if prefix.max_prefix_len() == 32 {
        1 << 96
    } else {
        1
    };
    let (first, last) = (bits(prefix.network()), bits(prefix.broadcast()));
    let last = if step == 1 {
        last
    } else {
        last & (u128::MAX << 96)
    };
    [
        first,
        last,
        first.wrapping_sub(step),
        last.wrapping_add(step),
    ]
}
