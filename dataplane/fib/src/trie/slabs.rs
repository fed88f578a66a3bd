//! Which blocks of the arena are free; the writer's.
//!
//! A slab holds blocks of one size, so that what is given back fits what is taken next, and a
//! slab without blocks gives its memory back. Blocks of up to 64 bytes never cross a cache line.
#![allow(unsafe_code)] // it says when a block may be written again

use std::collections::BTreeSet;

use super::arena::{Arena, SLAB, SLABS, UNIT_BYTES};
use crate::FibError;

/// The sizes of blocks, in units.
const SIZES: [u32; 7] = [2, 4, 8, 16, 24, 32, 40];

/// How many units may be used before routes are refused. One change can renew every block of a
/// table while readers hold the old ones, and the new ones may be larger.
const LIMIT: u32 = if cfg!(any(loom, miri)) {
    SLAB * SLABS
} else {
    SLAB * SLABS / 4
};

/// The class of a block that has so many words beside its head.
fn class(words: usize) -> usize {
    let units = 1 + words.div_ceil(2) as u32;
    SIZES
        .iter()
        .position(|&size| size >= units)
        .expect("a node has 64 slots at most")
}

/// How many bytes a block of so many words takes.
pub(super) fn block_bytes(words: usize) -> usize {
    SIZES[class(words)] as usize * UNIT_BYTES
}

/// One slab: a bit for each block that is free.
struct Slab {
    class: usize,
    free: Box<[u64]>,
    count: u32,
}

impl Slab {
    fn new(class: usize) -> Self {
        let count = SLAB / SIZES[class];
        let mut free = vec![u64::MAX; count.div_ceil(64) as usize];
        if !count.is_multiple_of(64) {
            *free.last_mut().expect("there is one") = (1 << (count % 64)) - 1;
        }
        Self {
            class,
            free: free.into(),
            count,
        }
    }

    fn is_empty(&self) -> bool {
        self.count == SLAB / SIZES[self.class]
    }

    /// The lowest block that is free.
    fn take(&mut self) -> u32 {
        let word = self.free.iter().position(|&word| word != 0);
        let word = word.expect("a roomy slab has a free block");
        let bit = self.free[word].trailing_zeros();
        self.free[word] &= self.free[word] - 1;
        self.count -= 1;
        word as u32 * 64 + bit
    }

    fn give_back(&mut self, block: u32) {
        let (word, bit) = (block as usize / 64, block % 64);
        debug_assert_eq!(self.free[word] & 1 << bit, 0, "block {block} was free");
        self.free[word] |= 1 << bit;
        self.count += 1;
    }
}

/// All slabs, and which of them have room.
pub(crate) struct Slabs {
    slabs: Vec<Option<Slab>>,
    /// Slabs with free blocks, by class; the lowest is used first, so that high ones empty.
    roomy: [BTreeSet<u32>; SIZES.len()],
    /// Slabs without memory, below `slabs.len()`.
    gaps: BTreeSet<u32>,
    blocks: usize,
    units: u32,
}

impl Slabs {
    pub(super) fn new() -> Self {
        Self {
            slabs: Vec::new(),
            roomy: Default::default(),
            gaps: BTreeSet::new(),
            blocks: 0,
            units: 0,
        }
    }

    /// Checks that a route which needs so many nodes more can be had.
    pub(super) fn ensure(&self, nodes: usize) -> Result<(), FibError> {
        if self.units + nodes as u32 * SIZES[0] <= LIMIT {
            Ok(())
        } else {
            Err(FibError::NodesExhausted(LIMIT as usize * UNIT_BYTES))
        }
    }

    /// Takes a block with room for so many words; returns its unit.
    ///
    /// # Panics
    /// If no addresses are left, which [`ensure`](Self::ensure) rules out.
    pub(super) fn take(&mut self, arena: &Arena, words: usize) -> u32 {
        let class = class(words);
        let number = match self.roomy[class].first() {
            Some(&number) => number,
            None => self.add(arena, class),
        };
        let slab = self.slabs[number as usize].as_mut().expect("it has room");
        let block = slab.take();
        if slab.count == 0 {
            self.roomy[class].remove(&number);
        }
        self.blocks += 1;
        self.units += SIZES[class];
        number * SLAB + block * SIZES[class]
    }

