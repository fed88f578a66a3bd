//! A text, from its first block to its tag.

use std::arch::x86_64::*;

use crate::ghash::{Sum, reflect, reflect4};
use crate::key::{Key, KeySize};
use crate::{AAD_MAX, Nonce, Tag};

/// Bytes of a register, and of what is worked on in one step: eight registers.
const REGISTER: usize = 64;
const STEP: usize = 8 * REGISTER;
const STEP_BLOCKS: usize = STEP / 16;

/// Runs a block of code for each round of AES but the first and the last, with its number a constant.
macro_rules! rounds {
    (|$number:ident| $body:expr) => {
        rounds!(|$number| $body; 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (|$number:ident| $body:expr; $($each:literal)*) => {{
        $({
            const $number: usize = $each;
            if $number < ROUNDS { $body }
        })*
    }};
}

/// Seals or opens a text in place; its tag.
///
/// # Safety
/// The CPU has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
pub(crate) unsafe fn run<const SEAL: bool>(
    key: &Key,
    size: KeySize,
    nonce: &Nonce,
    aad: &[u8],
    text: &mut [u8],
) -> Tag {
    // SAFETY: those features are enabled here.
    unsafe {
        match size {
            KeySize::Aes128 => whole::<10, SEAL>(key, nonce, aad, text),
            KeySize::Aes192 => whole::<12, SEAL>(key, nonce, aad, text),
            KeySize::Aes256 => whole::<14, SEAL>(key, nonce, aad, text),
        }
    }
}

/// The round keys, in each lane.
type Rounds = [__m512i; 15];

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
fn round_keys<const ROUNDS: usize>(key: &Key) -> Rounds {
    let mut to = [_mm512_setzero_si512(); 15];
    let lanes = |number| {
        // SAFETY: 16 bytes.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.round(number).as_ptr().cast()) })
    };
    to[0] = lanes(0);
    rounds!(|NUMBER| to[NUMBER] = lanes(NUMBER));
    to[ROUNDS] = lanes(ROUNDS);
    to
}

/// Up to 16 bytes, with zeros behind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn padded(bytes: &[u8]) -> __m128i {
    // SAFETY: what the mask leaves out is not read.
    unsafe { _mm_maskz_loadu_epi8((1 << bytes.len()) - 1, bytes.as_ptr().cast()) }
}

/// What is yet to be done of a text.
struct Walk<'k, const ROUNDS: usize, const SEAL: bool> {
    key: &'k Key,
    rounds: Rounds,
    /// Counters of the next four blocks, reflected: the number is the lowest word.
    counters: __m512i,
    sum: Sum,
    /// What was hashed before the blocks that wait, to be added to the first of these.
    carry: __m512i,
}

/// As [`run`], for one length of key. In a function of its own: beside others it has too few registers.
///
/// # Safety
/// The CPU has the instructions.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
unsafe fn whole<const ROUNDS: usize, const SEAL: bool>(
    key: &Key,
    nonce: &Nonce,
    aad: &[u8],
    text: &mut [u8],
) -> Tag {
    assert!(
        aad.len() <= AAD_MAX,
        "additional data of {} bytes",
        aad.len()
    );
    let rounds = round_keys::<ROUNDS>(key);
    let zeroth = reflect(padded(nonce));
    let zero = _mm512_setzero_si512();
    let mut walk = Walk::<ROUNDS, SEAL> {
        key,
        rounds,
        counters: _mm512_add_epi32(
            _mm512_broadcast_i32x4(zeroth),
            _mm512_set_epi64(0, 5, 0, 4, 0, 3, 0, 2),
        ),
        sum: Sum::zero(),
        carry: zero,
    };
    // What hides the hash: the first counter, encrypted.
    let one = |number: usize| _mm512_castsi512_si128(walk.rounds[number]);
    let first = reflect(_mm_add_epi32(zeroth, _mm_set_epi64x(0, 1)));
    let mut mask = _mm_xor_si128(first, one(0));
    rounds!(|NUMBER| mask = _mm_aesenc_si128(mask, one(NUMBER)));
    let mask = _mm_aesenclast_si128(mask, one(ROUNDS));

    let bits = |bytes: usize| 8 * bytes as i64;
    let lengths = _mm_set_epi64x(bits(aad.len()), bits(text.len()));
    // The additional data is before the blocks that are added up first; those added up last have the lengths behind them.
    let is_one_sum = text.len() <= STEP;
    let before = reflect(padded(aad));
    if is_one_sum {
        walk.add_two(before, text.len().div_ceil(16) + 2, lengths, 1);
    } else {
        walk.add_two(before, STEP_BLOCKS + 1, _mm_setzero_si128(), 1);
    }
    let (mut at, mut left) = (text.as_mut_ptr(), text.len());
    let full = key.powers_from(STEP_BLOCKS);
    // When a text is sealed, the blocks of a step wait to be multiplied until the next: their ciphertext is there only
    // then. When it is opened, it is there at once.
    // SAFETY: each step is on bytes that are left, and on such that were done.
    unsafe {
        if SEAL && left > STEP {
            walk.step::<8, 0, false>(at, !0, at, full);
            at = at.add(STEP);
            left -= STEP;
        }
        while left > STEP {
            let wait = if SEAL { at.sub(STEP) } else { at };
            walk.step::<8, 8, false>(at, !0, wait, full);
            walk.hand_on();
            at = at.add(STEP);
            left -= STEP;
        }
        // Those behind have the block of the lengths behind them.
        let powers = key.powers_from(left.div_ceil(16) + 1);
        let last = u64::MAX >> (left.wrapping_neg() % REGISTER);
        let waits = SEAL && text.len() > STEP;
        macro_rules! last_step {
            ($registers:literal) => {
                match (SEAL, waits) {
                    (false, _) => {
                        walk.step::<$registers, $registers, true>(at, last, at, powers);
                    }
                    (true, false) => {
                        let done = walk.step::<$registers, 0, true>(at, last, at, powers);
                        walk.multiply::<$registers>(at, done, powers);
                    }
                    (true, true) => {
                        let wait = at.sub(STEP);
                        let done = walk.step::<$registers, 8, true>(at, last, wait, full);
                        walk.hand_on();
                        walk.multiply::<$registers>(at, done, powers);
                    }
                }
            };
        }
        match left.div_ceil(REGISTER) {
            0 => {}
            1 => last_step!(1),
            2 => last_step!(2),
            3 => last_step!(3),
            4 => last_step!(4),
            5 => last_step!(5),
            6 => last_step!(6),
            7 => last_step!(7),
            _ => last_step!(8),
        }
    }
    if !is_one_sum {
        walk.add_two(lengths, 1, _mm_setzero_si128(), 1);
    }
    let tag = _mm_xor_si128(mask, reflect(walk.sum.reduce()));
    let mut bytes = [0; 16];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), tag) };
    bytes
}

