//! The entrance.

use crate::key::{Key, KeySize};
use crate::{Nonce, Tag, text};

/// That this CPU has the instructions.
#[derive(Clone, Copy, Debug)]
pub struct Wide(());

impl Wide {
    /// `None` if the CPU lacks one of them.
    pub fn find() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq");
        there.then_some(Self(()))
    }

    /// Makes `key` ready: 16, 24 or 32 bytes. False, and nothing is written, if it is of another length.
    pub fn expand(self, key: &[u8], to: &mut Key) -> bool {
        let Some(size) = KeySize::of(key.len()) else {
            return false;
        };
        // SAFETY: `self` says that the CPU has the instructions; the length is that of `size`.
        unsafe { to.expand(key, size) };
        true
    }

    /// Encrypts a text in place. Returns its tag.
    ///
    /// # Panics
    /// If there are more than [`AAD_MAX`](crate::AAD_MAX) bytes of additional data.
    #[inline]
    pub fn seal(self, key: &Key, size: KeySize, nonce: &Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        // SAFETY: `self` says that the CPU has the instructions.
        unsafe { text::run::<true>(key, size, nonce, aad, text) }
    }

    /// Decrypts a text in place, and returns the tag that it should have had: what was decrypted is worth nothing
    /// until the caller has compared them, in a time that does not depend on where they differ.
    ///
    /// # Panics
    /// If there are more than [`AAD_MAX`](crate::AAD_MAX) bytes of additional data.
    #[inline]
    pub fn open(self, key: &Key, size: KeySize, nonce: &Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        // SAFETY: `self` says that the CPU has the instructions.
        unsafe { text::run::<false>(key, size, nonce, aad, text) }
    }
}
