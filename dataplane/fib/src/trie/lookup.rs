//! The reader's side: longest prefix match.
#![allow(unsafe_code)] // blocks are found by number

use ironlane_rcu::primitive::{Arc, AtomicU64, Ordering};
use ironlane_rcu::{Domain, Guard, Published};

use super::arena::Arena;
use super::bulk::{self, BURST, LookupPath};
use super::key::{Address, NODE_BITS, Shape};
use super::root::Root;
use super::word::{Word, guard};
use crate::NexthopIndex;

/// One table, as lcores see it.
pub(crate) struct Trie<K> {
    pub(super) root: Published<Root>,
    pub(super) arena: Arc<Arena>,
    path: LookupPath,
    /// What the CPU has.
    fastest: LookupPath,
    /// Counts that the writer keeps and anybody may read.
    pub(super) counts: Counts,
    key: std::marker::PhantomData<K>,
}

/// Figures that guard no data.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) prefixes: AtomicU64,
    pub(super) blocks: AtomicU64,
    pub(super) block_bytes: AtomicU64,
    pub(super) root_bytes: AtomicU64,
}

impl<K: Address> Trie<K> {
    /// A table without routes, and its root for the writer.
    pub(crate) fn new(domain: &Arc<Domain>, arena: &Arc<Arena>, large: bool) -> (Self, RootHandle) {
        let shape = if large { K::FLAT } else { K::SMALL };
        let root = Root::new(shape, Word::NONE);
        let this = Self {
            root: Published::new(domain, Box::new(root.clone())),
            arena: Arc::clone(arena),
            path: LookupPath::best(),
            fastest: LookupPath::fastest(),
            counts: Counts::default(),
            key: std::marker::PhantomData,
        };
        // Relaxed: a figure for people.
        let bytes = root.bytes() as u64;
        this.counts.root_bytes.store(bytes, Ordering::Relaxed);
        (this, RootHandle(root))
    }

    #[inline]
    pub(crate) fn lookup(&self, guard: &Guard<'_>, address: K) -> NexthopIndex {
        // SAFETY: under `guard`, of the right domain (`load` asks).
        unsafe { one(self.root.load(guard), &self.arena, address) }
    }

    /// Looks up several addresses level by level, so that their cache misses overlap.
    #[inline]
    pub(crate) fn lookup_bulk(
        &self,
        guard: &Guard<'_>,
        addresses: &[K],
        answers: &mut [NexthopIndex],
    ) {
        self.lookup_bulk_by(self.path, guard, addresses, answers);
    }

    /// The first `count` addresses, in as many lanes as the path likes best.
    #[inline]
    pub(crate) fn lookup_burst(
        &self,
        guard: &Guard<'_>,
        addresses: &[K; BURST],
        count: usize,
        answers: &mut [NexthopIndex; BURST],
    ) {
        let lanes = self.path.lanes(count);
        self.lookup_bulk(guard, &addresses[..lanes], &mut answers[..lanes]);
    }

    /// [`lookup_bulk`](Self::lookup_bulk) by a path of one's choice.
    ///
    /// # Panics
    /// If the CPU lacks the instructions.
    #[inline]
    pub(crate) fn lookup_bulk_by(
        &self,
        path: LookupPath,
        guard: &Guard<'_>,
        addresses: &[K],
        answers: &mut [NexthopIndex],
    ) {
        assert!(path <= self.fastest, "this CPU has no {path}");
        assert_eq!(addresses.len(), answers.len(), "an answer for each address");
        let root = self.root.load(guard);
        // SAFETY: under `guard`, of the right domain (`load` asks); as many answers.
        unsafe { bulk::lookup(path, root, &self.arena, addresses, answers) };
    }

    /// The answer for an address, and the last address behind it to which the same word gives
    /// the same answer.
    pub(super) fn answer_from(&self, guard: &Guard<'_>, address: K) -> (NexthopIndex, K) {
        let (mut word, mut above) = self.root.load(guard).enter_wide(address);
        let mut last = address.filled(above);
        while !word.is_leaf() {
            let base = address.masked(above);
            // SAFETY: the word was loaded under `guard`, of the right domain (`load` asks).
            let head = unsafe { self.arena.head(word.unit()) };
            if word.is_guard() {
                let len = guard::len(head);
                let pattern = base.with_pattern(guard::pattern(head), above);
                let hits = guard::hits(head, address.behind(above).top());
                if hits {
                    last = pattern.filled((above + len).min(K::BITS));
                } else if address < pattern {
                    last = pattern.previous().unwrap_or(pattern);
                }
                // SAFETY: as above; such a block has two words.
                word = unsafe { self.arena.word(word.unit(), usize::from(hits)) };
                above += len;
            } else {
                let slot = address.slot(above);
                let below = head << (63 - slot);
                let behind = (head >> slot) >> 1;
                // A run ends before the next begins.
                let end =
                    slot + (behind.trailing_zeros() as usize).min(super::key::FANOUT - 1 - slot);
                let bits = (above + NODE_BITS).min(K::BITS);
                last = base.with_slot(end, above).filled(bits);
                // SAFETY: as above; there is a word for each run.
                word = unsafe {
                    self.arena
                        .word(word.unit(), below.count_ones() as usize - 1)
                };
                above += NODE_BITS;
            }
        }
        (word.nexthop(), last)
    }

    /// Prefixes in the table.
    pub(crate) fn prefixes(&self) -> u64 {
        // Relaxed, here and below: figures for people.
        self.counts.prefixes.load(Ordering::Relaxed)
    }

    /// Blocks that the root leads to.
    pub(crate) fn blocks(&self) -> u64 {
        self.counts.blocks.load(Ordering::Relaxed)
    }

    /// Bytes that lcores may touch.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.root_bytes.load(Ordering::Relaxed)
            + self.counts.block_bytes.load(Ordering::Relaxed)
    }
}

/// The writer's hold of a root that is published.
pub(crate) struct RootHandle(pub(super) Root);

impl RootHandle {
    pub(super) fn shape(&self) -> Shape {
        self.0.shape()
    }
}

/// Looks up one address.
///
/// # Safety
/// Called under a guard that protects the tables to which root and arena belong.
#[inline]
pub(super) unsafe fn one<K: Address>(root: &Root, arena: &Arena, address: K) -> NexthopIndex {
    let (mut word, bits) = root.enter(address);
    let mut key = address.behind(bits);
    while !word.is_leaf() {
        // SAFETY: the word was loaded under the guard of our contract, and `key` is what is behind
        // the bits that led to it.
        (word, key) = unsafe { step(arena, word, key) };
    }
    word.nexthop()
}

/// One level down: the word in the block that `word` leads to, and what is left of the key.
///
/// # Safety
/// `word` leads to a block, and was loaded under a guard that is still held and protects the
/// tables.
#[inline(always)]
unsafe fn step<K: Address>(arena: &Arena, word: Word, key: K) -> (Word, K) {
    let unit = word.unit();
    // SAFETY: by our contract.
    let head = unsafe { arena.head(unit) };
    let (place, bits) = if K::GUARDS && word.is_guard() {
        (usize::from(guard::hits(head, key.top())), guard::len(head))
    } else {
        // Of the bits that begin runs those up to the slot, counted. The first slot always
        // begins a run, so that the count is 1 or more.
        let slot = key.top() >> (64 - NODE_BITS);
        ((head << (63 - slot)).count_ones() as usize - 1, NODE_BITS)
    };
    // SAFETY: by our contract; there is a word for each run, or two.
    let word = unsafe { arena.word(unit, place) };
    (word, key.behind(bits))
}
