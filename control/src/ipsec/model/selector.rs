//! Traffic selectors as IKE has them: ranges (RFC 7296 3.13.1).

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use ironlane_ipsec::{ANY_PORT, Selector};

use super::Refusal;

/// Most prefixes that the ranges of one policy may take, so that one odd range does not fill the SPD.
const MAX_SELECTORS: usize = 256;

/// Protocols whose ports are a type and a code.
const ICMP: [u8; 2] = [1, 58];
const MOBILITY: u8 = 135;

/// Addresses from one to another, with protocol and ports of one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    first: IpAddr,
    last: IpAddr,
    protocol: u8,
    first_port: u16,
    last_port: u16,
}

/// Why ranges are no traffic selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// First and last address are of different families.
    #[error("the addresses of a range are of different families")]
    Families,
    /// The last address comes before the first.
    #[error("a range of addresses ends before it begins")]
    Backwards,
    /// The last port comes before the first.
    #[error("a range of ports ends before it begins")]
    Ports,
}

impl TrafficSelector {
    /// A range. Ports 65535 to 0 are OPAQUE: what has no ports to be seen.
    ///
    /// # Errors
    /// If it ends before it begins.
    pub fn new(
        first: IpAddr,
        last: IpAddr,
        protocol: u8,
        first_port: u16,
        last_port: u16,
    ) -> Result<Self, SelectorError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(SelectorError::Families);
        }
        if last < first {
            return Err(SelectorError::Backwards);
        }
        if last_port < first_port && (first_port, last_port) != (u16::MAX, 0) {
            return Err(SelectorError::Ports);
        }
        Ok(Self {
            first,
            last,
            protocol,
            first_port,
            last_port,
        })
    }

    /// A single address, with a port where the protocol has some; what an acquire tells of a packet.
    pub fn of_packet(addr: IpAddr, protocol: u8, port: Option<u16>) -> Self {
        let (first_port, last_port) = port.map_or((0, u16::MAX), |port| (port, port));
        Self {
            first: addr,
            last: addr,
            protocol,
            first_port,
            last_port,
        }
    }

    /// A network, any protocol and port.
    pub fn net(net: IpNet) -> Self {
        Self {
            first: net.network(),
            last: net.broadcast(),
            protocol: 0,
            first_port: 0,
            last_port: u16::MAX,
        }
    }

    /// First and last address.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        (self.first, self.last)
    }

    /// Protocol above IP; 0 for any.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// First and last port.
    pub fn ports(&self) -> (u16, u16) {
        (self.first_port, self.last_port)
    }

    /// The prefixes that make it up, largest first; for most ranges it is one.
    fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                IpSubnets::from(Ipv4Subnets::new(first, last, 0))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                IpSubnets::from(Ipv6Subnets::new(first, last, 0))
            }
            // Ruled out by `new`.
            (IpAddr::V4(first), IpAddr::V6(_)) => {
                IpSubnets::from(Ipv4Subnets::new(first, first, 0))
            }
            (IpAddr::V6(first), IpAddr::V4(_)) => {
                IpSubnets::from(Ipv6Subnets::new(first, first, 0))
            }
        }
    }

    /// How many leading bits all of its addresses share.
    pub fn common_bits(&self) -> u8 {
        match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() as u8,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() as u8,
            _ => 0,
        }
    }

    /// How many bits of a port all of its ports share.
    pub fn common_port_bits(&self) -> u8 {
        (self.first_port ^ self.last_port).leading_zeros() as u8
    }

    /// Whether it is about packets whose ports cannot be seen.
    fn is_opaque(&self) -> bool {
        (self.first_port, self.last_port) == (u16::MAX, 0)
    }
}

/// The selectors of packets from `src` to `dst`.
///
/// # Errors
/// If lcores cannot tell such packets, or the ranges take too many prefixes.
pub fn selectors(src: &TrafficSelector, dst: &TrafficSelector) -> Result<Vec<Selector>, Refusal> {
    let unsupported = |what: &str| {
        Err(Refusal::NotSupported(format!(
            "traffic selector {src} to {dst}: {what}"
        )))
    };
    if src.first.is_ipv4() != dst.first.is_ipv4() {
        return unsupported("source and destination are of different address families");
    }
    if src.is_opaque() || dst.is_opaque() {
        return unsupported("OPAQUE ports are not supported; use any");
    }
    // One side may leave the protocol to the other.
    let proto = match (src.protocol, dst.protocol) {
        (0, proto) | (proto, 0) => proto,
        (a, b) if a == b => a,
        _ => return unsupported("source and destination are of different protocols"),
    };
    let (src_ports, dst_ports) = ports(proto, src, dst);
    let mut all = Vec::new();
    for src_net in src.prefixes() {
        for dst_net in dst.prefixes() {
            if all.len() == MAX_SELECTORS {
                return unsupported(
                    "the ranges take more than 256 pairs of prefixes; choose rounder ones",
                );
            }
            all.push(Selector {
                src: src_net,
                dst: dst_net,
                proto,
                src_ports: src_ports.clone(),
                dst_ports: dst_ports.clone(),
            });
        }
    }
    Ok(all)
}

