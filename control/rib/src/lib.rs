#![doc = include_str!("../README.md")]

mod body;
mod change;
mod commit;
mod derive;
mod expect;
mod explain;
mod fill;
mod hash;
mod leaves;
mod mirror;
mod neighbours;
mod node;
mod object;
mod objects;
mod own;
mod prefix;
mod report;
mod resolve;
mod rib;
mod slot;
mod table;
mod update;
mod view;

#[cfg(test)]
mod tests;

pub use change::{Change, Family, ObjectKind, PortBinding, RouteFlags};
pub use expect::{Expectation, Expected, ExpectedRun};
pub use explain::Explanation;
pub use mirror::HopSlot;
pub use object::{
    Address, IfIndex, Link, Neighbour, NeighbourState, NexthopBody, NexthopId, NexthopMember,
    NexthopObject, Path, Route, RouteKind, RouteTarget, Rule, TableId, protocol_name,
};
pub use report::CommitReport;
pub use rib::Rib;
pub use view::{AdjacencyView, NexthopView, PathView, RouteFilter, RouteView};
