//! Addresses and prefixes of both families as integers.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address as an integer in host order.
pub(crate) trait Bits: Copy + Ord + Hash + fmt::Debug + 'static {
    /// Bits of an address, and so the length of a host's prefix.
    const LEN: u8;
    /// The last address.
    const MAX: Self;

    /// The address with this number.
    fn from_bits(bits: u32) -> Self;

    /// The address before this one, if it is not the first.
    fn before(self) -> Option<Self>;

    /// The address after this one, if it is not the last.
    fn after(self) -> Option<Self>;

    /// The integer of an address; `None` for one of the other family.
    fn from_ip(address: IpAddr) -> Option<Self>;

    /// The address.
    fn to_ip(self) -> IpAddr;

    /// The first and the last address that share the first `len` bits.
    fn range(self, len: u8) -> (Self, Self);
}

impl Bits for u32 {
    const LEN: u8 = 32;
    const MAX: Self = Self::MAX;

    fn from_bits(bits: u32) -> Self {
        bits
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn from_ip(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        }
    }

    fn to_ip(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self))
    }

    fn range(self, len: u8) -> (Self, Self) {
        let host = Self::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        (self & !host, self | host)
    }
}

impl Bits for u128 {
    const LEN: u8 = 128;
    const MAX: Self = Self::MAX;

    fn from_bits(bits: u32) -> Self {
        Self::from(bits)
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn from_ip(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(v6.to_bits()),
        }
    }

    fn to_ip(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from_bits(self))
    }

    fn range(self, len: u8) -> (Self, Self) {
        let host = Self::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        (self & !host, self | host)
    }
}

/// A prefix. Ordered by address, then length: what covers comes before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Prefix<A> {
    addr: A,
    len: u8,
}

impl<A: Bits> Prefix<A> {
    /// The prefix of `len` bits that has `addr`.
    pub(crate) fn new(addr: A, len: u8) -> Self {
        let len = len.min(A::LEN);
        Self {
            addr: addr.range(len).0,
            len,
        }
    }

    /// The prefix of one address.
    pub(crate) fn host(addr: A) -> Self {
        Self { addr, len: A::LEN }
    }

    /// From a network of this family.
    pub(crate) fn from_net(net: IpNet) -> Option<Self> {
        Some(Self::new(A::from_ip(net.addr())?, net.prefix_len()))
    }

    /// As the tables and people know it.
    pub(crate) fn to_net(self) -> IpNet {
        match self.addr.to_ip() {
            IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new_assert(v4, self.len)),
            IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new_assert(v6, self.len)),
        }
    }

    /// Length in bits.
    pub(crate) fn len(self) -> u8 {
        self.len
    }

    /// First address.
    pub(crate) fn first(self) -> A {
        self.addr
    }

    /// Last address.
    pub(crate) fn last(self) -> A {
        self.addr.range(self.len).1
    }

    /// Whether it is of one address.
    pub(crate) fn is_host(self) -> bool {
        self.len == A::LEN
    }

    /// The range of keys of this prefix and of all that it covers.
    pub(crate) fn covered(self) -> std::ops::RangeInclusive<Self> {
        self..=Self::host(self.last())
    }
}

impl<A: Bits> fmt::Debug for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_net().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix<u32> {
        Prefix::from_net(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_range_of_keys_holds_the_prefix_and_what_it_covers() {
        let range = prefix("10.0.0.0/8").covered();
        for inside in [
            "10.0.0.0/8",
            "10.0.0.0/9",
            "10.255.255.255/32",
            "10.1.0.0/16",
        ] {
            assert!(range.contains(&prefix(inside)), "{inside}");
        }
        for outside in ["10.0.0.0/7", "11.0.0.0/32", "9.255.255.255/32", "0.0.0.0/0"] {
            assert!(!range.contains(&prefix(outside)), "{outside}");
        }
    }

    #[test]
    fn the_ends_of_the_longest_and_of_the_shortest_prefix_are_right() {
        assert_eq!(Prefix::new(7_u32, 0).last(), u32::MAX);
        assert_eq!(Prefix::new(7_u32, 0).first(), 0);
        assert_eq!(Prefix::host(7_u32).last(), 7);
        assert_eq!(Prefix::new(u128::MAX, 0).first(), 0);
        assert_eq!(Prefix::host(u128::MAX).first(), u128::MAX);
    }
}
