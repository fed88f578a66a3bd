//! Exceptions: packets between lcores and Linux, by a tap for each port.
//!
//! [`Tap`] is the Linux face of a port. [`ExceptionThread`] carries punted packets from the rings
//! of lcores to taps, and what Linux sends by a tap to the lcore that owns the port.
//! [`LinkFollower`] keeps ports and taps in step. [`Links`] and [`Namespace`] set
//! interfaces up. `docs/exceptions.md` tells it all to an operator.

mod counters;
mod credits;
mod follow;
mod frames;
mod groups;
mod links;
mod netns;
pub mod peer;
mod tap;
mod thread;

pub use counters::{ExceptionCounters, ExceptionCounts, InjectDrop, TapDrop};
pub use follow::{FollowedPort, LinkFollower, TapChange, TapChanges};
pub use groups::GroupLists;
pub use links::{LinkError, LinkView, Links};
pub use netns::{Namespace, NamespaceError};
pub use tap::{Tap, TapError, TapSpec};
pub use thread::{ExceptionError, ExceptionHandle, ExceptionThread, IcmpEar, PortTap};
