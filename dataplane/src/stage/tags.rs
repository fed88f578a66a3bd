//! VLAN tags that a device took off though nobody asked it to.
//!
//! Some virtual functions do, by order of their host. A frame without its tag would pass for one of
//! the untagged network, so the straight path leaves it, and the tag is put back before the stages look; what
//! is punted is what was on the wire.

use ironlane_packet::eth::EtherType;
use ironlane_packet::vlan::TAG_LEN_BYTES;

use crate::eal::Mbuf;

/// Bytes of both addresses.
const ADDRESSES: usize = 12;

/// Puts the tags back.
#[cold]
pub(super) fn put_back(packets: &mut [Mbuf]) {
    for mbuf in packets {
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
