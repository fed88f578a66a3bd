//! Packets in DPDK's buffers.
//!
//! An [`Mbuf`] is the only handle to its packet, of one segment or a chain of them. It has no
//! `Drop`: freeing is done for whole bursts, and a packet must end in a transmit queue, in a
//! ring or in [`MbufBatch::free`](super::MbufBatch::free). What is forgotten leaks, and the count
//! of the mempool at stop tells. Ironlane never clones an mbuf, so every segment has one owner.

use std::ptr::NonNull;
use std::slice;

use dpdk_sys as c;

mod offload;
mod single;

pub use offload::{RxChecksum, TAG_STRIPPED};

/// One packet: a pointer to the first segment, nothing more.
#[repr(transparent)]
#[derive(Debug)]
pub struct Mbuf(NonNull<c::rte_mbuf>);

// SAFETY: an `Mbuf` is the single owner of its segments (module doc), and nothing in them is bound
// to a thread; the pool's caches are chosen by DPDK from the thread that frees.
unsafe impl Send for Mbuf {}
// SAFETY: `&Mbuf` only gives reads of memory that nobody writes while the reference lives.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// Takes over a packet from DPDK.
    ///
    /// # Safety
    ///
    /// `raw` must be the first segment of a packet that nobody else owns.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<c::rte_mbuf>) -> Self {
        Self(raw)
    }

    /// Hands the packet over to DPDK.
    #[inline]
    pub fn into_raw(self) -> NonNull<c::rte_mbuf> {
        self.0
    }

    /// The pointers of a burst, to read from while it is borrowed.
    #[inline]
    #[cfg_attr(not(all(target_arch = "x86_64", not(miri))), allow(dead_code))]
    pub(crate) fn as_raw(burst: &[Self]) -> &[*const c::rte_mbuf] {
        // SAFETY: an `Mbuf` is a transparent pointer.
        unsafe { slice::from_raw_parts(burst.as_ptr().cast(), burst.len()) }
    }

    /// The pointer, for C to work on the packet while it is borrowed.
    #[inline]
    pub(super) fn as_mut_raw(&mut self) -> *mut c::rte_mbuf {
        self.0.as_ptr()
    }

    #[inline]
    fn head(&self) -> &c::rte_mbuf {
        // SAFETY: the pointer is to a live mbuf owned by `self`.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn head_mut(&mut self) -> &mut c::rte_mbuf {
        // SAFETY: as in `head`, and `&mut self` makes the access unique.
        unsafe { self.0.as_mut() }
    }

    /// Asks the CPU to fetch the line of the mbuf's own fields.
    #[inline]
    pub fn prefetch_header(&self) {
        prefetch(self.0.as_ptr().cast());
    }

    /// Asks the CPU to fetch the first line of the packet. Reads the mbuf's own fields.
    #[inline]
    pub fn prefetch_data(&self) {
        prefetch(self.head().data_ptr());
    }

    /// Where the data of the first segment begins.
    #[inline]
    pub(super) fn data_start(&self) -> *mut u8 {
        self.head().data_ptr()
    }

    /// Bytes of the first segment.
    #[inline]
    pub fn data(&self) -> &[u8] {
        let head = self.head();
        // SAFETY: DPDK keeps `data_off + data_len <= buf_len`, and so do all methods below.
        unsafe { slice::from_raw_parts(head.data_ptr(), usize::from(head.data_len)) }
    }

    /// Bytes of the first segment, to change.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let head = self.head_mut();
        // SAFETY: as in `data`; `&mut self` makes the access unique.
        unsafe { slice::from_raw_parts_mut(head.data_ptr(), usize::from(head.data_len)) }
    }

    /// Length of the first segment in bytes.
    #[inline]
    pub fn data_len(&self) -> usize {
        usize::from(self.head().data_len)
    }

    /// Length of the whole packet in bytes.
    #[inline]
    pub fn pkt_len(&self) -> usize {
        self.head().pkt_len as usize
    }

    /// How many segments the packet has.
    #[inline]
    pub fn nb_segs(&self) -> u16 {
        self.head().nb_segs
    }

    /// The segments' bytes, in order.
    pub fn segments(&self) -> Segments<'_> {
        Segments {
            next: Some(self.head()),
        }
    }

    /// DPDK's port number: where the packet came from, or is to leave by.
    #[inline]
    pub fn port(&self) -> u16 {
        self.head().port
    }

    /// Sets the port number.
    #[inline]
    pub fn set_port(&mut self, port: u16) {
        self.head_mut().port = port;
    }

    /// A word that travels with the packet from ring to ring: the punt reason on punt rings.
    /// It is kept in the second half of the hash field and so leaves the RSS hash alone.
    #[inline]
    pub fn user(&self) -> u32 {
        self.head().hash_fdir_hi
    }

    /// Sets the word of [`user`](Self::user).
    #[inline]
    pub fn set_user(&mut self, word: u32) {
        self.head_mut().hash_fdir_hi = word;
    }

    /// Free bytes before the data of the first segment.
    #[inline]
    pub fn headroom(&self) -> usize {
        usize::from(self.head().data_off)
    }

    /// Free bytes after the data of the first segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        self.head().tailroom()
    }

    /// Grows the packet by `n` bytes at its front and returns them, or `None` without headroom.
    pub fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.headroom() {
            return None;
        }
        let head = self.head_mut();
        // No truncation: `n` is at most the headroom, which is a u16.
        head.data_off -= n as u16;
        head.data_len += n as u16;
        head.pkt_len += n as u32;
        Some(&mut self.data_mut()[..n])
    }

    /// Takes `n` bytes off the front of the first segment. False, and nothing done, if it is
    /// shorter than that.
    pub fn adj(&mut self, n: usize) -> bool {
        if n > self.data_len() {
            return false;
        }
        let head = self.head_mut();
        // No truncation: `n` is at most `data_len`, which is a u16.
        head.data_off += n as u16;
        head.data_len -= n as u16;
        head.pkt_len -= n as u32;
        true
    }

    /// Grows a packet of one segment by `n` bytes at its end and returns them, or `None` without
    /// tailroom. Their contents are whatever lay there.
    pub fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.nb_segs() != 1 || n > self.tailroom() {
            return None;
        }
        let old = self.data_len();
        let head = self.head_mut();
        // No truncation: `n` is at most the tailroom, which is below `buf_len`, a u16.
        head.data_len += n as u16;
        head.pkt_len += n as u32;
        Some(&mut self.data_mut()[old..])
    }

    /// Cuts a packet of one segment to its first `len` bytes; it does not grow. Two stores and no
    /// branch.
    #[inline]
    pub fn cut_single(&mut self, len: u16) {
        let head = self.head_mut();
        debug_assert_eq!(head.nb_segs, 1, "a chain is cut by `truncate`");
        head.data_len = head.data_len.min(len);
        head.pkt_len = u32::from(head.data_len);
    }

    /// Cuts the packet to its first `len` bytes; segments that then hold nothing are freed (the
    /// first always stays). Nothing happens if it is not longer than that.
    ///
    /// Costs a store where the cut is inside the only segment; it calls DPDK only to free.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len >= self.pkt_len() {
            return;
        }
        if self.nb_segs() == 1 {
            let head = self.head_mut();
            // No truncation: `len` is below `pkt_len`, here equal to `data_len`, a u16.
            head.data_len = len as u16;
            head.pkt_len = len as u32;
        } else {
            self.truncate_chain(len);
        }
    }

    /// Takes `n` bytes off the end of the packet. False, and nothing done, if it is shorter.
    pub fn trim(&mut self, n: usize) -> bool {
        match self.pkt_len().checked_sub(n) {
            Some(len) => {
                self.truncate(len);
                true
            }
            None => false,
        }
    }

    #[cold]
    fn truncate_chain(&mut self, len: usize) {
        let mut left = len;
        let mut kept = 1;
        let mut segment = self.0.as_ptr();
        // SAFETY: the walk follows `next` pointers of segments owned by `self`, each valid or
        // null; the tail that is cut off is reachable from nowhere else when it is freed.
        unsafe {
            while left > usize::from((*segment).data_len) && !(*segment).next.is_null() {
                left -= usize::from((*segment).data_len);
                segment = (*segment).next;
                kept += 1;
            }
            // No truncation: `left` is at most this segment's `data_len`, a u16.
            (*segment).data_len = left as u16;
            let mut tail = (*segment).next;
            (*segment).next = std::ptr::null_mut();
            if !tail.is_null() {
                c::rte_pktmbuf_free_bulk(&raw mut tail, 1);
            }
        }
        let head = self.head_mut();
        head.nb_segs = kept;
        head.pkt_len = len as u32;
    }

    /// Makes the first `n` bytes of the packet lie in the first segment, moving bytes from the
    /// segments after it, and those of the first to its front where there is no room behind them;
    /// true if they then do. False leaves the packet as it was: it is shorter than `n`, or the
    /// first buffer is.
    #[inline]
    pub fn pullup(&mut self, n: usize) -> bool {
        n <= self.data_len() || self.pullup_chain(n)
    }

    #[cold]
    fn pullup_chain(&mut self, n: usize) -> bool {
        let missing = n - self.data_len();
        if n > self.pkt_len() {
            return false;
        }
        let short = missing.saturating_sub(self.tailroom());
        if short > 0 && !self.move_to_front(short) {
            return false;
        }
        let mut left = missing;
        let head = self.0.as_ptr();
        // SAFETY: all pointers are to segments owned by `self`. `left` bytes fit in the tailroom of
        // the first and are there in those after it (both checked above), which are other
        // buffers, so the copies do not overlap.
        unsafe {
            while left > 0 {
                let next = (*head).next;
                debug_assert!(!next.is_null(), "pkt_len promises more segments");
                let count = left.min(usize::from((*next).data_len));
                let end = (*head).data_ptr().add(usize::from((*head).data_len));
                std::ptr::copy_nonoverlapping((*next).data_ptr(), end, count);
                (*head).data_len += count as u16;
                (*next).data_off += count as u16;
                (*next).data_len -= count as u16;
                left -= count;
                if (*next).data_len == 0 {
                    (*head).next = (*next).next;
                    (*head).nb_segs -= 1;
                    (*next).next = std::ptr::null_mut();
                    let mut empty = next;
                    c::rte_pktmbuf_free_bulk(&raw mut empty, 1);
                }
            }
        }
        true
    }

    /// Moves the data of the first segment `by` bytes into the headroom. False, and nothing done,
    /// if that is smaller.
    fn move_to_front(&mut self, by: usize) -> bool {
        if by > self.headroom() {
            return false;
        }
        let head = self.head_mut();
        let from = head.data_ptr();
        // SAFETY: both ranges are inside the buffer, the second `by` bytes before the first, which
        // the headroom has; `copy` allows them to overlap.
        unsafe { std::ptr::copy(from, from.sub(by), usize::from(head.data_len)) };
        // No truncation: `by` is at most the headroom, which is a u16.
        head.data_off -= by as u16;
        true
    }

    /// The most bytes that [`pullup`](Self::pullup) can make lie in the first segment.
    pub fn pullup_max(&self) -> usize {
        self.pkt_len().min(usize::from(self.head().buf_len))
    }

    /// Copies bytes of the packet, from `offset` on, over all segments; returns how many there
    /// were, at most `to.len()`.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        let (mut skip, mut done) = (offset, 0);
        for segment in self.segments() {
            let from = segment.get(skip..).unwrap_or(&[]);
            skip = skip.saturating_sub(segment.len());
            let count = from.len().min(to.len() - done);
            to[done..done + count].copy_from_slice(&from[..count]);
            done += count;
        }
        done
    }

    /// Appends `tail` as further segments.
    pub fn chain(&mut self, tail: Mbuf) {
        let tail = tail.into_raw();
        let mut last = self.0.as_ptr();
        // SAFETY: the walk follows segments owned by `self`; `tail` was owned by the caller and
        // becomes part of this packet.
        unsafe {
            while !(*last).next.is_null() {
                last = (*last).next;
            }
            (*last).next = tail.as_ptr();
            let (segs, len) = (tail.as_ref().nb_segs, tail.as_ref().pkt_len);
            let head = self.head_mut();
            head.nb_segs += segs;
            head.pkt_len += len;
        }
    }

    /// Frees this one packet. For slow paths; bursts are freed as a whole.
    pub fn free(self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: `self` owned the packet and is gone.
        unsafe { c::rte_pktmbuf_free_bulk(&raw mut raw, 1) };
    }
}

/// The segments of a packet, in order. Made by [`Mbuf::segments`].
#[derive(Debug)]
pub struct Segments<'a> {
    next: Option<&'a c::rte_mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        // SAFETY: `next` is null or a segment of the same packet, borrowed for 'a as a whole.
        self.next = unsafe { segment.next.as_ref() };
        // SAFETY: as in `Mbuf::data`.
        Some(unsafe { slice::from_raw_parts(segment.data_ptr(), usize::from(segment.data_len)) })
    }
}

/// Address arithmetic on one segment.
pub(super) trait Segment {
    fn data_ptr(&self) -> *mut u8;
    fn tailroom(&self) -> usize;
}

impl Segment for c::rte_mbuf {
    #[inline]
    fn data_ptr(&self) -> *mut u8 {
        self.buf_addr
            .cast::<u8>()
            .wrapping_add(usize::from(self.data_off))
    }

    #[inline]
    fn tailroom(&self) -> usize {
        usize::from(self.buf_len) - usize::from(self.data_off) - usize::from(self.data_len)
    }
}

/// Asks the CPU to fetch the cache line of `address` for reading.
#[inline]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
