//! Bindings to the installed DPDK, and C shims for its inline functions.
//!
//! Nothing here is safe to call without reading DPDK's own documentation; the safe wrappers are
//! in `ironlane-dataplane`, module `eal`. Names are DPDK's; what starts with `il_` is a shim of
//! `shim.c`. All that differs between the DPDK versions that Ironlane builds with (22.11, 24.11,
//! 25.11) is settled in this crate: by the shims, and by [`rte_mbuf`], whose layout is compared
//! with the headers when the crate is compiled.

#![no_std]
// The bindings are DPDK's C interface: every item of it is unsafe, and named as in C.
#![allow(unsafe_code)]

mod mbuf;

pub use bindings::*;
pub use mbuf::rte_mbuf;

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_imports,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    use crate::mbuf::rte_mbuf;

    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
