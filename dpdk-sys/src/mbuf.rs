//! `struct rte_mbuf` as Rust reads it.
//!
//! The headers declare it with anonymous unions, bit fields and markers that were rearranged
//! more than once (24.11 removed the markers), while the bytes stayed where they were. This
//! declaration says where they are; the assertions below compare it with the headers in use.

use core::ffi::c_void;
use core::mem::{align_of, offset_of, size_of};

use crate::bindings as c;

/// A packet buffer, or one segment of a packet. Cache-line aligned, two cache lines long.
#[repr(C, align(64))]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct rte_mbuf {
    /// Start of the buffer that the headroom, data and tailroom are in.
    pub buf_addr: *mut c_void,
    /// Address of the buffer for the device.
    pub buf_iova: u64,
    /// Offset of the data in the buffer.
    pub data_off: u16,
    /// Owners of this segment; atomic in C where it is above one.
    pub refcnt: u16,
    /// Segments of the packet; valid in its first.
    pub nb_segs: u16,
    /// Port the packet came from or is to leave by.
    pub port: u16,
    /// Offload flags, `RTE_MBUF_F_*`.
    pub ol_flags: u64,
    /// What the device found out about the headers, `RTE_PTYPE_*`.
    pub packet_type: u32,
    /// Bytes of all segments together; valid in the first.
    pub pkt_len: u32,
    /// Bytes of this segment.
    pub data_len: u16,
    /// VLAN tag that the device took off.
    pub vlan_tci: u16,
    /// RSS hash, where `ol_flags` has `RTE_MBUF_F_RX_RSS_HASH`.
    pub hash_rss: u32,
    /// Second half of the hash field, for flow director; free where that is not used.
    pub hash_fdir_hi: u32,
    /// Outer VLAN tag that the device took off.
    pub vlan_tci_outer: u16,
    /// Bytes of the buffer.
    pub buf_len: u16,
    /// The pool that the mbuf goes back to.
    pub pool: *mut c::rte_mempool,
    /// Next segment of the packet, or null.
    pub next: *mut rte_mbuf,
    /// Header lengths for TX offloads.
    pub tx_offload: u64,
    /// Shared data of an external buffer.
    pub shinfo: *mut c_void,
    /// Bytes of private data between this struct and the buffer.
    pub priv_size: u16,
    /// Time sync flags.
    pub timesync: u16,
    /// Room for dynamic fields.
    pub dynfield1: [u32; 9],
}

const _: () = {
    assert!(size_of::<rte_mbuf>() == c::IL_MBUF_SIZE as usize);
    assert!(align_of::<rte_mbuf>() == 64);
    assert!(offset_of!(rte_mbuf, buf_addr) == c::IL_MBUF_BUF_ADDR as usize);
    assert!(offset_of!(rte_mbuf, data_off) == c::IL_MBUF_DATA_OFF as usize);
    assert!(offset_of!(rte_mbuf, refcnt) == c::IL_MBUF_REFCNT as usize);
    assert!(offset_of!(rte_mbuf, nb_segs) == c::IL_MBUF_NB_SEGS as usize);
    assert!(offset_of!(rte_mbuf, port) == c::IL_MBUF_PORT as usize);
    assert!(offset_of!(rte_mbuf, ol_flags) == c::IL_MBUF_OL_FLAGS as usize);
    assert!(offset_of!(rte_mbuf, packet_type) == c::IL_MBUF_PACKET_TYPE as usize);
    assert!(offset_of!(rte_mbuf, pkt_len) == c::IL_MBUF_PKT_LEN as usize);
    assert!(offset_of!(rte_mbuf, data_len) == c::IL_MBUF_DATA_LEN as usize);
    assert!(offset_of!(rte_mbuf, vlan_tci) == c::IL_MBUF_VLAN_TCI as usize);
    assert!(offset_of!(rte_mbuf, hash_rss) == c::IL_MBUF_HASH_RSS as usize);
    assert!(offset_of!(rte_mbuf, hash_fdir_hi) == c::IL_MBUF_HASH_FDIR_HI as usize);
    assert!(offset_of!(rte_mbuf, buf_len) == c::IL_MBUF_BUF_LEN as usize);
    assert!(offset_of!(rte_mbuf, pool) == c::IL_MBUF_POOL as usize);
    assert!(offset_of!(rte_mbuf, next) == c::IL_MBUF_NEXT as usize);
    assert!(offset_of!(rte_mbuf, tx_offload) == c::IL_MBUF_TX_OFFLOAD as usize);
};
