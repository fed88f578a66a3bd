//! Lookups of IPv6 addresses. As soon as many lanes have ended, the others go on one by one, since a gather
//! costs as much for some lanes as for all.
#![allow(unsafe_code)] // code for certain CPUs; blocks are found by number

use std::arch::x86_64::*;

use super::super::arena::Arena;
use super::super::bulk::Lanes;
use super::super::gather::{gather_words, row};
use super::super::lookup::one;
use super::super::root::Root;
use super::{Down, marks_of};
use crate::NexthopIndex;

/// With more live lanes than this in a register, on average, it pays to take all of them a level down at once.
const MANY: usize = 10;

/// For how many levels the bits of a key are enough.
const WINDOW: u32 = 5;

/// Looks up IPv6 addresses.
///
/// # Safety
/// As of [`ip4`](super::ip4).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
pub(in crate::trie) unsafe fn ip6(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe {
        match root.shape().flat {
            true => any::<true>(root, arena, addresses, answers),
            false => any::<false>(root, arena, addresses, answers),
        }
    }
}

/// # Safety
/// As of [`ip6`], and `FLAT` says whether the blocks are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn any<const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    // SAFETY: by our contract.
    unsafe { by_registers!(lanes, FLAT, root, arena, addresses, answers) }
}

/// # Safety
/// As of [`any`], and there are `16 * N` addresses.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
unsafe fn lanes<const N: usize, const FLAT: bool>(
    root: &Root,
    arena: &Arena,
    addresses: &[u128],
    answers: &mut [NexthopIndex],
) {
    debug_assert!(addresses.len() == 16 * N);
    let source = addresses.as_ptr().cast::<i64>();
    let shape = root.shape();
    // Where the first three bits say so, the root has resolved more bits, in its second part.
    let main_top = _mm512_set1_epi32(if shape.main_bits == 0 { -1 } else { 1 });
    let main_below = _mm_cvtsi32_si128(35 - shape.main_bits as i32);
    let main_first = _mm512_set1_epi32(1 << shape.bits);
    let below = _mm_cvtsi32_si128(32 - shape.bits as i32);
    let main_of = |top| _mm512_cmpeq_epi32_mask(_mm512_srli_epi32::<29>(top), main_top);
    let resolved = |main| {
        let (bits, main_bits) = (shape.bits as i32, shape.main_bits as i32);
        _mm512_mask_mov_epi32(_mm512_set1_epi32(bits), main, _mm512_set1_epi32(main_bits))
    };
    let default = _mm512_set1_epi32(root.default().raw() as i32);
    // SAFETY: sixteen words of bits.
    let regions = unsafe { row(root.regions()) };
    let mut down = Down::<N>::new();
    registers!(n < N, {
        // SAFETY: there are `16 * N` addresses.
        let (top, second) = unsafe { first_words(source, n) };
        let main = main_of(top);
        let main_place = _mm512_srl_epi32(_mm512_slli_epi32::<3>(top), main_below);
        let place = _mm512_srl_epi32(top, below);
        let place = _mm512_mask_add_epi32(place, main, main_place, main_first);
        let marks = marks_of(regions, _mm512_srli_epi32::<20>(top));
        let idle = _mm512_mask_testn_epi32_mask(main, marks, _mm512_set1_epi32(1));
        // SAFETY: places of the root, as of `Root::enter`.
        let words = unsafe { gather_words(_mm512_setzero_si512(), !idle, place, root.base()) };
        let unwritten = _mm512_mask_testn_epi32_mask(main, words, words);
        let words = _mm512_mask_mov_epi32(words, unwritten, default);
        let keys = _mm512_shldv_epi32(top, second, resolved(main));
        down.enter(n, words, keys);
    });
    // The first 64 bits behind those that have led so many levels down, of half a register's addresses.
    let keys_64 = |half: usize, level: u32| {
        // SAFETY: there are `16 * N` addresses.
        let (high, low) = unsafe { halves(source, half) };
        let top = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<32>(high));
        let bits = resolved(main_of(_mm512_castsi256_si512(top)));
        let bits = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(bits));
        let bits = _mm512_add_epi64(bits, _mm512_set1_epi64(6 * i64::from(level)));
        behind(high, low, bits)
    };
    let mut level = 0;
    let mut live = down.live();
    while live.count_ones() as usize > MANY * N {
        if level > 0 && level % WINDOW == 0 {
            // The keys have no more bits for a level: they get those that follow.
            registers!(n < N, {
                let tops = |keys| _mm512_cvtepi64_epi32(_mm512_srli_epi64::<32>(keys));
                let low = tops(keys_64(2 * n, level));
                let high = tops(keys_64(2 * n + 1, level));
                down.keys[n] = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            });
        }
        level += 1;
        // SAFETY: loaded under the guard of our contract.
        unsafe { down.step::<FLAT>(arena) };
        live = down.live();
    }
    if live != 0 {
        let mut rest = Lanes::new(level, live.count_ones() as usize);
        let (to_words, to_keys, to_live) = rest.places();
        let live = _mm512_maskz_compress_epi8(live, numbers());
        // SAFETY: there are 64 places.
        unsafe { _mm512_storeu_epi8(to_live, live) };
        registers!(n < N, {
            // SAFETY: there are as many places as lanes, and more.
            unsafe {
                _mm512_storeu_epi32(to_words.wrapping_add(16 * n), down.words[n]);
                _mm512_storeu_epi64(to_keys.wrapping_add(16 * n), keys_64(2 * n, level));
                _mm512_storeu_epi64(to_keys.wrapping_add(16 * n + 8), keys_64(2 * n + 1, level));
            }
        });
        // SAFETY: under the guard of our contract; these are what the lanes have come to.
        unsafe { rest.descend::<_, FLAT>(root, arena, addresses) };
        // SAFETY: as above.
        return unsafe { rest.answer(root, arena, addresses, answers) };
    }
    down.answer(answers);
    // What is no leaf is replaced.
    let mut left = 0u64;
    registers!(n < N, {
        left |= u64::from(_mm512_movepi32_mask(down.words[n])) << (16 * n);
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

/// The first and the second 32 bits of sixteen addresses, those from number `16 * n` on.
///
/// # Safety
/// There are so many addresses.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn first_words(source: *const i64, n: usize) -> (__m512i, __m512i) {
    // SAFETY: there are so many addresses.
    let four = |k: usize| unsafe { _mm512_loadu_epi64(source.wrapping_add(32 * n + 8 * k)) };
    let order = _mm512_setr_epi32(3, 7, 11, 15, 19, 23, 27, 31, 2, 6, 10, 14, 18, 22, 26, 30);
    let a = _mm512_permutex2var_epi32(four(0), order, four(1));
    let b = _mm512_permutex2var_epi32(four(2), order, four(3));
    let first = _mm512_shuffle_i64x2::<0b01_00_01_00>(a, b);
    (first, _mm512_shuffle_i64x2::<0b11_10_11_10>(a, b))
}

/// The upper and lower halves of eight addresses, those from number `8 * n` on.
///
/// # Safety
/// There are so many addresses.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn halves(source: *const i64, n: usize) -> (__m512i, __m512i) {
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
