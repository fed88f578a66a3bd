//! Headers in front of ESP and AH (RFC 4301 5.1.2, RFC 3948).

use std::net::IpAddr;

use ironlane_packet::checksum;
use ironlane_packet::ip4::{self, Ip4Fields};
use ironlane_packet::ip6::Ip6Fields;
use ironlane_packet::proto::ip;

use crate::buffer::put_u16;
use crate::header::{Header, IP4_LEN, IP6_LEN};
use crate::{Df, Dscp, Mode, SaSpec, UdpEncap, ecn, hash};

pub(crate) const UDP_LEN: usize = 8;

/// The hops that outer packets of a tunnel have: it does not matter how many inner ones have left.
pub(crate) const HOPS: u8 = 64;

/// What an outer header takes from the inner packet, or from the SA instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outer {
    pub(crate) class: u8,
    hops: u8,
    pub(crate) df: bool,
}

impl Outer {
    /// Of a tunnel, where nothing else is taken from the inner packet.
    #[inline]
    pub(crate) const fn of_tunnel(class: u8, df: bool) -> Self {
        Self {
            class,
            hops: HOPS,
            df,
        }
    }

    /// For an inner packet with a whole header.
    #[inline]
    pub(crate) fn of(spec: &SaSpec, packet: &[u8]) -> Self {
        let class = Header::traffic_class_of(packet).unwrap_or(0);
        let is_ip4 = packet[0] >> 4 == 4;
        // IPv6 is never fragmented on the way, which DF says in an outer IPv4 header.
        let df = !is_ip4 || packet[6] & 0x40 != 0;
        if spec.mode == Mode::Beet {
            let hops = packet[if is_ip4 { 8 } else { 7 }];
            return Self { class, hops, df };
        }
        let dscp = match spec.dscp {
            Dscp::Copy => class & !0b11,
            Dscp::Set(dscp) => dscp << 2,
        };
        Self {
            class: dscp | ecn::encapsulate(class, spec.ecn),
            hops: HOPS,
            df: match spec.df {
                Df::Copy => df,
                Df::Set => true,
                Df::Clear => false,
            },
        }
    }

    /// Writes the header at the start of `packet`, all of which it is for. `id` is the IPv4
    /// identification where fragmentation makes one necessary (RFC 6864).
    pub(crate) fn write(self, spec: &SaSpec, packet: &mut [u8], protocol: u8, id: u16) {
        match (spec.src, spec.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let fields = Ip4Fields {
                    tos: self.class,
                    id: if self.df { 0 } else { id },
                    fragment_word: if self.df { ip4::DF } else { 0 },
                    ttl: self.hops,
                    protocol,
                    src: src.to_bits(),
                    dst: dst.to_bits(),
                };
                let len = (packet.len() - IP4_LEN) as u16;
                packet[..IP4_LEN].copy_from_slice(&fields.to_bytes(len));
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let fields = Ip6Fields {
                    traffic_class: self.class,
                    flow_label: flow_label(spec.spi),
                    next_header: protocol,
                    hop_limit: self.hops,
                    src: src.to_bits(),
                    dst: dst.to_bits(),
                };
                let len = (packet.len() - IP6_LEN) as u16;
                packet[..IP6_LEN].copy_from_slice(&fields.to_bytes(len));
            }
            _ => unreachable!("SaSpec::check refuses addresses of two families"),
        }
    }
}

/// One label for an SA: its packets should keep their order, and inner flows stay hidden.
pub(crate) fn flow_label(spi: u32) -> u32 {
    (hash::mix(0, u64::from(spi)) >> 44) as u32
}

/// Length of the outer header of a tunnel.
pub(crate) const fn header_len(spec: &SaSpec) -> usize {
    if spec.dst.is_ipv4() { IP4_LEN } else { IP6_LEN }
}

/// Length of what stands between IP and ESP.
pub(crate) const fn encap_len(spec: &SaSpec) -> usize {
    if spec.encap.is_some() { UDP_LEN } else { 0 }
}

/// Writes a UDP header at the start of `datagram`, all of which it is for, without checksum
/// (RFC 3948 2.1).
pub(crate) fn write_udp(encap: UdpEncap, datagram: &mut [u8]) {
    let len = datagram.len() as u16;
    put_u16(datagram, 0, encap.src_port);
    put_u16(datagram, 2, encap.dst_port);
    put_u16(datagram, 4, len);
    put_u16(datagram, 6, 0);
}

/// Puts the checksum in the UDP header at `udp_at` of an IPv6 packet, where it is not optional for
/// receivers that know nothing of RFC 6935; in an IPv4 packet it stays zero.
pub(crate) fn sum_udp(packet: &mut [u8], udp_at: usize) {
    if packet[0] >> 4 != 6 {
        return;
    }
    let len = (packet.len() - udp_at) as u32;
    let addresses = checksum::add(0, &packet[8..IP6_LEN]);
    let pseudo = addresses + len + u32::from(ip::UDP);
    let sum = match !checksum::fold(checksum::add(pseudo, &packet[udp_at..])) {
        0 => 0xffff,
        sum => sum,
    };
    put_u16(packet, udp_at + 6, sum);
}

/// What a UDP datagram to the port of IKE and ESP is (RFC 3948 2.2, 2.3).
///
/// ```
/// use ironlane_ipsec::Encapsulated;
///
/// assert_eq!(Encapsulated::of(&[0xff]), Encapsulated::Keepalive);
/// assert_eq!(Encapsulated::of(&[0, 0, 0, 0, 7, 7]), Encapsulated::Ike);
/// assert_eq!(Encapsulated::of(&[0xc2, 0xd8, 0x41, 0xb8, 0, 0, 0, 1]), Encapsulated::Esp);
/// assert_eq!(Encapsulated::of(&[0xc2]), Encapsulated::Short);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encapsulated {
    /// It begins with an SPI that is not 0.
    Esp,
    /// It begins with four zeros: to be punted.
    Ike,
    /// One byte 0xff: to be dropped in silence.
    Keepalive,
    /// Too short to be either: to be dropped.
    Short,
}

impl Encapsulated {
    /// Tells them apart by what follows the UDP header.
    #[inline]
    pub fn of(payload: &[u8]) -> Self {
        match payload {
            [0xff] => Self::Keepalive,
            [0, 0, 0, 0, ..] => Self::Ike,
            [_, _, _, _, ..] => Self::Esp,
            _ => Self::Short,
        }
    }
}
