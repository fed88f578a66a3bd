//! The usual kind of SA: an ESP tunnel with a cipher that authenticates and no padding against traffic
//! analysis. What is otherwise worked out for each packet is here worked out once: lengths, and the outer
//! header with the sum of its words. Room and header are those of any SA, which a test holds.
//!
//! [`SealRun`] and [`OpenRun`] carry packets of such an SA that come in a row and have nothing special about them, with
//! as few steps as that takes. What they do not do they leave as it was, for [`Sa::seal`](crate::Sa::seal) and
//! [`Sa::open`](crate::Sa::open); the outcome is the same, which tests hold, too.

mod front;
mod open;
mod seal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::num::NonZeroU8;

use ironlane_packet::checksum;
use ironlane_packet::ip4::{DF, Ip4Fields};
use ironlane_packet::ip6::Ip6Fields;
use ironlane_packet::proto::ip;

use crate::buffer::put_u16;
use crate::esp;
use crate::header::{IP4_LEN, IP6_LEN};
use crate::inner::{IP_IN_IP, IP6_IN_IP};
use crate::outer::{HOPS, Outer, encap_len, flow_label, header_len};
use crate::room::Front;
use crate::{Cipher, Direction, Mode, Protocol, Reject, Room, SaSpec};

pub use open::OpenRun;
pub use seal::SealRun;

const IV_LEN: usize = 8;

/// What an engine works on in a packet of an SA whose cipher authenticates. Right behind the text stands the ICV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// Where it begins, in bytes from the start of the packet.
    pub at: u16,
    /// How long it is, in bytes.
    pub len: u16,
    /// The nonce, as the cipher takes it: 12 bytes, and zeros.
    pub nonce: [u8; 16],
    /// Additional data: 8 bytes, with extended sequence numbers 12.
    pub aad: [u8; 12],
}

/// So many bytes of a header from a place on.
#[inline]
fn bytes_at<const N: usize>(header: &[u8; IP6_LEN], at: usize) -> &[u8; N] {
    header[at..].first_chunk().expect("within a header")
}

/// What packets of such an SA have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// Outer headers as they are but for traffic class, lengths, identification, DF and checksum.
    front: [u8; IP6_LEN],
    /// Length of IP and UDP header, and of the IP header. Not zero, so that `None` takes no room.
    front_len: NonZeroU8,
    ip_len: u8,
    icv_len: u8,
    align: u8,
    /// Sum of the words of an outer IPv4 header that do not change.
    sum: u16,
}

impl Usual {
    /// `None`: the SA is of another kind.
    pub(crate) fn of(spec: &SaSpec) -> Option<Self> {
        let is_usual = spec.direction == Direction::Out
            && spec.protocol == Protocol::Esp
            && spec.mode == Mode::Tunnel
            && spec.tfc_pad == 0
            && matches!(
                spec.algorithm.cipher,
                Cipher::AesGcm { .. } | Cipher::ChaCha20Poly1305
            );
        if !is_usual {
            return None;
        }
        let protocol = if spec.encap.is_some() {
            ip::UDP
        } else {
            ip::ESP
        };
        let mut front = [0; IP6_LEN];
        let mut sum = 0;
        let ip_len = header_len(spec);
        match (spec.src, spec.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let fields = Ip4Fields {
                    ttl: HOPS,
                    protocol,
                    src: src.to_bits(),
                    dst: dst.to_bits(),
                    ..Ip4Fields::default()
                };
                let header = fields.to_bytes(0);
                front[..IP4_LEN].copy_from_slice(&header);
                // TTL and protocol, addresses.
                sum = checksum::add(checksum::add(0, &header[8..10]), &header[12..]);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let fields = Ip6Fields {
                    flow_label: flow_label(spec.spi),
                    next_header: protocol,
                    hop_limit: HOPS,
                    src: src.to_bits(),
                    dst: dst.to_bits(),
                    ..Ip6Fields::default()
                };
                front[..IP6_LEN].copy_from_slice(&fields.to_bytes(0));
            }
            _ => return None,
        }
        Some(Self {
            front,
            // No truncation: lengths of headers, ICVs and blocks.
            front_len: NonZeroU8::new((ip_len + encap_len(spec)) as u8)?,
            ip_len: ip_len as u8,
            icv_len: spec.algorithm.icv_len_bytes() as u8,
            align: spec.algorithm.align_bytes() as u8,
            sum: checksum::fold(sum),
        })
    }

    /// Outer source address.
    #[inline]
    pub(crate) fn src(&self) -> IpAddr {
        match usize::from(self.ip_len) {
            IP4_LEN => IpAddr::from(*bytes_at::<4>(&self.front, 12)),
            _ => IpAddr::from(*bytes_at::<16>(&self.front, 8)),
        }
    }

    /// What protecting `packet` takes.
    ///
    /// # Errors
    /// As [`Sa::room`](crate::Sa::room).
    #[inline]
    pub(crate) fn room(&self, spec: &SaSpec, packet: &[u8]) -> Result<Room, Reject> {
        let next = match packet.first().map(|byte| byte >> 4) {
            Some(4) if packet.len() >= IP4_LEN => IP_IN_IP,
            Some(6) if packet.len() >= IP6_LEN => IP6_IN_IP,
            _ => return Err(Reject::Malformed),
        };
        let packet_len = packet.len();
        let head = usize::from(self.front_len.get()) + esp::HEADER_LEN_BYTES + IV_LEN;
        let pad_len = esp::pad_len(packet_len, usize::from(self.align));
        let tail = pad_len + esp::TRAILER_LEN_BYTES + usize::from(self.icv_len);
        let wire_len = head + packet_len + tail;
        if wire_len > usize::from(u16::MAX) {
            return Err(Reject::TooLong);
        }
        Ok(Room {
            head,
            tail,
            wire_len,
            packet_len,
            start: 0,
            headers_len: usize::from(self.ip_len),
            body_at: 0,
            body_len: packet_len,
            next,
            tfc_len: 0,
            pad_len,
            front: Front::New(Outer::of(spec, packet)),
        })
    }

    /// Writes the IP header of `packet`, which is all that is sent.
    #[inline]
    pub(crate) fn write_front(&self, outer: Outer, packet: &mut [u8], id: u16) {
        let len = packet.len();
        if usize::from(self.ip_len) == IP4_LEN {
            let Some(header) = packet.first_chunk_mut::<IP4_LEN>() else {
                return;
            };
            let (id, word) = if outer.df { (0, DF) } else { (id, 0) };
            let first = 0x4500 | u32::from(outer.class);
            let sum = u32::from(self.sum) + first + len as u32 + u32::from(id) + u32::from(word);
            header.copy_from_slice(&self.front[..IP4_LEN]);
            header[1] = outer.class;
            put_u16(header, 2, len as u16);
            put_u16(header, 4, id);
            put_u16(header, 6, word);
            put_u16(header, 10, !checksum::fold(sum));
        } else if let Some(header) = packet.first_chunk_mut::<IP6_LEN>() {
            *header = self.front;
            header[0] |= outer.class >> 4;
            header[1] |= outer.class << 4;
            put_u16(header, 4, (len - IP6_LEN) as u16);
        }
    }
}
