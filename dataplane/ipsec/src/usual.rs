//! The usual kind of SA to seal by: an ESP tunnel with a cipher that authenticates and no padding against
//! traffic analysis. What is otherwise worked out for each packet is here worked out once: lengths, and the outer
//! header with the sum of its words. Room and header are those of any SA, which a test holds.

use std::net::IpAddr;

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

const IV_LEN: usize = 8;

/// What packets of such an SA have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// Outer headers as they are but for traffic class, lengths, identification, DF and checksum.
    front: [u8; IP6_LEN],
    /// Length of IP and UDP header, and of the IP header.
    front_len: u8,
    ip_len: u8,
    icv_len: u8,
    align: u8,
    /// Sum of the words of an outer IPv4 header that do not change.
    sum: u32,
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
            front_len: (ip_len + encap_len(spec)) as u8,
            ip_len: ip_len as u8,
            icv_len: spec.algorithm.icv_len_bytes() as u8,
            align: spec.algorithm.align_bytes() as u8,
            sum,
        })
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
        let head = usize::from(self.front_len) + esp::HEADER_LEN_BYTES + IV_LEN;
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
        let ip_len = usize::from(self.ip_len);
        packet[..ip_len].copy_from_slice(&self.front[..ip_len]);
        let len = packet.len();
        if ip_len == IP4_LEN {
            let (id, word) = if outer.df { (0, DF) } else { (id, 0) };
            packet[1] = outer.class;
            put_u16(packet, 2, len as u16);
            put_u16(packet, 4, id);
            put_u16(packet, 6, word);
            let first = 0x4500 | u32::from(outer.class);
            let sum = self.sum + first + len as u32 + u32::from(id) + u32::from(word);
            put_u16(packet, 10, !checksum::fold(sum));
        } else {
            packet[0] |= outer.class >> 4;
            packet[1] |= outer.class << 4;
            put_u16(packet, 4, (len - IP6_LEN) as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::general_room;
    use crate::{Algorithm, Auth, Df, Dscp, UdpEncap};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn room_and_header_are_those_of_any_sa(
            (v6, encap, ecn, icv, chacha) in any::<(bool, bool, bool, bool, bool)>(),
            df in prop_oneof![Just(Df::Copy), Just(Df::Set), Just(Df::Clear)],
            dscp in prop_oneof![Just(Dscp::Copy), (0u8..64).prop_map(Dscp::Set)],
            inner6 in any::<bool>(),
            mut packet in proptest::collection::vec(any::<u8>(), 0..200),
            (id, spi) in any::<(u16, u32)>(),
        ) {
            if let Some(first) = packet.first_mut() {
                *first = if inner6 { 0x60 } else { 0x40 } | *first & 15;
            }
            let cipher = match chacha {
                true => Cipher::ChaCha20Poly1305,
                false => Cipher::AesGcm { icv: if icv { 16 } else { 8 } },
            };
            let algorithm = Algorithm { cipher, auth: Auth::None };
            let (src, dst) = match v6 {
                false => ("192.0.2.1".parse().unwrap(), "198.51.100.255".parse().unwrap()),
                true => ("2001:db8::1".parse().unwrap(), "2001:db8::ffff".parse().unwrap()),
            };
            let spec = SaSpec {
                df,
                dscp,
                ecn,
                encap: encap.then_some(UdpEncap { src_port: 4500, dst_port: 4500 }),
                ..SaSpec::new(Direction::Out, spi, src, dst, algorithm)
            };
            let usual = Usual::of(&spec).unwrap();
            let room = usual.room(&spec, &packet);
            prop_assert_eq!(room, general_room(&spec, &packet));
            if let Ok(Room { front: Front::New(outer), wire_len, .. }) = room {
                let (mut ours, mut theirs) = (vec![0; wire_len], vec![0; wire_len]);
                usual.write_front(outer, &mut ours, id);
                let protocol = if encap { ip::UDP } else { ip::ESP };
                outer.write(&spec, &mut theirs, protocol, id);
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
