#![doc = include_str!("../README.md")]

mod adjacency;
mod error;
mod group;
mod id;
mod nexthop;
mod prefetch;
mod table;
mod trie;
mod writer;
mod zeroed;

#[cfg(test)]
mod model;

pub use adjacency::{Adjacency, AdjacencyKind, Mac};
pub use error::FibError;
pub use group::{Group, MAX_BUCKETS, Member};
pub use id::{NexthopIndex, PortId, VrfId};
pub use nexthop::{BurstNexthops, Nexthop, NexthopRef, Nexthops};
pub use table::{Fib, FibStats, Ip4Fib, Ip6Fib, Tables};
pub use trie::{Address, LookupPath, Run, Runs};
pub use writer::{Writer, WriterStats};
