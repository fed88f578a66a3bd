//! Damage and its cure, for `verify`.
#![allow(unsafe_code)] // blocks are found by number

use std::ops::Range;

use super::key::{Address, FANOUT, NODE_BITS};
use super::shadow::Cell;
use super::update::{Edit, Place, TrieWriter};
use super::word::{Word, guard};
use crate::NexthopIndex;

impl<K: Address> TrieWriter<K> {
    /// Writes every leaf within a prefix as the list of prefixes says, and returns how many words
    /// were wrong that readers see.
    pub(crate) fn mend(&mut self, edit: &mut Edit<'_, K>, address: K, len: u32) -> usize {
        self.end_filling(edit);
        let path = self.path(edit, address, len, false);
        let last = *path.last().expect("a path begins at the top");
        // Where no node is, the slot above speaks for more than the prefix.
        let range = last.range(address, len.min(last.below()));
        let mended = self.mend_range(edit, last, range) + self.climb(edit, &path, address, false);
        if self.routes.len() == 0
            && let Some(top) = self.top.take()
        {
            edit.memory.shadows.remove(top);
        }
        mended
    }

    fn mend_range(&self, edit: &mut Edit<'_, K>, place: Place<K>, range: Range<usize>) -> usize {
        let mut mended = 0;
        let mut cells = edit.memory.shadows.get(place.node).cells();
        for slot in range.clone() {
            let cell = &mut cells[slot];
            if let Some(child) = cell.child() {
                mended += self.mend_range(edit, place.child(slot, child), 0..FANOUT);
                continue;
            }
            let first = place.base.with_slot(slot, place.above);
            let len = cell.owner().len();
            let right = len.and_then(|len| self.routes.get(first.masked(len), len));
            *cell = Cell::leaf(right.unwrap_or(NexthopIndex::NONE), cell.owner());
        }
        edit.memory.shadows.set(place.node, &cells);
        mended + self.publish(edit, place, range).changes()
    }

    /// Writes the leaf that answers for an address, beside the list of prefixes.
    pub(crate) fn poke(&self, edit: &Edit<'_, K>, address: K, nexthop: NexthopIndex) {
        let leaf = Word::leaf(nexthop);
        let (place, mut above) = address.enter(self.root.shape());
        let (mut word, _) = self.root.enter(address);
        if word.is_leaf() {
            self.root.store(place, 1, leaf, false);
            return;
        }
        let arena = &*edit.trie.arena;
        loop {
            let unit = word.unit();
            // SAFETY: we are the writer and have not given the block back; it has these words.
            let head = unsafe { arena.head(unit) };
            let place = if word.is_guard() {
                let hits = guard::hits(head, address.behind(above).top());
                above += guard::len(head);
                usize::from(hits)
            } else {
                let slot = address.slot(above);
                above += NODE_BITS;
                (head << (63 - slot)).count_ones() as usize - 1
            };
            // SAFETY: as above.
            word = unsafe { arena.word(unit, place) };
            if word.is_leaf() {
                // SAFETY: as above.
                unsafe { arena.store(unit, place, leaf) };
                return;
            }
        }
    }
}
