//! The netlink mirror: everything that Linux knows about links, addresses, neighbours, routes,
//! nexthop objects and rules, kept in step in the RIB and so in the tables that lcores read.
//!
//! [`Mirror`] is the thread that does it, [`MirrorHandle`] the way to ask it. One file an object
//! decodes messages; `dump` lists; `sync` says when to list, and why no event that crosses
//! a list can do harm. `docs/mirror.md` tells the whole.

mod addr;
mod ahead;
pub(crate) mod attr;
mod counters;
mod decode;
pub(crate) mod dump;
mod error;
mod link;
mod message;
mod mirror;
pub(crate) mod namespace;
mod neigh;
mod nexthop;
mod options;
mod ports;
mod refresh;
mod route;
mod rule;
mod snapshot;
pub(crate) mod socket;
mod state;
mod sync;
pub mod sysctl;

pub use counters::{Latency, MirrorStatus, Totals};
pub use decode::{change, kind_name};
pub use error::{Malformed, NetlinkError};
pub use message::{Message, Messages};
pub use mirror::{Mirror, MirrorHandle};
pub use options::MirrorOptions;
pub use ports::{PortChange, PortEvent, PortListener};
pub(crate) use snapshot::kernel_rib_held;
pub use snapshot::{kernel_rib, kernel_rib_in};
pub use state::{MirrorState, OwnListener};
