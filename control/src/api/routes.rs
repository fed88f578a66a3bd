//! Answers made of the RIB: routes, lookups, neighbours.

use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_dataplane::dataplane::PortInfo;
use ironlane_fib::{AdjacencyKind, NexthopIndex, NexthopRef, PortId, Tables, VrfId};
use ironlane_packet::flow;
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::ip6::Ip6Fields;
use ironlane_rcu::Guard;
use ironlane_rib::{
    Explanation, Family, NeighbourState, NexthopView, PathView, Rib, RouteFilter, RouteKind,
    RouteTarget, RouteView, protocol_name,
};
use tonic::Status as Refusal;

use super::counters::port_name;
use super::proto;

/// Protocol numbers of packets without ports.
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// The only VRF there is yet.
pub(super) const DEFAULT_VRF: &str = "default";

/// What a request for routes asks of the RIB.
pub(super) fn filter(request: &proto::ListRoutesRequest) -> Result<RouteFilter, Refusal> {
    known_vrf(&request.vrf)?;
    let within = match request.prefix.as_str() {
        "" => None,
        text => Some(text.parse::<IpNet>().map_err(|_| {
            Refusal::invalid_argument(format!("\"{text}\" is not a prefix like 203.0.113.0/24"))
        })?),
    };
    let family = match request.family {
        0 => None,
        4 => Some(Family::Ip4),
        6 => Some(Family::Ip6),
        other => {
            return Err(Refusal::invalid_argument(format!(
                "family {other} is neither 4 nor 6"
            )));
        }
    };
    Ok(RouteFilter {
        family,
        within,
        all: request.all,
    })
}

pub(super) fn known_vrf(name: &str) -> Result<VrfId, Refusal> {
    if name.is_empty() || name == DEFAULT_VRF {
        Ok(VrfId::DEFAULT)
    } else {
        Err(Refusal::not_found(format!(
            "there is no VRF {name}; there is {DEFAULT_VRF}"
        )))
    }
}

/// Whether a listing without `--all` shows it: not what every address brings with it.
pub(super) fn is_plain(view: &RouteView) -> bool {
    use RouteKind::{Anycast, Broadcast, Local, Multicast};
    !matches!(view.route.kind, Local | Broadcast | Anycast | Multicast)
}

/// A route as the API says it.
pub(super) fn route(view: &RouteView) -> proto::Route {
    let route = &view.route;
    let object = match route.target {
        RouteTarget::Object(id) => id.0,
        RouteTarget::Paths(_) => 0,
    };
    proto::Route {
        prefix: route.prefix.to_string(),
        vrf: DEFAULT_VRF.into(),
        protocol: protocol_name(route.protocol)
            .map_or_else(|| route.protocol.to_string(), str::to_owned),
        kind: route.kind.name().into(),
        metric: route.metric,
        paths: view.paths.iter().map(path).collect(),
        active: view.active,
        nexthop: view.nexthop.raw(),
        table: route.table.0,
        nexthop_object: object,
    }
}

fn path(path: &PathView) -> proto::RoutePath {
    proto::RoutePath {
        gateway: path.gateway.map(|g| g.to_string()).unwrap_or_default(),
        interface: path.interface.clone(),
        weight: path.weight.into(),
        alive: path.alive,
    }
}

/// Looks `address` up in the live tables, as an lcore would, and says what is found there.
///
/// `flow` is the hash that chooses among the members of a group; all members are named without
/// one.
pub(super) fn lookup(
    explanation: Explanation,
    slots: &Slots<'_>,
    flow: Option<u32>,
) -> proto::RouteLookup {
    let address = explanation.address;
    let (tables, guard) = (slots.tables, slots.guard);
    let index = match address {
        IpAddr::V4(v4) => tables
            .ip4(guard, VrfId::DEFAULT)
            .lookup(guard, v4.to_bits()),
        IpAddr::V6(v6) => tables
            .ip6(guard, VrfId::DEFAULT)
            .lookup(guard, v6.to_bits()),
    };
    let mut why = explanation.why.clone();
    let expected = explanation
        .nexthop
        .as_ref()
        .map_or(NexthopIndex::NONE, |n| n.index);
    if expected != index {
        why.push(format!(
            "the live tables answer slot {}, not {}: just changing, or see ironlane verify",
            index.raw(),
            expected.raw()
        ));
    }
    let mut members: Vec<_> = slots.members(index);
    if let Some(hash) = flow
        && let Some(NexthopRef::Group(group)) = tables.nexthops().get(guard, index)
    {
        let chosen = group.select(hash).map(NexthopIndex::raw);
        let count = members.len();
        members.retain(|m| m.adjacency.as_ref().map(|a| a.nexthop) == chosen);
        why.push(format!(
            "source and destination choose one of {count} members"
        ));
    }
    let adjacencies: Vec<_> = members.into_iter().filter_map(|m| m.adjacency).collect();
    let first = adjacencies
        .first()
        .map_or(AdjacencyKind::NoRoute.name(), |a| &a.kind);
    let any_forward = adjacencies
        .iter()
        .any(|a| a.kind == AdjacencyKind::Forward.name());
    let verdict = if any_forward {
        AdjacencyKind::Forward.name()
    } else {
        first
    };
    proto::RouteLookup {
        address: address.to_string(),
        vrf: DEFAULT_VRF.into(),
        route: explanation.route.as_ref().map(route),
        nexthop: index.raw(),
        verdict: verdict.to_owned(),
        adjacencies,
        why,
    }
}

