//! Addresses of this router.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::IfIndex;

/// An address of an interface. Its identity is (interface, address, prefix length, peer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The interface that has it.
    pub ifindex: IfIndex,
    /// The address itself (`IFA_LOCAL`, or `IFA_ADDRESS` where there is no local one).
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix_len: u8,
    /// The other end of a point-to-point interface, if not the address itself.
    pub peer: Option<IpAddr>,
    /// IPv4 broadcast address, if set.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// Duplicate address detection is not over, or failed (IPv6): not usable yet.
    pub tentative: bool,
}
