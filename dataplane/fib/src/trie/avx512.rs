//! Lookups with AVX-512: sixteen addresses in a register, a burst of 64 in flight. Here are those of IPv4,
//! and what both families share.
#![allow(unsafe_code)] // code for certain CPUs; blocks are found by number

use std::arch::x86_64::*;

use super::arena::Arena;
use super::gather::{gather_heads, gather_words, row};
use super::root::Root;
use super::word::{CHILD, GUARD, LEAF};
use crate::NexthopIndex;

/// Does something for each register. Written out, since registers have no number at run time: a
/// loop would keep them in memory.
macro_rules! registers {
    ($n:ident < $count:ident, $do:block) => {
        registers!($n < $count, $do, 0 1 2 3)
    };
    ($n:ident < $count:ident, $do:block, $($number:literal)*) => {
        $(
            #[allow(clippy::absurd_extreme_comparisons)]
            if $number < $count {
                let $n = $number;
                $do
            }
        )*
    };
}

/// Looks addresses up by as many registers as they fill: `$lanes` takes 16 for each. Other numbers are padded, since
/// loads and stores of some lanes are slow where whole ones are not. Unsafe as `$lanes` is.
macro_rules! by_registers {
    ($lanes:ident, $flat:ident, $root:ident, $arena:ident, $addresses:ident, $answers:ident) => {
        match $addresses.len() {
            16 => $lanes::<1, $flat>($root, $arena, $addresses, $answers),
            32 => $lanes::<2, $flat>($root, $arena, $addresses, $answers),
            48 => $lanes::<3, $flat>($root, $arena, $addresses, $answers),
            64 => $lanes::<4, $flat>($root, $arena, $addresses, $answers),
            len => {
                let mut padded = [0; 64];
                padded[..len].copy_from_slice($addresses);
                let mut found = [NexthopIndex::NONE; 64];
                match len {
                    0..=16 => {
                        let (some, found) = (&padded[..16], &mut found[..16]);
                        $lanes::<1, $flat>($root, $arena, some, found);
                    }
                    _ => $lanes::<4, $flat>($root, $arena, &padded, &mut found),
                }
                $answers.copy_from_slice(&found[..len]);
            }
        }
    };
}

mod ip6;

pub(super) use ip6::ip6;

/// Addresses on their way down, sixteen in a register.
struct Down<const N: usize> {
    /// What each has found.
    words: [__m512i; N],
    /// The bits behind those that led there, left-aligned.
    keys: [__m512i; N],
    /// Those whose word leads to a branching block.
    live: [u16; N],
}

impl<const N: usize> Down<N> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        Self {
            words: [_mm512_setzero_si512(); N],
            keys: [_mm512_setzero_si512(); N],
            live: [0; N],
        }
    }

    /// Puts down what sixteen addresses have found at the root.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn enter(&mut self, n: usize, words: __m512i, keys: __m512i) {
        self.words[n] = words;
        self.keys[n] = keys;
        self.live[n] = branching(words);
    }

    /// The live lanes: a bit for each.
    #[inline]
    fn live(&self) -> u64 {
        let lanes = self.live.iter().rev();
        lanes.fold(0, |all, &live| all << 16 | u64::from(live))
    }

    /// Takes all live lanes a level down.
    ///
    /// # Safety
    /// Called under a guard that protects the tables to which the arena belongs; the words of the live lanes were
    /// loaded under it. `FLAT` says whether the blocks are.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
    unsafe fn step<const FLAT: bool>(&mut self, arena: &Arena) {
        let words_at = arena.base().cast::<u32>();
        // All heads before any word: a word waits for its head, and what waits takes the room in which the
        // CPU could ask for others.
        let mut heads = [[_mm512_setzero_si512(); 2]; N];
        if !FLAT {
            registers!(n < N, {
                let (live, unit) = (self.live[n], double(self.words[n]));
                // SAFETY: the lanes of the mask lead to blocks, loaded under the guard of our contract.
                heads[n] = unsafe {
                    [
                        gather_heads(live as u8, _mm512_castsi512_si256(unit), arena.base()),
                        gather_heads((live >> 8) as u8, upper(unit), arena.base()),
                    ]
                };
            });
        }
        registers!(n < N, {
            let slot = _mm512_srli_epi32::<26>(self.keys[n]);
            self.keys[n] = _mm512_slli_epi32::<6>(self.keys[n]);
            // The head is as long as two words.
            let (count, base) = if FLAT {
                (slot, words_at.wrapping_add(2))
            } else {
                // The first run is counted as 1.
                (runs_up_to(slot, heads[n]), words_at.wrapping_add(1))
            };
            let place = _mm512_add_epi32(double(self.words[n]), count);
            // SAFETY: a word for each run or each slot, in blocks that the lanes of the mask lead to, loaded under
            // the guard of our contract; the base is offset by what is before it.
            self.words[n] = unsafe { gather_words(self.words[n], self.live[n], place, base) };
            self.live[n] = branching(self.words[n]);
        });
    }

    /// Writes the answers of lanes that have ended at leaves.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn answer(&self, answers: &mut [NexthopIndex]) {
        assert_eq!(answers.len(), 16 * N);
        let target = answers.as_mut_ptr().cast::<i32>();
        registers!(n < N, {
            let leaf = _mm512_and_si512(self.words[n], _mm512_set1_epi32(LEAF as i32));
            // SAFETY: as many answers as addresses; an index is a transparent u32.
            unsafe { _mm512_storeu_epi32(target.wrapping_add(16 * n), leaf) };
        });
    }
}

