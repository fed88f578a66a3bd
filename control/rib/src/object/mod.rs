//! What the kernel has, in our words: one file an object.

mod address;
mod link;
mod neighbour;
mod nexthop;
mod route;
mod rule;

pub use address::Address;
pub use link::{IfIndex, Link};
pub use neighbour::{Neighbour, NeighbourState};
pub use nexthop::{NexthopBody, NexthopId, NexthopMember, NexthopObject};
pub use route::{Path, Route, RouteKind, RouteTarget, TableId, protocol_name};
pub use rule::Rule;
