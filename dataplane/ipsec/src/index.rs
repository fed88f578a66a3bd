//! A hash index that is read while it is changed: which ids have a key.
//!
//! It is a table of words by open addressing. A word has some bits of the hash and an id; whoever
//! looks up compares the object of the id with the key, so a word of another key does no harm. One
//! writer stores words one by one; a reader sees each either before or after.
//!
//! Rules that keep a reader right without a lock:
//! 1. The object of an id is published before its word, and unpublished after it.
//! 2. A word never moves within a table. A removed one becomes a tombstone, which a reader passes;
//!    tombstones become empty only where an empty word follows, so that no reader is cut off from a
//!    word behind them.
//! 3. A table that grows is another table, filled before it is published by RCU.

use std::sync::atomic::{AtomicU64, Ordering};

use ironlane_rcu::primitive::Arc;
use ironlane_rcu::{Domain, Guard, Published, Retirer};

const EMPTY: u64 = 0;
/// No id has this lower half: the lower half of a word is the id plus 1, and 0 only in these two.
const TOMBSTONE: u64 = 1 << 32;

/// The smallest table.
const MIN_WORDS: usize = 16;

fn word_of(hash: u64, id: u32) -> u64 {
    hash & !0xffff_ffff | u64::from(id.wrapping_add(1))
}

fn id_of(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

/// What readers see; the writer has the same words.
struct Table {
    words: Arc<[AtomicU64]>,
}

fn empty_words(len: usize) -> Arc<[AtomicU64]> {
    (0..len).map(|_| AtomicU64::new(EMPTY)).collect()
}

impl Table {
    /// The places of a hash, from its first one on, each once. The upper half of the hash tells
    /// words apart, so the lower half chooses the place.
    #[inline]
    fn places(&self, hash: u64) -> impl Iterator<Item = &AtomicU64> {
        let mask = self.words.len() - 1;
        let first = hash as usize & mask;
        (0..self.words.len()).map(move |step| &self.words[(first + step) & mask])
    }
}

/// Ids by the hash of their keys.
pub(crate) struct Index {
    table: Published<Table>,
}

impl Index {
    /// Asks the CPU for the first place of a hash.
    #[inline]
    pub(crate) fn prefetch(&self, guard: &Guard<'_>, hash: u64) {
        if let Some(place) = self.table.load(guard).places(hash).next() {
            ironlane_rcu::prefetch(place);
        }
    }

    /// The ids of words with this hash, in no order. The caller compares keys: a few ids may be of
    /// others, or of objects that are gone.
    #[inline]
    pub(crate) fn find<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        hash: u64,
    ) -> impl Iterator<Item = u32> + 'q {
        // Acquire pairs with the Release in `Entries`: the object of the id is published.
        self.table
            .load(guard)
            .places(hash)
            .map(|place| place.load(Ordering::Acquire))
            .take_while(|&word| word != EMPTY)
            .filter(move |&word| (word ^ hash) >> 32 == 0 && word as u32 != 0)
            .map(id_of)
    }
}

/// What the writer knows of a word: its whole hash and its id, or [`NOTHING`].
type Entry = (u64, u32);

/// An empty word or a tombstone.
const NOTHING: Entry = (0, u32::MAX);

/// The writer's side of an [`Index`].
pub(crate) struct Entries {
    index: Arc<Index>,
    words: Arc<[AtomicU64]>,
    /// For each word, to fill another table with.
    entries: Vec<Entry>,
    live: usize,
    tombstones: usize,
}

impl Entries {
    /// An empty index.
    pub(crate) fn new(domain: &Arc<Domain>) -> Self {
        let words = empty_words(MIN_WORDS);
        let table = Box::new(Table {
            words: Arc::clone(&words),
        });
        Self {
            index: Arc::new(Index {
                table: Published::new(domain, table),
            }),
            words,
            entries: vec![NOTHING; MIN_WORDS],
            live: 0,
            tombstones: 0,
        }
    }

    /// What readers look up in.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The ids under this hash, as [`Index::find`] gives them.
    pub(crate) fn find(&self, hash: u64) -> impl Iterator<Item = u32> {
        let mask = self.words.len() - 1;
        (0..self.words.len())
            .map(move |step| (hash as usize).wrapping_add(step) & mask)
            .take_while(|&at| self.words[at].load(Ordering::Relaxed) != EMPTY)
            .filter(move |&at| self.entries[at].0 == hash && self.entries[at] != NOTHING)
            .map(|at| self.entries[at].1)
    }

    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds an id under a hash; the object of the id is published already.
    pub(crate) fn insert(&mut self, hash: u64, id: u32, retirer: &mut Retirer) {
        // A third stays empty, so that lookups of what is not there end soon.
        if (self.live + self.tombstones + 1) * 3 > self.words.len() * 2 {
            self.rebuild((self.live + 1) * 2, retirer);
        }
        let mask = self.words.len() - 1;
        let mut at = hash as usize & mask;
        while self.entries[at] != NOTHING {
            at = (at + 1) & mask;
        }
        if self.words[at].load(Ordering::Relaxed) == TOMBSTONE {
            self.tombstones -= 1;
        }
        // Release pairs with the Acquire in `find` (rule 1).
        self.words[at].store(word_of(hash, id), Ordering::Release);
        self.entries[at] = (hash, id);
        self.live += 1;
    }

    /// Removes an id from under a hash, if it is there.
    pub(crate) fn remove(&mut self, hash: u64, id: u32) {
        let mask = self.words.len() - 1;
        let mut at = hash as usize & mask;
        while self.entries[at] != (hash, id) {
            if self.words[at].load(Ordering::Relaxed) == EMPTY {
                return;
            }
            at = (at + 1) & mask;
        }
        self.words[at].store(TOMBSTONE, Ordering::Release);
        self.entries[at] = NOTHING;
        self.live -= 1;
        self.tombstones += 1;
        if self.words[(at + 1) & mask].load(Ordering::Relaxed) != EMPTY {
            return;
        }
        // Rule 2: an empty word follows.
        while self.words[at].load(Ordering::Relaxed) == TOMBSTONE {
            self.words[at].store(EMPTY, Ordering::Release);
            self.tombstones -= 1;
            at = at.wrapping_sub(1) & mask;
        }
    }

    /// Publishes another table, without tombstones, of `len` words or somewhat more (rule 3).
    fn rebuild(&mut self, len: usize, retirer: &mut Retirer) {
        let len = len.next_power_of_two().max(MIN_WORDS);
        let words = empty_words(len);
        let mut entries = vec![NOTHING; len];
        for &(hash, id) in self.entries.iter().filter(|&&entry| entry != NOTHING) {
            let mut at = hash as usize & (len - 1);
            while entries[at] != NOTHING {
                at = (at + 1) & (len - 1);
            }
            words[at].store(word_of(hash, id), Ordering::Relaxed);
            entries[at] = (hash, id);
        }
        let table = Box::new(Table {
            words: Arc::clone(&words),
        });
        self.index.table.swap(table, retirer);
        (self.words, self.entries, self.tombstones) = (words, entries, 0);
    }
}
