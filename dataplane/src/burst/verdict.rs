//! What stages say of a packet, what becomes of it, and what is known of it.

use ironlane_fib::PortId;
use ironlane_ipsec::SaId;

use super::Lane;
use crate::reason::{DropReason, PuntReason};

/// What a stage decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On to the next stage of this lane.
    Next,
    /// Aside, to the stage of that lane.
    Lane(Lane),
    /// Out by this port: rewrite stages alone say so.
    Send(PortId),
    /// To be decrypted or verified by this inbound SA; see [`Packet::hand_to_ipsec`](super::Packet::hand_to_ipsec).
    Open(SaId),
    /// To be protected by this outbound SA; see [`Packet::hand_to_ipsec`](super::Packet::hand_to_ipsec).
    Seal(SaId),
    /// A fragment, to be put together with others of its packet.
    Gather,
    /// To the kernel, by the tap of the arrival port, as it arrived.
    Punt(PuntReason),
    /// Lost.
    Drop(DropReason),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Still on a lane.
    Undecided,
    /// Leaves by this port.
    Send(PortId),
    /// Comes back as what an inbound SA makes of it.
    Open,
    /// Comes back as what an outbound SA makes of it.
    Seal,
    /// Comes back as part of the packet that it is a fragment of.
    Gather,
    /// Goes to the kernel.
    Punt(PuntReason),
    /// Is lost.
    Drop(DropReason),
    /// Is lost, and stays with a device that may yet write to it.
    Lost,
}

/// Facts about a packet that later stages need. Any bit of [`Info::flags`] takes the packet off
/// the straight path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Info {
    /// Where the IP header (or what else the EtherType says) starts.
    pub(crate) l3: u8,
    /// [`Info::GROUP_FRAME`] and the others.
    pub(crate) flags: u8,
    /// Length of the IP packet in bytes.
    pub(crate) ip_len: u32,
    /// IPv4 destination, host order.
    pub(crate) dst4: u32,
}

impl Info {
    /// The destination MAC is a group.
    pub(crate) const GROUP_FRAME: u8 = 1;
    /// IPv4 options, or IPv6 hop-by-hop options.
    pub(crate) const OPTIONS: u8 = 2;
    /// TTL or hop limit is 0 or 1.
    pub(crate) const TTL: u8 = 4;
    /// Source or destination is link-local.
    pub(crate) const LINK_LOCAL: u8 = 8;
}
