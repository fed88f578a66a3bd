//! Crypto devices, and what they can do.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as c;

use ironlane_gcm::Wide;

use super::super::Eal;
use super::cryptodev::Cryptodev;
use super::pool::Pools;
use super::{CryptoError, Engine, KNOWN, Session, Transform, Variant, Way, wide};

/// Something that encrypts and authenticates. Clones are the same device, which is closed when its
/// sessions, its engines and the last clone are gone.
///
/// For control threads; engines are for lcores.
#[derive(Clone, Debug)]
pub struct CryptoDevice {
    pools: Arc<Pools>,
}

/// How a device is reached.
#[derive(Debug)]
pub(super) struct Backend {
    /// The device string, without arguments.
    name: String,
    /// A device of DPDK; none for the CPU's own.
    device: Option<Cryptodev>,
    /// What does AES-GCM instead of libipsec-mb.
    wide: Option<Wide>,
    pub(super) number: u32,
}

/// The instructions that libipsec-mb would use on this CPU, as in `AVX512, VAES`; `None` if it has too
/// few of them, or is of another kind. Needs no EAL.
pub fn cpu_instructions() -> Option<String> {
    // SAFETY: returns null or a constant string.
    let text = unsafe { c::il_mb_instructions().as_ref() }?;
    // SAFETY: as above.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// What drives [`CPU`](CryptoDevice::CPU) on this CPU, as in `AES-GCM by Ironlane; libipsec-mb, AVX512, VAES`; `None`
/// where [`cpu_instructions`] is. Needs no EAL.
pub fn cpu_driver() -> Option<String> {
    cpu_instructions().map(|instructions| driver(Wide::find(), &instructions))
}

fn driver(wide: Option<Wide>, instructions: &str) -> String {
    let own = if wide.is_some() {
        "AES-GCM by Ironlane; "
    } else {
        ""
    };
    format!("{own}libipsec-mb, {instructions}")
}

/// Those of [`KNOWN`] that the CPU's own crypto has; none where [`cpu_instructions`] is `None`. Needs
/// no EAL.
pub fn cpu_algorithms() -> impl Iterator<Item = Variant> {
    let there = cpu_instructions().is_some();
    let has = move |variant: &&Variant| there && has(None, **variant);
    KNOWN.iter().filter(has).copied()
}

/// Whether a device of DPDK, or libipsec-mb, has an algorithm.
fn has(id: Option<u8>, variant: Variant) -> bool {
    // With extended sequence numbers, for which a cipher must take 12 bytes.
    variant
        .spec(12, Way::Seal)
        .is_ok_and(|spec| lacks(id, &spec) == c::IL_CRYPTO_HAS_BOTH)
}

/// What it has not of the two parts.
fn lacks(id: Option<u8>, spec: &c::il_crypto_spec) -> u32 {
    // SAFETY: reads the lengths in `spec`; a device has that number.
    let lacks = unsafe {
        match id {
            None => c::il_mb_lacks(spec),
            Some(id) => c::il_crypto_lacks(id, spec),
        }
    };
    lacks.unsigned_abs()
}

impl CryptoDevice {
    /// The device string of the CPU's own crypto.
    pub const CPU: &'static str = "cpu";
    /// That of libipsec-mb alone, for AES-GCM as well: what `cpu` is where the CPU has no AVX-512.
    pub const LIBRARY: &'static str = "libipsec-mb";

    /// The device that is used where nothing is configured: [`CPU`](Self::CPU), or OpenSSL's where the
    /// CPU has not the instructions.
    pub fn default_string() -> &'static str {
        match cpu_instructions() {
            Some(_) => Self::CPU,
            None => "crypto_openssl0",
        }
    }

    /// Opens a device by its string ([`CPU`](Self::CPU), [`LIBRARY`](Self::LIBRARY),
    /// `crypto_openssl0`, a PCI address) for as many
    /// engines, with memory on NUMA node `socket` (-1 for any).
    ///
    /// # Errors
    /// If there is no such device, or it has fewer queue pairs than engines are wanted.
    pub fn open(eal: Eal, string: &str, engines: u16, socket: i32) -> Result<Self, CryptoError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let own = [Self::CPU, Self::LIBRARY].contains(&string);
        let device = if own {
            if cpu_instructions().is_none() {
                return Err(CryptoError::Device {
                    device: string.to_owned(),
                    reason: "this CPU has not the instructions (AES-NI); use crypto_openssl0"
                        .to_owned(),
                    log: Vec::new(),
                });
            }
            None
        } else {
            Some(Cryptodev::open(eal, string, engines, socket)?)
        };
        let name = device.as_ref().map_or(string, |device| &device.name);
        let backend = Backend {
            name: name.to_owned(),
            device,
            wide: Wide::find().filter(|_| string == Self::CPU),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        };
        let device = Self {
            pools: Arc::new(Pools::new(eal, socket, backend)),
        };
        tracing::info!("crypto device {} ({})", device.name(), device.driver());
        Ok(device)
    }

    /// The device by its string, without arguments.
    pub fn name(&self) -> &str {
        self.pools.backend().name()
    }

    /// What drives it, as in [`cpu_driver`], or `crypto_openssl`.
    pub fn driver(&self) -> String {
        let backend = self.pools.backend();
        match &backend.device {
            Some(device) => device.driver.clone(),
            None => driver(backend.wide, &cpu_instructions().unwrap_or_default()),
        }
    }

    /// Those of [`KNOWN`] that it has.
    pub fn algorithms(&self) -> impl Iterator<Item = Variant> + '_ {
        KNOWN.iter().copied().filter(|variant| self.has(*variant))
    }

    /// Whether it has an algorithm with these lengths of keys.
    pub fn has(&self, variant: Variant) -> bool {
        has(self.pools.backend().id(), variant)
    }

    /// Makes a session.
    ///
    /// # Errors
    /// If the device has not the algorithm, a key has a wrong length, or memory ends.
    pub fn session(&self, transform: &Transform) -> Result<Session, CryptoError> {
        let variant = transform.variant()?;
        let mut spec = transform.spec()?;
        let backend = self.pools.backend();
        if lacks(backend.id(), &spec) != c::IL_CRYPTO_HAS_BOTH {
            let has: Vec<_> = self.algorithms().map(|one| one.to_string()).collect();
            return Err(CryptoError::Unsupported {
                device: backend.name().to_owned(),
                algorithm: variant.to_string(),
                has: if has.is_empty() {
                    "none that IPsec uses".to_owned()
                } else {
                    has.join(", ")
                },
            });
        }
        spec.wide = u8::from(backend.is_wide(&spec));
        let (raw, pool) = self.pools.session(&spec, &variant.to_string())?;
        Ok(Session::new(raw, &spec, Arc::clone(&self.pools), pool))
    }

    /// Makes an engine, for one lcore.
    ///
    /// # Errors
    /// If there are as many as were asked for when it was opened, or memory ends.
    pub fn engine(&self) -> Result<Engine, CryptoError> {
        Engine::open(Arc::clone(&self.pools))
    }
}

