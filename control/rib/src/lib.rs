//! Routing information base: what the kernel says, resolved into forwarding tables.

mod change;
mod object;
mod report;
mod rib;

pub use change::{Change, Family, ObjectKind, PortBinding, RouteFlags};
pub use object::{
    Address, IfIndex, Link, Neighbour, NeighbourState, NexthopBody, NexthopId, NexthopMember,
    NexthopObject, Path, Route, RouteKind, RouteTarget, Rule, TableId, protocol_name,
};
pub use report::CommitReport;
pub use rib::Rib;
