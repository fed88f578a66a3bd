//! Interfaces.

use std::fmt;

use ironlane_fib::Mac;
use serde::Serialize;

/// The kernel's number of an interface; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct IfIndex(pub u32);

impl IfIndex {
    /// No interface.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface of the kernel: a tap of ours, or any other.
///
/// ```
/// use ironlane_rib::{IfIndex, Link};
///
/// let link = Link { name: "p0".into(), up: true, ..Link::new(IfIndex(3)) };
/// assert!(link.up && !link.carrier);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its number; an interface keeps it for life, and across a rename.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Up by the operator's will (`IFF_UP`).
    pub up: bool,
    /// Has carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// The kernel took note of that, a moment later, and uses the interface (`IFF_RUNNING`).
    pub running: bool,
    /// Is the loopback interface (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Bridge, bond or VRF device that it belongs to.
    pub master: Option<IfIndex>,
    /// Driver kind, such as `tun` or `veth`, where the kernel tells it.
    pub kind: Option<String>,
}

impl Link {
    /// Whether IPv6 uses it (`addrconf_link_ready`): IPv4 needs no more than its being up.
    pub(crate) fn is_ready(&self) -> bool {
        self.up && self.carrier && self.running
    }

    /// An interface that is down and of which nothing is known but its number.
    pub fn new(index: IfIndex) -> Self {
        Self {
            index,
            name: String::new(),
            mac: None,
            mtu: 1500,
            up: false,
            carrier: false,
            running: false,
            loopback: false,
            master: None,
            kind: None,
        }
    }
}
