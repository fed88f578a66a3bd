//! Pools of packet buffers.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as c;

use super::error::{errno, strerror};
use super::{Eal, EalError, MbufBatch};

/// Bytes of data that one buffer takes unless a port needs more: a frame of 1500 bytes MTU and
/// some. Longer packets are chains.
pub const DATA_ROOM: u16 = 2048;

/// Bytes before the data of each buffer, beside [`DATA_ROOM`].
pub const HEADROOM: usize = c::RTE_PKTMBUF_HEADROOM as usize;

/// The ring of the pool in its relaxed tail sync mode: an lcore never waits for a thread
/// that was preempted in the middle of an operation, as it would in the default mode.
const OPS: &std::ffi::CStr = c"ring_mt_rts";

/// Buffers kept per thread of DPDK, beside the pool's ring.
const CACHE: u32 = 256;

/// A pool of packet buffers; clones are the same pool, which goes with the last of them.
#[derive(Clone, Debug)]
pub struct Mempool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    raw: NonNull<c::rte_mempool>,
    name: String,
    mbufs: u32,
    socket: i32,
}

// SAFETY: a mempool is made for use by many threads (it has a multi-producer ring and caches per
// thread); the pointer is freed once, by the last owner.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Makes a pool of `mbufs` buffers with `data_room` bytes each for data, on NUMA node
    /// `socket` (-1 for any).
    pub fn create(
        eal: Eal,
        name: &str,
        mbufs: u32,
        data_room: u16,
        socket: i32,
    ) -> Result<Self, EalError> {
        Self::with_cache(eal, name, (mbufs, CACHE), data_room, socket)
    }

    /// Makes a pool of few buffers: none of them stays with a thread that does not need it.
    pub fn of_few(
        eal: Eal,
        name: &str,
        mbufs: u32,
        data_room: u16,
        socket: i32,
    ) -> Result<Self, EalError> {
        Self::with_cache(eal, name, (mbufs, 0), data_room, socket)
    }

    fn with_cache(
        eal: Eal,
        name: &str,
        (mbufs, cache): (u32, u32),
        data_room: u16,
        socket: i32,
    ) -> Result<Self, EalError> {
        // DPDK's names are global to the process and at most 25 bytes long.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unique = CString::new(format!("il{number}_{name:.16}"))?;
        let room = data_room + c::RTE_PKTMBUF_HEADROOM as u16;
        let owned = name.to_owned();
        let cache = cache.min(mbufs * 2 / 3);
        let made = eal.call(move || {
            // SAFETY: both strings end with a zero byte and are copied by DPDK.
            let raw = unsafe {
                c::rte_pktmbuf_pool_create_by_ops(
                    unique.as_ptr(),
                    mbufs,
                    cache,
                    0,
                    room,
                    socket,
                    OPS.as_ptr(),
                )
            };
            let inner = |raw| Inner {
                raw,
                name: owned,
                mbufs,
                socket,
            };
            NonNull::new(raw).map(inner).ok_or_else(errno)
        });
        let inner = made.map_err(|errno| EalError::Mempool {
            name: name.to_owned(),
            mbufs,
            room,
            socket,
            reason: strerror(errno),
        })?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// NUMA node of the buffers; -1 if none was asked for.
    pub fn socket(&self) -> i32 {
        self.inner.socket
    }

    /// How many buffers the pool has in all.
    pub fn size(&self) -> u32 {
        self.inner.mbufs
    }

    /// Buffers that can be taken, those in caches of threads included. Exact only while nobody
    /// takes or gives back.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as `self`.
        unsafe { c::rte_mempool_avail_count(self.inner.raw.as_ptr()) }
    }

    /// Buffers in packets, queues of devices and rings.
    pub fn in_use(&self) -> u32 {
        self.inner.mbufs - self.available().min(self.inner.mbufs)
    }

    /// Adds `n` empty packets to `batch`. All or none: false if the pool has not so many, or
    /// the batch no room for them.
    #[inline]
    pub fn alloc(&self, batch: &mut MbufBatch, n: usize) -> bool {
        if n > super::BURST_MAX - batch.len() {
            return false;
        }
        // SAFETY: DPDK writes `n` pointers to packets that were in the pool, or none; there is
        // room for `n`.
        let got = unsafe {
            batch.fill(|to, _| {
                let rc = c::il_pktmbuf_alloc_bulk(self.inner.raw.as_ptr(), to, n as u32);
                if rc == 0 { n } else { 0 }
            })
        };
        got == n
    }

    /// For DPDK calls that set up receive queues. The caller keeps the pool alive.
    pub(super) fn as_ptr(&self) -> *mut c::rte_mempool {
        self.inner.raw.as_ptr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the pool is alive until the free below.
        let left = unsafe { c::rte_mempool_in_use_count(self.raw.as_ptr()) };
        if left == 0 {
            // SAFETY: nobody holds the pool or a buffer of it any more.
            unsafe { c::rte_mempool_free(self.raw.as_ptr()) };
        } else {
            // Some device or lost packet still points into it: keeping it is safe, freeing not.
            tracing::error!(
                "mempool {}: {left} packet buffers lost, memory kept",
                self.name
            );
        }
    }
}
