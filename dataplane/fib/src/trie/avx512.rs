//! Lookups with AVX-512: sixteen IPv4 or eight IPv6 addresses in a register, a burst of 64 in
//! flight. As soon as many lanes of IPv6 have ended, the others go on one by one, since a gather
//! costs as much for some lanes as for all.
#![allow(unsafe_code)] // code for certain CPUs; blocks are found by number

use std::arch::x86_64::*;

use super::arena::Arena;
use super::bulk::{Lanes, WINDOW};
use super::gather::{gather_heads, gather_words, gather_words_8, row};
use super::lookup::one;
use super::root::Root;
use super::word::{CHILD, GUARD, LEAF};
use crate::NexthopIndex;

/// Does something for each register. Written out, since registers have no number at run time: a
/// loop would keep them in memory.
macro_rules! registers {
    ($n:ident < $count:ident, $do:block) => {
        registers!($n < $count, $do, 0 1 2 3 4 5 6 7)
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

/// With more live lanes than this in a register of eight, on average, it pays to take all of
/// them a level down at once.
const MANY: usize = 5;

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
        match addresses.len() {
            16 => ip4_lanes::<1>(root, arena, addresses, answers),
            32 => ip4_lanes::<2>(root, arena, addresses, answers),
            48 => ip4_lanes::<3>(root, arena, addresses, answers),
            64 => ip4_lanes::<4>(root, arena, addresses, answers),
            len => {
                // Loads and stores of some lanes are slow where whole ones are not.
                let mut padded = [0; 64];
                padded[..len].copy_from_slice(addresses);
                let mut found = [NexthopIndex::NONE; 64];
                match len {
                    0..=16 => {
                        let (some, found) = (&padded[..16], &mut found[..16]);
                        ip4_lanes::<1>(root, arena, some, found);
                    }
                    _ => ip4_lanes::<4>(root, arena, &padded, &mut found),
                }
                answers.copy_from_slice(&found[..len]);
            }
        }
    }
}

/// Looks up IPv6 addresses.
///
/// # Safety
/// As of [`ip4`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
pub(super) unsafe fn ip6(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe {
        match root.shape().flat {
            true => ip6_any::<true>(root, arena, addresses, answers),
            false => ip6_any::<false>(root, arena, addresses, answers),
        }
    }
}

/// # Safety
/// As of [`ip6`], and `FLAT` says whether the blocks are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn ip6_any<const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe {
        match addresses.len() {
            8 => ip6_lanes::<1, FLAT>(root, arena, addresses, answers),
            16 => ip6_lanes::<2, FLAT>(root, arena, addresses, answers),
            32 => ip6_lanes::<4, FLAT>(root, arena, addresses, answers),
            48 => ip6_lanes::<6, FLAT>(root, arena, addresses, answers),
            64 => ip6_lanes::<8, FLAT>(root, arena, addresses, answers),
            len => {
                // Loads and stores of some lanes are slow where whole ones are not.
                let mut padded = [0; 64];
                padded[..len].copy_from_slice(addresses);
                let mut found = [NexthopIndex::NONE; 64];
                match len {
                    0..=16 => {
                        let (some, found) = (&padded[..16], &mut found[..16]);
                        ip6_lanes::<2, FLAT>(root, arena, some, found);
                    }
                    _ => ip6_lanes::<8, FLAT>(root, arena, &padded, &mut found),
                }
                answers.copy_from_slice(&found[..len]);
            }
        }
    }
}

