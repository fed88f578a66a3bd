//! Jobs of AES-GCM by [`ironlane_gcm`], where the CPU has AVX-512 and VAES.

use std::mem::{align_of, size_of};
use std::slice;

use dpdk_sys as c;
use ironlane_gcm::{Key, KeySize, Nonce, Tag, Wide};

use super::super::mbuf::Segment;

// A session of C has room for the key.
const _: () = assert!(size_of::<Key>() == c::IL_CRYPTO_WIDE_BYTES as usize);

/// How many jobs ahead keys are fetched: those of many sessions come from memory.
const AHEAD: usize = 8;
const WORD: usize = 8;

/// Makes the keys of a session ready.
///
/// # Panics
/// If the key has a length that AES has not, which no session is made of.
///
/// # Safety
/// `session` is a new one, of the kind that this file is for.
pub(super) unsafe fn expand(wide: Wide, key: &[u8], session: *mut std::ffi::c_void) {
    let session = session.cast::<Key>();
    assert!(
        session.addr().is_multiple_of(align_of::<Key>()),
        "pools give cache lines"
    );
    // SAFETY: the caller's: it is aligned, as large as a key, all zeros, and nobody else's yet.
    let is_made = wide.expand(key, unsafe { &mut *session });
    assert!(is_made, "a key of {} bytes", key.len());
}

/// Does those of the jobs that are for this file, and says whether there are others.
///
/// # Safety
/// Each of the jobs has a session of its kind, and parts that lie in the buffer of its packet, which nobody else uses.
#[inline]
pub(super) unsafe fn burst(wide: Wide, jobs: &mut [c::il_crypto_job]) -> bool {
    let mut others = false;
    for at in 0..jobs.len().min(AHEAD) {
        // SAFETY: the caller's.
        unsafe { prefetch(jobs, at) };
    }
    for at in 0..jobs.len() {
        if at + AHEAD < jobs.len() {
            // SAFETY: as above.
            unsafe { prefetch(jobs, at + AHEAD) };
        }
        let job = &mut jobs[at];
        match size(job) {
            // SAFETY: as above.
            Some(size) => unsafe { one(wide, size, job) },
            None => others = true,
        }
    }
    others
}

/// The length of the key of a job; `None` if it is not for this file.
#[inline]
fn size(job: &c::il_crypto_job) -> Option<KeySize> {
    match u32::from(job.facts.kind) == c::IL_CRYPTO_GCM_WIDE {
        true => KeySize::of(usize::from(job.facts.key_words) * 8),
        false => None,
    }
}

/// Fetches what a job works with, unless the one before it has fetched its keys.
///
/// # Safety
/// As for [`burst`].
#[inline]
unsafe fn prefetch(jobs: &[c::il_crypto_job], at: usize) {
    let job = &jobs[at];
    let Some(size) = size(job) else { return };
    if at == 0 || jobs[at - 1].session != job.session {
        // SAFETY: sessions of this kind are keys.
        let key = unsafe { &*job.session.cast::<Key>() };
        key.prefetch(size, job.cipher_len.into());
    }
}

/// # Safety
/// As for [`burst`].
#[inline]
unsafe fn one(wide: Wide, size: KeySize, job: &mut c::il_crypto_job) {
    // SAFETY: the packet is nobody else's.
    let data = unsafe { &*job.mbuf }.data_ptr();
    // SAFETY: the parts lie in the buffer, and the text is beside the others.
    let part = |at: u16, len: usize| unsafe {
        slice::from_raw_parts_mut(data.wrapping_add(at.into()), len)
    };
    // SAFETY: sessions of this kind are keys.
    let key = unsafe { &*job.session.cast::<Key>() };
    let aad_len = usize::from(job.facts.aad_len);
    let aad = match job.auth_len {
        0 => &job.aad[..aad_len.min(job.aad.len())],
        _ => &*part(job.auth_offset, aad_len),
    };
    let text = part(job.cipher_offset, job.cipher_len.into());
    let icv = || part(job.icv_offset, job.facts.icv_len.into());
    let nonce: &Nonce = job.iv.first_chunk().unwrap_or(&[0; 12]);
    let status = if job.facts.seal != 0 {
        let tag = wide.seal(key, size, nonce, aad, text);
        put(&tag, icv());
        c::IL_CRYPTO_DONE
    } else {
        let tag = wide.open(key, size, nonce, aad, text);
        match differ(&tag, icv()) {
            true => c::IL_CRYPTO_BAD_ICV,
            false => c::IL_CRYPTO_DONE,
        }
    };
    // No truncation: a small number.
    job.status = status as u8;
}

// ICVs have 8 to 16 bytes (RFC 4106, section 6): two words, which may overlap.

/// Writes the start of a tag.
#[inline]
fn put(tag: &Tag, icv: &mut [u8]) {
    let last = icv.len() - WORD;
    icv[..WORD].copy_from_slice(&tag[..WORD]);
    icv[last..].copy_from_slice(&tag[last..last + WORD]);
}

/// Whether an ICV is not the start of a tag, in a time that does not depend on where they differ.
#[inline]
fn differ(tag: &Tag, icv: &[u8]) -> bool {
    let word = |bytes: &[u8], at: usize| {
        let word = bytes[at..].first_chunk::<WORD>();
        word.map_or(0, |word| u64::from_le_bytes(*word))
    };
    let last = icv.len() - WORD;
    ((word(tag, 0) ^ word(icv, 0)) | (word(tag, last) ^ word(icv, last))) != 0
}
