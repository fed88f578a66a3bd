//! Addresses as bit strings, and how the trie cuts them.

use std::fmt;
use std::hash::Hash;

use super::words::REGION_BITS;

/// How many bits a node resolves. loom and miri get a small tree.
#[cfg(not(any(loom, miri)))]
pub(super) const NODE_BITS: u32 = 6;
#[cfg(any(loom, miri))]
pub(super) const NODE_BITS: u32 = 2;

/// How many slots a node has.
pub(super) const FANOUT: usize = 1 << NODE_BITS;

/// How a root cuts addresses: a property of a table at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many bits it resolves; a multiple of a node's.
    pub(super) bits: u32,
    /// How many it resolves of the addresses whose first three bits are 001, the Internet of
    /// IPv6; those three are not stored. 0 if these addresses are no exception.
    pub(super) main_bits: u32,
    /// Whether most slots are never written.
    pub(super) sparse: bool,
    /// Whether branching blocks below have a word for each slot, so that none needs be counted.
    pub(super) flat: bool,
    /// From which slot on one that was never written says the default.
    pub(super) defaults_from: usize,
}

impl Shape {
    /// How many slots such a root has.
    pub(super) const fn slots(self) -> usize {
        let main = match self.main_bits {
            0 => 0,
            bits => 1 << (bits - 3),
        };
        (1 << self.bits) + main
    }

    /// The region of a slot; `None` where regions are not told.
    pub(super) fn region(self, slot: usize) -> Option<usize> {
        let (first, bits) = match self.main_bits {
            0 => (0, self.bits),
            bits => (1 << self.bits, bits - 3),
        };
        let place = slot.checked_sub(first)?;
        Some(place >> bits.saturating_sub(REGION_BITS))
    }
}

/// Addresses of one of the families, for code that is written for each.
#[derive(Debug)]
pub enum Family<'a> {
    /// IPv4.
    Ip4(&'a [u32]),
    /// IPv6.
    Ip6(&'a [u128]),
}

/// An address in host order: `u32` for IPv4, `u128` for IPv6. Sealed.
pub trait Address: Copy + Eq + Ord + Hash + fmt::Debug + Send + Sync + 'static + Sealed {
    /// How long an address is.
    const BITS: u32;
}

/// What the trie needs of an address.
pub trait Sealed: Sized {
    /// The root of a table with few routes, and of one with many.
    const SMALL: Shape;
    /// The root of a table with many routes.
    const LARGE: Shape;
    /// The root of a table whose routes are close together: it resolves so many bits that most of
    /// its pages are never written.
    const SPARSE: Shape;
    /// The same for few routes, with larger blocks that are faster.
    const FLAT: Shape = Shape {
        flat: true,
        ..Self::SPARSE
    };
    /// How many pages of a sparse root may be written.
    const PAGES: usize;
    /// The longest prefix that may cover all slots with defaults, and an address in them.
    const DEFAULT: (Self, u32);
    /// Whether there are blocks that compare bits.
    const GUARDS: bool;
    /// The place in a root, and how many bits that has resolved.
    fn enter(self, shape: Shape) -> (usize, u32);
    /// What is behind the first `len` bits, left-aligned.
    fn behind(self, len: u32) -> Self;
    /// The first 64 bits, left-aligned.
    fn top(self) -> u64;
    /// The place in a node that has `above` bits above it.
    fn slot(self, above: u32) -> usize;
    /// The address whose bits from `above` on are `slot`, beside those of `self`.
    fn with_slot(self, slot: usize, above: u32) -> Self;
    /// The address whose bits from `above` on are a pattern, left-aligned, beside those of `self`.
    fn with_pattern(self, pattern: u64, above: u32) -> Self;
    /// Zeros behind the first `len` bits.
    fn masked(self, len: u32) -> Self;
    /// Ones behind the first `len` bits.
    fn filled(self, len: u32) -> Self;
    /// The next address; `None` after the last.
    fn next(self) -> Option<Self>;
    /// The address before; `None` before the first.
    fn previous(self) -> Option<Self>;
    /// The first of all addresses.
    fn zero() -> Self;
    /// Which family these are of.
    fn family(addresses: &[Self]) -> Family<'_>;
}

macro_rules! address {
    ($type:ty) => {
        #[inline(always)]
        fn behind(self, len: u32) -> Self {
            self << len
        }
        #[inline(always)]
        fn top(self) -> u64 {
            const SHIFT: u32 = <$type>::BITS.saturating_sub(64);
            ((self >> SHIFT) as u64) << (64 - (<$type>::BITS - SHIFT))
        }
        fn slot(self, above: u32) -> usize {
            let rest = self << above;
            (rest >> (Self::BITS - NODE_BITS)) as usize
        }
        fn with_slot(self, slot: usize, above: u32) -> Self {
            self | ((slot as $type) << (Self::BITS - NODE_BITS)) >> above
        }
        fn with_pattern(self, pattern: u64, above: u32) -> Self {
            let wide = u128::from(pattern) << 64 >> above;
            self | (wide >> (128 - Self::BITS)) as $type
        }
        fn masked(self, len: u32) -> Self {
            self & !<$type>::MAX.checked_shr(len).unwrap_or(0)
        }
        fn filled(self, len: u32) -> Self {
            self | <$type>::MAX.checked_shr(len).unwrap_or(0)
        }
        fn next(self) -> Option<Self> {
            self.checked_add(1)
        }
        fn previous(self) -> Option<Self> {
            self.checked_sub(1)
        }
        fn zero() -> Self {
            0
        }
    };
}

