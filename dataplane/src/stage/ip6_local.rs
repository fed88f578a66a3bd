//! IPv6 local: packets for the router, for groups and for link-local addresses. All that is left
//! to decide is the punt reason, which is the priority and the policer.
//!
//! A hop limit is no reason to drop: the daemons and the kernel judge it. But what must come from
//! the link has its priority only with 255 (`upper.rs`).
//!
//! Groups of link scope, and wider ones that the kernel has joined on the arrival port's tap, go to
//! the tap and are never forwarded; others are data, for which there are no multicast routes.
//! Extension headers are walked, within a budget, to find the protocol; a routing header matters at
//! its destination alone, so the kernel judges it.

use ironlane_packet::eth::Mac;
use ironlane_packet::ip6::{self, HEADER_LEN_BYTES};
use ironlane_packet::ip6_ext::{Walk, walk};

use super::upper::{self, Upper};
use super::{JoinedGroups, Stage, TablesView};
use crate::burst::{Burst, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip6Local;

impl Stage for Ip6Local {
    const ID: StageId = StageId::Ip6Local;
    const INPUT: Lane = Lane::Ip6Local;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[DropReason::Ip6MulticastNoRoute];
    const PUNTS: &'static [PuntReason] = &[
        PuntReason::Ospf,
        PuntReason::Bgp,
        PuntReason::Bfd,
        PuntReason::Vrrp,
        PuntReason::Pim,
        PuntReason::Ldp,
        PuntReason::Rip,
        PuntReason::Eigrp,
        PuntReason::Babel,
        PuntReason::Rsvp,
        PuntReason::Ike,
        PuntReason::Nd,
        PuntReason::Mld,
        PuntReason::Dhcp,
        PuntReason::Icmp,
        PuntReason::Ipsec,
        PuntReason::Local,
        PuntReason::LinkMulticast,
    ];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| {
            judge(packet, view.joined)
        });
    }
}

/// The widest scope that stays on its link (RFC 4291 2.7).
const LINK_SCOPE: u8 = 2;

fn judge(packet: &mut Packet<'_>, joined: &JoinedGroups) -> Verdict {
    let dst = packet.ip6().dst();
    join_extensions(packet);
    let reason = protocol(packet);
    if !ip6::is_multicast(dst) {
        return Verdict::Punt(reason.unwrap_or(PuntReason::Local));
    }
    // Version 1 listener reports go to the group that they report (RFC 2710 3).
    if ip6::multicast_scope(dst) <= LINK_SCOPE
        || reason == Some(PuntReason::Mld)
        || joined.has(packet.arrival.port, Mac::of_ip6_group(dst))
    {
        Verdict::Punt(reason.unwrap_or(PuntReason::LinkMulticast))
    } else {
        Verdict::Drop(DropReason::Ip6MulticastNoRoute)
    }
}

/// Makes extension headers lie in the first segment that go on beyond what classify joined.
pub(super) fn join_extensions(packet: &mut Packet<'_>) {
    let bytes = packet.ip_bytes();
    if bytes.len() < packet.info.ip_len as usize {
        let rest = bytes.get(HEADER_LEN_BYTES..).unwrap_or(&[]);
        if walk(packet.ip6().next_header(), rest) == Walk::Truncated {
            packet.join_more();
        }
    }
}

fn protocol(packet: &Packet<'_>) -> Option<PuntReason> {
    let rest = packet.ip_bytes().get(HEADER_LEN_BYTES..).unwrap_or(&[]);
    let hops = packet.ip6().hop_limit();
    let upper = match walk(packet.ip6().next_header(), rest) {
        Walk::Upper {
            protocol,
            offset_bytes,
            ..
        } => Upper {
            protocol,
            hops,
            bytes: rest.get(offset_bytes..).unwrap_or(&[]),
        },
        Walk::LaterFragment { protocol } => Upper {
            protocol,
            hops,
            bytes: &[],
        },
        Walk::Truncated | Walk::TooMany => return None,
    };
    upper::reason(upper)
}
