//! A hash index that is read while it is changed: which ids have a key.
//!
//! It is a table of cache lines by open addressing. A line has words, each of some bits of a hash and an id, and a head with
//! a few more bits for each word: one load tells which words may be meant, without a branch for each. What has no room in
//! the line of its hash is in the next one that has, and the head of each line that it passed says so.
//! Whoever looks up compares the object of the id with the key, so a word of another key does no harm. One writer stores
//! words one by one; a reader sees each either before or after.
//!
//! Rules that keep a reader right without a lock:
//! 1. The object of an id is published before its word, that before its bits in the head; they go in the opposite order.
//! 2. A word never moves within a table. Before it is stored, the lines between that of its hash and its own are marked as
//!    passed; the mark stays as long as any word is behind that belongs before.
//! 3. A table that grows is another table, filled before it is published by RCU.

use std::sync::atomic::{AtomicU64, Ordering};

use ironlane_rcu::primitive::Arc;
use ironlane_rcu::{Domain, Guard, Published, Retirer};

/// Words of a line, beside its head.
const WIDTH: usize = 7;

/// The smallest table, in lines.
const MIN_LINES: usize = 2;

/// In the head of a line that was passed. The seven bytes below are those of the words.
const PASSED: u64 = 1 << 63;

/// No word.
const EMPTY: u64 = 0;

const ONES: u64 = 0x01_01_01_01_01_01_01;

/// The upper half tells words of a line apart, the lower half is the id plus 1, which is not 0.
fn word_of(hash: u64, id: u32) -> u64 {
    hash & !0xffff_ffff | u64::from(id.wrapping_add(1))
}

#[inline]
fn id_of(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

/// The line that a hash belongs in, of a table of `lines`, a power of two.
#[inline]
fn home(hash: u64, lines: usize) -> usize {
    hash as usize & (lines - 1)
}

/// What the head of a line has for words of a hash: not 0, which is for no word. Bits that neither choose the line nor are
/// in the word.
#[inline]
fn mark(hash: u64) -> u64 {
    hash >> 24 & 0xff | 1
}

#[derive(Default)]
#[repr(C, align(64))]
struct Line {
    head: AtomicU64,
    words: [AtomicU64; WIDTH],
}

impl Line {
    /// The highest bit of the byte of each word that may be of a hash, and whether more may be behind this line.
    #[inline]
    fn look(&self, hash: u64) -> (u64, bool) {
        // Acquire pairs with the Release in `Entries`: the words are stored.
        let head = self.head.load(Ordering::Acquire);
        let differing = head ^ (mark(hash) * ONES);
        // Zero bytes, and perhaps some above one.
        let hits = differing.wrapping_sub(ONES) & !differing & (ONES << 7);
        (hits, head & PASSED != 0)
    }

    /// The id of the first of these words, if it is of this hash.
    #[inline]
    fn id(&self, hits: u64, hash: u64) -> Option<u32> {
        // Acquire pairs with the Release in `Entries`: the object of the id is published.
        let word = self.words.get(hits.trailing_zeros() as usize / 8)?;
        let word = word.load(Ordering::Acquire);
        ((word ^ hash) >> 32 == 0 && word as u32 != 0).then_some(id_of(word))
    }

    fn is_passed(&self) -> bool {
        self.head.load(Ordering::Relaxed) & PASSED != 0
    }
}

/// What readers see; the writer has the same lines.
struct Table {
    lines: Arc<[Line]>,
}

fn empty_lines(len: usize) -> Arc<[Line]> {
    (0..len).map(|_| Line::default()).collect()
}

/// Ids by the hash of their keys.
pub(crate) struct Index {
    table: Published<Table>,
}

impl Index {
    /// To look several hashes up. What is added later may be missed.
    #[inline]
    pub(crate) fn now<'q>(&'q self, guard: &'q Guard<'_>) -> Lines<'q> {
        Lines(&self.table.load(guard).lines)
    }

    /// The ids of words with this hash, in no order. The caller compares keys: a few ids may be of
    /// others, or of objects that are gone.
    #[inline]
    pub(crate) fn find<'q>(&'q self, guard: &'q Guard<'_>, hash: u64) -> Found<'q> {
        self.now(guard).find(hash)
    }
}