/// Which words lead to branching blocks.
#[inline]
#[target_feature(enable = "avx512f")]
fn branching(words: __m512i) -> u16 {
    // They are below all others, as signed numbers.
    _mm512_cmplt_epi32_mask(words, _mm512_set1_epi32((CHILD | GUARD) as i32))
}

/// Of the bits that begin runs those up to the slot, counted.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vpopcntdq")]
fn runs_up_to(slot: __m512i, [low, high]: [__m512i; 2]) -> __m512i {
    let shift = _mm512_sub_epi32(_mm512_set1_epi32(63), slot);
    let low_shift = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(shift));
    let high_shift = _mm512_cvtepu32_epi64(upper(shift));
    let low = _mm512_popcnt_epi64(_mm512_sllv_epi64(low, low_shift));
    let high = _mm512_popcnt_epi64(_mm512_sllv_epi64(high, high_shift));
    _mm512_inserti64x4::<1>(
        _mm512_castsi256_si512(_mm512_cvtepi64_epi32(low)),
        _mm512_cvtepi64_epi32(high),
    )
}

/// Looks up IPv4 addresses.
///
/// # Safety
/// Called under a guard that protects the tables to which root and arena belong; at most 64
/// addresses, as many answers; the CPU has what
/// [`LookupPath::Avx512`](super::LookupPath::Avx512) names.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
pub(super) unsafe fn ip4(
    root: &Root,
    arena: &Arena,
    addresses: &[u32],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe {
        match root.shape().flat {
            true => ip4_any::<true>(root, arena, addresses, answers),
            false => ip4_any::<false>(root, arena, addresses, answers),
        }
    }
}

/// # Safety
/// As of [`ip4`], and `FLAT` says whether the blocks are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn ip4_any<const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u32],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe { by_registers!(ip4_lanes, FLAT, root, arena, addresses, answers) }
}

/// # Safety
/// As of [`ip4_any`], and there are `16 * N` addresses.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn ip4_lanes<const N: usize, const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u32],
    answers: &mut [NexthopIndex],
) {
    debug_assert!(addresses.len() == 16 * N);
    let source = addresses.as_ptr().cast::<i32>();
    let bits = root.shape().bits;
    let below = _mm_cvtsi32_si128(32 - bits as i32);
    let above = _mm_cvtsi32_si128(bits as i32);
    let default = _mm512_set1_epi32(root.default().raw() as i32);
    // SAFETY: sixteen words of bits.
    let regions = unsafe { row(root.regions()) };
    let mut down = Down::<N>::new();
    registers!(n < N, {
        // SAFETY: there are `16 * N` addresses.
        let address = unsafe { _mm512_loadu_epi32(source.wrapping_add(16 * n)) };
        let place = _mm512_srl_epi32(address, below);
        let marks = marks_of(regions, _mm512_srli_epi32::<23>(address));
        let written = _mm512_test_epi32_mask(marks, _mm512_set1_epi32(1));
        // SAFETY: places of the root, as of `Root::enter`.
        let words = unsafe { gather_words(_mm512_setzero_si512(), written, place, root.base()) };
        let unwritten = _mm512_testn_epi32_mask(words, words);
        let words = _mm512_mask_mov_epi32(words, unwritten, default);
        down.enter(n, words, _mm512_sll_epi32(address, above));
    });
    while down.live() != 0 {
        // SAFETY: loaded under the guard of our contract.
        unsafe { down.step::<FLAT>(arena) };
    }
    down.answer(answers);
}

/// Twice the unit that a word leads to: the bit that says "block" is shifted out.
#[inline]
#[target_feature(enable = "avx512f")]
fn double(word: __m512i) -> __m512i {
    _mm512_add_epi32(word, word)
}

/// Whether something was written to the regions whose numbers the low nine bits of lanes are: the
/// lowest bit says so.
#[inline]
#[target_feature(enable = "avx512f")]
fn marks_of(regions: __m512i, region: __m512i) -> __m512i {
    // The table is asked by four bits, and the rotation by five, whatever is above them.
    let bits = _mm512_permutexvar_epi32(_mm512_srli_epi32::<5>(region), regions);
    _mm512_rorv_epi32(bits, region)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn upper(lanes: __m512i) -> __m256i {
    _mm512_extracti64x4_epi64::<1>(lanes)
}
