//! Where the frames of a burst begin.
//!
//! A frame's address is needed three times: to ask the CPU for its first line, to check its header, to
//! rewrite it. Each time it would be two loads from the mbuf and a compare of its length; so it is noted
//! once.

use std::hint::select_unpredictable;

use super::mbuf::prefetch;
use super::{BURST_MAX, Mbuf};

/// Bytes of a frame that are reached by its address; the shortest plain frame has them.
pub(crate) const HEAD_BYTES: usize = 34;

/// The addresses that a frame's header begins with: its first eight bytes, then four more.
pub(crate) type HeadAddresses = ([u8; 8], [u8; 4]);

/// Room to note where the frames of a burst begin. What it holds means nothing but in [`Heads`].
#[derive(Debug)]
pub(crate) struct HeadRoom {
    at: [*mut u8; BURST_MAX],
    /// Stands for frames that are shorter.
    blank: [u8; HEAD_BYTES],
}

// SAFETY: the pointers are written before each use, by the thread that uses them.
unsafe impl Send for HeadRoom {}

impl HeadRoom {
    pub(crate) const fn new() -> Self {
        Self {
            at: [std::ptr::null_mut(); BURST_MAX],
            blank: [0; HEAD_BYTES],
        }
    }

    /// Notes where the frames of a burst begin, and asks the CPU for the first line of each.
    #[inline]
    pub(crate) fn note<'p>(&'p mut self, packets: &'p mut [Mbuf]) -> Heads<'p> {
        let blank = self.blank.as_mut_ptr();
        for (at, mbuf) in self.at.iter_mut().zip(&*packets) {
            let head = mbuf.data_start();
            *at = select_unpredictable(mbuf.data_len() < HEAD_BYTES, blank, head);
            prefetch(head);
        }
        let count = packets.len().min(BURST_MAX);
        Heads {
            at: &self.at[..count],
            packets,
        }
    }
}

/// The packets of a burst, none of which is freed or moved in its buffer meanwhile, and where their
/// frames begin.
#[derive(Debug)]
pub(crate) struct Heads<'p> {
    packets: &'p mut [Mbuf],
    at: &'p [*mut u8],
}

impl Heads<'_> {
    /// The packets.
    #[inline]
    pub(crate) fn packets(&self) -> &[Mbuf] {
        self.packets
    }

    /// Addresses of the frames, of which [`HEAD_BYTES`] may be read while they are borrowed; a frame that is
    /// shorter is some zeros.
    #[inline]
    #[cfg_attr(not(all(target_arch = "x86_64", not(miri))), allow(dead_code))]
    pub(crate) fn as_raw(&self) -> &[*mut u8] {
        self.at
    }

    /// Writes the addresses of frames at these places, and four bytes at `word_at`, the lowest first.
    #[inline]
    pub(crate) fn rewrite(
        &mut self,
        word_at: usize,
        frames: impl Iterator<Item = (u8, HeadAddresses, u32)>,
    ) {
        assert!(word_at + 4 <= HEAD_BYTES);
        // Borrowed apart from `self`, so that it is not loaded again behind each store.
        let at = self.at;
        for (place, addresses, word) in frames {
            if let Some(&head) = at.get(usize::from(place)) {
                // SAFETY: of a frame whose packet we have borrowed to change, or the blank in the room that we
                // have borrowed to change; `note` has seen to that.
                unsafe { write(head, word_at, addresses, word) };
            }
        }
    }

    /// The same of all frames of the burst, in order.
    #[inline]
    pub(crate) fn rewrite_all(
        &mut self,
        word_at: usize,
        frames: impl Iterator<Item = (HeadAddresses, u32)>,
    ) {
        assert!(word_at + 4 <= HEAD_BYTES);
        for (&head, (addresses, word)) in self.at.iter().zip(frames) {
            // SAFETY: as in `rewrite`.
            unsafe { write(head, word_at, addresses, word) };
        }
    }
}

/// Writes the addresses of a frame, and four bytes at `word_at`, the lowest first.
///
/// # Safety
/// `head` leads to HEAD_BYTES that nobody else uses; `word_at` is four bytes before their end, or more.
#[inline(always)]
unsafe fn write(head: *mut u8, word_at: usize, (first, last): HeadAddresses, word: u32) {
    // SAFETY: by our contract.
    unsafe {
        head.cast::<[u8; 8]>().write(first);
        head.add(first.len()).cast::<[u8; 4]>().write(last);
        head.add(word_at)
            .cast::<[u8; 4]>()
            .write(word.to_le_bytes());
    }
}