impl Backend {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// DPDK's number of the device; none for libipsec-mb.
    pub(super) fn id(&self) -> Option<u8> {
        self.device.as_ref().map(|device| device.id)
    }

    /// What does AES-GCM instead of libipsec-mb.
    #[inline]
    pub(super) fn wide(&self) -> Option<Wide> {
        self.wide
    }

    /// Whether it does that for such sessions.
    fn is_wide(&self, spec: &c::il_crypto_spec) -> bool {
        self.wide.is_some()
            && u32::from(spec.cipher) == c::IL_CIPHER_AES_GCM
            && usize::from(spec.aad_len) <= ironlane_gcm::AAD_MAX
    }

    pub(super) fn cryptodev(&self) -> Option<&Cryptodev> {
        self.device.as_ref()
    }

    /// Null, with DPDK's error number, if there is no room or it is refused.
    ///
    /// # Safety
    ///
    /// The keys must be as long as `spec` says, `pool` one for sessions of this backend.
    pub(super) unsafe fn session(
        &self,
        spec: &c::il_crypto_spec,
        pool: *mut c::rte_mempool,
    ) -> *mut c_void {
        // SAFETY: the caller vouches for it; `spec` is only read.
        let session = unsafe {
            match self.id() {
                None => c::il_mb_session(spec, pool),
                Some(id) => c::il_crypto_session(id, spec, pool),
            }
        };
        if let (1, Some(wide), false) = (spec.wide, self.wide, session.is_null()) {
            // SAFETY: the caller vouches for the key; the session is new, and for that.
            unsafe {
                let key = slice::from_raw_parts(spec.cipher_key, spec.cipher_key_len.into());
                wide::expand(wide, key, session);
            }
        }
        session
    }

    /// # Safety
    ///
    /// `session` must be one of this backend and that pool which nobody uses any more.
    pub(super) unsafe fn session_free(&self, session: NonNull<c_void>, pool: *mut c::rte_mempool) {
        // SAFETY: the caller vouches for it.
        unsafe {
            match self.id() {
                None => c::il_mb_session_free(session.as_ptr(), pool),
                Some(id) => {
                    let rc = c::il_crypto_session_free(id, session.as_ptr());
                    debug_assert_eq!(rc, 0);
                }
            }
        }
    }
}
