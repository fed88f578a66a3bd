//! The fragments of one packet, in order: where the next one belongs, and when all are there.

use super::piece::Head;
use super::{Key, Loss, Piece, Whole};
use crate::ecn::{CE, NOT_ECT};

/// No part, no packet.
pub(super) const NONE: u16 = u16::MAX;

/// Most fragments of a packet: 64 KiB in pieces of 1,024 bytes.
pub const PARTS_MAX: usize = 64;

/// A fragment that waits.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) at: u32,
    pub(super) len: u32,
    more: bool,
    /// The next one of its packet, or of those that are free.
    pub(super) next: u16,
    pub(super) packet: Option<T>,
}

impl<T> Part<T> {
    pub(super) fn free(next: u16) -> Self {
        Self {
            at: 0,
            len: 0,
            more: false,
            next,
            packet: None,
        }
    }

    fn end(&self) -> u32 {
        self.at + self.len
    }
}

/// What is known of a packet of which there are fragments.
#[derive(Debug)]
pub(super) struct Datagram<D> {
    pub(super) key: Option<Key>,
    pub(super) deadline_ns: u64,
    /// What becomes of its fragments, if they are not to be put together.
    pub(super) decision: Option<D>,
    /// Its parts by their offsets.
    pub(super) first: u16,
    last: u16,
    pub(super) count: u16,
    /// Bytes of fragments that came, of all of them.
    bytes: u32,
    /// Where it ends, once its last fragment has come.
    end: Option<u32>,
    head: Option<Head>,
    /// Which of the four values of ECN its fragments have.
    ecn: u8,
    /// Whose share of the table it is part of.
    pub(super) share: u8,
    /// The next one with the same hash, or of those that are free.
    pub(super) next: u16,
    /// The ones that came before and after it.
    pub(super) older: u16,
    pub(super) newer: u16,
}

impl<D> Datagram<D> {
    pub(super) fn free(next: u16) -> Self {
        Self {
            key: None,
            deadline_ns: 0,
            decision: None,
            first: NONE,
            last: NONE,
            count: 0,
            bytes: 0,
            end: None,
            head: None,
            ecn: 0,
            share: 0,
            next,
            older: NONE,
            newer: NONE,
        }
    }

    /// Whether its first fragment has come.
    pub(super) fn has_first(&self) -> bool {
        self.head.is_some()
    }

    /// Whether as many bytes came as it has.
    pub(super) fn is_complete(&self) -> bool {
        self.end == Some(self.bytes)
    }

    /// Counts a fragment that is not kept.
    pub(super) fn pass(&mut self, piece: &Piece) {
        self.bytes = self.bytes.saturating_add(piece.len as u32);
        if !piece.more {
            self.end = Some((piece.at + piece.len) as u32);
        }
    }

    /// The part behind which a fragment belongs; [`NONE`] if it comes first.
    ///
    /// # Errors
    /// [`Loss::Duplicate`] if it is there already, as `same` says of two packets; [`Loss::Overlap`] if others
    /// have some of its bytes, or it contradicts the last one; [`Loss::TooLong`] if it is one too many.
    pub(super) fn place<T>(
        &self,
        piece: &Piece,
        parts: &[Part<T>],
        same: impl FnOnce(&T) -> bool,
    ) -> Result<u16, Loss> {
        // 64 KiB at most, as `Piece` has seen.
        let (at, end) = (piece.at as u32, (piece.at + piece.len) as u32);
        let mut before = NONE;
        // Most come in order.
        if self.last != NONE && parts[usize::from(self.last)].at <= at {
            before = self.last;
        } else {
            let mut place = self.first;
            while place != NONE && parts[usize::from(place)].at <= at {
                before = place;
                place = parts[usize::from(place)].next;
            }
        }
        let mut after = self.first;
        if let Some(part) = parts.get(usize::from(before)) {
            if (part.at, part.len, part.more) == (at, piece.len as u32, piece.more)
                && part.packet.as_ref().is_some_and(same)
            {
                return Err(Loss::Duplicate);
            }
            if part.end() > at {
                return Err(Loss::Overlap);
            }
            after = part.next;
        }
        let reaches_next = parts
            .get(usize::from(after))
            .is_some_and(|part| end > part.at || !piece.more);
        let is_beyond = self.end.is_some_and(|last| end > last || !piece.more);
        if reaches_next || is_beyond {
            return Err(Loss::Overlap);
        }
        match usize::from(self.count) < PARTS_MAX {
            true => Ok(before),
            false => Err(Loss::TooLong),
        }
    }

    /// Puts a fragment into the free part `place`, behind `before`.
    pub(super) fn insert<T>(
        &mut self,
        (before, place): (u16, u16),
        piece: &Piece,
        packet: T,
        parts: &mut [Part<T>],
    ) {
        let next = match parts.get_mut(usize::from(before)) {
            Some(part) => std::mem::replace(&mut part.next, place),
            None => std::mem::replace(&mut self.first, place),
        };
        if next == NONE {
            self.last = place;
        }
        parts[usize::from(place)] = Part {
            at: piece.at as u32,
            len: piece.len as u32,
            more: piece.more,
            next,
            packet: Some(packet),
        };
        self.count += 1;
        self.bytes += piece.len as u32;
        self.ecn |= 1 << piece.ecn;
        if piece.is_first() {
            self.head = Some(piece.head);
        }
        if !piece.more {
            self.end = Some((piece.at + piece.len) as u32);
        }
    }

    /// The whole packet, if all of it is there.
    ///
    /// # Errors
    /// [`Loss::TooLong`] with the headers of its first fragment; [`Loss::Malformed`] if one of its fragments
    /// was marked and another says that it knows no congestion (RFC 3168 5.3).
    pub(super) fn whole(&self) -> Result<Option<Whole>, Loss> {
        let Some(head) = self.head.filter(|_| self.is_complete()) else {
            return Ok(None);
        };
        let is_marked = self.ecn & 1 << CE != 0;
        if is_marked && self.ecn & 1 << NOT_ECT != 0 {
            return Err(Loss::Malformed);
        }
        let body_len = self.bytes as usize;
        match usize::from(head.len) + body_len <= usize::from(u16::MAX) {
            true => Ok(Some(Whole {
                head,
                body_len,
                is_marked,
            })),
            false => Err(Loss::TooLong),
        }
    }
}
