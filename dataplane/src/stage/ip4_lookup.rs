//! IPv4 lookup: prefix, nexthop, adjacency, for the whole lane at once.
//!
//! Whether a packet is for the router is decided here, before its TTL is judged: eBGP and OSPF
//! use TTL 1. Only a plain packet with a forwarding adjacency stays on the straight path.

use ironlane_fib::{AdjacencyKind, NexthopIndex, NexthopRef, Resolved};
use ironlane_packet::flow;

use super::{Stage, TablesView, policy};
use crate::burst::{Burst, Info, Lane, Packet, Verdict};
use crate::eal::BURST_MAX;
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip4Lookup;

impl Stage for Ip4Lookup {
    const ID: StageId = StageId::Ip4Lookup;
    const INPUT: Lane = Lane::Ip4Lookup;
    const NEXT: Option<Lane> = Some(Lane::Ip4Rewrite);
    const LANES: &'static [Lane] = &[
        Lane::Ip4Rewrite,
        Lane::Policy,
        Lane::Ip4Local,
        Lane::Ip4Exception,
        Lane::Glean,
    ];
    const DROPS: &'static [DropReason] = &[];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        let list = burst.take(Self::INPUT);
        let places = list.places();
        let mut addresses = [0u32; BURST_MAX];
        let mut nexthops = [NexthopIndex::NONE; BURST_MAX];
        for (address, &place) in addresses.iter_mut().zip(places) {
            *address = burst.info(place).dst4;
        }
        let fib = view.tables.ip4(view.guard, burst.arrival().vrf);
        fib.lookup_bulk(
            view.guard,
            &addresses[..places.len()],
            &mut nexthops[..places.len()],
        );
        let rules = policy::is_needed(burst.arrival().origin, view);
        for (&place, &nexthop) in places.iter().zip(&nexthops) {
            let packet = &mut burst.packet(place);
            let adjacency = resolve(packet, nexthop, view, flow::hash4);
            *packet.hop = Some(adjacency);
            let verdict = match rules {
                true => Verdict::Lane(Lane::Policy),
                false => onward(packet),
            };
            burst.put(place, verdict, Lane::Ip4Rewrite);
        }
    }
}

/// Where a packet goes whose adjacency is known.
#[inline]
pub(super) fn onward(packet: &Packet<'_>) -> Verdict {
    let Some(adjacency) = *packet.hop else {
        return Verdict::Lane(LANES4.exception);
    };
    let turns_back = adjacency.port() == packet.arrival.turning_port();
    sort(
        packet,
        adjacency.kind(),
        adjacency.mtu(),
        turns_back,
        LANES4,
    )
}

/// The lanes of a family that [`sort`] chooses from.
#[derive(Clone, Copy)]
pub(super) struct FamilyLanes {
    pub(super) local: Lane,
    pub(super) exception: Lane,
}

const LANES4: FamilyLanes = FamilyLanes {
    local: Lane::Ip4Local,
    exception: Lane::Ip4Exception,
};

/// The adjacency of a nexthop. The flow hash costs something and is wanted for groups alone; it
/// is the NIC's where there is one.
#[inline]
pub(super) fn resolve(
    packet: &Packet<'_>,
    nexthop: NexthopIndex,
    view: &TablesView<'_>,
    software_hash: fn(&[u8]) -> u32,
) -> Resolved {
    let nexthops = view.tables.nexthops();
    match nexthops.get(view.guard, nexthop) {
        Some(NexthopRef::Adjacency(adjacency)) => Resolved {
            index: nexthop,
            adjacency,
        },
        _ => {
            let hash = match packet.mbuf.rss_hash() {
                Some(hash) => hash,
                None => software_hash(packet.ip_bytes()),
            };
            nexthops.resolve(view.guard, nexthop, hash)
        }
    }
}

/// The lane of a packet by the kind of its adjacency: straight on, or why not. A packet that
/// `turns_back` to the port it came by may be one to redirect.
#[inline]
pub(super) fn sort(
    packet: &Packet<'_>,
    kind: AdjacencyKind,
    mtu: u16,
    turns_back: bool,
    lanes: FamilyLanes,
) -> Verdict {
    let plain = packet.info.flags == 0 && packet.info.ip_len <= u32::from(mtu);
    match kind {
        AdjacencyKind::Forward if plain && !turns_back => Verdict::Next,
        AdjacencyKind::Glean if plain => Verdict::Lane(Lane::Glean),
        AdjacencyKind::Local if !packet.has(Info::GROUP_FRAME) => Verdict::Lane(lanes.local),
        AdjacencyKind::Broadcast => Verdict::Lane(lanes.local),
        AdjacencyKind::Ipsec => Verdict::Lane(Lane::Policy),
        _ => Verdict::Lane(lanes.exception),
    }
}
