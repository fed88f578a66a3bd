//! Neighbours: ARP and ND entries.

use std::fmt;
use std::net::IpAddr;

use ironlane_fib::Mac;
use serde::Serialize;

use super::IfIndex;

/// How much the kernel trusts a neighbour's MAC (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighbourState {
    /// Not asked yet.
    None,
    /// Asked, no answer yet.
    Incomplete,
    /// Answered lately.
    Reachable,
    /// Answered once; used until proved wrong.
    Stale,
    /// As stale, a probe is near.
    Delay,
    /// As stale, being probed.
    Probe,
    /// Did not answer.
    Failed,
    /// Needs no resolution: multicast, loopback, point to point.
    NoArp,
    /// Set by hand.
    Permanent,
}

impl NeighbourState {
    /// Whether packets may be sent to the MAC of an entry in this state.
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::None | Self::Incomplete | Self::Failed)
    }

    /// The kernel's bit (`NUD_*`) as a state; the most useful of several bits.
    ///
    /// ```
    /// use ironlane_rib::NeighbourState;
    /// assert_eq!(NeighbourState::from_nud(0x04), NeighbourState::Stale);
    /// assert_eq!(NeighbourState::from_nud(0), NeighbourState::None);
    /// ```
    pub const fn from_nud(bits: u16) -> Self {
        match bits {
            b if b & 0x80 != 0 => Self::Permanent,
            b if b & 0x40 != 0 => Self::NoArp,
            b if b & 0x02 != 0 => Self::Reachable,
            b if b & 0x10 != 0 => Self::Probe,
            b if b & 0x08 != 0 => Self::Delay,
            b if b & 0x04 != 0 => Self::Stale,
            b if b & 0x01 != 0 => Self::Incomplete,
            b if b & 0x20 != 0 => Self::Failed,
            _ => Self::None,
        }
    }

    /// The name as `ip neigh` prints it, in small letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::NoArp => "noarp",
            Self::Permanent => "permanent",
        }
    }
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A neighbour on an interface. Its identity is (interface, address).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The interface behind which it is.
    pub ifindex: IfIndex,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, if known.
    pub mac: Option<Mac>,
    /// How far it is resolved.
    pub state: NeighbourState,
}

impl Neighbour {
    /// The MAC to send to, if packets may be sent.
    pub fn usable_mac(&self) -> Option<Mac> {
        self.mac.filter(|_| self.state.is_usable())
    }
}
