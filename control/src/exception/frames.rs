//! Frames as taps take them.

use ironlane_dataplane::eal::Mbuf;

/// The bytes of the whole frame: where they lie, or joined if they lie in several segments.
pub(super) fn frame<'a>(mbuf: &'a Mbuf, joined: &'a mut Vec<u8>) -> &'a [u8] {
    if mbuf.nb_segs() == 1 {
        return mbuf.data();
    }
    joined.resize(mbuf.pkt_len(), 0);
    let len = mbuf.copy_to(0, joined);
    &joined[..len]
}

/// Whether the frame carries a VLAN tag.
pub(super) fn is_tagged(frame: &[u8]) -> bool {
    matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8])
}
