//! Others that could do it: DPDK's synchronous call on its drivers, and aws-lc-rs.
#![allow(unsafe_code)] // a C interface

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use dpdk_sys as c;
use ironlane_dataplane::eal::crypto::{CryptoDevice, Way};
use ironlane_dataplane::eal::{Eal, Mbuf};
use ironlane_ipsec::{Auth, Cipher};

use super::{BEFORE, Contender, Contenders, Failure, Work};

/// All that have the algorithm.
pub(super) fn ways(eal: Eal, work: &Work, sessions: usize) -> Result<Contenders, Failure> {
    let mut ways: Contenders = Vec::new();
    for driver in ["crypto_aesni_mb", "crypto_aesni_gcm"] {
        if let Some(way) = ByCpuCall::new(eal, driver, work, sessions)? {
            ways.push((
                format!("rte_cryptodev_sym_cpu_crypto_process, {driver}"),
                Box::new(way),
            ));
        }
    }
    if let Some(way) = ByAwsLc::new(work, sessions)? {
        ways.push(("aws-lc-rs".to_owned(), Box::new(way)));
    }
    Ok(ways)
}

/// `rte_cryptodev_sym_cpu_crypto_process`, a call for each run of packets of one session.
struct ByCpuCall {
    /// Stays open until the sessions and their pool are gone, which `drop` sees to.
    _device: CryptoDevice,
    id: u8,
    pool: NonNull<c::rte_mempool>,
    seal: Vec<*mut c_void>,
    open: Vec<*mut c_void>,
    facts: c::il_crypto_facts,
    aead: bool,
    bytes: u16,
}

impl ByCpuCall {
    fn new(eal: Eal, driver: &str, work: &Work, sessions: usize) -> Result<Option<Self>, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(100);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (cipher, auth) = match (work.algorithm.cipher, work.algorithm.auth) {
            (Cipher::AesGcm { .. }, _) => (c::IL_CIPHER_AES_GCM, c::IL_AUTH_NONE),
            (Cipher::ChaCha20Poly1305, _) => (c::IL_CIPHER_CHACHA20_POLY1305, c::IL_AUTH_NONE),
            (Cipher::AesCbc, Auth::HmacSha256_128) => {
                (c::IL_CIPHER_AES_CBC, c::IL_AUTH_HMAC_SHA256)
            }
            _ => return Ok(None),
        };
        let aead = auth == c::IL_AUTH_NONE;
        let name = format!("{driver}{number}");
        let device = CryptoDevice::open(eal, &name, 1, -1)?;
        let id = id(&name).ok_or("the device has no number")?;
        let mut spec = c::il_crypto_spec {
            aad_len: if aead { 8 } else { 0 },
            cipher: cipher as u8,
            auth: auth as u8,
            iv_len: if aead { 12 } else { 16 },
            icv_len: 16,
            cipher_key_len: work.key_bytes as u16,
            auth_key_len: if aead { 0 } else { 32 },
            ..c::il_crypto_spec::default()
        };
        // SAFETY: a device that is open; the keys are not read.
        if unsafe { c::il_crypto_lacks(id, &raw const spec) } != 0 {
            return Ok(None);
        }
        let pool_name = CString::new(format!("base_{number}"))?;
        // SAFETY: the string ends with a zero byte and is copied.
        let pool =
            unsafe { c::il_crypto_session_pool(pool_name.as_ptr(), 2 * sessions as u32, id, -1) };
        let pool = NonNull::new(pool).ok_or("no memory for sessions")?;
        let mut session = |number, seal: bool| {
            let (cipher_key, auth_key) = work.keys(number);
            spec.cipher_key = cipher_key.as_ptr();
            spec.auth_key = auth_key.as_ptr();
            spec.seal = u8::from(seal);
            // SAFETY: keys of the lengths above, which live through the call.
            let raw = unsafe { c::il_crypto_session(id, &raw const spec, pool.as_ptr()) };
            if raw.is_null() {
                Err("no session")
            } else {
                Ok(raw)
            }
        };
        let seal = (0..sessions)
            .map(|n| session(n, true))
            .collect::<Result<_, _>>()?;
        let open = (0..sessions)
            .map(|n| session(n, false))
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            _device: device,
            id,
            pool,
            seal,
            open,
            facts: c::il_crypto_facts {
                aad_len: 8,
                kind: match cipher {
                    c::IL_CIPHER_AES_GCM => c::IL_CRYPTO_GCM,
                    c::IL_CIPHER_CHACHA20_POLY1305 => c::IL_CRYPTO_CHACHA,
                    _ => c::IL_CRYPTO_CHAIN,
                } as u8,
                icv_len: 16,
                ..c::il_crypto_facts::default()
            },
            aead,
            bytes: work.bytes as u16,
        }))
    }
}

