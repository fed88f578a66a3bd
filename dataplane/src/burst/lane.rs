//! Where packets of a burst wait for a stage.

use crate::eal::BURST_MAX;

/// Where packets wait for a stage. A stage may send packets only to lanes after its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Just received.
    Input,
    /// Not plain: the frame's header is to be judged.
    Frame,
    /// ARP, LLC, LLDP, slow protocols.
    Control,
    /// IPv4, header unseen.
    Ip4,
    /// IPv4 to be looked up.
    Ip4Lookup,
    /// IPv6, header unseen.
    Ip6,
    /// IPv6 to be looked up.
    Ip6Lookup,
    /// For the router or to be forwarded, while IPsec has something to say.
    Policy,
    /// IPv4 for the router, its groups or a broadcast.
    Ip4Local,
    /// IPv4 that is not plain forwarding.
    Ip4Exception,
    /// IPv6 for the router or its groups.
    Ip6Local,
    /// IPv6 that is not plain forwarding.
    Ip6Exception,
    /// Nexthop without a link-layer address.
    Glean,
    /// IPv4 to be sent.
    Ip4Rewrite,
    /// IPv6 to be sent.
    Ip6Rewrite,
}

impl Lane {
    /// How many lanes there are.
    pub const COUNT: usize = Self::Ip6Rewrite as usize + 1;
}

/// Places of packets in their burst, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneList {
    pub(super) len: u8,
    places: [u8; BURST_MAX],
}

impl LaneList {
    pub(super) const EMPTY: Self = Self {
        len: 0,
        places: [0; BURST_MAX],
    };

    #[inline]
    pub(super) fn push(&mut self, place: u8) {
        // A lane holds each packet of the burst at most once, so it cannot overflow.
        self.places[usize::from(self.len) % BURST_MAX] = place;
        self.len += 1;
    }

    /// The places.
    #[inline]
    pub(crate) fn places(&self) -> &[u8] {
        &self.places[..usize::from(self.len).min(BURST_MAX)]
    }
}
