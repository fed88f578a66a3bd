//! IPv6 exception: packets that are not for the router and cannot just be forwarded.
//!
//! In order: frames to groups, scope of the source (RFC 4291 2.5.6), the route, hop-by-hop options
//! (RFC 8200 4.3), hop limit, size (routers never fragment, RFC 8200 5), redirects (RFC 4861 8.2). The
//! kernel gets the packet as it arrived and sends the ICMPv6 error or redirect; where none may answer (RFC 4443 2.4 e), the packet ends
//! here. That unicast in frames to groups ends here is our own choice, for the reason of RFC 1812
//! 5.3.4: what one station broadcasts must not come out of every router on its link.

use ironlane_fib::AdjacencyKind;
use ironlane_packet::ip6::HEADER_LEN_BYTES;
use ironlane_packet::ip6_ext::{HopByHopNeed, hop_by_hop_need};

use super::icmp_rules::{answer, may_answer6, wants_redirect};
use super::ip6_local::join_extensions;
use super::{Stage, TablesView};
use crate::burst::{Burst, Info, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip6Exception;

impl Stage for Ip6Exception {
    const ID: StageId = StageId::Ip6Exception;
    const INPUT: Lane = Lane::Ip6Exception;
    const NEXT: Option<Lane> = Some(Lane::Ip6Rewrite);
    const LANES: &'static [Lane] = &[Lane::Ip6Rewrite, Lane::Glean];
    const DROPS: &'static [DropReason] = &[
        DropReason::Ip6GroupFrame,
        DropReason::Ip6LinkLocal,
        DropReason::Ip6HopLimitExpired,
        DropReason::Ip6TooBig,
        DropReason::Ip6NoRoute,
        DropReason::Ip6Unreachable,
        DropReason::Ip6Prohibit,
        DropReason::Ip6Blackhole,
        DropReason::Ip6AdjacencyDrop,
    ];
    const PUNTS: &'static [PuntReason] = &[
        PuntReason::KernelRoute,
        PuntReason::TtlExpired,
        PuntReason::TooBig,
        PuntReason::RouterAlert,
        PuntReason::Ip6HopByHop,
        PuntReason::NoRoute,
        PuntReason::Unreachable,
        PuntReason::Prohibit,
        PuntReason::Redirect,
        PuntReason::BeyondScope,
    ];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Lane::Ip6Rewrite, |packet| judge(packet, view));
    }
}

fn judge(packet: &mut Packet<'_>, view: &TablesView<'_>) -> Verdict {
    let (kind, mtu) = match *packet.hop {
        Some(adjacency) => (adjacency.kind(), adjacency.mtu()),
        None => (AdjacencyKind::NoRoute, u16::MAX),
    };
    if packet.has(Info::GROUP_FRAME) {
        return Verdict::Drop(DropReason::Ip6GroupFrame);
    }
    join_extensions(packet);
    let may = may_answer6(packet.ip6(), packet.ip_bytes());
    match kind {
        AdjacencyKind::Blackhole => return Verdict::Drop(DropReason::Ip6Blackhole),
        AdjacencyKind::Drop => return Verdict::Drop(DropReason::Ip6AdjacencyDrop),
        _ if packet.has(Info::LINK_LOCAL) => {
            return answer(may, PuntReason::BeyondScope, DropReason::Ip6LinkLocal);
        }
        AdjacencyKind::NoRoute => {
            return answer(may, PuntReason::NoRoute, DropReason::Ip6NoRoute);
        }
        AdjacencyKind::Unreachable => {
            return answer(may, PuntReason::Unreachable, DropReason::Ip6Unreachable);
        }
        AdjacencyKind::Prohibit => {
            return answer(may, PuntReason::Prohibit, DropReason::Ip6Prohibit);
        }
        // The lookup sends the last two to the local stage.
        AdjacencyKind::Forward
        | AdjacencyKind::Glean
        | AdjacencyKind::Kernel
        | AdjacencyKind::Ipsec
        | AdjacencyKind::Local
        | AdjacencyKind::Broadcast => {}
    }
    // Before the hop limit: a router alert is for every router, the last one included.
    if packet.has(Info::OPTIONS) {
        match hop_by_hop_need(packet.ip_bytes().get(HEADER_LEN_BYTES..).unwrap_or(&[])) {
            HopByHopNeed::Nothing => {}
            HopByHopNeed::RouterAlert(_) => return Verdict::Punt(PuntReason::RouterAlert),
            HopByHopNeed::Handling => return Verdict::Punt(PuntReason::Ip6HopByHop),
        }
    }
    if packet.has(Info::TTL) {
        return answer(may, PuntReason::TtlExpired, DropReason::Ip6HopLimitExpired);
    }
    if packet.info.ip_len > u32::from(mtu) {
        return answer(may, PuntReason::TooBig, DropReason::Ip6TooBig);
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
