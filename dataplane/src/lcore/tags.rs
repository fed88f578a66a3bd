//! VLAN tags that a device took off though nobody asked it to.
//!
//! Some virtual functions do, by order of their host. A frame without its tag would pass for one of
//! the untagged network, so the tag is put back before the stages look, and what is punted is what
//! was on the wire.

use ironlane_packet::eth::EtherType;
use ironlane_packet::vlan::TAG_LEN_BYTES;

use crate::eal::{Mbuf, MbufBatch, TAG_STRIPPED};

/// Bytes of both addresses.
const ADDRESSES: usize = 12;

/// Bytes of a burst, and whether the device took the tag off any packet of it. Asks the CPU for the
/// first line of each packet on the way, since the stages read it next.
#[inline]
pub(super) fn sum(batch: &MbufBatch) -> (u64, bool) {
    let (mut bytes, mut flags) = (0, 0);
    for mbuf in batch.as_slice() {
        bytes += mbuf.pkt_len() as u64;
        flags |= mbuf.ol_flags();
        mbuf.prefetch_data();
    }
    (bytes, flags & TAG_STRIPPED != 0)
}

/// Puts the tags back.
#[cold]
pub(super) fn put_back(batch: &mut MbufBatch) {
    for mbuf in batch.as_mut_slice() {
        if let Some(tag) = mbuf.stripped_tag()
            && put_back_one(mbuf, tag).is_none()
        {
            // No room, which no device leaves: better a runt than a frame of another network.
            mbuf.truncate(0);
        }
    }
}

fn put_back_one(mbuf: &mut Mbuf, tag: u16) -> Option<()> {
    mbuf.set_stripped_tag(None);
    if !mbuf.pullup(ADDRESSES) {
        return None;
    }
    mbuf.prepend(TAG_LEN_BYTES)?;
    let data = mbuf.data_mut();
    data.copy_within(TAG_LEN_BYTES..TAG_LEN_BYTES + ADDRESSES, 0);
    let at = &mut data[ADDRESSES..ADDRESSES + TAG_LEN_BYTES];
    at[..2].copy_from_slice(&EtherType::VLAN.0.to_be_bytes());
    at[2..].copy_from_slice(&tag.to_be_bytes());
    Some(())
}
