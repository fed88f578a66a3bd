//! The words of a root: memory that the system provides page by page, where something is written.
#![allow(unsafe_code)] // words are found without asking if they exist

use ironlane_rcu::primitive::{AtomicU32, AtomicU64, Ordering};

pub(super) use memory::Words;

/// How many words a page has.
#[cfg(not(any(loom, miri)))]
pub(super) const PAGE: usize = 1024;
#[cfg(any(loom, miri))]
pub(super) const PAGE: usize = 4;

/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = PAGE * size_of::<u32>();

/// Which pages were written to. The writer marks a page before it writes there.
pub(super) struct Marks {
    marks: Box<[AtomicU64]>,
    count: AtomicU64,
}

impl Marks {
    /// No page of so many words.
    pub(super) fn new(words: usize) -> Self {
        let pages = words.div_ceil(PAGE);
        let none = |_| AtomicU64::new(0);
        Self {
            marks: (0..pages.div_ceil(64)).map(none).collect(),
            count: AtomicU64::new(0),
        }
    }

    /// Whether the page of a word was written to.
    pub(super) fn has(&self, word: usize) -> bool {
        let page = word / PAGE;
        // Acquire pairs with the Release in `set`. Who sees no mark knows that no word of the page
        // was written before.
        self.marks[page / 64].load(Ordering::Acquire) >> (page % 64) & 1 != 0
    }

    /// Marks the page of a word, which has no mark; the writer's.
    pub(super) fn set(&self, word: usize) {
        let page = word / PAGE;
        let mark = &self.marks[page / 64];
        // Relaxed, here and below: nobody but us writes here. Release pairs with the Acquire in
        // `has`.
        let before = mark.load(Ordering::Relaxed);
        mark.store(before | 1 << (page % 64), Ordering::Release);
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Relaxed);
    }

    /// How many pages were written to.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed) as usize // the writer asks, who counts
    }
}

/// By how many bits of an address a root is cut into regions.
pub(super) const REGION_BITS: u32 = 9;

/// Which regions of a root were written to: a bit for each, all of them one register of a CPU. Who
/// finds no bit need not look at the words, each of which may be in a page of its own. The writer sets a
/// bit before it writes there.
#[repr(align(64))]
pub(super) struct Regions([AtomicU32; 1 << (REGION_BITS - 5)]);

impl Regions {
    /// No region, or all of them.
    pub(super) fn new(all: bool) -> Self {
        let word = if all { u32::MAX } else { 0 };
        Self(std::array::from_fn(|_| AtomicU32::new(word)))
    }

    /// Says that a region was written to; the writer's.
    pub(super) fn set(&self, region: usize) {
        let word = &self.0[region / 32];
        // Relaxed: nobody but us writes here. Release pairs with the loads of readers, which are in
        // order: who has seen a word of the region, or what came after, sees the bit.
        let before = word.load(Ordering::Relaxed);
        word.store(before | 1 << (region % 32), Ordering::Release);
    }

    /// The bits, as the first 32 of them.
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    #[inline(always)]
    pub(super) fn base(&self) -> *const u32 {
        self.0.as_ptr().cast()
    }
}

#[cfg(not(any(loom, miri)))]
mod memory {
    use std::ops::Deref;
    use std::ptr::NonNull;

    use super::AtomicU32;

    /// Words that begin as 0, in memory of their own.
    pub(in crate::trie) struct Words {
        first: NonNull<AtomicU32>,
        len: usize,
    }

    // SAFETY: the memory is accessed as atomics only.
    unsafe impl Send for Words {}
    // SAFETY: as above.
    unsafe impl Sync for Words {}

    impl Words {
        /// So many words. If most of them will never be written, small pages are asked for, else
        /// huge ones.
        ///
        /// # Panics
        /// If there is no room in the address space.
        pub(in crate::trie) fn new(len: usize, sparse: bool) -> Self {
            let bytes = len * size_of::<AtomicU32>();
            let advice = match sparse {
                true => libc::MADV_NOHUGEPAGE,
                false => libc::MADV_HUGEPAGE,
            };
            // SAFETY: a new mapping at a place that the kernel chooses. The advice is a hint, and
            // may fail where the kernel knows no huge pages.
            let mapped = unsafe {
                let mapped = libc::mmap(
                    std::ptr::null_mut(),
                    bytes,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                    0,
                );
                if mapped != libc::MAP_FAILED {
                    libc::madvise(mapped, bytes, advice);
                }
                mapped
            };
            assert!(
                mapped != libc::MAP_FAILED,
                "cannot map {bytes} bytes of addresses for a forwarding table; raise the limit of \
                 the address space (ulimit -v) or of memory that is promised (vm.overcommit_memory)"
            );
            let first = NonNull::new(mapped.cast()).expect("the kernel maps nothing at 0");
            Self { first, len }
        }
    }

    impl Deref for Words {
        type Target = [AtomicU32];

        #[inline(always)]
        fn deref(&self) -> &[AtomicU32] {
            // SAFETY: our mapping has so many words; it begins as zeros, which are valid.
            unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
        }
    }

    impl Drop for Words {
        fn drop(&mut self) {
            // SAFETY: our mapping; references borrow `self`, so none is left.
            unsafe { libc::munmap(self.first.as_ptr().cast(), size_of_val(&**self)) };
        }
    }
}

/// The same of atomics that the model checker watches.
#[cfg(any(loom, miri))]
mod memory {
    use std::ops::Deref;

    use super::AtomicU32;

    pub(in crate::trie) struct Words(Box<[AtomicU32]>);

    impl Words {
        pub(in crate::trie) fn new(len: usize, _sparse: bool) -> Self {
            Self((0..len).map(|_| AtomicU32::new(0)).collect())
        }
    }

    impl Deref for Words {
        type Target = [AtomicU32];

        fn deref(&self) -> &[AtomicU32] {
            &self.0
        }
    }
}
