//! Safe wrappers over DPDK, one of its objects a file.
//!
//! All `unsafe` of this crate outside `stage/simd` is here. What packets pass works on whole
//! bursts; the rest runs on control threads.

#![allow(unsafe_code)]

mod batch;
mod mbuf;

pub use batch::{BURST_MAX, MbufBatch};
pub use mbuf::{Mbuf, RxChecksum, Segments};
