//! The poll loop and what belongs to it: counters, idling, hand-off, policers.

pub(crate) mod counters;
mod exception;
pub(crate) mod idle;
pub(crate) mod ipsec;
pub(crate) mod outlet;
pub(crate) mod policer;
pub(crate) mod poll;
pub(crate) mod rings;
pub(crate) mod shared;
pub(crate) mod snapshot;
mod wake;

pub use counters::{LcoreCounters, LoopCounts, PortCounts, StageCounts};
pub use exception::ExceptionChannel;
pub use ipsec::{OwnAddresses, PathMtus};
pub use rings::RingCounts;
pub use snapshot::{CounterSet, CounterSnapshot, Identity, LcoreSnapshot};
pub use wake::Waker;
