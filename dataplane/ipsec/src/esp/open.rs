//! ESP that arrived.

use super::{HEADER_LEN_BYTES, TRAILER_LEN_BYTES, nonce, trailer};
use crate::buffer::{get_u32, put_u32};
use crate::inner::Payload;
use crate::{Auth, Cipher, Layout, Reject, Sa, Span};

impl<S> Sa<S> {
    /// Lays out an ESP packet for decryption; see [`Sa::open`].
    pub(crate) fn open_esp(
        &self,
        buffer: &mut [u8],
        len: usize,
        at: usize,
    ) -> Result<Layout, Reject> {
        let spec = self.spec();
        let algorithm = spec.algorithm;
        let (iv_len, icv_len) = (algorithm.iv_len_bytes(), algorithm.icv_len_bytes());
        let text_at = at + HEADER_LEN_BYTES + iv_len;
        let icv_at = len.checked_sub(icv_len).ok_or(Reject::Malformed)?;
        let text_len = icv_at.checked_sub(text_at).ok_or(Reject::Malformed)?;
        // Some peers do not align to four bytes what no block cipher asks for.
        let is_whole =
            algorithm.cipher != Cipher::AesCbc || text_len.is_multiple_of(algorithm.align_bytes());
        if text_len < TRAILER_LEN_BYTES || !is_whole {
            return Err(Reject::Malformed);
        }
        let low = get_u32(buffer, at + 4);
        let seq = match self.state().replay() {
            Some(window) => window.check(low).ok_or(Reject::Replay)?,
            None => u64::from(low),
        };
        let mut layout = Layout {
            icv: Span::between(icv_at, len),
            nonce: nonce::nonce(
                algorithm.cipher,
                self.salt,
                &buffer[at + HEADER_LEN_BYTES..text_at],
            ),
            seq,
            header_at: at as u32,
            wire_len: len as u32,
            ..Layout::default()
        };
        match algorithm.cipher {
            Cipher::Null => {}
            Cipher::AesGmac => {
                layout.auth = Span::between(at, icv_at);
                if spec.esn {
                    layout.insert_upper_half(buffer);
                }
                return Ok(layout);
            }
            _ => layout.cipher = Span::between(text_at, icv_at),
        }
        if algorithm.cipher.is_aead() {
            (layout.aad, layout.aad_len) = nonce::aad(spec.spi, seq, spec.esn);
        } else if algorithm.auth != Auth::None {
            layout.auth = Span::between(at, icv_at);
            if spec.esn {
                // The upper half is authenticated behind the ciphertext (RFC 4303 2.2.1): it goes
                // there, and the ICV moves out of its way.
                let moved = buffer.get_mut(icv_at..len + 4).ok_or(Reject::NoRoom)?;
                moved.copy_within(..icv_len, 4);
                put_u32(moved, 0, (seq >> 32) as u32);
                layout.auth.len += 4;
                layout.icv.at += 4;
            }
        }
        Ok(layout)
    }

    /// The payload of a packet that was decrypted and found authentic.
    pub(crate) fn payload_esp(
        &self,
        layout: &Layout,
        buffer: &mut [u8],
    ) -> Result<Payload, Reject> {
        let algorithm = self.spec().algorithm;
        if algorithm.cipher == Cipher::AesGmac && self.spec().esn {
            layout.remove_upper_half(buffer);
        }
        let at = layout.header_at as usize + HEADER_LEN_BYTES + algorithm.iv_len_bytes();
        let end = layout.wire_len as usize - algorithm.icv_len_bytes();
        let (len, next) = trailer::read(&buffer[at..end])?;
        Ok(Payload {
            headers_end: layout.headers_end(self.spec().encap.is_some()),
            at,
            len,
            next,
        })
    }
}

impl Layout {
    /// Where the headers in front of ESP, or of UDP around it, end.
    pub(crate) fn headers_end(&self, in_udp: bool) -> usize {
        let udp = if in_udp { 8 } else { 0 };
        (self.header_at as usize).saturating_sub(udp)
    }

    /// Puts the upper half of the sequence number between SPI and lower half, where GMAC covers it
    /// (RFC 4543 3.3); the SPI moves forward by four bytes, onto the header before it.
    pub(crate) fn insert_upper_half(&mut self, buffer: &mut [u8]) {
        let at = self.header_at as usize;
        self.saved.copy_from_slice(&buffer[at - 4..at]);
        buffer.copy_within(at..at + 4, at - 4);
        put_u32(buffer, at, (self.seq >> 32) as u32);
        self.auth.at -= 4;
        self.auth.len += 4;
    }

    /// Undoes [`insert_upper_half`](Self::insert_upper_half).
    pub(crate) fn remove_upper_half(&self, buffer: &mut [u8]) {
        let at = self.header_at as usize;
        buffer.copy_within(at - 4..at, at);
        buffer[at - 4..at].copy_from_slice(&self.saved);
    }
}
