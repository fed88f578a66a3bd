//! ESP to send.

use super::{HEADER_LEN_BYTES, TRAILER_LEN_BYTES, nonce, trailer};
use crate::buffer::put_u32;
use crate::outer::encap_len;
use crate::{Auth, Cipher, Layout, Room, Sa, Span};

impl<S> Sa<S> {
    /// Writes ESP header, IV, padding and trailer around the body, and lays out the packet for
    /// encryption. Headers in front are there already; the buffer is as long as `room` says.
    pub(crate) fn seal_esp(&self, room: &Room, buffer: &mut [u8], seq: u64) -> Layout {
        let spec = self.spec();
        let algorithm = spec.algorithm;
        let at = room.start + room.headers_len + encap_len(spec);
        let iv_at = at + HEADER_LEN_BYTES;
        let text_at = room.head + room.body_at;
        let padding_at = text_at + room.body_len;
        let trailer_at = padding_at + room.tfc_len;
        let icv_at = trailer_at + room.pad_len + TRAILER_LEN_BYTES;
        let end = icv_at + algorithm.icv_len_bytes();

        put_u32(buffer, at, spec.spi);
        put_u32(buffer, at + 4, seq as u32);
        let iv = nonce::iv_to_seal(spec.spi, seq);
        buffer[iv_at..text_at].copy_from_slice(&iv[..text_at - iv_at]);
        buffer[padding_at..trailer_at].fill(0);
        trailer::write(&mut buffer[trailer_at..icv_at], room.next);

        let mut layout = Layout {
            icv: Span::between(icv_at, end),
            seq,
            header_at: at as u32,
            wire_at: room.start as u32,
            wire_len: room.wire_len as u32,
            ..Layout::default()
        };
        match algorithm.cipher {
            Cipher::Null => {}
            // The IV is the first block of what is encrypted: see `nonce`.
            Cipher::AesCbc => layout.cipher = Span::between(iv_at, icv_at),
            cipher => {
                layout.nonce = nonce::nonce(cipher, self.salt, &iv);
                if cipher != Cipher::AesGmac {
                    layout.cipher = Span::between(text_at, icv_at);
                }
            }
        }
        if algorithm.cipher == Cipher::AesGmac {
            layout.auth = Span::between(at, icv_at);
            if spec.esn {
                layout.insert_upper_half(buffer);
            }
        } else if algorithm.cipher.is_aead() {
            (layout.aad, layout.aad_len) = nonce::aad(spec.spi, seq, spec.esn);
        } else if algorithm.auth != Auth::None {
            layout.auth = Span::between(at, icv_at);
            if spec.esn {
                // Authenticated and not sent (RFC 4303 2.2.1): `sealed_esp` closes the gap.
                put_u32(buffer, icv_at, (seq >> 32) as u32);
                layout.auth.len += 4;
                layout.icv.at += 4;
            }
        }
        layout
    }

    /// Takes out of an encrypted packet what was there for the engine.
    pub(crate) fn sealed_esp(&self, layout: &Layout, buffer: &mut [u8]) {
        let spec = self.spec();
        if !spec.esn {
            return;
        }
        if spec.algorithm.cipher == Cipher::AesGmac {
            layout.remove_upper_half(buffer);
        } else if spec.algorithm.auth != Auth::None {
            let icv = layout.icv.range();
            let at = icv.start - 4;
            buffer.copy_within(icv, at);
        }
    }
}