/// # Safety
/// As of [`ip4`], and there are `16 * N` addresses.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn ip4_lanes<const N: usize>(
    root: &Root,
    arena: &Arena,
    addresses: &[u32],
    answers: &mut [NexthopIndex],
) {
    debug_assert!(addresses.len() == 16 * N && answers.len() == 16 * N);
    let source = addresses.as_ptr().cast::<i32>();
    let bits = root.shape().bits;
    let below = _mm_cvtsi32_si128(32 - bits as i32);
    let above = _mm_cvtsi32_si128(bits as i32);
    let default = _mm512_set1_epi32(root.default().raw() as i32);
    // SAFETY: sixteen words of bits.
    let regions = unsafe { row(root.regions()) };
    let mut words = [_mm512_setzero_si512(); N];
    let mut keys = [_mm512_setzero_si512(); N];
    let mut live = [0u16; N];
    let mut any = 0;
    registers!(n < N, {
        // SAFETY: there are `16 * N` addresses.
        let address = unsafe { _mm512_loadu_epi32(source.wrapping_add(16 * n)) };
        let place = _mm512_srl_epi32(address, below);
        let marks = marks_of(regions, _mm512_srli_epi32::<23>(address));
        let written = _mm512_test_epi32_mask(marks, _mm512_set1_epi32(1));
        // SAFETY: places of the root, as of `Root::enter`.
        words[n] = unsafe { gather_words(_mm512_setzero_si512(), written, place, root.base()) };
        let unwritten = _mm512_testn_epi32_mask(words[n], words[n]);
        words[n] = _mm512_mask_mov_epi32(words[n], unwritten, default);
        keys[n] = _mm512_sll_epi32(address, above);
        live[n] = _mm512_movepi32_mask(words[n]);
        any |= live[n];
    });
    while any != 0 {
        any = 0;
        // All heads before any word: a word waits for its head, and what waits takes the room in which the
        // CPU could ask for others.
        let mut heads = [[_mm512_setzero_si512(); 2]; N];
        registers!(n < N, {
            let unit = double(words[n]);
            // SAFETY: the lanes of the mask lead to blocks, loaded under the guard of our contract.
            heads[n] = unsafe {
                [
                    gather_heads(live[n] as u8, _mm512_castsi512_si256(unit), arena.base()),
                    gather_heads((live[n] >> 8) as u8, upper(unit), arena.base()),
                ]
            };
        });
        registers!(n < N, {
            // Of the bits that begin runs those up to the slot, counted.
            let [low, high] = heads[n];
            let slot = _mm512_srli_epi32::<26>(keys[n]);
            let shift = _mm512_sub_epi32(_mm512_set1_epi32(63), slot);
            keys[n] = _mm512_slli_epi32::<6>(keys[n]);
            let low_shift = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(shift));
            let high_shift = _mm512_cvtepu32_epi64(upper(shift));
            let low = _mm512_popcnt_epi64(_mm512_sllv_epi64(low, low_shift));
            let high = _mm512_popcnt_epi64(_mm512_sllv_epi64(high, high_shift));
            let count = _mm512_inserti64x4::<1>(
                _mm512_castsi256_si512(_mm512_cvtepi64_epi32(low)),
                _mm512_cvtepi64_epi32(high),
            );
            // The head is as long as two words; the first run is counted as 1.
            let place = _mm512_add_epi32(double(words[n]), count);
            // SAFETY: a word for each run, in the same blocks; offset by one word.
            words[n] = unsafe {
                gather_words(
                    words[n],
                    live[n],
                    place,
                    arena.base().cast::<u32>().wrapping_add(1),
                )
            };
            live[n] = _mm512_movepi32_mask(words[n]);
            any |= live[n];
        });
    }
    let target = answers.as_mut_ptr().cast::<i32>();
    for (n, word) in words.into_iter().enumerate() {
        let leaf = _mm512_and_si512(word, _mm512_set1_epi32(LEAF as i32));
        // SAFETY: as many answers as addresses; an index is a transparent u32.
        unsafe { _mm512_storeu_epi32(target.wrapping_add(16 * n), leaf) };
    }
}

/// Twice the unit that a word leads to: the bit that says "block" is shifted out.
#[inline]
#[target_feature(enable = "avx512f")]
fn double(word: __m512i) -> __m512i {
    _mm512_add_epi32(word, word)
}

