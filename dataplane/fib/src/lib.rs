#![doc = include_str!("../README.md")]

mod adjacency;
mod egress;
mod error;
mod group;
mod id;
mod nexthop;
mod table;
mod trie;
mod writer;
mod zeroed;

#[cfg(test)]
mod model;

pub use adjacency::{Adjacency, AdjacencyKind, Mac};
pub use egress::Egress;
pub use error::FibError;
pub use group::{Group, MAX_BUCKETS, Member};
pub use id::{NexthopIndex, PortId, VrfId};
pub use nexthop::{BurstNexthops, Nexthop, NexthopRef, Nexthops, Resolved, SlotWord};
pub use table::{Fib, FibStats, Ip4Fib, Ip6Fib, Tables};
pub use trie::{Address, BURST, LookupPath, Run, Runs};
pub use writer::{Writer, WriterStats};
