//! Where the blocks of all tables live: one range of addresses, so that a block is found by adding
//! 32 bits to a base, with memory behind those parts only that are in use.
#![allow(unsafe_code)] // blocks are found by number

pub(crate) use memory::Arena;

/// How many bytes a unit has, by which blocks are numbered.
pub(super) const UNIT_BYTES: usize = 8;

/// How many units a slab has, the piece in which memory comes and goes: 64 KiB.
#[cfg(not(any(loom, miri)))]
pub(super) const SLAB: u32 = 8192;
#[cfg(any(loom, miri))]
pub(super) const SLAB: u32 = 16;

/// How many slabs there may be: 4 GiB of blocks.
#[cfg(not(any(loom, miri)))]
pub(super) const SLABS: u32 = 1 << 16;
#[cfg(any(loom, miri))]
pub(super) const SLABS: u32 = 3;

#[cfg(not(any(loom, miri)))]
mod memory {
    use std::fmt;
    use std::ptr::NonNull;

    use ironlane_rcu::primitive::{AtomicU32, AtomicU64, Ordering};

    use super::super::word::Word;
    use super::{SLAB, SLABS, UNIT_BYTES};

    const SLAB_BYTES: usize = SLAB as usize * UNIT_BYTES;

    /// How much becomes accessible at a time, and how the range is aligned: a huge page.
    const STEP: usize = 2 << 20;

    /// The blocks of all tables, as readers see them.
    pub(crate) struct Arena {
        base: NonNull<u8>,
        mapped: NonNull<libc::c_void>,
        mapped_bytes: usize,
    }

    // SAFETY: the memory is accessed as atomics only.
    unsafe impl Send for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    impl Arena {
        /// Reserves addresses, and no memory yet.
        pub(crate) fn new() -> Self {
            let mapped_bytes = SLABS as usize * SLAB_BYTES + STEP;
            // SAFETY: a new mapping at a place that the kernel chooses.
            let mapped = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    mapped_bytes,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                    0,
                )
            };
            assert!(
                mapped != libc::MAP_FAILED,
                "cannot reserve {mapped_bytes} bytes of addresses (no memory) for the forwarding \
                 tables; raise the limit of the address space (ulimit -v)"
            );
            let mapped = NonNull::new(mapped).expect("the kernel maps nothing at 0");
            let skip = mapped.align_offset(STEP);
            // SAFETY: `skip` is below STEP, by which the mapping is larger than the slabs.
            let base = unsafe { mapped.cast::<u8>().byte_add(skip) };
            Self {
                base,
                mapped,
                mapped_bytes,
            }
        }

        /// Where unit 0 is.
        #[inline(always)]
        pub(in crate::trie) fn base(&self) -> *const u8 {
            self.base.as_ptr()
        }

        /// The first word of a block: which slots begin a run, or what it compares.
        ///
        /// # Safety
        /// A block begins at the unit: the number was loaded from a root or a block under a guard
        /// that is still held and that protects the tables; or the caller is their writer and has
        /// not given the block back.
        #[inline(always)]
        pub(in crate::trie) unsafe fn head(&self, unit: u32) -> u64 {
            // SAFETY: by our contract; units are aligned to 8 bytes.
            let head = unsafe { &*self.at(unit).cast::<AtomicU64>() };
            // Relaxed: written before the word that leads here was stored with Release, and that
            // was loaded with Acquire. It changes only when the block is another.
            head.load(Ordering::Relaxed)
        }

        /// # Safety
        /// As of [`head`](Self::head); and the block has more than `place` words.
        #[inline(always)]
        pub(in crate::trie) unsafe fn word(&self, unit: u32, place: usize) -> Word {
            // SAFETY: by our contract.
            let word = unsafe { self.atomic(unit, place) };
            // Acquire pairs with the Release in `store` and `fill`: the block that it leads to is
            // complete, and so is the nexthop's slot that a leaf points at.
            Word::from_raw(word.load(Ordering::Acquire))
        }

        /// Changes one word of a block that readers may see.
        ///
        /// # Safety
        /// As of [`word`](Self::word), by the writer.
        pub(in crate::trie) unsafe fn store(&self, unit: u32, place: usize, word: Word) {
            // SAFETY: by our contract. Release pairs with the Acquire in `word`.
            unsafe { self.atomic(unit, place) }.store(word.raw(), Ordering::Release);
        }

        /// Fills a block that no reader can see.
        ///
        /// # Safety
        /// The writer has taken the block, with room for so many words, and it is not published.
        pub(in crate::trie) unsafe fn fill(&self, unit: u32, head: u64, words: &[Word]) {
            // SAFETY: by our contract.
            let first = unsafe { &*self.at(unit).cast::<AtomicU64>() };
            // Relaxed: what is stored with Release afterwards, a word that leads here, orders it.
            first.store(head, Ordering::Relaxed);
            for (place, word) in words.iter().enumerate() {
                // SAFETY: by our contract. Relaxed: as above; the blocks below were filled
                // before by this thread, and are ordered by the same store.
                unsafe { self.atomic(unit, place) }.store(word.raw(), Ordering::Relaxed);
            }
        }

        /// Puts memory behind the slabs below `end`, those included that have some.
        pub(in crate::trie) fn grow(&self, end: u32) {
            let bytes = (end as usize * SLAB_BYTES).next_multiple_of(STEP);
            assert!(bytes <= SLABS as usize * SLAB_BYTES);
            let start = self.base.as_ptr().cast();
            // SAFETY: within our mapping; it gives access and takes none. The advice is a hint,
            // and may fail where the kernel knows no huge pages.
            let done = unsafe {
                let done = libc::mprotect(start, bytes, libc::PROT_READ | libc::PROT_WRITE);
                libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
                done
            };
            assert!(
                done == 0,
                "no memory for {bytes} bytes of forwarding tables"
            );
        }

        /// Gives the memory of a slab back to the system.
        pub(in crate::trie) fn release(&self, slab: u32) {
            // SAFETY: within our mapping; no block in the slab is used, so nobody misses what
            // was written there. Where it fails (locked pages), the memory stays ours.
            unsafe {
                let start = self.base.as_ptr().add(slab as usize * SLAB_BYTES);
                libc::madvise(start.cast(), SLAB_BYTES, libc::MADV_DONTNEED);
            }
        }

        #[inline(always)]
        fn at(&self, unit: u32) -> *const u8 {
            self.base.as_ptr().wrapping_add(unit as usize * UNIT_BYTES)
        }

        /// # Safety
        /// As of [`word`](Self::word), or the block is the writer's.
        #[inline(always)]
        unsafe fn atomic(&self, unit: u32, place: usize) -> &AtomicU32 {
            // SAFETY: by our contract; words follow the head.
            unsafe { &*self.at(unit).cast::<AtomicU32>().add(2 + place) }
        }
    }

    impl Drop for Arena {
        fn drop(&mut self) {
            // SAFETY: our mapping; references borrow `self`, so none is left.
            unsafe { libc::munmap(self.mapped.as_ptr(), self.mapped_bytes) };
        }
    }

    impl fmt::Debug for Arena {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Arena").finish_non_exhaustive()
        }
    }
}