/// # Safety
/// As of [`ip6_any`], and there are `8 * N` addresses.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn ip6_lanes<const N: usize, const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    debug_assert!(addresses.len() == 8 * N && answers.len() == 8 * N);
    let source = addresses.as_ptr().cast::<i64>();
    let shape = root.shape();
    // Where the first three bits say so, the root has resolved more bits, in its second part.
    let main_top = _mm256_set1_epi32(if shape.main_bits == 0 { -1 } else { 1 });
    let main_above = _mm512_set1_epi64(i64::from(shape.main_bits));
    let main_below = _mm_cvtsi32_si128(35 - shape.main_bits as i32);
    let main_first = _mm256_set1_epi32(1 << shape.bits);
    let above = _mm512_set1_epi64(i64::from(shape.bits));
    let below = _mm_cvtsi32_si128(32 - shape.bits as i32);
    // Words that lead to branching blocks are below these, as signed numbers.
    let guards = _mm256_set1_epi32((CHILD | GUARD) as i32);
    let default = _mm256_set1_epi32(root.default().raw() as i32);
    // SAFETY: sixteen words of bits.
    let regions = unsafe { row(root.regions()) };
    let mut words = [_mm256_setzero_si256(); N];
    let mut keys = [_mm512_setzero_si512(); N];
    let mut live = [0u8; N];
    let mut lanes = 0u64; // all of them that are live
    registers!(n < N, {
        // SAFETY: there are `8 * N` addresses.
        let (high, low) = unsafe { load(source, n) };
        let top = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<32>(high));
        let main = _mm256_cmpeq_epi32_mask(_mm256_srli_epi32::<29>(top), main_top);
        let main_place = _mm256_srl_epi32(_mm256_slli_epi32::<3>(top), main_below);
        let place = _mm256_srl_epi32(top, below);
        let place = _mm256_mask_add_epi32(place, main, main_place, main_first);
        let bits = _mm512_mask_mov_epi64(above, main, main_above);
        let marks = marks_of(
            regions,
            _mm512_castsi256_si512(_mm256_srli_epi32::<20>(top)),
        );
        let marks = _mm512_castsi512_si256(marks);
        let idle = _mm256_mask_testn_epi32_mask(main, marks, _mm256_set1_epi32(1));
        // SAFETY: places of the root, as of `Root::enter`.
        words[n] = unsafe { gather_words_8(_mm256_setzero_si256(), !idle, place, root.base()) };
        let unwritten = _mm256_testn_epi32_mask(words[n], words[n]) & main;
        words[n] = _mm256_mask_mov_epi32(words[n], unwritten, default);
        keys[n] = _mm512_shldv_epi64(high, low, bits);
        live[n] = _mm256_cmplt_epi32_mask(words[n], guards);
        lanes |= u64::from(live[n]) << (8 * n);
    });
    let mut level = 0;
    while lanes.count_ones() as usize > MANY * N {
        if level > 0 && level % WINDOW == 0 {
            // The keys have no more bits for a level: they get those that follow.
            registers!(n < N, {
                // SAFETY: as above.
                let (high, low) = unsafe { load(source, n) };
                let top = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<32>(high));
                let main = _mm256_cmpeq_epi32_mask(_mm256_srli_epi32::<29>(top), main_top);
                let bits = _mm512_mask_mov_epi64(above, main, main_above);
                let bits = _mm512_add_epi64(bits, _mm512_set1_epi64(6 * i64::from(level)));
                keys[n] = behind(high, low, bits);
            });
        }
        level += 1;
        lanes = 0;
        registers!(n < N, {
            if live[n] != 0 {
                // Twice the unit: the bit that says "block" is shifted out.
                let unit = _mm256_add_epi32(words[n], words[n]);
                let slot = _mm512_srli_epi64::<58>(keys[n]);
                keys[n] = _mm512_slli_epi64::<6>(keys[n]);
                // The head is as long as two words; the first run is counted as 1.
                let words_at = arena.base().cast::<u32>();
                let (count, base) = if FLAT {
                    (slot, words_at.wrapping_add(2))
                } else {
                    // SAFETY: the lanes of the mask lead to blocks, loaded under the guard of our
                    // contract.
                    let head = unsafe { gather_heads(live[n], unit, arena.base()) };
                    // Of the bits that begin runs those up to the slot, counted.
                    let shift = _mm512_sub_epi64(_mm512_set1_epi64(63), slot);
                    let count = _mm512_popcnt_epi64(_mm512_sllv_epi64(head, shift));
                    (count, words_at.wrapping_add(1))
                };
                let place = _mm256_add_epi32(unit, _mm512_cvtepi64_epi32(count));
                // SAFETY: a word for each run, in the same blocks; offset by what is before it.
                words[n] = unsafe { gather_words_8(words[n], live[n], place, base) };
                live[n] = _mm256_cmplt_epi32_mask(words[n], guards);
                lanes |= u64::from(live[n]) << (8 * n);
            }
        });
    }
    if lanes != 0 {
        let mut rest = Lanes::new(level, lanes.count_ones() as usize);
        let (to_words, to_keys, to_live) = rest.places();
        let live = _mm512_maskz_compress_epi8(lanes, numbers());
        // SAFETY: there are 64 places.
        unsafe { _mm512_storeu_epi8(to_live, live) };
        registers!(n < N, {
            // SAFETY: there are as many places as lanes, and more.
            unsafe {
                _mm256_storeu_epi32(to_words.wrapping_add(8 * n), words[n]);
                _mm512_storeu_epi64(to_keys.wrapping_add(8 * n), keys[n]);
            }
        });
        // SAFETY: under the guard of our contract; these are what the lanes have come to.
        unsafe { rest.descend::<_, FLAT>(root, arena, addresses) };
        // SAFETY: as above.
        return unsafe { rest.answer(root, arena, addresses, answers) };
    }
    let target = answers.as_mut_ptr().cast::<i32>();
    let mut left = 0u64;
    registers!(n < N, {
        let leaf = _mm256_and_si256(words[n], _mm256_set1_epi32(LEAF as i32));
        // SAFETY: as many answers as addresses; an index is a transparent u32. What is no leaf
        // is replaced below.
        unsafe { _mm256_storeu_epi32(target.wrapping_add(8 * n), leaf) };
        left |= u64::from(_mm256_movepi32_mask(words[n])) << (8 * n);
    });
    while left != 0 {
        // A block that compares: one by one.
        let lane = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: under the guard of our contract.
        answers[lane] = unsafe { one(root, arena, addresses[lane]) };
    }
}

