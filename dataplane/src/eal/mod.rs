//! Safe wrappers over DPDK, one of its objects a file.
//!
//! All `unsafe` of this crate is here. What packets pass works on whole bursts; the rest runs on
//! control threads.

#![allow(unsafe_code)]

mod batch;
mod clock;
mod config;
pub mod crypto;
mod device;
mod error;
mod heads;
mod host;
mod log;
mod mbuf;
mod mempool;
mod port;
mod port_facts;
mod port_groups;
mod port_state;
mod queue;
mod ring;
mod ring_port;
mod start;
mod tap_link;
mod tap_signals;
mod thread;

pub use batch::{BURST_MAX, MbufBatch};
pub use clock::{Clock, ticks};
pub use config::{EalConfig, Memory};
pub use error::EalError;
pub(crate) use heads::{HEAD_BYTES, HeadRoom, Heads};
pub use host::{CpuList, node_of_cpu};
pub use mbuf::{Mbuf, RxChecksum, Segments, TAG_STRIPPED};
pub use mempool::{DATA_ROOM, HEADROOM, Mempool};
pub use port::Port;
pub use port_facts::{LinkState, PortCaps, PortLink, PortSettings, PortStats, frame_len};
pub use queue::{RxQueue, TxQueue};
pub use ring::{RingConsumer, RingGauge, RingProducer, ring};
pub use ring_port::RingPort;
pub use start::{Eal, version};
pub use thread::{LcoreThread, launch};

/// Port numbers are below this: DPDK's own limit.
pub const PORTS_MAX: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;
