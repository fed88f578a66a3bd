//! Control: ARP, LLDP, slow protocols, and LLC frames such as those of IS-IS.
//!
//! What a daemon on the tap can use is punted; the rest is dropped by name. A router port does
//! not bridge, so spanning tree ends here. ARP is judged first (RFC 826, RFC 1812 3.3.2), so that
//! the kernel never sees a sender that cannot be.

use ironlane_packet::arp::{Arp, ArpFault};
use ironlane_packet::eth::EtherType;
use ironlane_packet::llc::Llc;

use super::{Stage, TablesView};
use crate::burst::{Burst, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control;

impl Stage for Control {
    const ID: StageId = StageId::Control;
    const INPUT: Lane = Lane::Control;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[
        DropReason::EthUnknownLlc,
        DropReason::EthBpdu,
        DropReason::ArpTruncated,
        DropReason::ArpBadType,
        DropReason::ArpBadLength,
        DropReason::ArpBadOp,
        DropReason::ArpBadSender,
    ];
    const PUNTS: &'static [PuntReason] = &[
        PuntReason::Isis,
        PuntReason::Lacp,
        PuntReason::Arp,
        PuntReason::Lldp,
        PuntReason::Cdp,
    ];

    fn run<'q>(&self, burst: &mut Burst<'q>, _: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, judge);
    }
}

fn judge(packet: &mut Packet<'_>) -> Verdict {
    let l3 = usize::from(packet.info.l3);
    let ethertype = match packet.mbuf.data().get(l3 - 2..l3) {
        Some(&[high, low]) => EtherType(u16::from_be_bytes([high, low])),
        _ => return Verdict::Drop(DropReason::EthUnknownLlc),
    };
    match ethertype {
        EtherType::ARP => arp(packet.l3()),
        EtherType::LLDP => Verdict::Punt(PuntReason::Lldp),
        EtherType::SLOW_PROTOCOLS => Verdict::Punt(PuntReason::Lacp),
        EtherType::LLC_JUMBO => llc(packet.l3()),
        // IEEE 802.3 3.2.6: what is beyond the length is padding.
        EtherType(length) => {
            let bytes = packet.l3();
            llc(&bytes[..bytes.len().min(usize::from(length))])
        }
    }
}

fn arp(bytes: &[u8]) -> Verdict {
    match Arp::parse(bytes) {
        Ok(_) => Verdict::Punt(PuntReason::Arp),
        Err(fault) => Verdict::Drop(match fault {
            ArpFault::Truncated => DropReason::ArpTruncated,
            ArpFault::BadType => DropReason::ArpBadType,
            ArpFault::BadLength => DropReason::ArpBadLength,
            ArpFault::BadOp => DropReason::ArpBadOp,
            ArpFault::BadSender => DropReason::ArpBadSender,
        }),
    }
}

fn llc(bytes: &[u8]) -> Verdict {
    match Llc::new(bytes) {
        Some(Llc::Osi) => Verdict::Punt(PuntReason::Isis),
        Some(Llc::Bridge) => Verdict::Drop(DropReason::EthBpdu),
        Some(llc) if llc.is_cdp() => Verdict::Punt(PuntReason::Cdp),
        _ => Verdict::Drop(DropReason::EthUnknownLlc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arp_fault_is_a_drop_of_that_name() {
        let good = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
        ];
        assert_eq!(arp(&good), Verdict::Punt(PuntReason::Arp));
        assert_eq!(arp(&good[..20]), Verdict::Drop(DropReason::ArpTruncated));
        for (at, reason) in [
            (1, DropReason::ArpBadType),
            (4, DropReason::ArpBadLength),
            (7, DropReason::ArpBadOp),
            (8, DropReason::ArpBadSender),
        ] {
            let mut bad = good;
            bad[at] = 0xff;
            assert_eq!(arp(&bad), Verdict::Drop(reason));
        }
    }

    #[test]
    fn llc_frames_are_sorted_by_protocol() {
        assert_eq!(llc(&[0xfe, 0xfe, 3, 0x83]), Verdict::Punt(PuntReason::Isis));
        let cdp = [0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0];
        assert_eq!(llc(&cdp), Verdict::Punt(PuntReason::Cdp));
        assert_eq!(llc(&[0x42, 0x42, 3, 0]), Verdict::Drop(DropReason::EthBpdu));
        let ip_in_snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
        for unknown in [&ip_in_snap[..], &[0xfe, 0xfe], &[], &[0xff, 0xff, 0, 1]] {
            assert_eq!(llc(unknown), Verdict::Drop(DropReason::EthUnknownLlc));
        }
    }
}
