//! The first level: an array of words that resolves many bits at once.
#![allow(unsafe_code)] // slots are found without asking if they exist

use ironlane_rcu::primitive::{Arc, AtomicU32, Ordering};

use super::key::{Address, Shape};
use super::word::Word;
use crate::zeroed::{advise_huge, zeroed_slice};

/// The words of a root, shared by what readers have published and the writer.
#[derive(Clone)]
pub(super) struct Root {
    shape: Shape,
    words: Arc<Box<[AtomicU32]>>,
}

impl Root {
    /// A root without routes.
    pub(super) fn new(shape: Shape) -> Self {
        let words = zeroed_slice(shape.slots());
        advise_huge(&words);
        Self {
            shape,
            words: Arc::new(words),
        }
    }

    #[inline(always)]
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&**self.words)
    }

    /// The words, as the first of them.
    #[inline(always)]
    #[cfg_attr(any(loom, miri), expect(dead_code))]
    pub(super) fn base(&self) -> *const u32 {
        self.words.as_ptr().cast()
    }

    /// The word for an address, and how many bits were resolved.
    #[inline(always)]
    pub(super) fn enter<K: Address>(&self, address: K) -> (Word, u32) {
        let (place, bits) = address.enter(self.shape);
        debug_assert!(place < self.words.len());
        // SAFETY: `enter` returns places below `Shape::slots`, which is how long we are.
        let word = unsafe { self.words.get_unchecked(place) };
        // Acquire pairs with the Release in `store`: the block that it leads to is complete, and
        // so is the nexthop's slot that a leaf points at.
        (Word::from_raw(word.load(Ordering::Acquire)), bits)
    }

    /// Writes a word into the slots from `first` on that have another; returns in how many. The
    /// writer's.
    pub(super) fn store(&self, first: usize, count: usize, word: Word) -> usize {
        let mut stored = 0;
        for slot in &self.words[first..first + count] {
            // Relaxed: nobody but us writes here.
            if slot.load(Ordering::Relaxed) != word.raw() {
                // Release pairs with the Acquire in `enter`.
                slot.store(word.raw(), Ordering::Release);
                stored += 1;
            }
        }
        stored
    }
}
