//! IPv6 lookup: prefix, nexthop, adjacency, for the whole lane at once.
//!
//! As for IPv4, whether a packet is for the router is decided before its hop limit is judged.

use ironlane_fib::NexthopIndex;
use ironlane_packet::flow;

use super::ip4_lookup::{FamilyLanes, resolve, sort};
use super::{Stage, TablesView, policy};
use crate::burst::{Burst, Lane, Packet, Verdict};
use crate::eal::BURST_MAX;
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip6Lookup;

const LANES6: FamilyLanes = FamilyLanes {
    local: Lane::Ip6Local,
    exception: Lane::Ip6Exception,
};

/// Where a packet goes whose adjacency is known.
#[inline]
pub(super) fn onward(packet: &Packet<'_>) -> Verdict {
    let Some(hop) = *packet.hop else {
        return Verdict::Lane(LANES6.exception);
    };
    let turns_back = hop.port() == packet.arrival.turning_port();
    sort(packet, hop.kind(), hop.mtu(), turns_back, LANES6)
}

impl Stage for Ip6Lookup {
    const ID: StageId = StageId::Ip6Lookup;
    const INPUT: Lane = Lane::Ip6Lookup;
    const NEXT: Option<Lane> = Some(Lane::Ip6Rewrite);
    const LANES: &'static [Lane] = &[
        Lane::Ip6Rewrite,
        Lane::Policy,
        Lane::Ip6Local,
        Lane::Ip6Exception,
        Lane::Glean,
    ];
    const DROPS: &'static [DropReason] = &[];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        let list = burst.take(Self::INPUT);
        let places = list.places();
        let mut addresses = [0u128; BURST_MAX];
        let mut nexthops = [NexthopIndex::NONE; BURST_MAX];
        for (address, &place) in addresses.iter_mut().zip(places) {
            *address = burst.packet(place).ip6().dst();
        }
        let fib = view.tables.ip6(view.guard, burst.arrival().vrf);
        fib.lookup_bulk(
            view.guard,
            &addresses[..places.len()],
            &mut nexthops[..places.len()],
        );
        let rules = policy::is_needed(burst.arrival().origin, view);
        for (&place, &nexthop) in places.iter().zip(&nexthops) {
            let packet = &mut burst.packet(place);
            let adjacency = resolve(packet, nexthop, view, flow::hash6);
            *packet.hop = Some(adjacency);
            let verdict = match rules {
                true => Verdict::Lane(Lane::Policy),
                false => onward(packet),
            };
            burst.put(place, verdict, Lane::Ip6Rewrite);
        }
    }
}
