//! What is done with a packet.

use std::fmt;

use crate::PortId;

/// An Ethernet address, as on the wire.
pub type Mac = [u8; 6];

/// What is done with a packet that resolves to an adjacency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AdjacencyKind {
    /// No prefix covers the address: ICMP network unreachable (RFC 1812 5.2.7.1).
    NoRoute,
    /// Sent by a port, behind a rewritten Ethernet header.
    Forward,
    /// The neighbour has no MAC yet: to the tap, where the kernel resolves it.
    Glean,
    /// An address of this router: to the tap.
    Local,
    /// Leaves by an interface that is not a port: to the tap, where the kernel forwards it.
    Kernel,
    /// Lost without an answer, by decision of this router.
    Drop,
    /// The kernel's `blackhole` route: lost without an answer.
    Blackhole,
    /// The kernel's `unreachable` route: ICMP host unreachable.
    Unreachable,
    /// The kernel's `prohibit` route: ICMP administratively prohibited.
    Prohibit,
    /// The kernel's `broadcast` route: to the tap of the port that has the subnet, and never
    /// forwarded from another (RFC 2644).
    Broadcast,
    /// Leaves by an IPsec interface: protected by an SA of it, or not at all.
    Ipsec,
}

impl AdjacencyKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::NoRoute,
        Self::Forward,
        Self::Glean,
        Self::Local,
        Self::Kernel,
        Self::Drop,
        Self::Blackhole,
        Self::Unreachable,
        Self::Prohibit,
        Self::Broadcast,
        Self::Ipsec,
    ];

    /// The name in the CLI, in JSON and in metrics.
    ///
    /// ```
    /// assert_eq!(ironlane_fib::AdjacencyKind::NoRoute.name(), "no_route");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Forward => "forward",
            Self::Glean => "glean",
            Self::Local => "local",
            Self::Kernel => "kernel",
            Self::Drop => "drop",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Broadcast => "broadcast",
            Self::Ipsec => "ipsec",
        }
    }
}

impl fmt::Display for AdjacencyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The end of a lookup: a kind, and for [`Forward`](AdjacencyKind::Forward) all that is needed to
/// send the packet. A plain value: how it is kept for lcores is told in
/// [`Nexthops`](crate::Nexthops), which also has what lcores note about one: the mark that traffic
/// uses it, and the state of its policer.
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, PortId};
///
/// let adjacency = Adjacency::forward(PortId(1), 1500, [2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
/// assert_eq!(adjacency.kind(), AdjacencyKind::Forward);
/// assert_eq!(adjacency.rewrite()[..6], [2, 0, 0, 0, 0, 9]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Adjacency {
    pub(crate) kind: AdjacencyKind,
    pub(crate) port: PortId,
    pub(crate) mtu: u16,
    pub(crate) dst_mac: Mac,
    pub(crate) src_mac: Mac,
}

impl Adjacency {
    /// Sends by `port`, to `dst_mac` from `src_mac`. `mtu` is that of the IP packet.
    pub const fn forward(port: PortId, mtu: u16, dst_mac: Mac, src_mac: Mac) -> Self {
        Self {
            kind: AdjacencyKind::Forward,
            port,
            mtu,
            dst_mac,
            src_mac,
        }
    }

    /// Waits for the MAC of a neighbour behind `port`.
    pub const fn glean(port: PortId, mtu: u16) -> Self {
        Self {
            port,
            mtu,
            ..Self::simple(AdjacencyKind::Glean)
        }
    }

    /// The broadcast address of a subnet on `port`.
    pub const fn broadcast(port: PortId) -> Self {
        Self {
            port,
            ..Self::simple(AdjacencyKind::Broadcast)
        }
    }

    /// Leaves by the IPsec interface `port`, which has no link-layer addresses.
    pub const fn ipsec(port: PortId, mtu: u16) -> Self {
        Self {
            port,
            mtu,
            ..Self::simple(AdjacencyKind::Ipsec)
        }
    }

    /// An adjacency that needs neither port nor rewrite.
    pub const fn simple(kind: AdjacencyKind) -> Self {
        Self {
            kind,
            port: PortId::NONE,
            mtu: u16::MAX,
            dst_mac: [0; 6],
            src_mac: [0; 6],
        }
    }

    /// What is done with the packet.
    #[inline]
    pub const fn kind(&self) -> AdjacencyKind {
        self.kind
    }

    /// The port to leave by; [`PortId::NONE`] for kinds that do not leave by one.
    #[inline]
    pub const fn port(&self) -> PortId {
        self.port
    }

    /// The largest IP packet that may leave, in bytes; `u16::MAX` where nothing leaves.
    #[inline]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The Ethernet header to write: destination, source, and an EtherType of zero, which the
    /// stage replaces by that of the packet.
    #[inline]
    pub const fn rewrite(&self) -> [u8; 14] {
        let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (self.dst_mac, self.src_mac);
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, 0, 0]
    }

    /// Destination address of the rewrite.
    pub const fn dst_mac(&self) -> Mac {
        self.dst_mac
    }

    /// Source address of the rewrite.
    pub const fn src_mac(&self) -> Mac {
        self.src_mac
    }
}

impl fmt::Debug for Adjacency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Adjacency");
        debug.field("kind", &self.kind);
        if matches!(
            self.kind,
            AdjacencyKind::Forward | AdjacencyKind::Glean | AdjacencyKind::Ipsec
        ) {
            debug.field("port", &self.port.0).field("mtu", &self.mtu);
        }
        if self.kind == AdjacencyKind::Forward {
            debug.field("rewrite", &format_args!("{:02x?}", self.rewrite()));
        }
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_snake_case_and_follow_the_numbers() {
        for (number, kind) in AdjacencyKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let snake = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(kind.name().bytes().all(snake), "{kind}");
            let same = AdjacencyKind::ALL
                .iter()
                .filter(|other| other.name() == kind.name());
            assert_eq!(same.count(), 1, "{kind}");
        }
    }

    #[test]
    fn the_rewrite_is_destination_then_source() {
        let (dst_mac, src_mac) = ([0x02, 1, 2, 3, 4, 5], [0x02, 6, 7, 8, 9, 10]);
        let adjacency = Adjacency::forward(PortId(4), 9000, dst_mac, src_mac);
        assert_eq!(
            adjacency.rewrite(),
            [2, 1, 2, 3, 4, 5, 2, 6, 7, 8, 9, 10, 0, 0]
        );
        assert_eq!(
            (adjacency.dst_mac(), adjacency.src_mac()),
            (dst_mac, src_mac)
        );
        assert_eq!((adjacency.port(), adjacency.mtu()), (PortId(4), 9000));
    }
}
