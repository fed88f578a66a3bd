//! Policy: what IPsec has to say about a packet. Only there while there are SAs or policies, and for
//! what is routed to an IPsec interface.
//!
//! For every packet that is for the router or would be forwarded, between the lookup and what it
//! decided. In this order (RFC 4301 5):
//!
//! - ESP, AH and ESP in UDP for the router go to the SA that they name, or end here; what may be fragments of
//!   them is put together before. IKE and the
//!   keepalives of RFC 3948 are the router's own business and meet no policy.
//! - What arrives must have been protected as the policy of its direction says, `in` for the router
//!   and `fwd` for others: never in clear if it was to be protected, never by another SA.
//! - What would leave and is to be protected goes to the SA that the policy is bound to. Without one
//!   it is lost, and IKE is asked for an SA.
//! - While it is not known which policies there are, nothing that they would be asked about leaves.
//!
//! What is routed to an IPsec interface meets the policies of that interface, and without one it ends
//! here: it never leaves in clear.
//!
//! Whatever no policy concerns goes where the lookup would have sent it. A packet that the kernel
//! has to answer (TTL, options) goes to it: should it send the packet on, the policies are asked when
//! it comes out of the tap.

use ironlane_fib::{AdjacencyKind, PortId, VrfId};
use ironlane_ipsec::{
    Action, Event, Flow, NotAdmitted, Policy as Rule, PolicyDirection, Sa, admits, fragments,
};
use ironlane_packet::ip4::{HEADER_LEN_BYTES as IP4_LEN, Ip4Mut};
use ironlane_packet::ip4_options::{self, Ip4OptionsNeed};
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6Mut};
use ironlane_packet::ip6_ext::{HopByHopNeed, Walk, hop_by_hop_need, walk_for_ipsec};
use ironlane_packet::proto::ip;

use super::ip6_local::join_extensions;
use super::named::Named;
use super::{Interface, Stage, TablesView, ip4_lookup, ip6_lookup};
use crate::burst::{Burst, Info, Lane, Origin, Packet, Verdict};
use crate::eal::crypto::Session;
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy;

impl Stage for Policy {
    const ID: StageId = StageId::Policy;
    const INPUT: Lane = Lane::Policy;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[
        Lane::Ip4Local,
        Lane::Ip4Exception,
        Lane::Ip6Local,
        Lane::Ip6Exception,
        Lane::Glean,
        Lane::Ip4Rewrite,
        Lane::Ip6Rewrite,
    ];
    const DROPS: &'static [DropReason] = &[
        DropReason::IpsecNoSa,
        DropReason::IpsecKeepalive,
        DropReason::PolicyDiscard,
        DropReason::PolicyUnprotected,
        DropReason::PolicyMismatch,
        DropReason::PolicyMissing,
        DropReason::PolicyNoSa,
        DropReason::IpsecInterfaceNoPolicy,
        DropReason::IpsecInterfaceLoop,
        DropReason::PolicyNotKnown,
    ];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| judge(packet, view));
    }
}

/// Whether packets of this origin have to meet the stage.
#[inline]
pub(super) fn is_needed(origin: Origin, view: &TablesView<'_>) -> bool {
    match origin {
        Origin::Wire => view.ipsec.has_policies() || view.ipsec.has_sas(),
        Origin::Opened | Origin::Fragment => true,
        Origin::Sealed | Origin::IkeFragment => false,
        Origin::Own => view.ipsec.has_policies(),
    }
}

fn judge(packet: &mut Packet<'_>, view: &TablesView<'_>) -> Verdict {
    let is_ip6 = packet.l3().first().is_some_and(|byte| byte >> 4 == 6);
    if is_ip6 {
        join_extensions(packet);
    }
    // An SA within another may be one of an IPsec interface, too.
    let is_own = matches!(packet.arrival.origin, Origin::Own | Origin::Sealed);
    let kind = packet.hop.map_or(AdjacencyKind::NoRoute, |a| a.kind());
    let flow = Flow::of(packet.ip_bytes());
    let refused = match (kind, flow) {
        (AdjacencyKind::Local | AdjacencyKind::Broadcast, Some(flow)) if !is_own => {
            match to_router(packet, &flow, is_ip6, view) {
                ToRouter::Sa(verdict) => return verdict,
                ToRouter::Ike => None,
                ToRouter::Other => arrived(packet, &flow, PolicyDirection::In, view).err(),
            }
        }
        (AdjacencyKind::Forward | AdjacencyKind::Glean | AdjacencyKind::Kernel, _)
            if !view.ipsec.knows_policies() =>
        {
            Some(DropReason::PolicyNotKnown)
        }
        // Without a route of its own, or with one that goes nowhere, as well: where the SA leads is the outer
        // destination's matter. For Linux, strongSwan's routes (table 220) come before all others; no lookup
        // of ours reads them. So a blackhole can keep what has lost its policy from leaving in clear.
        (
            AdjacencyKind::Forward
            | AdjacencyKind::Glean
            | AdjacencyKind::Kernel
            | AdjacencyKind::Ipsec
            | AdjacencyKind::NoRoute
            | AdjacencyKind::Blackhole
            | AdjacencyKind::Unreachable
            | AdjacencyKind::Prohibit,
            Some(flow),
        ) => {
            let passed = match is_own {
                true => Ok(()),
                false => arrived(packet, &flow, PolicyDirection::Fwd, view),
            };
            match passed {
                Ok(()) => match leaves(packet, &flow, is_ip6, view) {
                    Some(verdict) => return verdict,
                    None => None,
                },
                Err(reason) => Some(reason),
            }
        }
        // Lost, or answered by the kernel, either way.
        _ => None,
    };
    match (refused, is_ip6) {
        (Some(reason), _) => Verdict::Drop(reason),
        // The kernel answers, or sends it by the interface itself.
        (None, false) if kind == AdjacencyKind::Ipsec => Verdict::Lane(Lane::Ip4Exception),
        (None, true) if kind == AdjacencyKind::Ipsec => Verdict::Lane(Lane::Ip6Exception),
        (None, false) => onward(ip4_lookup::onward(packet), Lane::Ip4Rewrite),
        (None, true) => onward(ip6_lookup::onward(packet), Lane::Ip6Rewrite),
    }
}

