//! What one word of the root or of a block says.

use crate::NexthopIndex;

/// Tells a word that leads to a block from a leaf.
pub(super) const CHILD: u32 = 1 << 31;

/// Tells a block that compares bits from one that branches.
pub(super) const GUARD: u32 = 1 << 30;

/// Tells a leaf in a root from a slot that was never written.
const WRITTEN: u32 = 1 << 29;

/// The bits of a leaf that are the answer.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
pub(super) const LEAF: u32 = NexthopIndex::LIMIT - 1;

/// The bits of a word that number a block.
pub(super) const UNIT: u32 = GUARD - 1;

/// A leaf, or the number of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(u32);

impl Word {
    /// No route.
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn leaf(nexthop: NexthopIndex) -> Self {
        Self(nexthop.raw())
    }

    /// The branching block at this unit of the arena.
    pub(super) fn node(unit: u32) -> Self {
        debug_assert!(unit <= UNIT);
        Self(unit | CHILD)
    }

    /// The comparing block at this unit of the arena.
    pub(super) fn guard(unit: u32) -> Self {
        debug_assert!(unit <= UNIT);
        Self(unit | CHILD | GUARD)
    }

    /// As it is stored in a root, where 0 says that the slot was never written.
    #[inline(always)]
    pub(super) const fn written(self) -> Self {
        match self.is_leaf() {
            true => Self(self.0 | WRITTEN),
            false => self,
        }
    }

    /// Whether a slot of a root with this word was never written.
    #[inline(always)]
    pub(super) const fn is_unwritten(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(super) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(super) const fn raw(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(super) const fn is_leaf(self) -> bool {
        self.0 & CHILD == 0
    }

    #[inline(always)]
    pub(super) const fn is_guard(self) -> bool {
        self.0 & (CHILD | GUARD) == CHILD | GUARD
    }

    /// Whether this leads to a branching block.
    #[inline(always)]
    pub(super) const fn is_node(self) -> bool {
        self.0 & (CHILD | GUARD) == CHILD
    }

    /// The answer, if this is a leaf.
    #[inline(always)]
    pub(super) const fn nexthop(self) -> NexthopIndex {
        NexthopIndex::from_low_bits(self.0)
    }

    /// Where the block is, if this is none.
    #[inline(always)]
    pub(super) const fn unit(self) -> u32 {
        self.0 & UNIT
    }
}

/// The head of a comparing block: a pattern, left-aligned, and its length below.
pub(super) mod guard {
    /// The bits of a head that hold the length.
    pub(in crate::trie) const LEN: u64 = 63;

    /// The longest pattern.
    pub(in crate::trie) const MAX: u32 = 58;

    /// A head; the pattern is left-aligned with zeros behind.
    pub(in crate::trie) fn head(pattern: u64, len: u32) -> u64 {
        debug_assert!((1..=MAX).contains(&len) && pattern << len == 0);
        pattern | u64::from(len)
    }

    #[inline(always)]
    pub(in crate::trie) fn len(head: u64) -> u32 {
        (head & LEN) as u32
    }

    pub(in crate::trie) fn pattern(head: u64) -> u64 {
        head & !LEN
    }

    /// Whether a key, left-aligned, begins with the pattern.
    #[inline(always)]
    pub(in crate::trie) fn hits(head: u64, key: u64) -> bool {
        (key ^ head) >> (64 - len(head)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_holds_20_bits_and_a_block_29() {
        let largest = NexthopIndex::from_raw(NexthopIndex::LIMIT - 1).expect("20 bits");
        let leaf = Word::leaf(largest);
        assert!(leaf.is_leaf() && leaf.nexthop() == largest);
        let node = Word::node((1 << 29) - 1);
        assert!(!node.is_leaf() && !node.is_guard() && node.unit() == (1 << 29) - 1);
        assert!(Word::guard(7).is_guard() && Word::guard(7).unit() == 7);
    }

    #[test]
    fn a_guard_compares_as_many_bits_as_its_pattern_has() {
        let head = guard::head(0xabc0 << 48, 12);
        assert_eq!((guard::len(head), guard::pattern(head)), (12, 0xabc0 << 48));
        assert!(guard::hits(head, 0xabcf << 48 | 63));
        assert!(!guard::hits(head, 0xabd0 << 48));
        let longest = guard::head(u64::MAX << 6, guard::MAX);
        assert!(guard::hits(longest, u64::MAX) && !guard::hits(longest, u64::MAX ^ 1 << 6));
    }
}
