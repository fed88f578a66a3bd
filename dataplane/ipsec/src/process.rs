//! What an lcore does with a packet and its SA, before and behind the crypto engine.

use std::net::IpAddr;

use crate::buffer::get_u16;
use crate::header::{IP4_LEN, IP6_LEN, is_fragment};
use crate::inner::{self, Inner};
use crate::outer::{UDP_LEN, encap_len, sum_udp, write_udp};
use crate::room::Front;
use crate::{Direction, Event, Events, Flow, Layout, Mode, Protocol, Reject, Room, Sa, Span, beet};

/// Bytes behind a packet that arrived which [`Sa::open`] may need for work: always enough for ESP,
/// and for AH behind no more than 128 bytes of headers.
pub const OPEN_ROOM_BYTES: usize = 4 + 32 + 128;

impl<S> Sa<S> {
    /// Lays out a packet that arrived for the engine: looks at its lengths and whether its sequence
    /// number may be new.
    ///
    /// `buffer` begins with the outer IP header; the packet, whole and not a fragment, is its first
    /// `len` bytes, and behind it is room for work, [`OPEN_ROOM_BYTES`] or what there is. `at` is where
    /// the ESP or AH header is. On success the buffer is changed for the engine; then comes
    /// [`opened`](Self::opened). Owner lcore only.
    ///
    /// # Errors
    /// The reason to drop the packet, counted already. `buffer` may be changed, if it is one of AH.
    #[inline]
    pub fn open(&self, buffer: &mut [u8], len: usize, at: usize) -> Result<Layout, Reject> {
        let layout = self.try_open(buffer, len, at);
        self.counted(layout)
    }

    fn try_open(&self, buffer: &mut [u8], len: usize, at: usize) -> Result<Layout, Reject> {
        if self.spec().direction != Direction::In {
            return Err(Reject::Mode);
        }
        if self.state().is_expired() {
            return Err(Reject::Expired);
        }
        let headers_len = at.checked_sub(encap_len(self.spec()));
        let is_whole = match (buffer.first().map(|byte| byte >> 4), headers_len) {
            (Some(4), Some(IP4_LEN..)) => !is_fragment(buffer),
            (Some(6), Some(IP6_LEN..)) => true,
            _ => return Err(Reject::Malformed),
        };
        if !is_whole {
            return Err(Reject::Fragment);
        }
        // Eight bytes are SPI and number of ESP, and the start of AH.
        if len > buffer.len() || len < at + 8 {
            return Err(Reject::Malformed);
        }
        match self.spec().protocol {
            Protocol::Esp => self.open_esp(buffer, len, at),
            Protocol::Ah => self.open_ah(buffer, len, at),
        }
    }

    /// Takes the inner packet out of one that the engine has decrypted and found authentic: notes
    /// its sequence number, checks trailer, mode, inner lengths and selectors, carries ECN over,
    /// counts. `now_s` is in seconds of the lcores' clock. Owner lcore only.
    ///
    /// In a tunnel or in BEET mode, the TTL of the inner packet is as its sender, or the router
    /// before, left it.
    ///
    /// # Errors
    /// The reason to drop the packet, counted already.
    #[inline]
    pub fn opened(
        &self,
        layout: &Layout,
        buffer: &mut [u8],
        now_s: u64,
        events: &Events,
    ) -> Result<Inner, Reject> {
        let inner = self.try_opened(layout, buffer, now_s, events);
        self.counted(inner)
    }

    fn try_opened(
        &self,
        layout: &Layout,
        buffer: &mut [u8],
        now_s: u64,
        events: &Events,
    ) -> Result<Inner, Reject> {
        if let Some(window) = self.state().replay()
            && !window.update(layout.seq)
        {
            return Err(Reject::Replay);
        }
        let spec = self.spec();
        let payload = match spec.protocol {
            Protocol::Esp => self.payload_esp(layout, buffer),
            Protocol::Ah => Ok(self.payload_ah(layout, buffer)),
        };
        // Authentic, whatever is in it: the peer is where it came from.
        self.note_peer(layout.header_at as usize, buffer, events);
        let inner = inner::restore(spec, payload?, buffer)?;
        if self.is_selective {
            let flow = Flow::of(&buffer[inner.range()]).ok_or(Reject::Inner)?;
            if !spec.selectors.iter().any(|one| one.matches(&flow)) {
                return Err(Reject::Selector);
            }
        }
        self.state()
            .count(self.id(), inner.len as u64, now_s, events);
        Ok(inner)
    }

