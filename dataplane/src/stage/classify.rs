//! Classify: judges the Ethernet header and sorts the burst by lane. The first stage for what is
//! not plain.
//!
//! Frames for other stations, from impossible senders, with tags of VLANs that are not configured
//! and of types that nothing here handles end here. IPv4 and IPv6 go on by lanes of their own, all
//! link-level control to the control lane. A priority tag (VID 0) says nothing about the VLAN:
//! such a frame belongs to the untagged interface (IEEE 802.1Q 6.9) and is forwarded without it.
//!
//! It also makes the headers lie in the first segment, so that no stage after it has to think of
//! chains: [`HEADERS_BYTES`] bytes, or the whole packet. Cost for a packet in one segment: one
//! compare; the stage as a whole reads one line of the mbuf and one of the packet.

use ironlane_packet::eth::{Eth, EtherType, HEADER_LEN_BYTES, Mac};
use ironlane_packet::vlan::{TAG_LEN_BYTES, VlanId, VlanTag};

use super::{Stage, TablesView};
use crate::burst::{Arrival, Burst, Info, Lane, Packet, Verdict};
use crate::eal::HEADROOM;
use crate::reason::{DropReason, PuntReason, StageId};

/// As many bytes of a packet as stages look at: Ethernet with a tag, the longest IPv4 header or
/// IPv6 with some extension headers, ports.
const HEADERS_BYTES: usize = 128;

/// A buffer has at least its headroom, so a packet's headers can always be joined in it.
const _: () = assert!(HEADERS_BYTES <= HEADROOM);

/// How many packets ahead the first line of the data is fetched.
const PREFETCH_AHEAD: usize = 6;

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Classify;

impl Stage for Classify {
    const ID: StageId = StageId::Classify;
    const INPUT: Lane = Lane::Frame;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[Lane::Ip4, Lane::Ip6, Lane::Control];
    const DROPS: &'static [DropReason] = &[
        DropReason::EthTruncated,
        DropReason::EthScatteredHeader,
        DropReason::EthNotForUs,
        DropReason::EthGroupSource,
        DropReason::EthOwnSource,
        DropReason::EthMacControl,
        DropReason::EthReservedVlan,
        DropReason::EthUnknownVlan,
        DropReason::EthUnknownType,
        DropReason::EthBadLength,
    ];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, _: &TablesView<'q>) {
        let arrival = burst.arrival();
        for place in 0..PREFETCH_AHEAD {
            burst.prefetch(place);
        }
        let list = burst.take(Self::INPUT);
        for &place in list.places() {
            burst.prefetch(usize::from(place) + PREFETCH_AHEAD);
            let packet = &mut burst.packet(place);
            let verdict = match join_headers(packet) {
                true => classify(packet, arrival),
                false => Verdict::Drop(DropReason::EthScatteredHeader),
            };
            burst.put(place, verdict, Lane::Frame);
        }
    }
}

/// Makes the headers of a chain lie in its first segment.
#[inline]
fn join_headers(packet: &mut Packet<'_>) -> bool {
    let mbuf = &mut *packet.mbuf;
    mbuf.nb_segs() == 1 || mbuf.pullup(HEADERS_BYTES.min(mbuf.pkt_len()))
}

#[inline]
fn classify(packet: &mut Packet<'_>, arrival: Arrival) -> Verdict {
    let Some(eth) = Eth::new(packet.mbuf.data()) else {
        return Verdict::Drop(DropReason::EthTruncated);
    };
    // Nearly all packets end here: one compare of stations, one of types.
    if eth.is_plain_to(arrival.mac) {
        let lane = match eth.ethertype() {
            EtherType::IP4 => Some(Lane::Ip4),
            EtherType::IP6 => Some(Lane::Ip6),
            _ => None,
        };
        if let Some(lane) = lane {
            *packet.info = Info {
                l3: HEADER_LEN_BYTES as u8,
                ..Info::default()
            };
            return Verdict::Lane(lane);
        }
    }
    sort_out(packet, arrival)
}