/// 0 to 63.
#[inline]
#[target_feature(enable = "avx512f")]
fn numbers() -> __m512i {
    const NUMBERS: [u8; 64] = {
        let mut numbers = [0; 64];
        let mut n = 0;
        while n < 64 {
            numbers[n] = n as u8;
            n += 1;
        }
        numbers
    };
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) }
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

/// Eight addresses, those from number `8 * n` on: their upper and lower halves.
///
/// # Safety
/// There are so many addresses.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(source: *const i64, n: usize) -> (__m512i, __m512i) {
    // SAFETY: there are so many addresses.
    let (first, second) = unsafe {
        (
            _mm512_loadu_epi64(source.wrapping_add(16 * n)),
            _mm512_loadu_epi64(source.wrapping_add(16 * n + 8)),
        )
    };
    let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let high = _mm512_permutex2var_epi64(first, odd, second);
    let low = _mm512_permutex2var_epi64(first, even, second);
    (high, low)
}

/// What is behind so many bits of addresses, the first 64 of it. Shifts by 64 and more, or less
/// than 0, give 0.
#[inline]
#[target_feature(enable = "avx512f")]
fn behind(high: __m512i, low: __m512i, bits: __m512i) -> __m512i {
    let width = _mm512_set1_epi64(64);
    let upper = _mm512_sllv_epi64(high, bits);
    let middle = _mm512_srlv_epi64(low, _mm512_sub_epi64(width, bits));
    let lower = _mm512_sllv_epi64(low, _mm512_sub_epi64(bits, width));
    _mm512_or_si512(upper, _mm512_or_si512(middle, lower))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn upper(lanes: __m512i) -> __m256i {
    _mm512_extracti64x4_epi64::<1>(lanes)
}
