//! Lookups of many addresses at once, and which instructions they use.
#![allow(unsafe_code)] // blocks are found by number; code for certain CPUs

use std::fmt;

use super::arena::Arena;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
use super::avx512;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
use super::key::Family;
use super::key::{Address, NODE_BITS};
use super::lookup::one;
use super::root::Root;
use super::word::Word;
use crate::NexthopIndex;

/// How many lookups are in flight at once: a burst.
pub const BURST: usize = 64;

/// Which instructions [`lookup_bulk`](crate::Fib::lookup_bulk) uses. The answers are the same.
///
/// ```
/// use ironlane_fib::LookupPath;
///
/// assert!(LookupPath::Plain.is_available());
/// assert!(LookupPath::best().is_available());
/// assert_eq!(LookupPath::Avx512.to_string(), "avx512");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LookupPath {
    /// What every CPU of the architecture has.
    Plain,
    /// Counts bits and shifts with an instruction each: POPCNT, BMI1, BMI2 (x86-64-v3).
    Bmi2,
    /// Sixteen addresses at a time: AVX-512 F, BW, DQ, VL, VPOPCNTDQ, VBMI2.
    Avx512,
}

impl LookupPath {
    /// All of them, the best last.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Bmi2, Self::Avx512];

    /// The name: in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Bmi2 => "bmi2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
        match self {
            Self::Plain => true,
            Self::Bmi2 => {
                is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
            }
            Self::Avx512 => {
                Self::Bmi2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vpopcntdq")
                    && is_x86_feature_detected!("avx512vbmi2")
            }
        }
        #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
        {
            self == Self::Plain
        }
    }

    /// The fastest that this CPU has. A CPU that has one has those before it as well.
    pub fn fastest() -> Self {
        let mut available = Self::ALL.into_iter().filter(|path| path.is_available());
        available.next_back().unwrap_or(Self::Plain)
    }

    /// How many lanes to look up for so many addresses, where more do no harm: full registers, unless more than a
    /// quarter of them would be in vain.
    #[inline]
    pub(super) fn lanes(self, count: usize) -> usize {
        let full = count.next_multiple_of(16);
        match self {
            Self::Avx512 if (full - count) * 4 <= full => full,
            _ => count,
        }
    }

    /// What is taken unasked: the fastest; or that which the variable `IRONLANE_LOOKUP` of the
    /// environment names, if the CPU has that.
    pub fn best() -> Self {
        let wanted = std::env::var("IRONLANE_LOOKUP");
        let mut available = Self::ALL.into_iter().filter(|path| path.is_available());
        let wanted = available.find(|path| wanted.as_deref() == Ok(path.name()));
        wanted.unwrap_or_else(Self::fastest)
    }
}

impl fmt::Display for LookupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Looks up addresses by a path; where the CPU lacks it, by the plain one.
///
/// # Safety
/// Called under a guard that protects the tables to which root and arena belong; as many answers
/// as addresses.
#[inline]
pub(super) unsafe fn lookup<K: Address>(
    path: LookupPath,
    root: &Root,
    arena: &Arena,
    addresses: &[K],
    answers: &mut [NexthopIndex],
) {
    for (addresses, answers) in addresses.chunks(BURST).zip(answers.chunks_mut(BURST)) {
        match path {
            #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
            // SAFETY: by our contract; whoever names this path has asked for it (`Trie` at its
            // making, `Fib::lookup_bulk_by` at the call); at most BURST addresses.
            LookupPath::Avx512 => unsafe {
                match K::family(addresses) {
                    Family::Ip4(addresses) => avx512::ip4(root, arena, addresses, answers),
                    Family::Ip6(addresses) => avx512::ip6(root, arena, addresses, answers),
                }
            },
            #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
            // SAFETY: as above.
            LookupPath::Bmi2 => unsafe { bmi2(root, arena, addresses, answers) },
            // SAFETY: by our contract.
            _ => unsafe { plain(root, arena, addresses, answers) },
        }
    }
}

/// # Safety
/// As of [`plain`], and the CPU has the instructions.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn bmi2<K: Address>(
    root: &Root,
    arena: &Arena,
    addresses: &[K],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe { plain(root, arena, addresses, answers) }
}

/// Takes all lanes down a level before the next, and asks for the cache lines of a level before
/// it looks at the first. Which lanes go on cannot be guessed, so that is computed, not branched.
///
/// # Safety
/// Called under a guard that protects the tables; at most [`BURST`] addresses, as many answers.
#[inline(always)]
unsafe fn plain<K: Address>(
    root: &Root,
    arena: &Arena,
    addresses: &[K],
    answers: &mut [NexthopIndex],
) {
    let mut lanes = Lanes::new(0, 0);
    for (lane, &address) in addresses.iter().enumerate() {
        let (word, bits) = root.enter(address);
        lanes.words[lane % BURST] = word;
        lanes.keys[lane % BURST] = address.behind(bits).top();
    }
    for lane in 0..addresses.len() {
        let word = lanes.words[lane % BURST];
        prefetch(arena, word);
        lanes.live[lanes.count % BURST] = lane as u8;
        lanes.count += usize::from(word.is_node());
    }
    // SAFETY: by our contract; the words were loaded under its guard.
    unsafe {
        match root.shape().flat {
            true => lanes.descend::<K, true>(root, arena, addresses),
            false => lanes.descend::<K, false>(root, arena, addresses),
        }
        lanes.answer(root, arena, addresses, answers);
    }
}