/// What the lookup would have said; its next lane is not ours.
#[inline]
fn onward(verdict: Verdict, next: Lane) -> Verdict {
    match verdict {
        Verdict::Next => Verdict::Lane(next),
        verdict => verdict,
    }
}

/// What a packet for the router is to IPsec.
enum ToRouter {
    /// Protected, or made to keep a NAT's memory alive.
    Sa(Verdict),
    /// IKE: exempt from all policies.
    Ike,
    /// Anything else.
    Other,
}

/// Finds the SA that a packet for the router names.
fn to_router(
    packet: &mut Packet<'_>,
    flow: &Flow,
    is_ip6: bool,
    view: &TablesView<'_>,
) -> ToRouter {
    if is_to_gather(packet, view) {
        return ToRouter::Sa(Verdict::Gather);
    }
    let upper = match upper(packet, is_ip6) {
        Some((protocol, bytes)) if protocol == flow.proto => bytes,
        _ => &[],
    };
    let named = match Named::by(flow.proto, upper) {
        Named::Other => return ToRouter::Other,
        Named::Ike => return ToRouter::Ike,
        Named::Keepalive => return ToRouter::Sa(Verdict::Drop(DropReason::IpsecKeepalive)),
        Named::Sa(sa) => sa,
    };
    ToRouter::Sa(match named.find(flow.dst, packet.arrival.vrf, view) {
        Some(sa) => {
            packet.hand_to_ipsec();
            Verdict::Open(sa.id())
        }
        None => Verdict::Drop(DropReason::IpsecNoSa),
    })
}

/// Whether it may be a fragment of a packet for an SA. Those of UDP out of an SA are not looked at: the kernel
/// could not be given them as they came, should they not be.
fn is_to_gather(packet: &Packet<'_>, view: &TablesView<'_>) -> bool {
    let may_be = |protocol| match packet.arrival.origin {
        Origin::Wire => true,
        Origin::Opened => protocol != ip::UDP,
        Origin::Sealed | Origin::Own | Origin::Fragment | Origin::IkeFragment => false,
    };
    fragments::protocol(packet.ip_bytes())
        .is_some_and(|protocol| view.ipsec.may_open(protocol) && may_be(protocol))
}

/// The upper-layer protocol and its bytes.
fn upper<'p>(packet: &'p Packet<'_>, is_ip6: bool) -> Option<(u8, &'p [u8])> {
    let bytes = packet.ip_bytes();
    if is_ip6 {
        let (next, rest) = (packet.ip6().next_header(), bytes.get(IP6_LEN..)?);
        return match walk_for_ipsec(next, rest) {
            Walk::Upper {
                protocol,
                offset_bytes,
                ..
            } => Some((protocol, rest.get(offset_bytes..)?)),
            Walk::LaterFragment { .. } | Walk::Truncated | Walk::TooMany => None,
        };
    }
    let header = packet.ip4();
    let upper = bytes.get(header.header_len_bytes()..)?;
    // A later fragment has no upper header; the SA will refuse the first one, too.
    (!header.is_later_fragment()).then_some((header.protocol(), upper))
}

/// Whether a packet arrived as the policy of its direction wants it.
fn arrived(
    packet: &Packet<'_>,
    flow: &Flow,
    direction: PolicyDirection,
    view: &TablesView<'_>,
) -> Result<(), DropReason> {
    let by = packet
        .opened_by()
        .and_then(|id| view.ipsec.sa(view.guard, id));
    if packet.opened_by().is_some() && by.is_none() {
        // Its SA was deleted a moment ago; what it said cannot be compared any more.
        return Err(DropReason::PolicyMismatch);
    }
    let rule = find_rule(
        packet.arrival.vrf,
        flow,
        direction,
        if_id_and_mark(by),
        view,
    );
    admits(rule.map(Rule::spec), by.map(Sa::spec)).map_err(|why| match why {
        NotAdmitted::Discard => DropReason::PolicyDiscard,
        NotAdmitted::Unprotected => DropReason::PolicyUnprotected,
        NotAdmitted::Mismatch => DropReason::PolicyMismatch,
        NotAdmitted::Missing => DropReason::PolicyMissing,
    })
}