    fn add(&mut self, arena: &Arena, class: usize) -> u32 {
        let number = self.gaps.pop_first().unwrap_or_else(|| {
            let number = self.slabs.len() as u32;
            assert!(number < SLABS, "routes are refused before that");
            self.slabs.push(None);
            arena.grow(number + 1);
            number
        });
        self.slabs[number as usize] = Some(Slab::new(class));
        self.roomy[class].insert(number);
        number
    }

    /// Gives a block back, and the memory of its slab if that is empty and not the only one of
    /// its class with room.
    ///
    /// # Safety
    /// No word leads to the block, and a grace period has passed since one did: what is taken next
    /// is written there.
    pub(super) unsafe fn give_back(&mut self, arena: &Arena, unit: u32) {
        let number = unit / SLAB;
        let slab = &mut self.slabs[number as usize];
        let slab = slab.as_mut().expect("the block was taken");
        let (class, size) = (slab.class, SIZES[slab.class]);
        slab.give_back(unit % SLAB / size);
        self.blocks -= 1;
        self.units -= size;
        let empty = slab.is_empty();
        self.roomy[class].insert(number);
        if self.blocks == 0 {
            for number in self.roomy.each_mut().into_iter().flat_map(std::mem::take) {
                Self::drop_slab(&mut self.slabs, &mut self.gaps, arena, number);
            }
        } else if empty && self.roomy[class].len() > 1 {
            self.roomy[class].remove(&number);
            Self::drop_slab(&mut self.slabs, &mut self.gaps, arena, number);
        }
    }

    fn drop_slab(slabs: &mut [Option<Slab>], gaps: &mut BTreeSet<u32>, arena: &Arena, number: u32) {
        slabs[number as usize] = None;
        gaps.insert(number);
        arena.release(number);
    }

    /// Blocks in use, those included that wait for a grace period.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes of all slabs that have memory.
    pub(crate) fn bytes(&self) -> usize {
        (self.slabs.len() - self.gaps.len()) * SLAB as usize * UNIT_BYTES
    }
}

#[cfg(all(test, not(any(loom, miri))))]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_stay_within_a_cache_line() {
        let (arena, mut slabs) = (Arena::new(), Slabs::new());
        for words in [1, 2, 3, 6, 7, 14] {
            for _ in 0..5000 {
                let first = slabs.take(&arena, words) as usize * UNIT_BYTES;
                let last = first + 8 + 4 * words - 1;
                assert_eq!(first / 64, last / 64, "{words} words");
            }
        }
        assert_eq!(
            [2, 3, 6, 7, 14, 15, 64].map(block_bytes),
            [16, 32, 32, 64, 64, 128, 320]
        );
    }

    #[test]
    fn blocks_do_not_overlap_and_memory_comes_back() {
        let (arena, mut slabs) = (Arena::new(), Slabs::new());
        let mut taken = Vec::new();
        for turn in 0..20_000 {
            let words = 1 + turn * 7 % 64;
            let unit = slabs.take(&arena, words);
            taken.push((unit, unit + block_bytes(words) as u32 / UNIT_BYTES as u32));
        }
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let full = slabs.bytes();
        let half = taken.split_off(10_000);
        // SAFETY: nobody reads here.
        let give_back = |slabs: &mut Slabs, unit| unsafe { slabs.give_back(&arena, unit) };
        half.iter()
            .for_each(|&(unit, _)| give_back(&mut slabs, unit));
        assert!(
            slabs.bytes() < full * 11 / 20,
            "{} of {full}",
            slabs.bytes()
        );
        taken
            .iter()
            .for_each(|&(unit, _)| give_back(&mut slabs, unit));
        assert_eq!((slabs.bytes(), slabs.blocks()), (0, 0));
    }
}