/// Frames that are not plain unicast IP.
#[inline(never)]
fn sort_out(packet: &mut Packet<'_>, arrival: Arrival) -> Verdict {
    *packet.info = Info::default();
    let Some(eth) = Eth::new(packet.mbuf.data()) else {
        return Verdict::Drop(DropReason::EthTruncated);
    };
    if let Err(reason) = station(eth, arrival.mac) {
        return Verdict::Drop(reason);
    }
    let flags = if eth.dst().is_group() {
        Info::GROUP_FRAME
    } else {
        0
    };
    let (l3, verdict) = by_type(eth, packet.mbuf.pkt_len());
    packet.info.flags = flags;
    packet.info.l3 = l3 as u8; // 14 or 18
    verdict
}

/// Is the frame for this station, from one that can be?
#[inline]
fn station(eth: Eth<'_>, own: Mac) -> Result<(), DropReason> {
    let (dst, src) = (eth.dst(), eth.src());
    if dst != own && !dst.is_group() {
        return Err(DropReason::EthNotForUs);
    }
    if src.is_group() {
        return Err(DropReason::EthGroupSource);
    }
    if src == own {
        return Err(DropReason::EthOwnSource);
    }
    Ok(())
}

/// The offset of the network header, and the verdict by the type field of a frame this long.
#[inline]
fn by_type(eth: Eth<'_>, frame_len: usize) -> (usize, Verdict) {
    let verdict = match eth.ethertype() {
        EtherType::IP4 => Verdict::Lane(Lane::Ip4),
        EtherType::IP6 => Verdict::Lane(Lane::Ip6),
        EtherType::VLAN => return tagged(eth, frame_len),
        other => by_other_type(other, frame_len - HEADER_LEN_BYTES),
    };
    (HEADER_LEN_BYTES, verdict)
}

/// Any type, before `payload_len` bytes.
fn by_other_type(ethertype: EtherType, payload_len: usize) -> Verdict {
    match ethertype {
        EtherType::IP4 => Verdict::Lane(Lane::Ip4),
        EtherType::IP6 => Verdict::Lane(Lane::Ip6),
        EtherType::ARP | EtherType::LLDP | EtherType::SLOW_PROTOCOLS | EtherType::LLC_JUMBO => {
            Verdict::Lane(Lane::Control)
        }
        EtherType::MAC_CONTROL => Verdict::Drop(DropReason::EthMacControl),
        EtherType::VLAN | EtherType::SERVICE_VLAN if payload_len < TAG_LEN_BYTES => {
            Verdict::Drop(DropReason::EthTruncated)
        }
        EtherType::VLAN | EtherType::SERVICE_VLAN => Verdict::Drop(DropReason::EthUnknownVlan),
        // IEEE 802.3 3.2.6: a length; what is beyond it is padding, what is missing, a fault.
        EtherType(length) if length <= EtherType::MAX_LENGTH => {
            match usize::from(length) <= payload_len {
                true => Verdict::Lane(Lane::Control),
                false => Verdict::Drop(DropReason::EthBadLength),
            }
        }
        EtherType(gap) if gap < EtherType::MIN_TYPE => Verdict::Drop(DropReason::EthBadLength),
        _ => Verdict::Drop(DropReason::EthUnknownType),
    }
}