/// What policies are asked with that a packet meets which this SA opened, or none.
#[inline]
pub(super) fn if_id_and_mark(by: Option<&Sa<Session>>) -> (u32, u32) {
    by.map_or((0, 0), |sa| (sa.spec().if_id, sa.spec().mark.value))
}

/// The policy of a packet by an interface of this `if_id` and mark, which is noted as used.
#[inline]
fn find_rule<'q>(
    vrf: VrfId,
    flow: &Flow,
    direction: PolicyDirection,
    (if_id, mark): (u32, u32),
    view: &TablesView<'q>,
) -> Option<&'q Rule> {
    let rule = view
        .ipsec
        .find_policy(view.guard, vrf, direction, flow, if_id, mark)?;
    rule.touch(view.now_s());
    Some(rule)
}

/// What the outbound policy says of a packet that would be forwarded; `None`: it may pass in clear,
/// or somebody else has to judge it before.
fn leaves(
    packet: &mut Packet<'_>,
    flow: &Flow,
    is_ip6: bool,
    view: &TablesView<'_>,
) -> Option<Verdict> {
    let hop = packet.hop.filter(|hop| hop.kind() == AdjacencyKind::Ipsec);
    let rule = match hop {
        None => find_rule(packet.arrival.vrf, flow, PolicyDirection::Out, (0, 0), view)?,
        Some(hop) if packet.sealed_by() == Some(hop.port()) => {
            return Some(Verdict::Drop(DropReason::IpsecInterfaceLoop));
        }
        Some(hop) => match by_interface(packet, flow, hop.port(), view) {
            Some(rule) => rule,
            None => return Some(Verdict::Drop(DropReason::IpsecInterfaceNoPolicy)),
        },
    };
    match rule.spec().action {
        Action::Bypass => return None,
        Action::Discard => return Some(Verdict::Drop(DropReason::PolicyDiscard)),
        Action::Protect { .. } => {}
    }
    // None of these is forwarded without the kernel, whose packets meet the policies again.
    if packet.has(Info::TTL | Info::GROUP_FRAME | Info::LINK_LOCAL)
        || packet.has(Info::OPTIONS) && needs_kernel(packet, is_ip6)
    {
        return None;
    }
    if hop.is_some_and(|hop| packet.info.ip_len > u32::from(hop.mtu())) {
        return None;
    }
    let Some(sa) = rule.sa() else {
        return Some(no_sa(rule, flow, view));
    };
    let l3 = usize::from(packet.info.l3);
    let bytes = packet.mbuf.data_mut().get_mut(l3..);
    // RFC 4301 5.1.2: a packet that is forwarded has a hop less inside.
    match is_ip6 {
        false => bytes.and_then(Ip4Mut::new)?.lower_ttl(),
        true => bytes.and_then(Ip6Mut::new)?.lower_hop_limit(),
    }
    packet.hand_to_ipsec();
    Some(Verdict::Seal(sa))
}

/// The policy of a packet that would leave by an IPsec interface; none that lets it go in clear.
fn by_interface<'q>(
    packet: &Packet<'_>,
    flow: &Flow,
    port: PortId,
    view: &TablesView<'q>,
) -> Option<&'q Rule> {
    let Interface { if_id, mark, .. } = view.interfaces.of_port(port)?;
    find_rule(
        packet.arrival.vrf,
        flow,
        PolicyDirection::Out,
        (if_id, mark),
        view,
    )
    .filter(|rule| rule.spec().action != Action::Bypass)
}

/// Options that more than forwarding is to be done for.
fn needs_kernel(packet: &Packet<'_>, is_ip6: bool) -> bool {
    let bytes = packet.ip_bytes();
    match is_ip6 {
        false => {
            let end = packet.ip4().header_len_bytes();
            let options = bytes.get(IP4_LEN..end).unwrap_or(&[]);
            !matches!(ip4_options::need(options), Ip4OptionsNeed::Nothing)
        }
        true => {
            let rest = bytes.get(IP6_LEN..).unwrap_or(&[]);
            !matches!(hop_by_hop_need(rest), HopByHopNeed::Nothing)
        }
    }
}

/// Loses a packet that is to be protected and cannot be yet, and asks IKE for an SA.
fn no_sa(rule: &Rule, flow: &Flow, view: &TablesView<'_>) -> Verdict {
    if rule.wants_acquire(view.now_s()) {
        view.ipsec.events().push(Event::Acquire {
            policy: rule.id(),
            flow: *flow,
        });
    }
    Verdict::Drop(DropReason::PolicyNoSa)
}
