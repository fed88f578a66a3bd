//! Which punt reason an upper-layer protocol has, the same for both families.

use ironlane_packet::icmp6::{self, Icmp6Kind};
use ironlane_packet::proto::{ip, port};
use ironlane_packet::udp::Ports;

use crate::reason::PuntReason;

/// A protocol number and the bytes of its header, as far as there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upper<'a> {
    pub(super) protocol: u8,
    pub(super) bytes: &'a [u8],
}

/// The reason of a control protocol; `None` for anything else.
pub(super) fn reason(upper: Upper<'_>) -> Option<PuntReason> {
    match upper.protocol {
        ip::OSPF => Some(PuntReason::Ospf),
        ip::TCP => tcp(Ports::new(upper.bytes)?),
        ip::UDP => udp(Ports::new(upper.bytes)?),
        ip::ICMP => Some(PuntReason::Icmp),
        ip::ICMP6 => Some(match icmp6::kind(*upper.bytes.first()?) {
            Icmp6Kind::NeighbourDiscovery => PuntReason::Nd,
            Icmp6Kind::ListenerDiscovery => PuntReason::Mld,
            Icmp6Kind::Error | Icmp6Kind::Other => PuntReason::Icmp,
        }),
        ip::IGMP => Some(PuntReason::Igmp),
        ip::VRRP => Some(PuntReason::Vrrp),
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

fn udp(ports: Ports) -> Option<PuntReason> {
    Some(match ports.dst {
        port::BFD | port::BFD_ECHO | port::BFD_MULTIHOP | port::BFD_LAG | port::SBFD => {
            PuntReason::Bfd
        }
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
        reason(Upper { protocol, bytes })
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
