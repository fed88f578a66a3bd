//! The first level: an array of words that resolves many bits at once.
//!
//! A word that was never written, 0, stands for the *default* of its root: the answer of the
//! short prefix that covers the whole array, if there is one. So a default route takes one word,
//! and pages of a sparse root that only it covers take no memory. A word that was written once
//! says itself what the answer is for as long as the root lives, also if that is the default.
//! Another default is another root with the same words, published by one pointer; whoever has
//! loaded a root and then finds a 0 knows that nothing but its default covered the address when
//! the root was loaded.
#![allow(unsafe_code)] // slots are found without asking if they exist

use ironlane_rcu::primitive::{Arc, Ordering};

use super::key::{Address, Shape};
use super::word::Word;
use super::words::{Marks, PAGE, PAGE_BYTES, Regions, Words};

/// The words of a root, shared by what readers have published and the writer.
#[derive(Clone)]
pub(super) struct Root {
    shape: Shape,
    /// What words from `Shape::defaults_from` on say that were never written; never `NONE`'s 0, but
    /// the leaf for it.
    default: Word,
    words: Arc<Words>,
    marks: Arc<Marks>,
    /// Of the same, by region; all of them if the root is not sparse.
    regions: Arc<Regions>,
}

impl Root {
    /// A root without routes but those that cover all of it.
    pub(super) fn new(shape: Shape, default: Word) -> Self {
        Self {
            shape,
            default: default.written(),
            words: Arc::new(Words::new(shape.slots(), shape.sparse)),
            marks: Arc::new(Marks::new(shape.slots())),
            regions: Arc::new(Regions::new(!shape.sparse)),
        }
    }

    /// The same words with another default.
    pub(super) fn with_default(&self, default: Word) -> Self {
        Self {
            default: default.written(),
            ..self.clone()
        }
    }

    #[inline(always)]
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// What is said by words that were never written, from `Shape::defaults_from` on.
    #[inline(always)]
    pub(super) fn default(&self) -> Word {
        self.default
    }

    /// Bytes that were written to; all of them if the root is not sparse.
    pub(super) fn bytes(&self) -> usize {
        match self.shape.sparse {
            true => self.pages() * PAGE_BYTES,
            false => size_of_val(&**self.words),
        }
    }

    /// How many pages were written to.
    pub(super) fn pages(&self) -> usize {
        self.marks.count()
    }

    /// How many pages more would be if these words were.
    pub(super) fn pages_for(&self, first: usize, count: usize) -> usize {
        let pages = first / PAGE..(first + count).div_ceil(PAGE);
        pages.filter(|page| !self.marks.has(page * PAGE)).count()
    }

    /// The words, as the first of them.
    #[inline(always)]
    #[cfg_attr(any(loom, miri), expect(dead_code))]
    pub(super) fn base(&self) -> *const u32 {
        self.words.as_ptr().cast()
    }

    /// Which regions were written to: 512 bits. Those of IPv4 are told by the first nine bits of an
    /// address, those of IPv6 by the nine behind 2000::/3; of other addresses none is told.
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    #[inline(always)]
    pub(super) fn regions(&self) -> *const u32 {
        self.regions.base()
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
        let word = Word::from_raw(word.load(Ordering::Acquire));
        // Of IPv4 any may say the default, which is known when this is compiled.
        let may_default = K::DEFAULT.1 == 0 || place >= self.shape.defaults_from;
        match word.is_unwritten() && may_default {
            true => (self.default, bits),
            false => (word, bits),
        }
    }

    /// As [`enter`](Self::enter); and how many bits of the address it takes to find the same,
    /// where that is a page that was never written.
    pub(super) fn enter_wide<K: Address>(&self, address: K) -> (Word, u32) {
        let (place, bits) = address.enter(self.shape);
        match place >= self.shape.defaults_from && !self.marks.has(place) {
            true => (self.default, bits - PAGE.trailing_zeros()),
            false => self.enter(address),
        }
    }

    /// Writes a word into the slots from `first` on that say something else; returns in how many.
    /// `stays` says that slots which say the default unwritten go on doing so, also when it
    /// changes. The writer's.
    pub(super) fn store(&self, first: usize, count: usize, word: Word, stays: bool) -> usize {
        let word = word.written();
        let end = first + count;
        let mut stored = 0;
        let mut next = first;
        while next < end {
            let page = next..end.min((next / PAGE + 1) * PAGE);
            next = page.end;
            // What slots say that were never written, and may remain so.
            let unwritten = match page.start >= self.shape.defaults_from {
                true => self.default,
                false => Word::NONE.written(),
            };
            let stays = word == unwritten && (stays || page.start < self.shape.defaults_from);
            if !self.marks.has(page.start) {
                if stays {
                    continue;
                }
                self.marks.set(page.start);
                if let Some(region) = self.shape.region(page.start) {
                    self.regions.set(region);
                }
            }
            for slot in &self.words[page] {
                // Relaxed: nobody but us writes here.
                let before = Word::from_raw(slot.load(Ordering::Relaxed));
                if before != word && !(stays && before.is_unwritten()) {
                    // Release pairs with the Acquire in `enter`.
                    slot.store(word.raw(), Ordering::Release);
                    stored += 1;
                }
            }
        }
        stored
    }
}
