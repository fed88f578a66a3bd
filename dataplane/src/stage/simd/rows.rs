//! Where the vector paths read mbufs and frames.
#![allow(unsafe_code)] // a load by pointer

use std::arch::asm;
use std::mem::offset_of;

use dpdk_sys as c;

use crate::eal::{HEAD_BYTES, TAG_STRIPPED};

/// Where a row of the mbuf starts; eight dwords.
pub(super) const MBUF_AT: usize = 16;
const _: () = {
    assert!(offset_of!(c::rte_mbuf, nb_segs) == MBUF_AT + 4);
    assert!(offset_of!(c::rte_mbuf, ol_flags) == MBUF_AT + 8);
    assert!(offset_of!(c::rte_mbuf, pkt_len) == MBUF_AT + 20);
    assert!(offset_of!(c::rte_mbuf, data_len) == MBUF_AT + 24);
    assert!(TAG_STRIPPED <= u32::MAX as u64);
    assert!(c::IL_MBUF_RX_IP_CKSUM_MASK <= u32::MAX as u64);
};

/// Where a row of the frame starts: so that the words of an IPv4 header are columns.
pub(super) const FRAME_AT: usize = 2;
const _: () = assert!(FRAME_AT + 32 == HEAD_BYTES);

/// The same of the row with the addresses of IPv6.
pub(super) const FRAME6_AT: usize = 22;
pub(super) const FRAME6_END: usize = 54;

/// What is looked at of a frame that is for another station, or too short for IPv6.
pub(super) static BLANK: [u8; FRAME6_END] = [0; FRAME6_END];

/// The frame, or a blank if it does not start with `start`.
///
/// # Safety
/// It has two bytes.
#[inline]
pub(super) unsafe fn own_or_blank(head: *mut u8, start: u16) -> *const u8 {
    let mut head = head.cast_const();
    // The compiler would make vectors of these for several packets, at several times the cost.
    // SAFETY: reads two bytes, by our contract.
    unsafe {
        asm!(
            "cmp word ptr [{head}], {start:x}",
            "cmovne {head}, {blank}",
            head = inout(reg) head,
            blank = in(reg) BLANK.as_ptr(),
            start = in(reg) start,
            options(pure, readonly, nostack),
        );
    }
    head
}

/// A group of a burst's last packets, or of their frames: the last one fills it up. There is one at least, and no more
/// than fit.
#[inline]
pub(super) fn filled_up<T: Copy, const N: usize>(rest: &[T]) -> [T; N] {
    let mut group = [rest[rest.len() - 1]; N];
    group[..rest.len()].copy_from_slice(rest);
    group
}