/// An index as a burst looks at it. Made by [`Index::now`].
#[derive(Clone, Copy)]
pub(crate) struct Lines<'q>(&'q [Line]);

/// What is found of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// No id has it.
    Nobody,
    /// This one, and no other.
    One(u32),
    /// This one, and others.
    Several(u32),
}

impl<'q> Lines<'q> {
    /// Asks the CPU for the line of a hash.
    #[inline]
    pub(crate) fn prefetch(self, hash: u64) {
        if let Some(line) = self.0.get(home(hash, self.0.len())) {
            ironlane_rcu::prefetch(line);
        }
    }

    /// The first id that [`find`](Self::find) finds, and whether it is the only one. Nearly always the line of the hash alone
    /// tells.
    #[inline]
    pub(crate) fn glance(self, hash: u64) -> Glance {
        let line = self.0.get(home(hash, self.0.len()));
        match line.map(|line| (line, line.look(hash))) {
            Some((_, (0, false))) => Glance::Nobody,
            Some((line, (hits, false))) if hits & (hits - 1) == 0 => {
                line.id(hits, hash).map_or(Glance::Nobody, Glance::One)
            }
            _ => self.look_closely(hash),
        }
    }

    #[inline(never)]
    fn look_closely(self, hash: u64) -> Glance {
        let mut ids = self.find(hash);
        match (ids.next(), ids.next()) {
            (None, _) => Glance::Nobody,
            (Some(id), None) => Glance::One(id),
            (Some(id), Some(_)) => Glance::Several(id),
        }
    }

    /// See [`Index::find`].
    #[inline]
    pub(crate) fn find(self, hash: u64) -> Found<'q> {
        Found {
            lines: self.0,
            hash,
            at: home(hash, self.0.len()),
            left: self.0.len(),
            line: None,
            hits: 0,
        }
    }
}

/// The ids of a hash. Made by [`Index::find`].
pub(crate) struct Found<'q> {
    lines: &'q [Line],
    hash: u64,
    /// The line to be looked at next.
    at: usize,
    /// How many lines are yet to be looked at.
    left: usize,
    /// The line that was looked at, and what of it is yet to be given.
    line: Option<&'q Line>,
    hits: u64,
}

impl Iterator for Found<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        loop {
            while let (Some(line), true) = (self.line, self.hits != 0) {
                let id = line.id(self.hits, self.hash);
                self.hits &= self.hits - 1;
                if id.is_some() {
                    return id;
                }
            }
            if self.left == 0 {
                return None;
            }
            let line = self.lines.get(self.at)?;
            let (hits, is_passed) = line.look(self.hash);
            (self.line, self.hits) = (Some(line), hits);
            self.at = (self.at + 1) & (self.lines.len() - 1);
            self.left = if is_passed { self.left - 1 } else { 0 };
        }
    }
}

/// What the writer knows of a word: its whole hash and its id, or [`NOTHING`].
type Entry = (u64, u32);

const NOTHING: Entry = (0, u32::MAX);

/// The writer's side of an [`Index`].
pub(crate) struct Entries {
    index: Arc<Index>,
    shelf: Shelf,
    live: usize,
}

/// A table that is changed.
struct Shelf {
    lines: Arc<[Line]>,
    /// For each word, to fill another table with.
    entries: Vec<[Entry; WIDTH]>,
}

impl Shelf {
    /// An empty one of `lines`, a power of two, and what readers see of it.
    fn new(lines: usize) -> (Self, Box<Table>) {
        let entries = vec![[NOTHING; WIDTH]; lines];
        let lines = empty_lines(lines);
        let table = Box::new(Table {
            lines: Arc::clone(&lines),
        });
        (Self { lines, entries }, table)
    }

    fn next(&self, line: usize) -> usize {
        (line + 1) & (self.lines.len() - 1)
    }

    /// Puts a word in the first line that has room.
    fn put(&mut self, hash: u64, id: u32) {
        let mut at = home(hash, self.lines.len());
        let word = loop {
            match self.entries[at].iter().position(|&entry| entry == NOTHING) {
                Some(word) => break word,
                // Rule 2. Relaxed: a reader that has not seen it has not seen the word, which is ordered behind.
                None => self.lines[at].head.fetch_or(PASSED, Ordering::Relaxed),
            };
            at = self.next(at);
        };
        self.entries[at][word] = (hash, id);
        let line = &self.lines[at];
        // Release pairs with the Acquire loads in `Line` (rule 1), here and below.
        line.words[word].store(word_of(hash, id), Ordering::Release);
        let head = line.head.load(Ordering::Relaxed);
        line.head
            .store(head | mark(hash) << (8 * word), Ordering::Release);
    }

