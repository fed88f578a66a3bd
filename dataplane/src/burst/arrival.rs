//! Where a burst came from, and what was done to its packets before.

use ironlane_fib::{PortId, VrfId};
use ironlane_packet::eth::Mac;

/// What has been done to the packets of a burst before it enters the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: as they came from the wire.
    #[default]
    Wire,
    /// Decrypted or verified, each by an SA.
    Opened,
    /// Protected by an outbound SA: no policy is asked again.
    Sealed,
    /// As from the wire, but fragments that are not to be put together here.
    Fragment,
    /// The same, of IKE: exempt from all policies.
    IkeFragment,
    /// Made here: policies are asked where it may leave, and not whether it may have come.
    Own,
}

/// Where a burst came from: all its packets arrived by one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The port.
    pub port: PortId,
    /// Its address: unicast frames for others are dropped.
    pub mac: Mac,
    /// The tables that its packets are looked up in.
    pub vrf: VrfId,
    /// What has been done to them.
    pub origin: Origin,
}

impl Arrival {
    /// The port to which packets turn back, if they leave by it again, so that their sender may be told of
    /// a shorter way (RFC 1812 5.2.7.2). None for what came out of an SA or was
    /// made here, whose sender is not on the link.
    #[inline]
    pub(crate) fn turning_port(&self) -> PortId {
        match self.origin {
            Origin::Wire => self.port,
            Origin::Opened | Origin::Sealed | Origin::Own => PortId::NONE,
            Origin::Fragment | Origin::IkeFragment => PortId::NONE,
        }
    }
}
