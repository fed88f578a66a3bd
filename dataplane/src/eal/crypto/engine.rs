//! What does the jobs of one lcore.

use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use dpdk_sys as c;

use super::super::error::{errno, strerror};
use super::pool::Pools;
use super::{CryptoError, Jobs, wide};

/// Does bursts of jobs, for one thread at a time.
#[derive(Debug)]
pub struct Engine {
    raw: Raw,
    pools: Arc<Pools>,
}

#[derive(Clone, Copy, Debug)]
enum Raw {
    Cpu(NonNull<c::il_mb_engine>),
    Device {
        engine: NonNull<c::il_crypto_engine>,
        queue_pair: u16,
        /// It lost jobs, which may come back when nobody expects them.
        dead: bool,
    },
}

// SAFETY: the pointers are this object's own, and no state of theirs is bound to a thread.
unsafe impl Send for Raw {}

impl Engine {
    pub(super) fn open(pools: Arc<Pools>) -> Result<Self, CryptoError> {
        let raw = match pools.backend().cryptodev() {
            None => {
                let made = pools.eal().call(|| {
                    // SAFETY: EAL runs.
                    NonNull::new(unsafe { c::il_mb_engine_open() })
                        .map(Raw::Cpu)
                        .ok_or_else(errno)
                });
                made.map_err(|errno| failed(&pools, errno))?
            }
            Some(device) => {
                let queue_pair = device.take_queue_pair()?;
                let (id, socket) = (device.id, pools.socket());
                let made = pools.eal().call(move || {
                    // SAFETY: a device that is started, with that queue pair, which nobody else has.
                    let engine = unsafe { c::il_crypto_engine_open(id, queue_pair, socket) };
                    NonNull::new(engine)
                        .map(|engine| Raw::Device {
                            engine,
                            queue_pair,
                            dead: false,
                        })
                        .ok_or_else(errno)
                });
                made.map_err(|errno| {
                    device.give_queue_pair(queue_pair);
                    failed(&pools, errno)
                })?
            }
        };
        Ok(Self { raw, pools })
    }

    /// Does all jobs; [`Jobs::outcomes`] then tells what became of each. One call to C, no allocation,
    /// no lock. It waits until the device has done them, which is what a device that is no CPU is slow
    /// at.
    ///
    /// # Panics
    ///
    /// If the jobs were collected for another device.
    #[inline]
    pub fn process(&mut self, jobs: &mut Jobs<'_>) {
        assert_eq!(
            jobs.device_number(),
            self.device_number(),
            "jobs of another crypto device"
        );
        // No truncation: at most BURST_MAX.
        let (at, count) = (jobs.as_mut_ptr(), jobs.len() as u32);
        match &mut self.raw {
            // SAFETY: `count` jobs, whose parts lie in the buffers of packets that they borrow, as do
            // the sessions, which are of this device (`Jobs::push`).
            Raw::Cpu(engine) => unsafe {
                let others = match self.pools.backend().wide() {
                    Some(wide) => wide::burst(wide, slice::from_raw_parts_mut(at, jobs.len())),
                    None => true,
                };
                if others {
                    c::il_mb_burst(engine.as_ptr(), at, count);
                }
            },
            Raw::Device { dead: true, .. } => {}
            Raw::Device { engine, dead, .. } => {
                // SAFETY: as above; the queue pair is this engine's own.
                let lost = unsafe { c::il_crypto_burst(engine.as_ptr(), at, count) };
                *dead = lost > 0;
            }
        }
    }

    #[inline]
    pub(super) fn device_number(&self) -> u32 {
        self.pools.number()
    }
}

fn failed(pools: &Pools, errno: i32) -> CryptoError {
    CryptoError::Device {
        device: pools.backend().name().to_owned(),
        reason: format!("no engine: {}; give more hugepages", strerror(errno)),
        log: Vec::new(),
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        match self.raw {
            // SAFETY: the engine is ours and has no job under way.
            Raw::Cpu(engine) => unsafe { c::il_mb_engine_close(engine.as_ptr()) },
            // The device may yet write to its operations.
            Raw::Device { dead: true, .. } => {
                tracing::error!(
                    "crypto device {}: it lost jobs; a queue pair is given up",
                    self.pools.backend().name()
                );
            }
            Raw::Device {
                engine, queue_pair, ..
            } => {
                // SAFETY: as above.
                unsafe { c::il_crypto_engine_close(engine.as_ptr()) };
                if let Some(device) = self.pools.backend().cryptodev() {
                    device.give_queue_pair(queue_pair);
                }
            }
        }
    }
}