    /// Lines from that of a hash on, as readers go through them.
    fn path(&self, hash: u64) -> impl Iterator<Item = usize> {
        let count = self.lines.len();
        let mut is_over = false;
        (0..count)
            .map(move |step| (home(hash, count) + step) & (count - 1))
            .take_while(move |&at| {
                let was_over = is_over;
                is_over = !self.lines[at].is_passed();
                !was_over
            })
    }

    /// Takes a word out; whether it was there.
    fn take(&mut self, hash: u64, id: u32) -> bool {
        let of = |line: &[Entry; WIDTH]| line.iter().position(|&entry| entry == (hash, id));
        let mut path = self.path(hash);
        let found = path.find_map(|at| Some((at, of(&self.entries[at])?)));
        drop(path);
        let Some((at, word)) = found else {
            return false;
        };
        self.entries[at][word] = NOTHING;
        let line = &self.lines[at];
        let head = line.head.load(Ordering::Relaxed);
        line.head
            .store(head & !(0xff << (8 * word)), Ordering::Release);
        line.words[word].store(EMPTY, Ordering::Release);
        // It may have been the last one that passed any of these.
        let mut passed = home(hash, self.lines.len());
        while passed != at {
            if !self.is_needed(passed) {
                self.lines[passed]
                    .head
                    .fetch_and(!PASSED, Ordering::Release);
            }
            passed = self.next(passed);
        }
        true
    }

    /// Whether any word is behind a line that belongs in it or before.
    fn is_needed(&self, line: usize) -> bool {
        let count = self.lines.len();
        let (mut at, mut distance) = (line, 0);
        // A word passed all lines up to its own.
        while self.lines[at].is_passed() && distance < count - 1 {
            at = self.next(at);
            distance += 1;
            let has_passed = |&(hash, id): &Entry| {
                let far = at.wrapping_sub(home(hash, count)) & (count - 1);
                (hash, id) != NOTHING && far >= distance
            };
            if self.entries[at].iter().any(has_passed) {
                return true;
            }
        }
        false
    }
}

impl Entries {
    /// An empty index.
    pub(crate) fn new(domain: &Arc<Domain>) -> Self {
        let (shelf, table) = Shelf::new(MIN_LINES);
        Self {
            index: Arc::new(Index {
                table: Published::new(domain, table),
            }),
            shelf,
            live: 0,
        }
    }

    /// What readers look up in.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The ids under this hash, as [`Index::find`] gives them.
    pub(crate) fn find(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.shelf
            .path(hash)
            .flat_map(|at| &self.shelf.entries[at])
            .filter(move |&&entry| entry.0 == hash && entry != NOTHING)
            .map(|entry| entry.1)
    }

    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds an id under a hash; the object of the id is published already.
    pub(crate) fn insert(&mut self, hash: u64, id: u32, retirer: &mut Retirer) {
        // A third stays empty, so that few lookups need a second line.
        if (self.live + 1) * 3 > self.shelf.lines.len() * WIDTH * 2 {
            self.grow(retirer);
        }
        self.shelf.put(hash, id);
        self.live += 1;
    }

    /// Removes an id from under a hash, if it is there.
    pub(crate) fn remove(&mut self, hash: u64, id: u32) {
        if self.shelf.take(hash, id) {
            self.live -= 1;
        }
    }

    /// Publishes another table, of twice as many lines (rule 3).
    fn grow(&mut self, retirer: &mut Retirer) {
        let (mut shelf, table) = Shelf::new(self.shelf.lines.len() * 2);
        let all = self.shelf.entries.as_flattened().iter();
        for &(hash, id) in all.filter(|&&entry| entry != NOTHING) {
            shelf.put(hash, id);
        }
        self.index.table.swap(table, retirer);
        self.shelf = shelf;
    }
}

#[cfg(test)]
mod tests;
