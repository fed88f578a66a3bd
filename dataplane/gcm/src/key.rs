//! Keys as they are worked with: round keys of AES, and powers of the hash key.

use std::arch::x86_64::*;
use std::ptr;

use crate::ghash::{Sum, reflect};

/// Powers of the hash key: what 32 blocks, the block before them, that of the lengths behind them and the
/// additional data need, in whole cache lines.
pub(crate) const POWERS: usize = 36;
/// Round keys of the longest key.
const ROUND_KEYS: usize = 15;

/// The length of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeySize {
    /// That of a key of so many bytes, if there is one.
    #[inline]
    pub const fn of(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// Rounds of AES (FIPS 197).
    const fn rounds(self) -> usize {
        match self {
            Self::Aes128 => 10,
            Self::Aes192 => 12,
            Self::Aes256 => 14,
        }
    }
}

/// A key made ready. Packets of few blocks touch the end of the powers and the start of the round keys,
/// which lie side by side: five cache lines for 64 bytes.
///
/// It does not overwrite itself when it goes: it lies in memory that its owner overwrites.
#[repr(C, align(64))]
pub struct Key {
    /// H^36 to H^1, each in the form that [`Sum::add`] takes.
    powers: [[u8; 16]; POWERS],
    rounds: [[u8; 16]; ROUND_KEYS],
}

impl Key {
    /// One that opens nothing, to be expanded.
    pub const fn empty() -> Self {
        Self {
            powers: [[0; 16]; POWERS],
            rounds: [[0; 16]; ROUND_KEYS],
        }
    }

    /// Where the first `count` powers, H^1 to H^`count`, begin: they lie in falling order, and round keys behind them, so
    /// that whole registers may be read.
    #[inline]
    pub(crate) fn powers_from(&self, count: usize) -> *const u8 {
        debug_assert!(count <= POWERS);
        ptr::from_ref(self)
            .cast::<u8>()
            .wrapping_add(16 * (POWERS - count))
    }

    #[inline]
    pub(crate) fn round(&self, number: usize) -> &[u8; 16] {
        &self.rounds[number]
    }

    /// Asks for the cache lines that a text of `len` bytes needs.
    #[inline]
    pub fn prefetch(&self, size: KeySize, len: usize) {
        let powers = (len.div_ceil(16) + 2).min(POWERS);
        let end = 16 * (POWERS + size.rounds() + 1);
        let mut at = 16 * (POWERS - powers) / 64 * 64;
        while at < end {
            let line = ptr::from_ref(self).cast::<u8>().wrapping_add(at);
            // SAFETY: a prefetch reads nothing that the program sees, and the line is the key's.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
            at += 64;
        }
    }

    /// Round keys (FIPS 197, section 5.2), and powers.
    ///
    /// # Safety
    /// The CPU has the instructions; `key` is as long as `size` says.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
    pub(crate) unsafe fn expand(&mut self, key: &[u8], size: KeySize) {
        let words = key.len() / 4;
        let all = self.rounds.as_flattened_mut();
        all[..key.len()].copy_from_slice(key);
        let mut constant = 1u8;
        for i in words..4 * (size.rounds() + 1) {
            let word = |all: &[u8], i: usize| {
                u32::from_le_bytes([all[4 * i], all[4 * i + 1], all[4 * i + 2], all[4 * i + 3]])
            };
            let mut last = word(all, i - 1);
            if i.is_multiple_of(words) {
                last = substitute(last).rotate_right(8) ^ u32::from(constant);
                constant = (constant << 1) ^ (0x1b & (constant >> 7).wrapping_neg());
            } else if words > 6 && i % words == 4 {
                last = substitute(last);
            }
            let new = word(all, i - words) ^ last;
            all[4 * i..4 * i + 4].copy_from_slice(&new.to_le_bytes());
        }
        self.raise(size);
    }

    /// The powers: H is the block of zeros, encrypted.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
    fn raise(&mut self, size: KeySize) {
        let mut hash_key = block(self.round(0));
        for number in 1..size.rounds() {
            hash_key = _mm_aesenc_si128(hash_key, block(self.round(number)));
        }
        hash_key = _mm_aesenclast_si128(hash_key, block(self.round(size.rounds())));
        let first = _mm512_zextsi128_si512(times_x(hash_key));
        let mut power = first;
        for to in self.powers.iter_mut().rev() {
            // SAFETY: 16 bytes.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_castsi512_si128(power)) };
            let mut product = Sum::zero();
            product.add(power, first);
            power = _mm512_zextsi128_si512(product.reduce());
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn block(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Each byte of a word by the S-box, in constant time: where all columns are the same, the rotation of rows changes nothing.
#[inline]
#[target_feature(enable = "aes")]
fn substitute(word: u32) -> u32 {
    let columns = _mm_set1_epi32(word.cast_signed());
    _mm_cvtsi128_si32(_mm_aesenclast_si128(columns, _mm_setzero_si128())).cast_unsigned()
}

/// The hash key as products are made with it: reflected, and times x, since a product of reflected factors is one bit short
/// (RFC 8452, appendix A).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn times_x(hash_key: __m128i) -> __m128i {
    let mut bytes = [0; 16];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), reflect(hash_key)) };
    let value = u128::from_le_bytes(bytes);
    let carried = (value >> 127).wrapping_neg() & 0xc200_0000_0000_0000_0000_0000_0000_0001;
    block(&((value << 1) ^ carried).to_le_bytes())
}