    /// Protects a packet up to what the engine does: outer header, ESP or AH header with the next
    /// sequence number, IV, padding. Then comes [`sealed`](Self::sealed). Owner lcore only.
    ///
    /// `buffer` has `room.head` free bytes, the packet that `room` was made for, and `room.tail` free
    /// bytes. A TTL that forwarding lowers was lowered before.
    ///
    /// # Errors
    /// The reason to drop the packet, counted already.
    #[inline]
    pub fn seal(&self, room: &Room, buffer: &mut [u8]) -> Result<Layout, Reject> {
        let layout = self.try_seal(room, buffer);
        self.counted(layout)
    }

    fn try_seal(&self, room: &Room, buffer: &mut [u8]) -> Result<Layout, Reject> {
        let spec = self.spec();
        if spec.direction != Direction::Out {
            return Err(Reject::Mode);
        }
        if self.state().is_expired() {
            return Err(Reject::Expired);
        }
        if buffer.len() < room.head + room.packet_len + room.tail {
            return Err(Reject::NoRoom);
        }
        let seq = self.state().next_seq()?;
        if spec.mode == Mode::Beet {
            beet::write_pseudo_header(&mut buffer[room.head..room.head + room.packet_len]);
        }
        let udp_at = room.start + room.headers_len;
        let wire_end = room.start + room.wire_len;
        let protocol = if spec.encap.is_some() {
            ironlane_packet::proto::ip::UDP
        } else {
            spec.protocol.number()
        };
        match room.front {
            Front::Kept(header) => {
                buffer.copy_within(room.head..room.head + room.headers_len, room.start);
                header.finish(&mut buffer[room.start..wire_end], protocol);
            }
            Front::New(outer) => {
                let packet = &mut buffer[room.start..wire_end];
                match &self.usual {
                    Some(usual) => usual.write_front(outer, packet, seq as u16),
                    None => outer.write(spec, packet, protocol, seq as u16),
                }
            }
        }
        if let Some(encap) = spec.encap {
            write_udp(encap, &mut buffer[udp_at..wire_end]);
        }
        match spec.protocol {
            Protocol::Esp => Ok(self.seal_esp(room, buffer, seq)),
            Protocol::Ah => self.seal_ah(room, buffer, seq),
        }
    }

    /// Finishes a packet that the engine has encrypted, and says where it is in the buffer. Counts
    /// `inner_len` bytes. Owner lcore only.
    #[inline]
    pub fn sealed(
        &self,
        layout: &Layout,
        buffer: &mut [u8],
        inner_len: usize,
        now_s: u64,
        events: &Events,
    ) -> Span {
        match self.spec().protocol {
            Protocol::Esp => self.sealed_esp(layout, buffer),
            Protocol::Ah => self.sealed_ah(layout, buffer),
        }
        let wire = layout.wire();
        if self.spec().encap.is_some() {
            let udp_at = layout.header_at as usize - UDP_LEN - wire.at as usize;
            sum_udp(&mut buffer[wire.range()], udp_at);
        }
        self.state()
            .count(self.id(), inner_len as u64, now_s, events);
        wire
    }

    /// Counts a packet for which the engine said that its ICV is wrong, or that was dropped for
    /// another reason between two steps. Owner lcore only.
    #[inline]
    pub fn reject(&self, reason: Reject) {
        self.state().count_rejected(reason);
    }

    #[inline]
    fn counted<T>(&self, result: Result<T, Reject>) -> Result<T, Reject> {
        result.inspect_err(|&reason| self.state().count_rejected(reason))
    }

    /// Tells IKE, once, if a peer behind a NAT has another address or port than before. The ESP or AH header
    /// is at `header_at`.
    #[inline]
    pub(crate) fn note_peer(&self, header_at: usize, buffer: &[u8], events: &Events) {
        let Some(encap) = self.spec().encap else {
            return;
        };
        let addr = match buffer[0] >> 4 {
            4 => IpAddr::from(*buffer[12..].first_chunk::<4>().expect("a whole header")),
            _ => IpAddr::from(*buffer[8..].first_chunk::<16>().expect("a whole header")),
        };
        let port = get_u16(buffer, header_at - UDP_LEN);
        if (addr, port) != (self.spec().src, encap.src_port)
            && self.state().is_news_of_peer(addr, port)
        {
            let sa = self.id();
            events.push(Event::PeerMoved { sa, addr, port });
        }
    }
}
