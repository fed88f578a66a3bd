//! Rings of packets from one thread to another.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use dpdk_sys as c;

use super::error::{errno, strerror};
use super::{Eal, EalError, MbufBatch, Mempool};

/// Makes a ring for one producer and one consumer that holds `size` packets, with memory on
/// NUMA node `socket` (-1 for any).
///
/// `pools` are those that packets in the ring may belong to: they stay as long as the ring. When
/// both ends are gone, what is left in the ring is freed.
pub fn ring(
    eal: Eal,
    name: &str,
    size: u32,
    socket: i32,
    pools: &[Mempool],
) -> Result<(RingProducer, RingConsumer), EalError> {
    let shared = Arc::new(Shared::create(eal, name, size, socket, pools)?);
    Ok((
        RingProducer {
            shared: Arc::clone(&shared),
        },
        RingConsumer { shared },
    ))
}

#[derive(Debug)]
pub(super) struct Shared {
    raw: NonNull<c::rte_ring>,
    /// Outlive the packets in the ring.
    _pools: Vec<Mempool>,
}

// SAFETY: the ring is single-producer, single-consumer. There is one `RingProducer` and one
// `RingConsumer` (not `Clone`), and each needs `&mut self` to move packets.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn create(
        eal: Eal,
        name: &str,
        size: u32,
        socket: i32,
        pools: &[Mempool],
    ) -> Result<Self, EalError> {
        // DPDK's names are global to the process and at most 28 bytes long.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unique = CString::new(format!("il{number}_{name:.16}"))?;
        let made = eal.call(move || {
            let flags = c::RING_F_SP_ENQ | c::RING_F_SC_DEQ;
            // One more slot than asked for: a ring keeps one empty.
            let slots = (size + 1).next_power_of_two();
            // SAFETY: the string ends with a zero byte and is copied by DPDK.
            let raw = unsafe { c::rte_ring_create(unique.as_ptr(), slots, socket, flags) };
            NonNull::new(raw).map(Raw).ok_or_else(errno)
        });
        match made {
            Ok(Raw(raw)) => Ok(Self {
                raw,
                _pools: pools.to_vec(),
            }),
            Err(errno) => Err(EalError::Ring {
                name: name.to_owned(),
                size,
                reason: strerror(errno),
            }),
        }
    }

    pub(super) fn as_ptr(&self) -> *mut c::rte_ring {
        self.raw.as_ptr()
    }

    fn len(&self) -> usize {
        // SAFETY: the ring lives as long as `self`.
        unsafe { c::il_ring_count(self.raw.as_ptr()) as usize }
    }

    fn capacity(&self) -> usize {
        // SAFETY: as above.
        unsafe { c::il_ring_capacity(self.raw.as_ptr()) as usize }
    }

    fn dequeue(&self, batch: &mut MbufBatch) -> usize {
        // SAFETY: the pointers in the ring are packets that their producer gave up. The caller is
        // the only consumer.
        unsafe {
            batch.fill(|to, room| {
                c::il_ring_dequeue_burst(self.raw.as_ptr(), to, room as u32) as usize
            })
        }
    }
}

/// Carries a pointer from `eal-main` to the caller.
struct Raw(NonNull<c::rte_ring>);

// SAFETY: a new ring, which nobody else knows.
unsafe impl Send for Raw {}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut batch = MbufBatch::new();
        while self.dequeue(&mut batch) > 0 {
            batch.free();
        }
        // SAFETY: both ends are gone.
        unsafe { c::rte_ring_free(self.raw.as_ptr()) };
    }
}

/// The end of a ring that packets go in.
#[derive(Debug)]
pub struct RingProducer {
    pub(super) shared: Arc<Shared>,
}

impl RingProducer {
    /// Moves packets from the front of `batch` into the ring, as many as fit; the others stay.
    /// Returns how many went.
    #[inline]
    pub fn enqueue(&mut self, batch: &mut MbufBatch) -> usize {
        // SAFETY: DPDK takes over the packets it says; `&mut self` makes this the only producer.
        unsafe {
            batch.give(|from, len| {
                c::il_ring_enqueue_burst(self.shared.raw.as_ptr(), from, len as u32) as usize
            })
        }
    }

    /// Packets in the ring.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True if the ring is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }

    /// Something that tells how many packets are in the ring, as long as it has an end left.
    pub fn gauge(&self) -> RingGauge {
        RingGauge(Arc::downgrade(&self.shared))
    }
}

/// Tells how many packets are in a ring, from any thread, and does not keep it.
#[derive(Clone, Debug)]
pub struct RingGauge(Weak<Shared>);

impl RingGauge {
    /// Packets in the ring; none once it is gone.
    pub fn read(&self) -> usize {
        self.0.upgrade().map_or(0, |shared| shared.len())
    }
}

/// The end of a ring that packets come out.
#[derive(Debug)]
pub struct RingConsumer {
    pub(super) shared: Arc<Shared>,
}

impl RingConsumer {
    /// Adds packets from the ring to `batch`, as many as there are and fit. Returns how many.
    #[inline]
    pub fn dequeue(&mut self, batch: &mut MbufBatch) -> usize {
        self.shared.dequeue(batch)
    }

    /// Packets in the ring.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// True if the ring is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }
}
