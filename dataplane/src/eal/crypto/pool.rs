//! Memory for sessions: locked, and left out of core dumps.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dpdk_sys as c;
use nix::errno::Errno;

use super::super::Eal;
use super::super::error::{errno, strerror};
use super::CryptoError;
use super::device::Backend;

/// Sessions that the first pool holds; each further one holds twice as many as the one before, up to
/// [`MOST`].
const FIRST: u32 = 1024;
const MOST: u32 = 65_536;

/// The sessions of one device, in pools that are added as they are needed. They stay until the device
/// and all its sessions are gone.
#[derive(Debug)]
pub(super) struct Pools {
    eal: Eal,
    socket: i32,
    /// Held while sessions are made and given back: what is overwritten is so given to nobody yet.
    pools: Mutex<Vec<Pool>>,
    /// Dropped after the pools.
    backend: Backend,
}

#[derive(Debug)]
struct Pool(NonNull<c::rte_mempool>);

// SAFETY: a pool of DPDK may be used by any thread; here it is under a lock.
unsafe impl Send for Pool {}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the pool is ours; each session holds the `Pools`, so all of them are back.
        unsafe { c::rte_mempool_free(self.0.as_ptr()) };
    }
}

impl Pools {
    pub(super) fn new(eal: Eal, socket: i32, backend: Backend) -> Self {
        Self {
            eal,
            socket,
            pools: Mutex::new(Vec::new()),
            backend,
        }
    }

    pub(super) fn eal(&self) -> Eal {
        self.eal
    }

    pub(super) fn socket(&self) -> i32 {
        self.socket
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// What tells this device from all others of the process.
    #[inline]
    pub(super) fn number(&self) -> u32 {
        self.backend.number
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory with a session made of `spec`, and the pool that it is of. `what` is the algorithm, for
    /// messages.
    pub(super) fn session(
        &self,
        spec: &c::il_crypto_spec,
        what: &str,
    ) -> Result<(NonNull<c_void>, usize), CryptoError> {
        let mut pools = self.lock();
        loop {
            let mut refused = Errno::ENOMEM as i32;
            for (number, pool) in pools.iter().enumerate().rev() {
                // SAFETY: a pool of this backend; the keys are as long as `spec` says, and read only
                // during the call (`Transform::spec`).
                let raw = unsafe { self.backend.session(spec, pool.0.as_ptr()) };
                if let Some(raw) = NonNull::new(raw) {
                    return Ok((raw, number));
                }
                refused = errno();
                if refused != Errno::ENOMEM as i32 {
                    break;
                }
            }
            if refused != Errno::ENOMEM as i32 {
                return Err(CryptoError::Session {
                    device: self.backend.name().to_owned(),
                    algorithm: what.to_owned(),
                    reason: strerror(refused),
                    log: Vec::new(),
                });
            }
            let pool = self.grow(pools.len())?;
            pools.push(pool);
        }
    }

    /// One more pool.
    fn grow(&self, there: usize) -> Result<Pool, CryptoError> {
        let sessions = FIRST
            .checked_shl(there as u32)
            .map_or(MOST, |n| n.clamp(FIRST, MOST));
        let failed = |reason, cure| CryptoError::Memory {
            device: self.backend.name().to_owned(),
            sessions,
            reason,
            cure,
        };
        // DPDK's names are global to the process and at most 25 bytes long.
        let name = CString::new(format!("il_sess_{}_{there}", self.number()))?;
        let (id, socket) = (self.backend.id(), self.socket);
        let made = self.eal.call(move || {
            // SAFETY: the string ends with a zero byte and is copied by DPDK; a device has that number.
            let raw = unsafe {
                match id {
                    None => c::il_mb_session_pool(name.as_ptr(), sessions, socket),
                    Some(id) => c::il_crypto_session_pool(name.as_ptr(), sessions, id, socket),
                }
            };
            NonNull::new(raw).map(Pool).ok_or_else(errno)
        });
        let pool = made.map_err(|errno| failed(strerror(errno), "give more hugepages"))?;
        // SAFETY: the pool lives.
        match unsafe { c::il_crypto_pool_protect(pool.0.as_ptr()) } {
            0 => Ok(pool),
            rc => Err(failed(
                strerror(rc),
                "raise the limit (LimitMEMLOCK= in the unit, or ulimit -l)",
            )),
        }
    }

    /// Takes a session back, overwritten with zeros.
    ///
    /// # Safety
    ///
    /// `raw` must be a session of pool `number` that nobody uses any more.
    pub(super) unsafe fn give_back(&self, raw: NonNull<c_void>, number: usize) {
        let pools = self.lock();
        // SAFETY: the caller vouches for it.
        unsafe { self.backend.session_free(raw, pools[number].0.as_ptr()) };
    }
}