impl<const ROUNDS: usize, const SEAL: bool> Walk<'_, ROUNDS, SEAL> {
    /// Adds two blocks, reflected, each times a power: what costs is a multiplication, not how much is multiplied.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vpclmulqdq")]
    fn add_two(&mut self, one: __m128i, power_of_one: usize, other: __m128i, other_power: usize) {
        // SAFETY: powers of the key.
        let power = |number| unsafe { _mm_loadu_si128(self.key.powers_from(number).cast()) };
        let pair = |one, other| _mm512_inserti32x4::<1>(_mm512_zextsi128_si512(one), other);
        let powers = pair(power(power_of_one), power(other_power));
        self.sum.add(pair(one, other), powers);
    }

    /// A sum is complete: it goes on into the blocks that follow.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,pclmulqdq")]
    fn hand_on(&mut self) {
        self.carry = _mm512_zextsi128_si512(self.sum.reduce());
        self.sum = Sum::zero();
    }

    /// Encrypts or decrypts `REGISTERS` registers at `at`, the last as far as the mask `last` says if it is `MASKED`.
    /// Meanwhile those `WAITING` at `wait` are multiplied by the powers from `powers` on: they are whole, or what is opened
    /// here. Returns the last register of ciphertext, with zeros where it is masked.
    ///
    /// # Safety
    /// There are so many bytes at `at` and at `wait`, and as many powers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
    unsafe fn step<const REGISTERS: usize, const WAITING: usize, const MASKED: bool>(
        &mut self,
        at: *mut u8,
        last: __mmask64,
        wait: *const u8,
        powers: *const u8,
    ) -> __m512i {
        let four = _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4);
        let keys = &self.rounds;
        let mut state = [_mm512_setzero_si512(); REGISTERS];
        for state in &mut state {
            *state = _mm512_xor_si512(reflect4(self.counters), keys[0]);
            self.counters = _mm512_add_epi32(self.counters, four);
        }
        // SAFETY: the caller's.
        unsafe {
            rounds!(|NUMBER| {
                for state in &mut state {
                    *state = _mm512_aesenc_epi128(*state, keys[NUMBER]);
                }
                // One register that waits, in between.
                if NUMBER <= WAITING {
                    let from = wait.add(REGISTER * (NUMBER - 1));
                    let blocks = match !SEAL && MASKED && NUMBER == WAITING {
                        true => _mm512_maskz_loadu_epi8(last, from.cast()),
                        false => _mm512_loadu_si512(from.cast()),
                    };
                    let mut blocks = reflect4(blocks);
                    if NUMBER == 1 {
                        blocks = _mm512_xor_si512(blocks, self.carry);
                    }
                    let powers = powers.add(REGISTER * (NUMBER - 1));
                    self.sum.add(blocks, _mm512_loadu_si512(powers.cast()));
                }
            });
            let mut done = _mm512_setzero_si512();
            for (number, state) in state.into_iter().enumerate() {
                let to = at.add(REGISTER * number);
                if MASKED && number + 1 == REGISTERS {
                    let text = _mm512_maskz_loadu_epi8(last, to.cast());
                    done = _mm512_aesenclast_epi128(state, _mm512_xor_si512(text, keys[ROUNDS]));
                    done = _mm512_maskz_mov_epi8(last, done);
                    _mm512_mask_storeu_epi8(to.cast(), last, done);
                } else {
                    let text = _mm512_loadu_si512(to.cast());
                    done = _mm512_aesenclast_epi128(state, _mm512_xor_si512(text, keys[ROUNDS]));
                    _mm512_storeu_si512(to.cast(), done);
                }
            }
            done
        }
    }

    /// Multiplies `WAITING` registers at `wait`, the last of which is `last`: it is not read again, since what was written in
    /// part comes back late.
    ///
    /// # Safety
    /// There are so many bytes, and as many powers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vpclmulqdq")]
    unsafe fn multiply<const WAITING: usize>(
        &mut self,
        wait: *const u8,
        last: __m512i,
        powers: *const u8,
    ) {
        for number in 0..WAITING {
            // SAFETY: the caller's.
            let (blocks, powers) = unsafe {
                let blocks = match number + 1 == WAITING {
                    true => last,
                    false => _mm512_loadu_si512(wait.add(REGISTER * number).cast()),
                };
                (
                    blocks,
                    _mm512_loadu_si512(powers.add(REGISTER * number).cast()),
                )
            };
            let mut blocks = reflect4(blocks);
            if number == 0 {
                blocks = _mm512_xor_si512(blocks, self.carry);
            }
            self.sum.add(blocks, powers);
        }
    }
}
