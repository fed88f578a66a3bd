//! IPv4 local: packets for the router, for groups and broadcasts. All that is left to decide is
//! the punt reason, which is the priority and the policer.
//!
//! A TTL is no reason to drop: the daemons judge it (GTSM), and 1 is what eBGP and OSPF use. But
//! what must come from the link has its priority only with 255 (`upper.rs`). Link-local groups
//! (224.0.0.0/24) go to the tap whatever their TTL and are never forwarded (RFC 5771 4); so
//! do wider groups that the kernel has joined on the arrival port's tap. Others are data, for which
//! there are no multicast routes. The broadcast address of a subnet is delivered from the port that
//! has the subnet alone (RFC 2644).

use ironlane_fib::AdjacencyKind;
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::Ip4;
use ironlane_packet::proto::ip;

use super::upper::{self, Upper};
use super::{JoinedGroups, Stage, TablesView};
use crate::burst::{Burst, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip4Local;

impl Stage for Ip4Local {
    const ID: StageId = StageId::Ip4Local;
    const INPUT: Lane = Lane::Ip4Local;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[
        DropReason::Ip4MulticastNoRoute,
        DropReason::Ip4MulticastBadMac,
        DropReason::Ip4DirectedBroadcast,
    ];
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
        PuntReason::Igmp,
        PuntReason::Dhcp,
        PuntReason::Icmp,
        PuntReason::Ipsec,
        PuntReason::Local,
        PuntReason::Broadcast,
        PuntReason::LinkMulticast,
    ];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| {
            judge(packet, view.joined)
        });
    }
}

fn judge(packet: &mut Packet<'_>, joined: &JoinedGroups) -> Verdict {
    let dst = packet.info.dst4;
    match *packet.hop {
        Some(adjacency) if adjacency.kind() == AdjacencyKind::Broadcast => {
            match adjacency.port() == packet.arrival.port {
                true => punt(packet, PuntReason::Broadcast),
                false => Verdict::Drop(DropReason::Ip4DirectedBroadcast),
            }
        }
        Some(_) => punt(packet, PuntReason::Local),
        // Not looked up: a group.
        None if dst == u32::MAX => punt(packet, PuntReason::Broadcast),
        None => multicast(packet, dst, joined),
    }
}

fn multicast(packet: &Packet<'_>, group: u32, joined: &JoinedGroups) -> Verdict {
    // RFC 1112 6.4: the group's own MAC; broadcast is the fallback of hosts without multicast.
    let (mac, own) = (packet.dst_mac(), Mac::of_ip4_group(group));
    if mac.is_group() && !mac.is_broadcast() && mac != own {
        return Verdict::Drop(DropReason::Ip4MulticastBadMac);
    }
    let is_link_local = group >> 8 == 0xe0_0000;
    // IGMP reports go to the group that they report (RFC 2236 9).
    if is_link_local || packet.ip4().protocol() == ip::IGMP || joined.has(packet.arrival.port, own)
    {
        punt(packet, PuntReason::LinkMulticast)
    } else {
        Verdict::Drop(DropReason::Ip4MulticastNoRoute)
    }
}

/// The reason of the protocol, or `otherwise`.
fn punt(packet: &Packet<'_>, otherwise: PuntReason) -> Verdict {
    Verdict::Punt(protocol(packet.ip4(), packet.ip_bytes()).unwrap_or(otherwise))
}

fn protocol(header: Ip4<'_>, bytes: &[u8]) -> Option<PuntReason> {
    upper::reason(Upper {
        protocol: header.protocol(),
        hops: header.ttl(),
        // A later fragment has no upper header; what stands in its place must not be read.
        bytes: match header.is_later_fragment() {
            true => &[],
            false => bytes.get(header.header_len_bytes()..).unwrap_or(&[]),
        },
    })
}
