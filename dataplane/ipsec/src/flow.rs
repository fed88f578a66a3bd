//! What selectors see of a packet.

use std::net::IpAddr;

use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::{self, Ip6};
use ironlane_packet::ip6_ext::{Walk, walk_for_ipsec};
use ironlane_packet::proto::ip;
use ironlane_packet::udp::Ports;

/// Addresses, protocol and ports of one packet.
///
/// ```
/// use ironlane_ipsec::Flow;
/// use ironlane_packet::ip4::Ip4Fields;
///
/// let packet = [&Ip4Fields { protocol: 1, ..Ip4Fields::default() }.to_bytes(2)[..], &[8, 0]].concat();
/// let flow = Flow::of(&packet).unwrap();
/// assert_eq!((flow.proto, flow.ports), (1, Some((8, 0)))); // an echo request
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol above IP, behind IPv6 extension headers; 0 where it cannot be seen.
    pub proto: u8,
    /// Source and destination port; for ICMP its type and code, for the mobility header its type
    /// and 0. `None` for protocols without, for later fragments, and for headers that are cut.
    pub ports: Option<(u16, u16)>,
}

impl Flow {
    /// The flow of a packet that starts with its IP header. `None` if that is neither an IPv4 nor an
    /// IPv6 header, or is cut.
    #[inline]
    pub fn of(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::of_ip4(packet),
            6 => Self::of_ip6(packet),
            _ => None,
        }
    }

    /// The same of an IPv4 packet.
    #[inline]
    pub fn of_ip4(packet: &[u8]) -> Option<Self> {
        let header = Ip4::new(packet)?;
        let proto = header.protocol();
        let upper = packet.get(header.header_len_bytes()..).unwrap_or(&[]);
        Some(Self {
            src: IpAddr::V4(header.src().into()),
            dst: IpAddr::V4(header.dst().into()),
            proto,
            ports: if header.is_later_fragment() {
                None
            } else {
                ports(proto, upper)
            },
        })
    }

    /// The same of an IPv6 packet.
    #[inline]
    pub fn of_ip6(packet: &[u8]) -> Option<Self> {
        let header = Ip6::new(packet)?;
        let rest = packet.get(ip6::HEADER_LEN_BYTES..).unwrap_or(&[]);
        let (proto, ports) = match upper6(header.next_header(), rest) {
            Some((proto, Some(at))) => (proto, ports(proto, rest.get(at..).unwrap_or(&[]))),
            Some((proto, None)) => (proto, None),
            None => (0, None),
        };
        Some(Self {
            src: IpAddr::V6(header.src().into()),
            dst: IpAddr::V6(header.dst().into()),
            proto,
            ports,
        })
    }
}

/// The protocol above IPv6 that selectors mean, and where its header is, if it is in this packet.
fn upper6(next: u8, rest: &[u8]) -> Option<(u8, Option<usize>)> {
    match walk_for_ipsec(next, rest) {
        Walk::Upper {
            protocol,
            offset_bytes,
            ..
        } => Some((protocol, Some(offset_bytes))),
        Walk::LaterFragment { protocol } => Some((protocol, None)),
        Walk::Truncated | Walk::TooMany => None,
    }
}

/// Ports, or what stands for them.
#[inline]
fn ports(proto: u8, upper: &[u8]) -> Option<(u16, u16)> {
    match proto {
        ip::TCP | ip::UDP | ip::SCTP | UDP_LITE | DCCP => {
            Ports::new(upper).map(|ports| (ports.src, ports.dst))
        }
        ip::ICMP | ip::ICMP6 => {
            let &[kind, code] = upper.first_chunk()?;
            Some((u16::from(kind), u16::from(code)))
        }
        ip::MOBILITY => upper.get(2).map(|&kind| (u16::from(kind), 0)),
        _ => None,
    }
}

const DCCP: u8 = 33;
const UDP_LITE: u8 = 136;
