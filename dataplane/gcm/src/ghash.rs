//! GHASH: sums of products in GF(2^128).
//!
//! Blocks are reflected (their bytes turned round), so products are those of POLYVAL (RFC 8452, section 3), in which
//! a reduction is two short multiplications by a constant. Products are added up as they are, and only the sum is reduced.

use std::arch::x86_64::*;

/// Products of 256 bits in four lanes, in three parts (Karatsuba): those of the low halves, of the high halves, and of both
/// halves' sums.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

/// The bytes of four blocks, or of one, turned round.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn reflect4(blocks: __m512i) -> __m512i {
    _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order()))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn reflect(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, order())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn order() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

/// The sum of both halves of each block.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(blocks: __m512i) -> __m512i {
    _mm512_xor_si512(blocks, _mm512_shuffle_epi32::<0x4e>(blocks))
}

/// All lanes added up.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn lanes(x: __m512i) -> __m128i {
    let two = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x));
    _mm_xor_si128(
        _mm256_castsi256_si128(two),
        _mm256_extracti128_si256::<1>(two),
    )
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self {
            low: zero,
            middle: zero,
            high: zero,
        }
    }

    /// Adds the products of four blocks with a power each.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(crate) fn add(&mut self, blocks: __m512i, powers: __m512i) {
        let low = _mm512_clmulepi64_epi128::<0x00>(blocks, powers);
        let high = _mm512_clmulepi64_epi128::<0x11>(blocks, powers);
        let middle = _mm512_clmulepi64_epi128::<0x00>(halves(blocks), halves(powers));
        self.low = _mm512_xor_si512(self.low, low);
        self.high = _mm512_xor_si512(self.high, high);
        self.middle = _mm512_xor_si512(self.middle, middle);
    }

    /// The sum of all lanes, reduced to 128 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,pclmulqdq")]
    pub(crate) fn reduce(self) -> __m128i {
        let middle = _mm512_ternarylogic_epi64::<0x96>(self.middle, self.low, self.high);
        let low = lanes(_mm512_xor_si512(self.low, _mm512_bslli_epi128::<8>(middle)));
        let high = lanes(_mm512_xor_si512(
            self.high,
            _mm512_bsrli_epi128::<8>(middle),
        ));
        // x^127 + x^126 + x^121, the polynomial's upper half: each multiplication takes 64 bits off the low end.
        let fold = _mm_set_epi64x(0, 0xc200_0000_0000_0000_u64.cast_signed());
        let once = _mm_xor_si128(
            _mm_shuffle_epi32::<0x4e>(low),
            _mm_clmulepi64_si128::<0x00>(low, fold),
        );
        let twice = _mm_clmulepi64_si128::<0x00>(once, fold);
        _mm_ternarylogic_epi64::<0x96>(high, _mm_shuffle_epi32::<0x4e>(once), twice)
    }
}
