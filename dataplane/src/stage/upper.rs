//! Which punt reason an upper-layer protocol has, the same for both families.
//!
//! Protocols that never leave their link say so by a TTL or hop limit of 255, which no router can
//! have passed on. Without it a packet may come from anywhere, and must not take the rate and the
//! ring of those that are true: it is judged like any other of its protocol.

use ironlane_packet::icmp6::{self, Icmp6Kind};
use ironlane_packet::proto::{ip, port};
use ironlane_packet::udp::Ports;

use crate::reason::PuntReason;

/// A protocol number and the bytes of its header, as far as there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upper<'a> {
    pub(super) protocol: u8,
    /// TTL or hop limit.
    pub(super) hops: u8,
    pub(super) bytes: &'a [u8],
}

/// What a packet has that no router has passed on (RFC 5082).
const FROM_THE_LINK: u8 = 255;

/// The reason of a control protocol; `None` for anything else.
pub(super) fn reason(upper: Upper<'_>) -> Option<PuntReason> {
    let from_the_link = upper.hops == FROM_THE_LINK;
    match upper.protocol {
        ip::OSPF => Some(PuntReason::Ospf),
        ip::TCP => tcp(Ports::new(upper.bytes)?),
        ip::UDP => udp(Ports::new(upper.bytes)?, from_the_link),
        ip::ICMP => Some(PuntReason::Icmp),
        ip::ICMP6 => Some(match icmp6::kind(*upper.bytes.first()?) {
            // RFC 4861 7.1
            Icmp6Kind::NeighbourDiscovery if from_the_link => PuntReason::Nd,
            Icmp6Kind::ListenerDiscovery => PuntReason::Mld,
            Icmp6Kind::NeighbourDiscovery | Icmp6Kind::Error | Icmp6Kind::Other => PuntReason::Icmp,
        }),
        ip::IGMP => Some(PuntReason::Igmp),
        // RFC 5798 5.1.1.3, 5.1.2.3
        ip::VRRP if from_the_link => Some(PuntReason::Vrrp),
        ip::PIM => Some(PuntReason::Pim),
        ip::EIGRP => Some(PuntReason::Eigrp),
        ip::RSVP => Some(PuntReason::Rsvp),
        ip::ESP | ip::AH => Some(PuntReason::Ipsec),
        _ => None,
    }
}

fn tcp(ports: Ports) -> Option<PuntReason> {
    if ports.either(port::BGP) {
        Some(PuntReason::Bgp)
    } else if ports.either(port::LDP) {
        Some(PuntReason::Ldp)
    } else {
        None
    }
}

fn udp(ports: Ports, from_the_link: bool) -> Option<PuntReason> {
    Some(match ports.dst {
        // RFC 5881 5, RFC 7130 2.2. An echo has been at the neighbour and back.
        port::BFD | port::BFD_LAG if from_the_link => PuntReason::Bfd,
        port::BFD_ECHO | port::BFD_MULTIHOP | port::SBFD => PuntReason::Bfd,
        port::LDP => PuntReason::Ldp,
        port::RIP | port::RIPNG => PuntReason::Rip,
        port::BABEL => PuntReason::Babel,
        port::IKE | port::IKE_NAT => PuntReason::Ike,
        port::DHCP_SERVER | port::DHCP_CLIENT | port::DHCP6_SERVER | port::DHCP6_CLIENT => {
            PuntReason::Dhcp
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(protocol: u8, bytes: &[u8]) -> Option<PuntReason> {
        with_hops(255, protocol, bytes)
    }

    fn with_hops(hops: u8, protocol: u8, bytes: &[u8]) -> Option<PuntReason> {
        reason(Upper {
            protocol,
            hops,
            bytes,
        })
    }

    #[test]
    fn what_never_leaves_its_link_is_believed_with_all_its_hops_only() {
        let bfd = |port: u16| [&[0xc0, 0][..], &port.to_be_bytes()].concat();
        for hops in [0, 1, 64, 254] {
            for kind in 133..=137 {
                assert_eq!(with_hops(hops, 58, &[kind]), Some(PuntReason::Icmp));
            }
            assert_eq!(with_hops(hops, 112, &[0x31]), None);
            assert_eq!(with_hops(hops, 17, &bfd(3784)), None);
            assert_eq!(with_hops(hops, 17, &bfd(6784)), None);
            for port in [3785, 4784, 7784] {
                assert_eq!(with_hops(hops, 17, &bfd(port)), Some(PuntReason::Bfd));
            }
            assert_eq!(with_hops(hops, 58, &[143]), Some(PuntReason::Mld));
        }
        assert_eq!(of(58, &[135]), Some(PuntReason::Nd));
        assert_eq!(of(112, &[0x31]), Some(PuntReason::Vrrp));
    }

    #[test]
    fn bgp_is_told_from_either_end() {
        assert_eq!(of(6, &[0, 179, 0x9c, 0x40]), Some(PuntReason::Bgp));
        assert_eq!(of(6, &[0x9c, 0x40, 0, 179]), Some(PuntReason::Bgp));
        assert_eq!(of(6, &[0x9c, 0x40, 0, 22]), None);
        assert_eq!(of(17, &[0x9c, 0x40, 0, 179]), None, "BGP is not on UDP");
    }

    #[test]
    fn cut_headers_have_no_protocol() {
        for len in 0..4 {
            assert_eq!(of(6, &[0, 179, 0, 179][..len]), None);
            assert_eq!(of(17, &[0, 179, 0, 179][..len]), None);
        }
        assert_eq!(of(58, &[]), None);
    }

    #[test]
    fn udp_protocols_are_told_by_their_destination() {
        let to = |port: u16| {
            let [high, low] = port.to_be_bytes();
            of(17, &[0xc0, 0, high, low])
        };
        for port in [3784, 3785, 4784, 6784, 7784] {
            assert_eq!(to(port), Some(PuntReason::Bfd), "{port}");
        }
        for (port, expected) in [
            (646, PuntReason::Ldp),
            (520, PuntReason::Rip),
            (521, PuntReason::Rip),
            (6696, PuntReason::Babel),
            (500, PuntReason::Ike),
            (4500, PuntReason::Ike),
            (67, PuntReason::Dhcp),
            (547, PuntReason::Dhcp),
        ] {
            assert_eq!(to(port), Some(expected), "{port}");
        }
        assert_eq!(to(53), None);
    }
}
