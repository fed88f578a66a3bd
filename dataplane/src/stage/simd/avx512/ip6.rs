//! What is plain IPv6 of sixteen packets.
#![allow(unsafe_code)] // loads by pointer, from frames

use std::arch::x86_64::*;
use std::hint::select_unpredictable;

use super::super::rows::{BLANK, FRAME6_AT, FRAME6_END};
use super::{LANES, Notes, Sorter, all, columns, load, next, note};
use crate::burst::PlainList;

impl Sorter<'_> {
    /// Lists what is plain of frames that may be IPv6, by the mask `fit`. The columns are their lengths, their places,
    /// and the words with payload length, next header and hop limit.
    ///
    /// # Safety
    /// Those frames of `fit` that are at least FRAME6_END long by the column of lengths are so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    pub(super) unsafe fn sort6(
        &mut self,
        first: usize,
        frames: &[*mut u8; LANES],
        [lengths, place, front]: [__m512i; 3],
        fit: u16,
    ) {
        let and = |a, b| _mm512_and_si512(a, b);
        let fit = fit & _mm512_cmpge_epu32_mask(lengths, all(FRAME6_END as u32));
        let mut rows = [_mm512_setzero_si512(); 8];
        for (row, to) in rows.iter_mut().enumerate() {
            let pair = [row, row + 8].map(|lane| match fit {
                // As nearly always where any is.
                u16::MAX => frames[lane],
                _ => {
                    let blank = BLANK.as_ptr().cast_mut();
                    select_unpredictable(fit >> lane & 1 != 0, frames[lane], blank)
                }
            });
            // SAFETY: both have FRAME6_END bytes, by our contract.
            *to = unsafe { load(pair.map(|frame| frame.cast_const().add(FRAME6_AT))) };
        }
        let [src, src_low, _, _, dst, dst_low, _, _] = columns(rows);
        let ordinary = |high, low| {
            let any = _mm512_or_si512(high, low);
            _mm512_test_epi32_mask(any, any)
                & _mm512_cmpneq_epi32_mask(and(high, all(0xfe)), all(0xfe))
        };
        let payload = _mm512_srli_epi32::<16>(super::reversed(front));
        let room = _mm512_sub_epi32(lengths, all(FRAME6_END as u32));
        let plain = fit
            & _mm512_cmple_epu32_mask(payload, room)
            & _mm512_test_epi32_mask(front, all(0xfe00_0000))
            & _mm512_test_epi32_mask(front, all(0x00ff_0000))
            & ordinary(src, src_low)
            & ordinary(dst, dst_low);
        let len = _mm512_add_epi32(payload, all(40));
        let word = _mm512_sub_epi32(front, all(1 << 24));
        let at = next(self.found.ip6);
        note(self.ip6, at, plain, &Notes { place, len, word });
        match plain {
            u16::MAX => note_all(self.ip6, at, rows),
            _ => note_some(self.ip6, at, rows, plain),
        }
        self.found.ip6 |= u64::from(plain) << first;
        let cut = _mm512_cmplt_epu32_mask(payload, room);
        self.found.cut |= u64::from(plain & cut) << first;
    }
}

/// Puts down the destinations of sixteen rows behind `at`, which leaves room for them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn note_all(list: &mut PlainList<u128>, at: usize, rows: [__m512i; 8]) {
    let mut put = |from: usize, four| {
        let to = &mut list.addresses[at + from..][..4];
        // SAFETY: four addresses are as long as the register.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), host_order(four)) };
    };
    for row in [0, 4] {
        // Destinations of a row, of that eight on, and the same of the next.
        let two = |row: usize| _mm512_shuffle_i64x2::<0b11_01_11_01>(rows[row], rows[row + 1]);
        let (first, second) = (two(row), two(row + 2));
        put(row, _mm512_shuffle_i64x2::<0b10_00_10_00>(first, second));
        put(
            row + 8,
            _mm512_shuffle_i64x2::<0b11_01_11_01>(first, second),
        );
    }
}

/// The same of those that are `plain`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn note_some(list: &mut PlainList<u128>, at: usize, rows: [__m512i; 8], plain: u16) {
    let hosts = rows.map(|row| host_order(row));
    let to = &mut list.addresses[at..][..LANES];
    let mut end = 0;
    // In order: what is not plain is overwritten by what is next.
    for lane in 0..LANES {
        let host = match lane {
            0..8 => _mm512_extracti32x4_epi32::<1>(hosts[lane]),
            _ => _mm512_extracti32x4_epi32::<3>(hosts[lane - 8]),
        };
        // SAFETY: at most `lane` behind the first, of sixteen.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().add(end).cast(), host) };
        end += usize::from(plain >> lane & 1);
    }
}

/// Addresses from the wire as numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn host_order(addresses: __m512i) -> __m512i {
    let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_shuffle_epi8(addresses, _mm512_broadcast_i32x4(order))
}
