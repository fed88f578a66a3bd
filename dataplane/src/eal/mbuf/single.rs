//! Packets of one segment, as nearly all are: lengths change in a few stores.

use super::{Mbuf, Segment};

impl Mbuf {
    /// Grows a packet of one segment at both ends and returns all of it, or `None`, and nothing done, without
    /// room. What is new in it is whatever lay there.
    #[inline]
    pub fn grow_single(&mut self, front: usize, back: usize) -> Option<&mut [u8]> {
        let head = self.head_mut();
        let has_room = front <= usize::from(head.data_off) && back <= head.tailroom();
        if head.nb_segs != 1 || !has_room {
            return None;
        }
        // No truncation: both are at most what is free of `buf_len`, a u16.
        head.data_off -= front as u16;
        head.data_len += (front + back) as u16;
        head.pkt_len = u32::from(head.data_len);
        Some(self.data_mut())
    }

    /// Makes a packet of one segment the `len` bytes from `at` on. False, and nothing done, if they are not all
    /// there.
    #[inline]
    pub fn narrow_single(&mut self, at: usize, len: usize) -> bool {
        let head = self.head_mut();
        if head.nb_segs != 1 || at.saturating_add(len) > usize::from(head.data_len) {
            return false;
        }
        // No truncation: both are at most `data_len`, a u16.
        head.data_off += at as u16;
        head.data_len = len as u16;
        head.pkt_len = len as u32;
        true
    }
}
