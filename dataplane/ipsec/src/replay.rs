//! Anti-replay (RFC 4303 3.4.3, appendix A2): which sequence numbers were seen.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

/// The smallest window, in packets (RFC 4303 3.4.3).
pub const MIN_WINDOW: u32 = 32;

const WORD_BITS: u64 = 64;

/// The sequence numbers that one inbound SA has seen.
///
/// Two steps, since a number may count as seen only once its packet is authentic: [`check`] before
/// decryption, [`update`] after it. One lcore at a time does both; others may read [`top`]. The
/// window is exactly as large as was asked for: of the `size` numbers up to the largest seen, each
/// passes once; smaller ones never pass.
///
/// ```
/// use ironlane_ipsec::ReplayWindow;
///
/// let window = ReplayWindow::new(64, false, 0);
/// assert_eq!(window.check(3), Some(3));
/// assert!(window.update(3));
/// assert_eq!(window.check(3), None);
/// assert_eq!(window.check(2), Some(2)); // late, and not seen yet
/// ```
///
/// [`check`]: Self::check
/// [`update`]: Self::update
/// [`top`]: Self::top
///
/// In this order in memory: whether an SA has a window is told by its first byte.
#[derive(Debug)]
#[repr(C)]
pub struct ReplayWindow {
    esn: bool,
    /// A bit for each number, in a ring: number *n* is bit *n* modulo 64 of word *n* / 64 modulo
    /// their count, a power of two. The ring is at least one word larger than the window, so that
    /// a word is cleared before numbers of the window fall into it again.
    seen: Box<[AtomicU64]>,
    /// The largest number seen; 0 before the first.
    top: AtomicU64,
    size: u64,
}

impl ReplayWindow {
    /// A window of `size` packets (rounded up to [`MIN_WINDOW`]), with extended sequence numbers or
    /// not, that has seen all up to `last`.
    pub fn new(size: u32, esn: bool, last: u64) -> Self {
        let size = u64::from(size.max(MIN_WINDOW));
        let words = (size.div_ceil(WORD_BITS) + 1).next_power_of_two();
        let all_seen = if last == 0 { 0 } else { u64::MAX };
        let window = Self {
            seen: (0..words).map(|_| AtomicU64::new(all_seen)).collect(),
            top: AtomicU64::new(last),
            size,
            esn,
        };
        if last > 0 {
            // Of the word that holds `last`, the numbers beyond it are still to come.
            let beyond = u64::MAX.checked_shl((last % WORD_BITS) as u32 + 1);
            let word = window.word(last);
            word.store(!beyond.unwrap_or(0), Ordering::Relaxed);
        }
        window
    }

    /// How many numbers up to the largest may still come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The largest number seen. Any thread.
    #[inline]
    pub fn top(&self) -> u64 {
        // Relaxed, here and below: one lcore writes, and what it hands over to another with the SA
        // is ordered by the ring between them; others only want a figure.
        self.top.load(Ordering::Relaxed)
    }

    /// The full number of a packet with these lower 32 bits, if it may be new; `None` for one that
    /// was seen, or is too old. Nothing changes.
    #[inline]
    pub fn check(&self, low: u32) -> Option<u64> {
        let number = self.infer(low)?;
        self.is_new(number).then_some(number)
    }

    /// Notes an authentic packet by its full number, and says whether it was new: in a burst, its
    /// copy may have been checked as well.
    #[inline]
    pub fn update(&self, number: u64) -> bool {
        if !self.is_new(number) {
            return false;
        }
        let top = self.top();
        if number > top {
            // Clear what the window has not reached yet, each word once at most.
            let ahead = (number / WORD_BITS - top / WORD_BITS).min(self.seen.len() as u64);
            for step in 0..ahead {
                self.word(number - step * WORD_BITS)
                    .store(0, Ordering::Relaxed);
            }
            self.top.store(number, Ordering::Relaxed);
        }
        let word = self.word(number);
        let bit = 1 << (number % WORD_BITS);
        word.store(word.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
        true
    }

    /// The full number: the upper half is not sent, and follows from where the window is
    /// (RFC 4303 A2.2).
    #[inline]
    fn infer(&self, low: u32) -> Option<u64> {
        if !self.esn {
            return Some(u64::from(low));
        }
        let top = self.top();
        let (top_high, top_low) = ((top >> 32) as u32, top as u32);
        let bottom_low = top_low.wrapping_sub(self.size as u32 - 1);
        let high = if u64::from(top_low) >= self.size - 1 {
            // The window lies within one upper half: below it is the next one.
            if low >= bottom_low {
                top_high
            } else {
                top_high.checked_add(1)?
            }
        } else if low >= bottom_low {
            // The window begins in the upper half before.
            top_high.checked_sub(1)?
        } else {
            top_high
        };
        Some(u64::from(high) << 32 | u64::from(low))
    }

    #[inline]
    fn is_new(&self, number: u64) -> bool {
        let top = self.top();
        if number > top {
            return true;
        }
        // Number 0 is never sent (RFC 4303 3.3.3).
        number != 0
            && top - number < self.size
            && self.word(number).load(Ordering::Relaxed) >> (number % WORD_BITS) & 1 == 0
    }

    #[inline]
    fn word(&self, number: u64) -> &AtomicU64 {
        &self.seen[(number / WORD_BITS) as usize & (self.seen.len() - 1)]
    }
}