/// DPDK's number of a device.
fn id(name: &str) -> Option<u8> {
    (0..c::IL_CRYPTO_DEVICES as u8).find(|&id| {
        // SAFETY: null, or a string that ends with a zero byte.
        unsafe {
            let found = c::rte_cryptodev_name_get(id);
            !found.is_null() && CStr::from_ptr(found).to_str() == Ok(name)
        }
    })
}

impl Contender for ByCpuCall {
    fn burst(&mut self, packets: &mut [Mbuf], first_session: usize, way: Way) -> bool {
        let sessions = if way == Way::Seal {
            &self.seal
        } else {
            &self.open
        };
        let before = BEFORE as u16;
        let mut jobs = [const { std::mem::MaybeUninit::<c::il_crypto_job>::uninit() }; 64];
        let mut next = first_session;
        for (slot, mbuf) in jobs.iter_mut().zip(&mut *packets) {
            slot.write(c::il_crypto_job {
                session: sessions[next],
                // SAFETY: an `Mbuf` is a transparent pointer.
                mbuf: unsafe { std::ptr::from_mut(mbuf).cast::<*mut c::rte_mbuf>().read() },
                facts: self.facts,
                cipher_offset: before,
                cipher_len: self.bytes,
                auth_offset: 0,
                auth_len: if self.aead { 0 } else { before + self.bytes },
                icv_offset: before + self.bytes,
                status: 0,
                aad: [0; 12],
                iv: [0; 16],
            });
            next = if next + 1 == sessions.len() {
                0
            } else {
                next + 1
            };
        }
        // SAFETY: as many jobs were written; their packets are 1600 bytes long.
        unsafe {
            c::il_base_cpu_burst(self.id, jobs.as_mut_ptr().cast(), packets.len() as u32) == 0
        }
    }
}

impl Drop for ByCpuCall {
    fn drop(&mut self) {
        for session in self.seal.iter().chain(&self.open) {
            // SAFETY: made by us, used by nobody any more.
            unsafe { c::il_crypto_session_free(self.id, *session) };
        }
        // SAFETY: all of its sessions are back.
        unsafe { c::rte_mempool_free(self.pool.as_ptr()) };
    }
}

/// aws-lc-rs, a packet at a time: it has ciphers that authenticate.
struct ByAwsLc {
    keys: Vec<LessSafeKey>,
    bytes: usize,
}

impl ByAwsLc {
    fn new(work: &Work, sessions: usize) -> Result<Option<Self>, Failure> {
        let algorithm = match (work.algorithm.cipher, work.key_bytes) {
            (Cipher::AesGcm { .. }, 16) => &aead::AES_128_GCM,
            (Cipher::AesGcm { .. }, 24) => &aead::AES_192_GCM,
            (Cipher::AesGcm { .. }, 32) => &aead::AES_256_GCM,
            (Cipher::ChaCha20Poly1305, 32) => &aead::CHACHA20_POLY1305,
            _ => return Ok(None),
        };
        let key = |number| UnboundKey::new(algorithm, &work.keys(number).0).map(LessSafeKey::new);
        let keys = (0..sessions)
            .map(key)
            .collect::<Result<_, _>>()
            .map_err(|_| "no key of aws-lc-rs")?;
        Ok(Some(Self {
            keys,
            bytes: work.bytes,
        }))
    }
}

impl Contender for ByAwsLc {
    fn burst(&mut self, packets: &mut [Mbuf], first_session: usize, way: Way) -> bool {
        let (nonce, aad) = ([0; 12], [0; 8]);
        let mut next = first_session;
        for mbuf in packets {
            let key = &self.keys[next];
            next = if next + 1 == self.keys.len() {
                0
            } else {
                next + 1
            };
            let nonce = Nonce::assume_unique_for_key(nonce);
            let (text, behind) = mbuf.data_mut()[BEFORE..].split_at_mut(self.bytes);
            let done = match way {
                Way::Seal => key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
                    .map(|tag| behind[..16].copy_from_slice(tag.as_ref())),
                Way::Open => {
                    let whole = &mut mbuf.data_mut()[BEFORE..BEFORE + self.bytes + 16];
                    key.open_in_place(nonce, Aad::from(aad), whole).map(|_| ())
                }
            };
            if done.is_err() {
                return false;
            }
        }
        true
    }
}
