//! Packets that arrived protected, of one SA in a row.

use super::seal::nonce;
use super::{IV_LEN, Text};
use crate::buffer::get_u32;
use crate::inner::{self, Payload};
use crate::outer::UDP_LEN;
use crate::{Cipher, Direction, Events, Inner, Mode, Protocol, Reject, Sa, esp};

/// Opens packets of one SA, one after the other. Owner lcore only.
#[derive(Debug)]
pub struct OpenRun<'a, S> {
    sa: &'a Sa<S>,
    spi: u32,
    esn: bool,
    in_udp: bool,
    icv_len: usize,
}

impl<S> Sa<S> {
    /// To open packets that come in a row. `None` for an SA of another kind than ESP tunnels whose cipher
    /// authenticates, without selectors of its own, and one that passes nothing any more: packets then go by
    /// [`Sa::open`] one by one.
    #[inline]
    pub fn open_run(&self) -> Option<OpenRun<'_, S>> {
        let spec = self.spec();
        let is_usual = spec.direction == Direction::In
            && spec.protocol == Protocol::Esp
            && spec.mode == Mode::Tunnel
            // Not the list itself, which is on a line that no packet needs.
            && !self.is_selective
            && matches!(
                spec.algorithm.cipher,
                Cipher::AesGcm { .. } | Cipher::ChaCha20Poly1305
            )
            && !self.state().is_expired();
        is_usual.then(|| OpenRun {
            sa: self,
            spi: spec.spi,
            esn: spec.esn,
            in_udp: spec.encap.is_some(),
            icv_len: spec.algorithm.icv_len_bytes(),
        })
    }
}

impl<'a, S> OpenRun<'a, S> {
    /// The SA.
    #[inline]
    pub fn sa(&self) -> &'a Sa<S> {
        self.sa
    }

    /// Lays out a packet for the engine, with its full sequence number. `packet` is whole, not a fragment, and begins
    /// with an IP header of `ip_len` bytes without options or extension headers, behind which ESP follows, in
    /// UDP or not. Changes nothing. `None` if one by one is told why it cannot.
    #[inline]
    pub fn open(&self, packet: &[u8], ip_len: usize, in_udp: bool) -> Option<(Text, u64)> {
        if in_udp != self.in_udp || packet.len() > usize::from(u16::MAX) {
            return None;
        }
        let header_at = ip_len + if in_udp { UDP_LEN } else { 0 };
        let text_at = header_at + esp::HEADER_LEN_BYTES + IV_LEN;
        let len = packet.len().checked_sub(text_at + self.icv_len)?;
        if len < esp::TRAILER_LEN_BYTES {
            return None;
        }
        let header: &[u8; esp::HEADER_LEN_BYTES + IV_LEN] =
            packet.get(header_at..)?.first_chunk()?;
        let low = get_u32(header, 4);
        let seq = match self.sa.state().replay() {
            Some(window) => window.check(low)?,
            None => u64::from(low),
        };
        let iv = header.last_chunk()?;
        let (aad, _) = esp::nonce::aad(self.spi, seq, self.esn);
        let text = Text {
            // No truncation: the packet is not longer.
            at: text_at as u16,
            len: len as u16,
            nonce: nonce(self.sa.salt, *iv),
            aad,
        };
        Some((text, seq))
    }

    /// Takes the inner packet out of one that the engine has decrypted and found authentic, as
    /// [`Sa::opened`] does, but for the count of what passes; `text` and `seq` are as [`open`](Self::open) said.
    ///
    /// # Errors
    /// The reason to drop the packet, counted already.
    #[inline]
    pub fn opened(
        &self,
        packet: &mut [u8],
        (at, len): (u16, u16),
        seq: u64,
        events: &Events,
    ) -> Result<Inner, Reject> {
        let inner = self.try_opened(packet, (at.into(), len.into()), seq, events);
        inner.inspect_err(|&reason| self.sa.reject(reason))
    }

    #[inline]
    fn try_opened(
        &self,
        packet: &mut [u8],
        (at, len): (usize, usize),
        seq: u64,
        events: &Events,
    ) -> Result<Inner, Reject> {
        if let Some(window) = self.sa.state().replay()
            && !window.update(seq)
        {
            return Err(Reject::Replay);
        }
        let text = packet.get(at..at + len).ok_or(Reject::Malformed)?;
        let payload = esp::trailer::read(text);
        if self.in_udp {
            let header_at = at - IV_LEN - esp::HEADER_LEN_BYTES;
            self.sa.note_peer(header_at, packet, events);
        }
        let (len, next) = payload?;
        let payload = Payload {
            // Of no meaning in a tunnel.
            headers_end: 0,
            at,
            len,
            next,
        };
        inner::tunnel(self.sa.spec(), payload, packet)
    }

    /// Counts packets that were opened, `bytes` long together as they were inside.
    #[inline]
    pub fn count(&self, packets: u64, bytes: u64, now_s: u64, events: &Events) {
        let (state, id) = (self.sa.state(), self.sa.id());
        state.count_all(id, packets, bytes, now_s, events);
    }
}
