//! IPv4 exception: packets that are not for the router and cannot just be forwarded.
//!
//! In the order in which a kernel would judge them: frames to groups (RFC 1812 5.3.4), link-local
//! addresses (RFC 3927 2.7), the route, options, TTL (5.3.1), size, redirects (5.2.7.2). The kernel gets the packet as
//! it arrived and does what the RFCs ask: it sends the ICMP error, writes into options,
//! fragments. Where no error may answer, the packet ends here.

use ironlane_fib::AdjacencyKind;
use ironlane_packet::ip4::HEADER_LEN_BYTES;
use ironlane_packet::ip4_options::{self, Ip4OptionsNeed};

use super::icmp_rules::{answer, is_broadcast, may_answer4, wants_redirect};
use super::{Stage, TablesView};
use crate::burst::{Burst, Info, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip4Exception;

impl Stage for Ip4Exception {
    const ID: StageId = StageId::Ip4Exception;
    const INPUT: Lane = Lane::Ip4Exception;
    const NEXT: Option<Lane> = Some(Lane::Ip4Rewrite);
    const LANES: &'static [Lane] = &[Lane::Ip4Rewrite, Lane::Glean];
    const DROPS: &'static [DropReason] = &[
        DropReason::Ip4GroupFrame,
        DropReason::Ip4LinkLocal,
        DropReason::Ip4BroadcastSource,
        DropReason::Ip4TtlExpired,
        DropReason::Ip4TooBig,
        DropReason::Ip4NoRoute,
        DropReason::Ip4Unreachable,
        DropReason::Ip4Prohibit,
        DropReason::Ip4Blackhole,
        DropReason::Ip4AdjacencyDrop,
    ];
    const PUNTS: &'static [PuntReason] = &[
        PuntReason::KernelRoute,
        PuntReason::TtlExpired,
        PuntReason::TooBig,
        PuntReason::FragmentNeeded,
        PuntReason::Ip4Options,
        PuntReason::RouterAlert,
        PuntReason::NoRoute,
        PuntReason::Unreachable,
        PuntReason::Prohibit,
        PuntReason::Redirect,
    ];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Lane::Ip4Rewrite, |packet| {
            match judge(packet, view) {
                Verdict::Punt(_) if is_broadcast(view, packet.arrival.vrf, packet.ip4().src()) => {
                    Verdict::Drop(DropReason::Ip4BroadcastSource)
                }
                verdict => verdict,
            }
        });
    }
}

fn judge(packet: &mut Packet<'_>, view: &TablesView<'_>) -> Verdict {
    let (kind, mtu) = match *packet.hop {
        Some(adjacency) => (adjacency.kind(), adjacency.mtu()),
        None => (AdjacencyKind::NoRoute, u16::MAX),
    };
    if packet.has(Info::GROUP_FRAME) {
        return Verdict::Drop(DropReason::Ip4GroupFrame);
    }
    if packet.has(Info::LINK_LOCAL) {
        return Verdict::Drop(DropReason::Ip4LinkLocal);
    }
    let may = may_answer4(packet.ip4(), packet.ip_bytes());
    match kind {
        AdjacencyKind::Blackhole => return Verdict::Drop(DropReason::Ip4Blackhole),
        AdjacencyKind::Drop => return Verdict::Drop(DropReason::Ip4AdjacencyDrop),
        AdjacencyKind::NoRoute => {
            return answer(may, PuntReason::NoRoute, DropReason::Ip4NoRoute);
        }
        AdjacencyKind::Unreachable => {
            return answer(may, PuntReason::Unreachable, DropReason::Ip4Unreachable);
        }
        AdjacencyKind::Prohibit => {
            return answer(may, PuntReason::Prohibit, DropReason::Ip4Prohibit);
        }
        // The lookup sends the last two to the local stage.
        AdjacencyKind::Forward
        | AdjacencyKind::Glean
        | AdjacencyKind::Kernel
        | AdjacencyKind::Ipsec
        | AdjacencyKind::Local
        | AdjacencyKind::Broadcast => {}
    }
    // Before TTL: RSVP and others send their alerts with TTL 1 (RFC 2113 2.1).
    if packet.has(Info::OPTIONS) {
        match ip4_options::need(options(packet)) {
            Ip4OptionsNeed::Nothing => {}
            Ip4OptionsNeed::RouterAlert => return Verdict::Punt(PuntReason::RouterAlert),
            Ip4OptionsNeed::Handling => return Verdict::Punt(PuntReason::Ip4Options),
        }
    }
    if packet.has(Info::TTL) {
        return answer(may, PuntReason::TtlExpired, DropReason::Ip4TtlExpired);
    }
    if packet.info.ip_len > u32::from(mtu) {
        return match packet.ip4().dont_fragment() {
            true => answer(may, PuntReason::TooBig, DropReason::Ip4TooBig),
            false => Verdict::Punt(PuntReason::FragmentNeeded),
        };
    }
    match kind {
        AdjacencyKind::Forward if may && wants_redirect(packet, view) => {
            Verdict::Punt(PuntReason::Redirect)
        }
        AdjacencyKind::Forward => Verdict::Next,
        AdjacencyKind::Glean => Verdict::Lane(Lane::Glean),
        _ => Verdict::Punt(PuntReason::KernelRoute),
    }
}

/// The bytes between the fixed header and its end.
fn options<'p>(packet: &'p Packet<'_>) -> &'p [u8] {
    let end = packet.ip4().header_len_bytes();
    packet.ip_bytes().get(HEADER_LEN_BYTES..end).unwrap_or(&[])
}