/// Addresses on their way down, one in a lane.
pub(super) struct Lanes {
    /// What each has found.
    words: [Word; BURST],
    /// What is behind the bits that led there, left-aligned.
    keys: [u64; BURST],
    /// Those whose word leads to a branching block; so many.
    live: [u8; BURST],
    count: usize,
    /// How many levels below the root they are.
    level: u32,
}

impl Lanes {
    /// Lanes so many levels below the root, `count` of them live.
    #[inline(always)]
    pub(super) fn new(level: u32, count: usize) -> Self {
        Self {
            words: [Word::NONE; BURST],
            keys: [0; BURST],
            live: [0; BURST],
            count,
            level,
        }
    }

    /// Where the words and keys of 64 lanes are to be written, and which are live.
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    #[inline(always)]
    pub(super) fn places(&mut self) -> (*mut i32, *mut i64, *mut i8) {
        (
            self.words.as_mut_ptr().cast(),
            self.keys.as_mut_ptr().cast(),
            self.live.as_mut_ptr().cast(),
        )
    }

    /// Takes all live lanes down to where they end. Lanes that end at a block that compares keep
    /// the word that leads there.
    ///
    /// # Safety
    /// Called under a guard that protects the tables; the words of the live lanes were loaded
    /// under it, so many levels below the root, by these addresses. `FLAT` says whether blocks are.
    #[inline(always)]
    pub(super) unsafe fn descend<K: Address, const FLAT: bool>(
        &mut self,
        root: &Root,
        arena: &Arena,
        addresses: &[K],
    ) {
        while self.count > 0 {
            if self.level > 0 && self.level.is_multiple_of(WINDOW) {
                // The keys have no more bits for a level: they get those that follow.
                for &lane in &self.live[..self.count] {
                    let address = addresses[usize::from(lane)];
                    let bits = address.enter(root.shape()).1 + self.level * NODE_BITS;
                    self.keys[usize::from(lane) % BURST] = address.behind(bits).top();
                }
            }
            self.level += 1;
            let mut deeper = 0;
            for turn in 0..self.count {
                // SAFETY: `live` has `count` lanes, each below BURST, and no lane twice; so `deeper`
                // is not beyond `turn`. The lane's word leads to a block and was loaded under the
                // guard of our contract; there is a word for each run, or for each slot.
                unsafe {
                    let lane = usize::from(*self.live.get_unchecked(turn));
                    let (found, key) = (
                        self.words.get_unchecked_mut(lane),
                        self.keys.get_unchecked_mut(lane),
                    );
                    let slot = *key >> (64 - NODE_BITS);
                    let place = if FLAT {
                        slot as usize
                    } else {
                        // The first slot begins a run, so that the count is 1 or more.
                        (arena.head(found.unit()) << (63 - slot)).count_ones() as usize - 1
                    };
                    let word = arena.word(found.unit(), place);
                    *found = word;
                    *key <<= NODE_BITS;
                    *self.live.get_unchecked_mut(deeper) = lane as u8;
                    deeper += usize::from(word.is_node());
                }
            }
            self.count = deeper;
        }
    }

    /// Writes what the lanes have found; those that ended at a block that compares are looked up
    /// one by one.
    ///
    /// # Safety
    /// As of [`descend`](Self::descend); as many answers as addresses.
    #[inline(always)]
    pub(super) unsafe fn answer<K: Address>(
        &self,
        root: &Root,
        arena: &Arena,
        addresses: &[K],
        answers: &mut [NexthopIndex],
    ) {
        let mut all_leaves = true;
        for (answer, word) in answers.iter_mut().zip(&self.words) {
            *answer = word.nexthop();
            all_leaves &= word.is_leaf();
        }
        if K::GUARDS && !all_leaves {
            let lanes = addresses.iter().zip(answers).zip(&self.words);
            for ((address, answer), _) in lanes.filter(|(_, word)| !word.is_leaf()) {
                // SAFETY: by our contract.
                *answer = unsafe { one(root, arena, *address) };
            }
        }
    }
}

/// For how many levels the bits of a key are enough: 40 of the first 64 of an IPv6 address are left
/// behind the root.
const WINDOW: u32 = 6;

/// Asks for the first cache line of a block, without waiting for it. For a leaf that of the arena's
/// own fields, which are at hand: whether it is one cannot be guessed, and a page without memory,
/// as an arena without blocks is, would be looked for in vain each time.
#[inline(always)]
fn prefetch(arena: &Arena, word: Word) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    // SAFETY: a prefetch is a hint; it neither faults nor changes anything.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let block = word.unit() as usize * super::arena::UNIT_BYTES;
        let block = arena.base().wrapping_add(block);
        let target = match word.is_leaf() {
            true => std::ptr::from_ref(arena).cast(),
            false => block,
        };
        _mm_prefetch::<_MM_HINT_T0>(target.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(miri, loom)))))]
    let _ = (arena, word);
}
