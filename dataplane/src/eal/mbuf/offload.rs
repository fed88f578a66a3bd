//! What a device found out about a packet that it received.

use dpdk_sys as c;

use super::Mbuf;

/// The bit of [`Mbuf::ol_flags`] that says that the device took a VLAN tag off.
pub const TAG_STRIPPED: u64 = c::IL_MBUF_RX_VLAN_STRIPPED;

impl Mbuf {
    /// Offload flags, `RTE_MBUF_F_*`.
    #[inline]
    pub fn ol_flags(&self) -> u64 {
        self.head().ol_flags
    }

    /// Sets the offload flags. What is set for reception asks for nothing in transmission.
    #[inline]
    pub fn set_ol_flags(&mut self, flags: u64) {
        self.head_mut().ol_flags = flags;
    }

    /// What the device found out about the headers, `RTE_PTYPE_*`; 0 if nothing.
    #[inline]
    pub fn packet_type(&self) -> u32 {
        self.head().packet_type
    }

    /// The device's hash over the flow, where it made one. Virtual ports make none.
    #[inline]
    pub fn rss_hash(&self) -> Option<u32> {
        let head = self.head();
        (head.ol_flags & c::IL_MBUF_RX_RSS_HASH != 0).then_some(head.hash_rss)
    }

    /// Sets the flow hash and marks it valid.
    #[inline]
    pub fn set_rss_hash(&mut self, hash: u32) {
        let head = self.head_mut();
        head.hash_rss = hash;
        head.ol_flags |= c::IL_MBUF_RX_RSS_HASH;
    }

    /// The tag control word (IEEE 802.1Q 9.6) of a tag that the device took off.
    #[inline]
    pub fn stripped_tag(&self) -> Option<u16> {
        (self.ol_flags() & TAG_STRIPPED != 0).then_some(self.head().vlan_tci)
    }

    /// Sets what tag the device is to have taken off.
    pub fn set_stripped_tag(&mut self, tag: Option<u16>) {
        let head = self.head_mut();
        head.ol_flags &= !TAG_STRIPPED;
        if let Some(tag) = tag {
            head.vlan_tci = tag;
            head.ol_flags |= TAG_STRIPPED;
        }
    }

    /// What the device says of the IPv4 header checksum.
    #[inline]
    pub fn ip_checksum(&self) -> RxChecksum {
        match self.head().ol_flags & c::IL_MBUF_RX_IP_CKSUM_MASK {
            c::IL_MBUF_RX_IP_CKSUM_GOOD => RxChecksum::Good,
            c::IL_MBUF_RX_IP_CKSUM_BAD => RxChecksum::Bad,
            _ => RxChecksum::Unknown,
        }
    }

    /// Sets what the device is to have said of the IPv4 header checksum.
    pub fn set_ip_checksum(&mut self, checksum: RxChecksum) {
        let head = self.head_mut();
        head.ol_flags &= !c::IL_MBUF_RX_IP_CKSUM_MASK;
        head.ol_flags |= match checksum {
            RxChecksum::Good => c::IL_MBUF_RX_IP_CKSUM_GOOD,
            RxChecksum::Bad => c::IL_MBUF_RX_IP_CKSUM_BAD,
            RxChecksum::Unknown => 0,
        };
    }
}

/// What a device says of a checksum in a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: check in software.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
}
