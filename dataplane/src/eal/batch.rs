//! A small array of packets that DPDK fills and empties by the burst.

use std::mem::{self, MaybeUninit};
use std::slice;

use dpdk_sys as c;

use super::Mbuf;

/// Most packets of one burst, and so the capacity of a [`MbufBatch`].
pub const BURST_MAX: usize = 64;

/// Up to [`BURST_MAX`] packets, in order, without allocation.
///
/// Like [`Mbuf`] it frees nothing when it goes out of scope: it must be empty by then, which
/// a debug build checks.
#[derive(Debug)]
pub struct MbufBatch {
    len: usize,
    mbufs: [MaybeUninit<Mbuf>; BURST_MAX],
}

impl Default for MbufBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl MbufBatch {
    /// An empty batch.
    #[inline]
    pub const fn new() -> Self {
        Self {
            len: 0,
            mbufs: [const { MaybeUninit::uninit() }; BURST_MAX],
        }
    }

    /// How many packets there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without packets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if no packet can be added.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == BURST_MAX
    }

    /// Adds a packet; a full batch gives it back.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.mbufs.get_mut(self.len) {
            Some(slot) => {
                slot.write(mbuf);
                self.len += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Adds all packets of `other`, which is empty after it. False, and nothing done, if there
    /// is no room for all.
    #[inline]
    pub fn append(&mut self, other: &mut Self) -> bool {
        let Some(room) = self.mbufs.get_mut(self.len..self.len + other.len) else {
            return false;
        };
        let from = other.mbufs[..other.len].as_ptr();
        // SAFETY: as many slots, which hold packets below the `len` of `other`; that is set to zero,
        // so that each packet has one owner. The two are borrowed apart, so they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from, room.as_mut_ptr(), room.len()) };
        self.len += mem::take(&mut other.len);
        true
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: slots below the old `len` hold packets; this one is counted out just now.
        Some(unsafe { self.mbufs[self.len].assume_init_read() })
    }

    /// Takes the packets at these places, a bit for each; those that are left close up, in order.
    #[inline]
    pub fn take_out(&mut self, places: u64, mut take: impl FnMut(usize, Mbuf)) {
        if places == 0 {
            return;
        }
        // Should `take` panic, all are lost and none is taken twice.
        let len = mem::take(&mut self.len);
        let base = self.mbufs.as_mut_ptr();
        let (mut rest, mut kept, mut from) = (places, 0, 0);
        loop {
            let place = (rest.trailing_zeros() as usize).min(len);
            // SAFETY: `kept <= from <= place <= len`, so both ranges are inside the array; `copy` allows
            // them to overlap.
            unsafe { std::ptr::copy(base.add(from), base.add(kept), place - from) };
            kept += place - from;
            if place == len {
                break;
            }
            // SAFETY: slots below the old `len` hold packets; this one is read once and then
            // passed over.
            take(place, unsafe { self.mbufs[place].assume_init_read() });
            from = place + 1;
            rest &= rest - 1;
        }
        self.len = kept;
    }

    /// Takes all packets, first one first. Those that the iterator has not handed out when it
    /// is dropped stay lost; consume it.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Mbuf> + '_ {
        let len = mem::take(&mut self.len);
        // SAFETY: slots below the old `len` hold packets, and each is read once.
        self.mbufs[..len]
            .iter()
            .map(|slot| unsafe { slot.assume_init_read() })
    }

    /// The packets.
    #[inline]
    pub fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: slots below `len` hold packets; `MaybeUninit<Mbuf>` has the layout of `Mbuf`.
        unsafe { slice::from_raw_parts(self.mbufs.as_ptr().cast(), self.len) }
    }

    /// The packets, to change.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [Mbuf] {
        // SAFETY: as in `as_slice`, unique through `&mut self`.
        unsafe { slice::from_raw_parts_mut(self.mbufs.as_mut_ptr().cast(), self.len) }
    }

    /// Bytes of all packets.
    pub fn bytes(&self) -> u64 {
        self.as_slice().iter().map(|m| m.pkt_len() as u64).sum()
    }

    /// Frees all packets, one call for all.
    #[inline]
    pub fn free(&mut self) {
        let len = mem::take(&mut self.len);
        if len > 0 {
            // SAFETY: `Mbuf` is a transparent pointer, so this is an array of `len` valid mbuf
            // pointers, none of which is used after.
            unsafe { c::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr().cast(), len as u32) };
        }
    }

    /// Lets DPDK add packets: `fill` gets where to write pointers and how many fit, and returns
    /// how many it wrote. Returns that count.
    ///
    /// # Safety
    ///
    /// `fill` must write that many pointers to packets that the batch then owns alone.
    #[inline]
    pub(super) unsafe fn fill(
        &mut self,
        fill: impl FnOnce(*mut *mut c::rte_mbuf, usize) -> usize,
    ) -> usize {
        let room = BURST_MAX - self.len;
        let count = fill(self.mbufs[self.len..].as_mut_ptr().cast(), room);
        debug_assert!(count <= room);
        self.len += count;
        count
    }

    /// Lets DPDK take packets from the front: `take` gets the pointers and how many they are,
    /// and returns how many it took over. The others move to the front. Returns that count.
    ///
    /// # Safety
    ///
    /// `take` must take over the first packets, as many as it says, and no other.
    #[inline]
    pub(super) unsafe fn give(
        &mut self,
        take: impl FnOnce(*mut *mut c::rte_mbuf, usize) -> usize,
    ) -> usize {
        let count = take(self.mbufs.as_mut_ptr().cast(), self.len);
        debug_assert!(count <= self.len);
        if count < self.len {
            let base = self.mbufs.as_mut_ptr();
            // SAFETY: both ranges are inside the array; `copy` allows them to overlap.
            unsafe { std::ptr::copy(base.add(count), base, self.len - count) };
        }
        self.len -= count;
        count
    }
}

impl Drop for MbufBatch {
    fn drop(&mut self) {
        debug_assert!(
            self.len == 0 || std::thread::panicking(),
            "{} packets forgotten in a batch",
            self.len
        );
    }
}