/// An address of a request.
pub(super) fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse()
        .map_err(|_| Refusal::invalid_argument(format!("\"{text}\" is not an IP address")))
}

/// The hash by which a group chooses for an ICMP packet from `source` to `destination`; none if
/// `source` is empty.
pub(super) fn flow(destination: IpAddr, source: &str) -> Result<Option<u32>, Refusal> {
    if source.is_empty() {
        return Ok(None);
    }
    let hash = match (address(source)?, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (src, dst) = (source.to_bits(), destination.to_bits());
            let header = Ip4Fields {
                src,
                dst,
                protocol: ICMP,
                ..Ip4Fields::default()
            };
            flow::hash4(&header.to_bytes(0))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (src, dst) = (source.to_bits(), destination.to_bits());
            let header = Ip6Fields {
                src,
                dst,
                next_header: ICMP6,
                ..Ip6Fields::default()
            };
            flow::hash6(&header.to_bytes(0))
        }
        _ => {
            let wrong = "source and destination are of different families";
            return Err(Refusal::invalid_argument(wrong));
        }
    };
    Ok(Some(hash))
}

/// The live nexthop slots, told with what the RIB knows of them.
pub(super) struct Slots<'a> {
    pub(super) tables: &'a Tables,
    pub(super) guard: &'a Guard<'a>,
    pub(super) ports: &'a [PortInfo],
    /// In the order of their numbers.
    pub(super) views: &'a [NexthopView],
}

impl Slots<'_> {
    /// All slots in use.
    pub(super) fn nexthops(&self) -> Vec<proto::Nexthop> {
        let live = self.tables.nexthops().iter(self.guard);
        live.map(|(index, nexthop)| proto::Nexthop {
            index: index.raw(),
            kind: if matches!(nexthop, NexthopRef::Group(_)) {
                "group"
            } else {
                "single"
            }
            .into(),
            routes: self.view(index).map_or(0, |view| view.prefixes.into()),
            members: self.members(index),
        })
        .collect()
    }

    /// The adjacencies of all slots that are no group.
    pub(super) fn adjacencies(&self) -> Vec<proto::Adjacency> {
        let live = self.tables.nexthops().iter(self.guard);
        live.filter(|(_, nexthop)| matches!(nexthop, NexthopRef::Adjacency(_)))
            .flat_map(|(index, _)| self.members(index))
            .filter_map(|member| member.adjacency)
            .collect()
    }

    /// What a slot leads to: one adjacency, or those of a group with their weights.
    fn members(&self, index: NexthopIndex) -> Vec<proto::NexthopMember> {
        let nexthops = self.tables.nexthops();
        match nexthops.get(self.guard, index) {
            None => Vec::new(),
            Some(NexthopRef::Adjacency(_)) => {
                let adjacency = self.adjacency(index);
                vec![proto::NexthopMember {
                    adjacency,
                    weight: 1,
                }]
            }
            Some(NexthopRef::Group(group)) => group
                .members()
                .iter()
                .map(|member| proto::NexthopMember {
                    adjacency: self.adjacency(member.nexthop),
                    weight: member.weight.into(),
                })
                .collect(),
        }
    }

    fn adjacency(&self, index: NexthopIndex) -> Option<proto::Adjacency> {
        let nexthops = self.tables.nexthops().of_burst(self.guard);
        let NexthopRef::Adjacency(live) = nexthops.get(index)? else {
            return None;
        };
        let view = self.view(index).and_then(|view| view.members.first());
        let neighbour = view.and_then(|(adjacency, _)| adjacency.neighbour);
        let sends = live.kind() == AdjacencyKind::Forward;
        let mac = |octets| {
            if sends {
                mac_text(octets)
            } else {
                String::new()
            }
        };
        let leaves = live.port() != PortId::NONE;
        Some(proto::Adjacency {
            nexthop: index.raw(),
            kind: live.kind().name().into(),
            port: if leaves {
                port_name(self.ports, live.port())
            } else {
                String::new()
            },
            neighbour: neighbour.map(|n| n.to_string()).unwrap_or_default(),
            // Where nothing leaves, as at a broadcast address, there is no MTU either.
            mtu: if live.mtu() == u16::MAX {
                0
            } else {
                live.mtu().into()
            },
            source_mac: mac(live.src_mac()),
            destination_mac: mac(live.dst_mac()),
            used: nexthops.is_used(index),
        })
    }

    fn view(&self, index: NexthopIndex) -> Option<&NexthopView> {
        let place = self
            .views
            .binary_search_by_key(&index, |view| view.index)
            .ok()?;
        self.views.get(place)
    }
}

/// The kernel's neighbours that are asked for.
pub(super) fn neighbours(
    rib: &Rib,
    request: &proto::ListNeighboursRequest,
) -> Vec<proto::Neighbour> {
    let interface = &request.interface;
    let name = |index| {
        rib.link(index)
            .map_or_else(|| format!("if{}", index.0), |link| link.name.clone())
    };
    rib.neighbours()
        .filter(|n| request.all || n.state != NeighbourState::NoArp)
        .map(|n| proto::Neighbour {
            address: n.address.to_string(),
            interface: name(n.ifindex),
            mac: n.mac.map(mac_text).unwrap_or_default(),
            state: n.state.name().into(),
            on_port: rib.binding(n.ifindex).is_some(),
        })
        .filter(|n| interface.is_empty() || n.interface == *interface)
        .collect()
}

/// A MAC as people write it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

#[cfg(test)]
mod tests;
