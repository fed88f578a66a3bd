//! Which packets a policy or an SA is for (RFC 4301 4.4.1.1).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::Flow;

/// All ports, types and codes.
pub const ANY_PORT: RangeInclusive<u16> = 0..=u16::MAX;

/// Addresses, protocol and ports of packets that belong together.
///
/// ```
/// use ironlane_ipsec::{Flow, Selector};
///
/// let web = Selector {
///     proto: 6,
///     dst_ports: 443..=443,
///     ..Selector::between("10.1.0.0/16".parse()?, "10.2.0.0/16".parse()?)
/// };
/// let flow = Flow {
///     src: "10.1.0.7".parse()?, dst: "10.2.9.9".parse()?, proto: 6, ports: Some((50_000, 443)),
/// };
/// assert!(web.matches(&flow));
/// assert!(!web.matches(&Flow { ports: None, ..flow })); // a later fragment
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Source addresses.
    pub src: IpNet,
    /// Destination addresses, of the same family.
    pub dst: IpNet,
    /// Protocol above IP; 0 for any.
    pub proto: u8,
    /// Source ports; for ICMP and ICMPv6 the type, for the mobility header its type.
    pub src_ports: RangeInclusive<u16>,
    /// Destination ports; for ICMP and ICMPv6 the code.
    pub dst_ports: RangeInclusive<u16>,
}

impl Selector {
    /// Everything between these addresses.
    pub fn between(src: IpNet, dst: IpNet) -> Self {
        Self {
            src,
            dst,
            proto: 0,
            src_ports: ANY_PORT,
            dst_ports: ANY_PORT,
        }
    }

    /// Whether it is about a packet of this flow. A flow without ports (a later fragment, or a
    /// protocol that has none) matches only where any ports will do.
    #[inline]
    pub fn matches(&self, flow: &Flow) -> bool {
        contains(&self.src, flow.src)
            && contains(&self.dst, flow.dst)
            && (self.proto == 0 || self.proto == flow.proto)
            && self.matches_ports(flow.ports)
    }

    /// Whether ports are as it wants.
    #[inline]
    pub(crate) fn matches_ports(&self, ports: Option<(u16, u16)>) -> bool {
        match ports {
            Some((src, dst)) => self.src_ports.contains(&src) && self.dst_ports.contains(&dst),
            None => self.src_ports == ANY_PORT && self.dst_ports == ANY_PORT,
        }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.src.addr().is_ipv4() != self.dst.addr().is_ipv4() {
            return Some("source and destination are of different address families");
        }
        if self.src_ports.is_empty() || self.dst_ports.is_empty() {
            return Some("a range of ports ends before it begins");
        }
        None
    }
}

/// Whether the first bits of an address are those of a network.
#[inline]
fn contains(net: &IpNet, addr: IpAddr) -> bool {
    match (net, addr) {
        (IpNet::V4(net), IpAddr::V4(addr)) => {
            let differing = net.addr().to_bits() ^ addr.to_bits();
            differing.leading_zeros() >= u32::from(net.prefix_len())
        }
        (IpNet::V6(net), IpAddr::V6(addr)) => {
            let differing = net.addr().to_bits() ^ addr.to_bits();
            differing.leading_zeros() >= u32::from(net.prefix_len())
        }
        _ => false,
    }
}