/// The same of atomics that the model checker watches. It has them by type, so heads and words
/// are apart.
#[cfg(any(loom, miri))]
mod memory {
    use ironlane_rcu::primitive::{AtomicU32, AtomicU64, Ordering};

    use super::super::word::Word;
    use super::{SLAB, SLABS};

    const UNITS: u32 = SLAB * SLABS;

    #[derive(Debug)]
    pub(crate) struct Arena {
        heads: Vec<AtomicU64>,
        words: Vec<AtomicU32>,
    }

    impl Arena {
        pub(crate) fn new() -> Self {
            Self {
                heads: (0..UNITS / 2).map(|_| AtomicU64::new(0)).collect(),
                words: (0..2 * UNITS).map(|_| AtomicU32::new(0)).collect(),
            }
        }

        /// # Safety
        /// None is needed: unsafe as the one that it stands in for is.
        pub(in crate::trie) unsafe fn head(&self, unit: u32) -> u64 {
            self.heads[unit as usize / 2].load(Ordering::Relaxed)
        }

        /// # Safety
        /// None is needed: unsafe as the one that it stands in for is.
        pub(in crate::trie) unsafe fn word(&self, unit: u32, place: usize) -> Word {
            Word::from_raw(self.words[2 * unit as usize + 2 + place].load(Ordering::Acquire))
        }

        /// # Safety
        /// None is needed: unsafe as the one that it stands in for is.
        pub(in crate::trie) unsafe fn store(&self, unit: u32, place: usize, word: Word) {
            self.words[2 * unit as usize + 2 + place].store(word.raw(), Ordering::Release);
        }

        /// # Safety
        /// None is needed: unsafe as the one that it stands in for is.
        pub(in crate::trie) unsafe fn fill(&self, unit: u32, head: u64, words: &[Word]) {
            self.heads[unit as usize / 2].store(head, Ordering::Relaxed);
            for (place, word) in words.iter().enumerate() {
                self.words[2 * unit as usize + 2 + place].store(word.raw(), Ordering::Relaxed);
            }
        }

        pub(in crate::trie) fn grow(&self, _end: u32) {}

        pub(in crate::trie) fn release(&self, _slab: u32) {}
    }
}