/// A frame with an 802.1Q tag.
#[cold]
fn tagged(eth: Eth<'_>, frame_len: usize) -> (usize, Verdict) {
    let l3 = HEADER_LEN_BYTES + TAG_LEN_BYTES;
    let Some(tag) = VlanTag::new(eth.payload()) else {
        return (l3, Verdict::Drop(DropReason::EthTruncated));
    };
    let verdict = match tag.id() {
        VlanId::RESERVED => Verdict::Drop(DropReason::EthReservedVlan),
        VlanId::PRIORITY => by_other_type(tag.ethertype(), frame_len - l3),
        _ => Verdict::Drop(DropReason::EthUnknownVlan),
    };
    (l3, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlane_packet::eth::EthFields;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const PEER: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn frame(dst: Mac, src: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let ethertype = EtherType(ethertype);
        [
            &EthFields {
                dst,
                src,
                ethertype,
            }
            .to_bytes()[..],
            payload,
        ]
        .concat()
    }

    fn sorted(ethertype: u16, payload: &[u8]) -> (usize, Verdict) {
        let frame = frame(OWN, PEER, ethertype, payload);
        by_type(Eth::new(&frame).unwrap(), frame.len())
    }

    #[test]
    fn only_frames_for_us_and_for_groups_pass() {
        let judge = |dst, src| station(Eth::new(&frame(dst, src, 0x800, &[])).unwrap(), OWN);
        let group = Mac::of_ip4_group(0xe000_0005);
        assert_eq!(judge(OWN, PEER), Ok(()));
        assert_eq!(judge(Mac::BROADCAST, PEER), Ok(()));
        assert_eq!(judge(group, PEER), Ok(()));
        assert_eq!(judge(PEER, OWN), Err(DropReason::EthNotForUs));
        assert_eq!(judge(Mac::default(), PEER), Err(DropReason::EthNotForUs));
        assert_eq!(judge(OWN, group), Err(DropReason::EthGroupSource));
        assert_eq!(judge(OWN, Mac::BROADCAST), Err(DropReason::EthGroupSource));
        assert_eq!(judge(group, OWN), Err(DropReason::EthOwnSource));
    }

    #[test]
    fn types_have_their_lane_or_reason() {
        let cases = [
            (0x0800, Verdict::Lane(Lane::Ip4)),
            (0x86dd, Verdict::Lane(Lane::Ip6)),
            (0x0806, Verdict::Lane(Lane::Control)),
            (0x88cc, Verdict::Lane(Lane::Control)),
            (0x8809, Verdict::Lane(Lane::Control)),
            (0x8870, Verdict::Lane(Lane::Control)),
            (0x002e, Verdict::Lane(Lane::Control)),
            (0x002f, Verdict::Drop(DropReason::EthBadLength)),
            (0x05dc, Verdict::Drop(DropReason::EthBadLength)),
            (0x05dd, Verdict::Drop(DropReason::EthBadLength)),
            (0x05ff, Verdict::Drop(DropReason::EthBadLength)),
            (0x0600, Verdict::Drop(DropReason::EthUnknownType)),
            (0x8847, Verdict::Drop(DropReason::EthUnknownType)),
            (0x8808, Verdict::Drop(DropReason::EthMacControl)),
            (0x88a8, Verdict::Drop(DropReason::EthUnknownVlan)),
        ];
        for (ethertype, verdict) in cases {
            assert_eq!(sorted(ethertype, &[0; 46]), (14, verdict), "{ethertype:#x}");
        }
    }

    #[test]
    fn tags_are_judged_by_their_vlan() {
        let cases: &[(&[u8], Verdict)] = &[
            (&[0, 0, 8, 0], Verdict::Lane(Lane::Ip4)),
            (&[0xe0, 0, 0x86, 0xdd], Verdict::Lane(Lane::Ip6)),
            (&[0, 0, 8, 6], Verdict::Lane(Lane::Control)),
            (&[0, 100, 8, 0], Verdict::Drop(DropReason::EthUnknownVlan)),
            (
                &[0x0f, 0xff, 8, 0],
                Verdict::Drop(DropReason::EthReservedVlan),
            ),
            (&[0, 0, 8], Verdict::Drop(DropReason::EthTruncated)),
            (
                &[0, 0, 0x81, 0, 0, 100],
                Verdict::Drop(DropReason::EthTruncated),
            ),
            (
                &[0, 0, 0x81, 0, 0, 0, 8, 0],
                Verdict::Drop(DropReason::EthUnknownVlan),
            ),
        ];
        for (tag, verdict) in cases {
            assert_eq!(sorted(0x8100, tag), (18, *verdict), "{tag:?}");
        }
    }
}
