//! The writer's list of prefixes: by exact match, and the longest that covers another.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::key::Address;
use crate::NexthopIndex;

/// All prefixes of a table with their nexthops.
pub(super) struct Routes<K> {
    map: HashMap<(K, u8), NexthopIndex, BuildHasherDefault<PrefixHasher>>,
    /// How many prefixes there are of each length, so that absent lengths are not searched.
    lengths: [u32; 129],
}

impl<K: Address> Routes<K> {
    pub(super) fn new() -> Self {
        Self {
            map: HashMap::default(),
            lengths: [0; 129],
        }
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.map.reserve(more);
    }

    pub(super) fn get(&self, address: K, len: u32) -> Option<NexthopIndex> {
        self.map.get(&(address, len as u8)).copied()
    }

    pub(super) fn insert(&mut self, address: K, len: u32, nexthop: NexthopIndex) {
        if self.map.insert((address, len as u8), nexthop).is_none() {
            self.lengths[len as usize] += 1;
        }
    }

    pub(super) fn remove(&mut self, address: K, len: u32) -> Option<NexthopIndex> {
        let old = self.map.remove(&(address, len as u8))?;
        self.lengths[len as usize] -= 1;
        if self.map.capacity() > 1024 && self.map.len() < self.map.capacity() / 8 {
            self.map.shrink_to(self.map.len() * 2); // memory comes back after a flush
        }
        Some(old)
    }

    /// The longest prefix, shorter than `len`, that covers the address.
    pub(super) fn cover(&self, address: K, len: u32) -> Option<(u32, NexthopIndex)> {
        let lengths = (0..len)
            .rev()
            .filter(|&shorter| self.lengths[shorter as usize] > 0);
        let mut found =
            lengths.map(|shorter| (shorter, self.get(address.masked(shorter), shorter)));
        found.find_map(|(shorter, nexthop)| Some((shorter, nexthop?)))
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, u32, NexthopIndex)> {
        self.map
            .iter()
            .map(|(&(address, len), &nexthop)| (address, u32::from(len), nexthop))
    }

    /// Bytes of the map, about.
    pub(super) fn bytes(&self) -> usize {
        self.map.capacity() * 8 / 7 * (size_of::<((K, u8), NexthopIndex)>() + 1)
    }
}

/// Multiplies and folds. Prefixes come from routing protocols and the administrator; who could
/// choose them to collide could as well withdraw them, so speed is worth more than SipHash.
///
/// Eight neighbours of one length are put side by side: a table that is filled in order so meets
/// each cache line a few times in a row.
#[derive(Default)]
struct PrefixHasher {
    /// Left-aligned.
    address: u128,
    hash: u64,
}

impl PrefixHasher {
    fn fold(&mut self, word: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.hash ^ word) * ODD;
        self.hash = (product as u64) ^ ((product >> 64) as u64).rotate_left(32);
    }
}

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.fold(byte.into()));
    }

    /// The length, behind the address.
    fn write_u8(&mut self, len: u8) {
        let number = self.address.checked_shr(128 - u32::from(len)).unwrap_or(0);
        let (eight, which) = (number >> 3, number as u64 & 7);
        self.fold(u64::from(len) + 1);
        self.fold(eight as u64);
        self.fold((eight >> 64) as u64);
        // The lowest bits are the place, the highest the tag by which places are told apart.
        self.hash ^= which | which << 60;
    }

    fn write_u32(&mut self, address: u32) {
        self.address = u128::from(address) << 96;
    }

    fn write_u128(&mut self, address: u128) {
        self.address = address;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(raw: u32) -> NexthopIndex {
        NexthopIndex::from_raw(raw).expect("20 bits")
    }

    #[test]
    fn the_longest_shorter_prefix_covers() {
        let mut routes = Routes::<u32>::new();
        assert_eq!(routes.cover(0x0a01_0203, 32), None);
        routes.insert(0, 0, index(1));
        routes.insert(0x0a00_0000, 8, index(2));
        routes.insert(0x0a01_0000, 16, index(3));
        assert_eq!(routes.cover(0x0a01_0203, 32), Some((16, index(3))));
        assert_eq!(routes.cover(0x0a01_0000, 16), Some((8, index(2))));
        assert_eq!(routes.cover(0x0b00_0000, 8), Some((0, index(1))));
        assert_eq!(routes.cover(0, 0), None);
        assert_eq!(routes.remove(0x0a00_0000, 8), Some(index(2)));
        assert_eq!(routes.remove(0x0a00_0000, 8), None);
        assert_eq!(routes.cover(0x0a01_0000, 16), Some((0, index(1))));
    }

    #[test]
    fn a_flush_gives_memory_back() {
        let mut routes = Routes::<u128>::new();
        let empty = routes.bytes();
        (0..10_000).for_each(|i| routes.insert(i << 64, 64, index(1)));
        assert!(routes.bytes() > 10_000 * 20);
        (0..10_000).for_each(|i| assert_eq!(routes.remove(i << 64, 64), Some(index(1))));
        assert!(
            routes.len() == 0 && routes.bytes() < empty + 100_000,
            "{}",
            routes.bytes()
        );
    }

    #[test]
    fn neighbouring_prefixes_spread() {
        use std::hash::BuildHasher;
        let build = BuildHasherDefault::<PrefixHasher>::default();
        let mut low: Vec<u64> = (0..4096u32)
            .map(|i| build.hash_one((i << 8, 24u8)) % 4096)
            .collect();
        low.sort_unstable();
        low.dedup();
        assert!(low.len() > 2400, "{} of 4096 places are used", low.len()); // random: 63 %
    }
}
