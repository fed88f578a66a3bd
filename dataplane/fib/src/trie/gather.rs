//! Gathers: several words or heads at once, while the writer stores there.
//!
//! The architecture says that aligned loads of 4 and 8 bytes are single-copy atomic, and that loads
//! are not reordered with each other; a gather is a set of such loads. Rust has no name for that, so
//! the gathers are inline assembly: each element is an atomic load with Acquire, as in `Arena` and
//! `Root`.
#![allow(unsafe_code)] // loads from places that are numbers

use std::arch::asm;
use std::arch::x86_64::{__m256i, __m512i, _mm512_setzero_si512};

/// Sixteen words, one behind the other.
///
/// # Safety
/// `base` leads to sixteen words that are aligned to 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn row(base: *const u32) -> __m512i {
    let mut words = _mm512_setzero_si512();
    // SAFETY: by our contract; each word is aligned within the row, and so atomic by itself.
    unsafe {
        asm!(
            "vmovdqa64 {words}, [{base}]",
            words = inout(zmm_reg) words,
            base = in(reg) base,
            options(readonly, nostack, preserves_flags),
        );
    }
    words
}

/// Sixteen words; where the mask is 0, what was there.
///
/// # Safety
/// `base` and the lanes of the mask lead to words of a root or of blocks.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather_words(
    old: __m512i,
    lanes: u16,
    place: __m512i,
    base: *const u32,
) -> __m512i {
    let mut words = old;
    // SAFETY: by our contract; aligned, and so atomic one by one (see the top).
    unsafe {
        asm!(
            "vpgatherdd {words}{{{lanes}}}, [{base} + {place}*4]",
            words = inout(zmm_reg) words,
            lanes = inout(kreg) lanes => _,
            base = in(reg) base,
            place = in(zmm_reg) place,
            options(readonly, nostack, preserves_flags),
        );
    }
    words
}

/// Eight heads; 0 where the mask is.
///
/// # Safety
/// The lanes of the mask are twice the units of blocks, and `base` is their arena's.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather_heads(lanes: u8, unit: __m256i, base: *const u8) -> __m512i {
    let mut heads = _mm512_setzero_si512();
    // SAFETY: by our contract; aligned, and so atomic one by one (see the top).
    unsafe {
        asm!(
            "vpgatherdq {heads}{{{lanes}}}, [{base} + {unit}*4]",
            heads = inout(zmm_reg) heads,
            lanes = inout(kreg) u16::from(lanes) => _,
            base = in(reg) base,
            unit = in(ymm_reg) unit,
            options(readonly, nostack, preserves_flags),
        );
    }
    heads
}
