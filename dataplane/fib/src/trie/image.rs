//! What readers find of a node, made from what the writer knows, and how it is published.
#![allow(unsafe_code)] // blocks are found by number

use ironlane_rcu::primitive::{AtomicU64, Ordering};

use super::arena::Arena;
use super::key::{Address, FANOUT, NODE_BITS};
use super::shadow::Shadows;
use super::slabs::block_bytes;
use super::update::Edit;
use super::word::{Word, guard};

/// The shortest pattern for which a block that compares is worth it. Readers step through nodes many
/// addresses at a time, and take what compares one by one: so a /48 has nodes, a loopback has none.
const WORTH_IT: u32 = if cfg!(any(loom, miri)) { 5 } else { 25 };

/// What a node looks like to readers: runs of slots that answer the same.
struct Form {
    /// A bit for each slot that begins a run; or a pattern.
    head: u64,
    words: [Word; FANOUT],
    len: usize,
    guard: bool,
    /// Whether a node above may take it into its pattern.
    alone: bool,
}

/// A node in which all slots answer the same but those of one prefix.
struct Alone {
    miss: Word,
    hit: Word,
    /// The child to which `hit` leads.
    child: Option<u32>,
    pattern: u64,
    len: u32,
}

impl Form {
    fn of<K: Address>(shadows: &Shadows, node: u32, flat: bool) -> Self {
        let mut this = Self::of_node(shadows, node);
        if K::GUARDS {
            this.compare(shadows, node);
        }
        if flat && !this.guard && this.len > 1 {
            this.spread();
        }
        this
    }

    /// Gives each slot a word of its own.
    fn spread(&mut self) {
        let (runs, head) = (self.words, self.head);
        for (slot, word) in self.words.iter_mut().enumerate() {
            *word = runs[(head << (63 - slot)).count_ones() as usize - 1];
        }
        self.head = u64::MAX >> (64 - FANOUT);
        self.len = FANOUT;
    }

    fn of_node(shadows: &Shadows, node: u32) -> Self {
        let mut this = Self {
            head: 0,
            words: [Word::NONE; FANOUT],
            len: 0,
            guard: false,
            alone: false,
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
        this
    }

    fn words(&self) -> &[Word] {
        &self.words[..self.len]
    }

    /// Becomes a block that compares, if it begins a long chain of nodes with one way through.
    fn compare(&mut self, shadows: &Shadows, node: u32) {
        let Some(mut chain) = self.alone(shadows, node) else {
            return;
        };
        self.alone = true;
        while let Some(child) = chain.child
            && let Some(next) = Self::of_node(shadows, child).alone(shadows, child)
            && next.miss == chain.miss
            && chain.len + next.len <= guard::MAX
        {
            chain.pattern |= next.pattern >> chain.len;
            chain.len += next.len;
            (chain.hit, chain.child) = (next.hit, next.child);
        }
        if chain.len >= WORTH_IT {
            self.head = guard::head(chain.pattern, chain.len);
            (self.words[0], self.words[1], self.len) = (chain.miss, chain.hit, 2);
            self.guard = true;
        }
    }

    fn alone(&self, shadows: &Shadows, node: u32) -> Option<Alone> {
        let second = (self.head & self.head.wrapping_sub(1)).trailing_zeros() as usize;
        let last = 63 - self.head.leading_zeros() as usize;
        let (miss, hit, slots) = match *self.words() {
            [miss, hit] if miss.is_leaf() && is_aligned(second, FANOUT) => {
                (miss, hit, second..FANOUT)
            }
            [hit, miss] if miss.is_leaf() && is_aligned(0, second) => (miss, hit, 0..second),
            [miss, hit, after] if after == miss && miss.is_leaf() && is_aligned(second, last) => {
                (miss, hit, second..last)
            }
            _ => return None,
        };
        let child = shadows.get(node).cell(slots.start).child();
        Some(Alone {
            miss,
            hit,
            child: child.filter(|_| !hit.is_leaf()),
            pattern: (slots.start as u64) << (64 - NODE_BITS),
            len: NODE_BITS - slots.len().trailing_zeros(),
        })
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
    /// Whether a block further up may have a copy of a word of this one.
    pub(super) copied: bool,
}

impl Published {
    /// How many words were changed.
    pub(super) fn changes(self) -> usize {
        self.stored + usize::from(self.moved)
    }
}

impl<K: Address> Edit<'_, K> {
    /// Makes readers find in a node what the writer knows about it. Its children come first.
    ///
    /// If runs begin where they did, words are changed in place; else there is a new block, which
    /// nobody finds before the caller has published the node above. A `flat` one has a word for each
    /// slot, and so never moves.
    pub(super) fn publish(&mut self, node: u32, flat: bool) -> Published {
        let arena = &*self.trie.arena;
        let form = Form::of::<K>(&self.memory.shadows, node, flat);
        let shadow = self.memory.shadows.get_mut(node);
        let old = shadow.image;
        let copied = std::mem::replace(&mut shadow.alone, form.alone) | form.alone;
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
                copied,
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
            copied,
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
