//! Addresses as bit strings, and how the trie cuts them.

use std::fmt;
use std::hash::Hash;

/// How many bits the root resolves at once. loom and miri get a small tree.
#[cfg(not(any(loom, miri)))]
pub(super) const ROOT_BITS: u32 = 16;
#[cfg(any(loom, miri))]
pub(super) const ROOT_BITS: u32 = 4;

/// How many bits each node below the root resolves.
#[cfg(not(any(loom, miri)))]
pub(super) const NODE_BITS: u32 = 8;
#[cfg(any(loom, miri))]
pub(super) const NODE_BITS: u32 = 4;

/// How many slots a node has.
pub(super) const FANOUT: usize = 1 << NODE_BITS;

/// How many slots the root has.
pub(super) const ROOT_SLOTS: usize = 1 << ROOT_BITS;

/// An address in host order: `u32` for IPv4, `u128` for IPv6. Sealed.
pub trait Address: Copy + Eq + Ord + Hash + fmt::Debug + Send + Sync + 'static + Sealed {
    /// How long an address is.
    const BITS: u32;
}

/// What the trie needs of an address.
pub trait Sealed {
    /// The place in the root.
    fn root_slot(self) -> usize;
    /// The place in a node that has `shift` bits below it.
    fn node_slot(self, shift: u32) -> usize;
    /// Zeros behind the first `len` bits.
    fn masked(self, len: u32) -> Self;
    /// Ones behind the first `len` bits.
    fn filled(self, len: u32) -> Self;
    /// The address whose bits from `shift` on are `slot`, beside those of `self`.
    fn with_slot(self, slot: usize, shift: u32) -> Self;
    /// The next address; `None` after the last.
    fn next(self) -> Option<Self>
    where
        Self: Sized;
    /// The first of all addresses.
    fn zero() -> Self;
}

macro_rules! address {
    ($type:ty) => {
        impl Address for $type {
            const BITS: u32 = <$type>::BITS;
        }

        impl Sealed for $type {
            #[inline(always)]
            fn root_slot(self) -> usize {
                (self >> (Self::BITS - ROOT_BITS)) as usize
            }
            #[inline(always)]
            fn node_slot(self, shift: u32) -> usize {
                (self >> shift) as usize % FANOUT
            }
            fn masked(self, len: u32) -> Self {
                self & !<$type>::MAX.checked_shr(len).unwrap_or(0)
            }
            fn filled(self, len: u32) -> Self {
                self | <$type>::MAX.checked_shr(len).unwrap_or(0)
            }
            fn with_slot(self, slot: usize, shift: u32) -> Self {
                self | (slot as $type) << shift
            }
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn zero() -> Self {
                0
            }
        }
    };
}

address!(u32);
address!(u128);

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
    fn an_address_is_cut_into_16_and_then_eights() {
        let address = 0xc0a8_0102u32;
        assert_eq!(address.root_slot(), 0xc0a8);
        assert_eq!((address.node_slot(8), address.node_slot(0)), (1, 2));
        assert_eq!(
            0u32.with_slot(0xc0a8, 16).with_slot(1, 8).with_slot(2, 0),
            address
        );
        let address = 0x2001_0db8_00aa_0000_0000_0000_0000_00ffu128;
        assert_eq!(address.root_slot(), 0x2001);
        assert_eq!((address.node_slot(104), address.node_slot(0)), (0x0d, 0xff));
    }
}
