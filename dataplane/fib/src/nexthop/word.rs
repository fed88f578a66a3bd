//! What the word of a slot says.
//!
//! Of an adjacency, low bits first: the neighbour's address (48), the number of a row (14), the mark that it
//! is an adjacency, the mark that it is used. Else it is a pointer to a group, whose upper two bits are
//! clear, or null.

use std::ptr::{self, NonNull};

use crate::egress::{ROW_BITS, mac_bits};
use crate::{Group, Mac};

const MAC_BITS: u32 = 48;
const ADJACENCY: u64 = 1 << (MAC_BITS + ROW_BITS);
const USED: u64 = ADJACENCY << 1;

const _: () = assert!(USED == 1 << 63 && size_of::<usize>() == size_of::<u64>());

/// The word of a slot as it was at one time, without what a group would be reached by. Loaded by
/// [`BurstNexthops::word`](crate::BurstNexthops::word), where the example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotWord(u64);

impl SlotWord {
    /// Of a slot without a nexthop.
    pub const EMPTY: Self = Self(0);

    #[inline]
    pub(super) fn of(word: *mut ()) -> Self {
        Self(word.addr() as u64)
    }

    /// Whether it is that of an adjacency: of neither a group nor an empty slot.
    #[inline]
    pub const fn is_adjacency(self) -> bool {
        self.0 & ADJACENCY != 0
    }

    /// Whether it is that of an adjacency with the mark that traffic uses it. One compare.
    #[inline]
    pub const fn is_used(self) -> bool {
        // No pointer has the upper bit set.
        self.0 & USED != 0
    }

    /// Both addresses of the frame's new header: its first eight bytes, then four more.
    #[inline]
    pub fn addresses(self, egress: crate::Egress) -> ([u8; 8], [u8; 4]) {
        let src = egress.src_mac_bits();
        let first = self.dst_mac_bits() | src << MAC_BITS;
        (first.to_le_bytes(), ((src >> 16) as u32).to_le_bytes())
    }

    #[inline]
    pub(super) const fn dst_mac_bits(self) -> u64 {
        self.0 & ((1 << MAC_BITS) - 1)
    }

    /// The number of the row, in the lowest bits.
    #[inline]
    pub(super) const fn row(self) -> usize {
        (self.0 >> MAC_BITS) as usize & ((1 << ROW_BITS) - 1)
    }
}

/// What many words have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    all: u64,
    any: u64,
}

impl Default for Common {
    fn default() -> Self {
        Self { all: !0, any: 0 }
    }
}

impl Common {
    #[inline]
    pub(super) fn add(&mut self, SlotWord(word): SlotWord) {
        self.all &= word;
        self.any |= word;
    }

    /// If all are adjacencies of one row: a word of that row, with the mark of use if all have it.
    #[inline]
    pub(super) fn one_row(self) -> Option<SlotWord> {
        let differ = (self.all ^ self.any) & !USED;
        let same = differ >> MAC_BITS == 0 && self.all & ADJACENCY != 0;
        same.then_some(SlotWord(self.all))
    }
}

pub(super) fn of_adjacency(dst_mac: Mac, row: u16) -> *mut () {
    debug_assert!(row < 1 << ROW_BITS);
    let word = mac_bits(dst_mac) | u64::from(row) << MAC_BITS | ADJACENCY;
    ptr::without_provenance_mut(word as usize)
}

pub(super) fn of_group(group: *mut Group) -> *mut () {
    assert!(
        group.addr() as u64 & (ADJACENCY | USED) == 0,
        "an address of user space"
    );
    group.cast()
}

/// The same word with the mark of use set or cleared.
pub(super) fn with_mark(word: *mut (), used: bool) -> *mut () {
    word.map_addr(|word| match used {
        true => word | USED as usize,
        false => word & !(USED as usize),
    })
}

/// The group that a word of a slot leads to.
#[inline]
pub(super) fn group(word: *mut ()) -> Option<NonNull<Group>> {
    match SlotWord::of(word).is_adjacency() {
        true => None,
        false => NonNull::new(word.cast()),
    }
}
