//! Safe wrappers over DPDK, one of its objects a file.
//!
//! All `unsafe` of this crate outside `stage/simd` is here. What packets pass works on whole
//! bursts; the rest runs on control threads.

#![allow(unsafe_code)]

mod batch;
mod config;
mod error;
mod host;
mod log;
mod mbuf;
mod mempool;
mod ring;
mod start;
mod thread;

pub use batch::{BURST_MAX, MbufBatch};
pub use config::{EalConfig, Memory};
pub use error::EalError;
pub use host::{CpuList, node_of_cpu};
pub use mbuf::{Mbuf, RxChecksum, Segments};
pub use mempool::{DATA_ROOM, Mempool};
pub use ring::{RingConsumer, RingProducer, ring};
pub use start::{Eal, version};
pub use thread::{LcoreThread, launch};

/// Port numbers are below this: DPDK's own limit.
pub const PORTS_MAX: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;
