//! What readers find of a node, made from what the writer knows, and how it is published.
#![allow(unsafe_code)] // blocks are found by number

use ironlane_rcu::primitive::{AtomicU64, Ordering};

use super::arena::Arena;
use super::key::{Address, FANOUT, NODE_BITS};
use super::shadow::Shadows;
use super::slabs::block_bytes;
use super::update::Edit;
use super::word::{Word, guard};

/// What a node looks like to readers: runs of slots that answer the same.
struct Form {
    /// A bit for each slot that begins a run; or a pattern.
    head: u64,
    words: [Word; FANOUT],
    len: usize,
    guard: bool,
}

impl Form {
    fn of<K: Address>(shadows: &Shadows, arena: &Arena, node: u32) -> Self {
        let mut this = Self {
            head: 0,
            words: [Word::NONE; FANOUT],
            len: 0,
            guard: false,
        };
        for (first, _, cell) in shadows.get(node).runs() {
            let word = match cell.child() {
                Some(child) => shadows.get(child).image,
                None => cell.word(),
            };
            // Different prefixes may have the same nexthop, and a node may look like a leaf.
            if this.len == 0 || this.words[this.len - 1] != word {
                this.head |= 1 << first;
                this.words[this.len] = word;
                this.len += 1;
            }
        }
        if K::GUARDS {
            this.compare(arena);
        }
        this
    }

    fn words(&self) -> &[Word] {
        &self.words[..self.len]
    }

    /// Becomes a block that compares, if all slots answer the same but those of one prefix.
    fn compare(&mut self, arena: &Arena) {
        let second = (self.head & (self.head - 1)).trailing_zeros() as usize;
        let last = 63 - self.head.leading_zeros() as usize;
        let [miss, hit, first, end] = match *self.words() {
            [miss, hit] if miss.is_leaf() && is_aligned(second, FANOUT) => {
                [miss.raw(), hit.raw(), second as u32, FANOUT as u32]
            }
            [hit, miss] if miss.is_leaf() && is_aligned(0, second) => {
                [miss.raw(), hit.raw(), 0, second as u32]
            }
            [miss, hit, after] if after == miss && miss.is_leaf() && is_aligned(second, last) => {
                [miss.raw(), hit.raw(), second as u32, last as u32]
            }
            _ => return,
        };
        let (miss, mut hit) = (Word::from_raw(miss), Word::from_raw(hit));
        let mut len = NODE_BITS - (end - first).trailing_zeros();
        let mut pattern = u64::from(first) << (64 - NODE_BITS);
        if hit.is_guard() {
            // SAFETY: the child's block, which we have not given back.
            let (head, other) = unsafe { (arena.head(hit.unit()), arena.word(hit.unit(), 0)) };
            if other == miss && len + guard::len(head) <= guard::MAX {
                pattern |= guard::pattern(head) >> len;
                len += guard::len(head);
                // SAFETY: as above; such a block has two words.
                hit = unsafe { arena.word(hit.unit(), 1) };
            }
        }
        self.head = guard::head(pattern, len);
        (self.words[0], self.words[1], self.len) = (miss, hit, 2);
        self.guard = true;
    }
}

/// Whether the slots are those of one prefix.
fn is_aligned(first: usize, end: usize) -> bool {
    let size = end - first;
    size.is_power_of_two() && first.is_multiple_of(size)
}

/// What became of what readers find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    /// Another word leads to the node now, and must be stored above.
    pub(super) moved: bool,
    /// How many words readers can see that were changed in place.
    pub(super) stored: usize,
}

impl<K: Address> Edit<'_, K> {
    /// Makes readers find in a node what the writer knows about it. Its children come first.
    ///
    /// If runs begin where they did, words are changed in place; else there is a new block, which
    /// nobody finds before the caller has published the node above.
    pub(super) fn publish(&mut self, node: u32) -> Published {
        let arena = &*self.trie.arena;
        let form = Form::of::<K>(&self.memory.shadows, arena, node);
        let old = self.memory.shadows.get(node).image;
        let image = if form.len == 1 {
            form.words[0]
        } else if !old.is_leaf()
            && old.is_guard() == form.guard
            // SAFETY: the block is published, and we have not given it back.
            && unsafe { arena.head(old.unit()) } == form.head
        {
            return Published {
                moved: false,
                stored: store_changed(arena, old.unit(), form.words()),
            };
        } else {
            let unit = self.memory.slabs.take(arena, form.len);
            // SAFETY: just taken, with room for the words.
            unsafe { arena.fill(unit, form.head, form.words()) };
            self.count(1, form.len);
            match form.guard {
                true => Word::guard(unit),
                false => Word::node(unit),
            }
        };
        self.retract(node);
        self.memory.shadows.get_mut(node).image = image;
        Published {
            moved: image != old,
            stored: 0,
        }
    }

    /// Puts the block of a node, if it has one, where it waits for a grace period. The caller
    /// sees to it that no word leads there when the change is over.
    pub(super) fn retract(&mut self, node: u32) {
        let shadow = self.memory.shadows.get_mut(node);
        let image = std::mem::replace(&mut shadow.image, Word::NONE);
        if !image.is_leaf() {
            // SAFETY: the block is not given back before a grace period has passed.
            let len = block_words(unsafe { self.trie.arena.head(image.unit()) }, image);
            self.dead.push(image.unit());
            self.count(-1, len);
        }
    }

    fn count(&self, blocks: i64, words: usize) {
        let bytes = blocks * block_bytes(words) as i64;
        add(&self.trie.counts.blocks, blocks);
        add(&self.trie.counts.block_bytes, bytes);
    }
}

/// How many words the block has that a word leads to.
fn block_words(head: u64, image: Word) -> usize {
    match image.is_guard() {
        true => 2,
        false => head.count_ones() as usize,
    }
}

/// Changes the words of a block that differ, one by one; returns how many did.
fn store_changed(arena: &Arena, unit: u32, words: &[Word]) -> usize {
    let mut stored = 0;
    for (place, &word) in words.iter().enumerate() {
        // SAFETY: the block has as many words, since its head says so; we have not given it back.
        unsafe {
            if arena.word(unit, place) != word {
                arena.store(unit, place, word);
                stored += 1;
            }
        }
    }
    stored
}

/// Adds to a figure that this thread alone writes.
fn add(figure: &AtomicU64, difference: i64) {
    // Relaxed: a figure for people.
    let before = figure.load(Ordering::Relaxed);
    figure.store(before.wrapping_add_signed(difference), Ordering::Relaxed);
}