/// Ports of both sides. For ICMP, IKE has type and code in each port, with 16 bits for both.
fn ports(
    proto: u8,
    src: &TrafficSelector,
    dst: &TrafficSelector,
) -> (RangeInclusive<u16>, RangeInclusive<u16>) {
    if !ICMP.contains(&proto) && proto != MOBILITY {
        return (
            src.first_port..=src.last_port,
            dst.first_port..=dst.last_port,
        );
    }
    let any = |side: &TrafficSelector| side.ports() == (0, u16::MAX);
    let (first, last) = if any(src) { dst.ports() } else { src.ports() };
    if (first, last) == (0, u16::MAX) {
        return (ANY_PORT, ANY_PORT);
    }
    let types = first >> 8..=last >> 8;
    // Codes count only within one type.
    let codes = if types.start() == types.end() && (first & 0xff, last & 0xff) != (0, 0xff) {
        first & 0xff..=last & 0xff
    } else {
        ANY_PORT
    };
    (types, codes)
}

impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut prefixes = self.prefixes();
        match (prefixes.next(), prefixes.next()) {
            (Some(net), None) => write!(f, "{net}")?,
            _ => write!(f, "{}-{}", self.first, self.last)?,
        }
        let any = (self.first_port, self.last_port) == (0, u16::MAX);
        match (self.protocol, any) {
            (0, true) => Ok(()),
            (protocol, true) => write!(f, "[{protocol}]"),
            (protocol, false) if self.is_opaque() => write!(f, "[{protocol}/opaque]"),
            (protocol, false) if self.first_port == self.last_port => {
                write!(f, "[{protocol}/{}]", self.first_port)
            }
            (protocol, false) => write!(f, "[{protocol}/{}-{}]", self.first_port, self.last_port),
        }
    }
}

impl fmt::Debug for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrafficSelector({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> TrafficSelector {
        TrafficSelector::new(
            first.parse().unwrap(),
            last.parse().unwrap(),
            0,
            0,
            u16::MAX,
        )
        .unwrap()
    }

    #[test]
    fn a_range_becomes_exactly_its_prefixes() {
        let found = selectors(
            &range("10.0.0.1", "10.0.0.4"),
            &range("10.9.0.0", "10.9.0.255"),
        )
        .unwrap();
        let sources: Vec<_> = found.iter().map(|s| s.src.to_string()).collect();
        assert_eq!(sources, ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]);
        assert!(found.iter().all(|s| s.dst.to_string() == "10.9.0.0/24"));
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_a_reason() {
        let odd = range("2001:db8::1", "2001:db8::ffff:ffff:ffff:fffe");
        let refusal = selectors(&odd, &odd).unwrap_err().to_string();
        assert!(refusal.contains("more than 256 pairs"), "{refusal}");
        let refusal = selectors(&odd, &range("10.0.0.1", "10.0.0.1"))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("different address families"), "{refusal}");
    }

    #[test]
    fn icmp_has_its_type_and_code_in_the_ports() {
        let any = range("10.0.0.0", "10.0.0.255");
        let (first, last) = any.addresses();
        let echo = TrafficSelector::new(first, last, 1, 0x0800, 0x08ff).unwrap();
        let found = selectors(&echo, &any).unwrap();
        assert_eq!((found[0].proto, found[0].src_ports.clone()), (1, 8..=8));
        assert_eq!(found[0].dst_ports, ANY_PORT);
        let one = TrafficSelector::new(first, last, 1, 0x0304, 0x0304).unwrap();
        let found = selectors(&any, &one).unwrap();
        assert_eq!(
            (found[0].src_ports.clone(), found[0].dst_ports.clone()),
            (3..=3, 4..=4)
        );
    }

    #[test]
    fn ranges_that_end_before_they_begin_are_none() {
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let new = TrafficSelector::new;
        assert_eq!(new(b, a, 0, 0, 1).unwrap_err(), SelectorError::Backwards);
        assert_eq!(new(a, b, 0, 2, 1).unwrap_err(), SelectorError::Ports);
        assert_eq!(
            new(a, "::1".parse().unwrap(), 0, 0, 1).unwrap_err(),
            SelectorError::Families
        );
        assert_eq!(
            new(a, b, 6, 65535, 0).unwrap().to_string(),
            "10.0.0.1-10.0.0.2[6/opaque]"
        );
    }
}
