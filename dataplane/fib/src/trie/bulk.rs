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
const LANES: usize = 64;

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
    /// Eight or sixteen addresses at a time: AVX-512 F, BW, DQ, VL, VPOPCNTDQ.
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
    for (addresses, answers) in addresses.chunks(LANES).zip(answers.chunks_mut(LANES)) {
        match path {
            #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
            // SAFETY: by our contract; whoever names this path has asked for it (`Trie` at its
            // making, `Fib::lookup_bulk_by` at the call); at most LANES addresses.
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
/// Called under a guard that protects the tables; at most [`LANES`] addresses, as many answers.
#[inline(always)]
unsafe fn plain<K: Address>(
    root: &Root,
    arena: &Arena,
    addresses: &[K],
    answers: &mut [NexthopIndex],
) {
    let mut words = [Word::NONE; LANES];
    let mut keys = [0u64; LANES];
    let mut lanes = [0u8; LANES];
    for (lane, &address) in addresses.iter().enumerate() {
        let (word, bits) = root.enter(address);
        words[lane % LANES] = word;
        keys[lane % LANES] = address.behind(bits).top();
    }
    let mut live = 0;
    for lane in 0..addresses.len() {
        let word = words[lane % LANES];
        prefetch(arena, word);
        lanes[live % LANES] = lane as u8;
        live += usize::from(word.is_node());
    }
    let mut level = 0;
    while live > 0 {
        if level > 0 && level % WINDOW == 0 {
            // The keys have no more bits for a level: they get those that follow.
            for &lane in &lanes[..live] {
                let address = addresses[usize::from(lane)];
                let bits = address.enter(root.shape()).1 + level * NODE_BITS;
                keys[usize::from(lane) % LANES] = address.behind(bits).top();
            }
        }
        level += 1;
        let mut deeper = 0;
        for turn in 0..live {
            let lane = usize::from(lanes[turn % LANES]) % LANES;
            let (unit, key) = (words[lane].unit(), keys[lane]);
            // SAFETY: the word leads to a block and was loaded under the guard of our contract.
            let head = unsafe { arena.head(unit) };
            let run = (head << (63 - (key >> (64 - NODE_BITS)))).count_ones();
            // SAFETY: as above; there is a word for each run, and the first slot begins one.
            let word = unsafe { arena.word(unit, run as usize - 1) };
            prefetch(arena, word);
            words[lane] = word;
            keys[lane] = key << NODE_BITS;
            lanes[deeper % LANES] = lane as u8;
            deeper += usize::from(word.is_node());
        }
        live = deeper;
    }
    for (answer, word) in answers.iter_mut().zip(words) {
        *answer = word.nexthop();
    }
    if K::GUARDS {
        // SAFETY: by our contract.
        unsafe {
            finish(
                root,
                arena,
                addresses,
                answers,
                words.map(|word| word.is_leaf()),
            )
        };
    }
}

/// For how many levels the bits of a key are enough: 40 of the first 64 of an IPv6 address are left
/// behind the root.
const WINDOW: u32 = 6;

/// Looks up those addresses one by one whose lane has ended at a block that compares.
///
/// # Safety
/// As of [`plain`].
#[inline(always)]
unsafe fn finish<K: Address>(
    root: &Root,
    arena: &Arena,
    addresses: &[K],
    answers: &mut [NexthopIndex],
    done: [bool; LANES],
) {
    if done == [true; LANES] {
        return;
    }
    for ((address, answer), done) in addresses.iter().zip(answers).zip(done) {
        if !done {
            // SAFETY: by our contract.
            *answer = unsafe { one(root, arena, *address) };
        }
    }
}

/// Asks for the first cache line of a block, without waiting for it. For a leaf that of some
/// block: whether it is one cannot be guessed.
#[inline(always)]
fn prefetch(arena: &Arena, word: Word) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    // SAFETY: a prefetch is a hint; it neither faults nor changes anything.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let used = usize::from(!word.is_leaf());
        let offset = word.unit() as usize * used * super::arena::UNIT_BYTES;
        _mm_prefetch::<_MM_HINT_T0>(arena.base().wrapping_add(offset).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(miri, loom)))))]
    let _ = (arena, word);
}
