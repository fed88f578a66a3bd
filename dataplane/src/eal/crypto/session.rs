//! Keys as a device works with them.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as c;

use super::pool::Pools;
use super::{Job, JobError};

/// The keys of one direction of an SA, in the form that its device works with, in memory that is locked
/// and left out of core dumps. It is overwritten with zeros when this goes.
///
/// Any thread may use it, several at once. It must not go while a burst has jobs of it, which
/// [`Jobs`](super::Jobs) sees to; who shares it with lcores retires it by RCU. Dropping it takes a
/// lock, so lcores do not.
#[derive(Debug)]
pub struct Session {
    raw: NonNull<c_void>,
    facts: c::il_crypto_facts,
    /// What the encrypted part is a multiple of; 0 without a cipher.
    block: u8,
    pools: Arc<Pools>,
    /// Which of the pools the memory belongs to.
    pool: usize,
}

// SAFETY: a session is memory that devices only read while jobs run; it is written when it is
// made and when it goes, by one owner.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Takes over a session of `pools`.
    pub(super) fn new(
        raw: NonNull<c_void>,
        spec: &c::il_crypto_spec,
        pools: Arc<Pools>,
        pool: usize,
    ) -> Self {
        let (kind, block, key) = match (u32::from(spec.cipher), u32::from(spec.auth)) {
            (c::IL_CIPHER_AES_GCM, _) if spec.wide != 0 => {
                (c::IL_CRYPTO_GCM_WIDE, 1, spec.cipher_key_len)
            }
            (c::IL_CIPHER_AES_GCM, _) => (c::IL_CRYPTO_GCM, 1, spec.cipher_key_len),
            (c::IL_CIPHER_CHACHA20_POLY1305, _) => (c::IL_CRYPTO_CHACHA, 1, spec.cipher_key_len),
            (_, c::IL_AUTH_AES_GMAC) => (c::IL_CRYPTO_GMAC, 0, spec.auth_key_len),
            (c::IL_CIPHER_NONE, _) => (c::IL_CRYPTO_CHAIN, 0, 0),
            (c::IL_CIPHER_AES_CBC, _) => (c::IL_CRYPTO_CHAIN, 16, spec.cipher_key_len),
            _ => (c::IL_CRYPTO_CHAIN, 1, spec.cipher_key_len),
        };
        Self {
            raw,
            facts: c::il_crypto_facts {
                aad_len: spec.aad_len,
                // No truncation: small numbers; keys of ciphers are at most 32 bytes.
                kind: kind as u8,
                seal: spec.seal,
                icv_len: spec.icv_len,
                key_words: (key / 8) as u8,
                reserved: [0; 2],
            },
            block,
            pools,
            pool,
        }
    }

    /// Length of the ICV in bytes.
    #[inline]
    pub fn icv_len(&self) -> u16 {
        self.facts.icv_len.into()
    }

    /// Whether the parts of a job are what this kind of session works on.
    #[inline]
    pub(super) fn check(&self, job: &Job) -> Result<(), JobError> {
        let kind = u32::from(self.facts.kind);
        if [c::IL_CRYPTO_GCM_WIDE, c::IL_CRYPTO_GCM, c::IL_CRYPTO_CHACHA].contains(&kind) {
            let aad = match job.auth.len {
                0 => self.facts.aad_len <= 12,
                len => len == self.facts.aad_len,
            };
            return if aad { Ok(()) } else { Err(JobError::Auth) };
        }
        let cipher = match self.block {
            0 => job.cipher.len == 0,
            block => job.cipher.len != 0 && job.cipher.len.is_multiple_of(block.into()),
        };
        match (cipher, job.auth.len) {
            (false, _) => Err(JobError::Cipher),
            (true, 0) => Err(JobError::Auth),
            (true, _) => Ok(()),
        }
    }

    #[inline]
    pub(super) fn device_number(&self) -> u32 {
        self.pools.number()
    }

    #[inline]
    pub(super) fn facts(&self) -> c::il_crypto_facts {
        self.facts
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.raw.as_ptr()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the session is of that pool, and nobody has it any more.
        unsafe { self.pools.give_back(self.raw, self.pool) };
    }
}