/// A root of so many bits; loom and miri get one of `few`.
const fn shape(bits: u32, main_bits: u32, sparse: bool, few: u32) -> Shape {
    let (bits, main_bits) = match cfg!(any(loom, miri)) {
        true => (few, 0),
        false => (bits, main_bits),
    };
    Shape {
        bits,
        main_bits,
        sparse,
        flat: false,
        defaults_from: if main_bits == 0 { 0 } else { 1 << bits },
    }
}

impl Address for u32 {
    const BITS: u32 = u32::BITS;
}

impl Sealed for u32 {
    const SMALL: Shape = shape(12, 0, false, 2);
    const LARGE: Shape = shape(18, 0, false, 4);
    const SPARSE: Shape = shape(24, 0, true, 4);
    const PAGES: usize = if cfg!(any(loom, miri)) { 2 } else { 1024 };
    const DEFAULT: (Self, u32) = (0, 0);
    const GUARDS: bool = false;

    #[inline(always)]
    fn enter(self, shape: Shape) -> (usize, u32) {
        ((self >> (Self::BITS - shape.bits)) as usize, shape.bits)
    }

    address!(u32);

    #[inline(always)]
    fn family(addresses: &[Self]) -> Family<'_> {
        Family::Ip4(addresses)
    }
}

impl Address for u128 {
    const BITS: u32 = u128::BITS;
}

impl Sealed for u128 {
    const SMALL: Shape = Shape {
        defaults_from: usize::MAX, // its slots are not all of the Internet
        ..shape(12, 0, false, 2)
    };
    const LARGE: Shape = shape(12, 24, false, 4);
    const SPARSE: Shape = shape(12, 30, true, 4);
    const PAGES: usize = if cfg!(any(loom, miri)) { 2 } else { 4096 };
    const DEFAULT: (Self, u32) = if cfg!(any(loom, miri)) {
        (0, 0)
    } else {
        (1 << 125, 3)
    };
    const GUARDS: bool = true;

    #[inline(always)]
    fn enter(self, shape: Shape) -> (usize, u32) {
        let high = (self >> 64) as u64;
        if shape.main_bits != 0 && high >> 61 == 1 {
            let place = (high << 3) >> (67 - shape.main_bits);
            ((1 << shape.bits) + place as usize, shape.main_bits)
        } else {
            ((high >> (64 - shape.bits)) as usize, shape.bits)
        }
    }

    address!(u128);

    #[inline(always)]
    fn family(addresses: &[Self]) -> Family<'_> {
        Family::Ip6(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_reach_both_ends() {
        assert_eq!(0xffff_ffffu32.masked(0), 0);
        assert_eq!(0xc0a8_01ffu32.masked(24), 0xc0a8_0100);
        assert_eq!(0xc0a8_01ffu32.masked(32), 0xc0a8_01ff);
        assert_eq!(0u32.filled(0), u32::MAX);
        assert_eq!(0xc0a8_0100u32.filled(24), 0xc0a8_01ff);
        assert_eq!(1u128.filled(128), 1);
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn an_address_is_cut_into_the_root_and_then_sixes() {
        let address = 0xc0a8_0102u32;
        assert_eq!(address.enter(u32::LARGE), (0xc0a8_0102 >> 14, 18));
        assert_eq!(address.enter(u32::SMALL), (0xc0a, 12));
        assert_eq!(address.slot(18), 0x0102 >> 8);
        assert_eq!(address.slot(30), 0b10_0000, "two bits are left, then zeros");
        let again = 0xc0a8_0000u32
            .with_slot(address.slot(18), 18)
            .with_slot(address.slot(24), 24)
            .with_slot(address.slot(30), 30);
        assert_eq!(again, address);
        assert_eq!(address.behind(18).top() >> 58, address.slot(18) as u64);
    }

    #[cfg(not(any(loom, miri)))]
    #[test]
    fn the_internet_of_ip6_has_the_larger_part_of_the_root() {
        let large = u128::LARGE;
        assert_eq!(large.slots(), 4096 + (1 << 21));
        let first = 0x2000u128 << 112;
        assert_eq!(first.enter(large), (4096, 24));
        let last = first.filled(3);
        assert_eq!(last.enter(large), (large.slots() - 1, 24));
        assert_eq!(first.previous().map(|a| a.enter(large)), Some((0x1ff, 12)));
        assert_eq!(last.next().map(|a| a.enter(large)), Some((0x400, 12)));
        assert_eq!(first.enter(u128::SMALL), (0x200, 12));
        assert_eq!(u128::MAX.slot(126), 0b11_0000);
        assert_eq!(last.top(), 0x3fff_ffff_ffff_ffff);
    }
}
