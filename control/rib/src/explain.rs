//! Why an address goes where it goes.

use std::net::IpAddr;

use ironlane_fib::{AdjacencyKind, Mac};
use serde::Serialize;

use crate::node::Entry;
use crate::object::{IfIndex, Neighbour, RouteKind, RouteTarget, protocol_name};
use crate::prefix::{Bits, Prefix};
use crate::rib::{HasTable, Rib};
use crate::slot::SlotKey;
use crate::view::{NexthopView, PathView, RouteView};

/// What a packet to an address meets, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The address asked for.
    pub address: IpAddr,
    /// The route in force; none where there is none.
    pub route: Option<RouteView>,
    /// The nexthop slot that answers; none where no prefix covers the address, or where the
    /// tables are yet to be written.
    pub nexthop: Option<NexthopView>,
    /// The steps, a line each.
    pub why: Vec<String>,
}

impl Explanation {
    /// What is done with a packet: of a group, what all members do, or `forward` if any does.
    pub fn verdict(&self) -> AdjacencyKind {
        let members = self.nexthop.iter().flat_map(|nexthop| &nexthop.members);
        let mut kinds = members.map(|(adjacency, _)| adjacency.kind);
        let first = kinds.next().unwrap_or(AdjacencyKind::NoRoute);
        if kinds.any(|kind| kind == AdjacencyKind::Forward) {
            AdjacencyKind::Forward
        } else {
            first
        }
    }
}

impl Rib {
    /// Which route is used for an address, where it leads, and why.
    pub fn explain(&self, address: IpAddr) -> Explanation {
        match address {
            IpAddr::V4(v4) => self.explain_of(v4.to_bits()),
            IpAddr::V6(v6) => self.explain_of(v6.to_bits()),
        }
    }

    fn explain_of<A: Bits>(&self, address: A) -> Explanation
    where
        Self: HasTable<A>,
    {
        let (ip, host) = (address.to_ip(), Prefix::host(address));
        let mut why = Vec::new();
        let Some((prefix, entry)) = self.table::<A>().winner(host) else {
            why.push(self.why_no_route(host));
            return Explanation {
                address: ip,
                route: None,
                nexthop: None,
                why,
            };
        };
        let host_key = self.host_key(ip).map(SlotKey::Hop);
        let key = host_key.unwrap_or_else(|| self.route_key(prefix, entry.body));
        let found = self.slots.find(key).map(|id| self.slots.get(id));
        let nexthop = found.and_then(|slot| self.nexthop_view(slot));
        let mut route = self.route_view(prefix, &entry);
        route.active = true;
        route.nexthop = self
            .table::<A>()
            .node(prefix)
            .map_or(route.nexthop, |n| n.installed);

        why.push(format!("longest prefix: {}", describe(&route)));
        if let Some(others) = self.why_not_others(prefix, &entry) {
            why.push(others);
        }
        match key {
            SlotKey::Hop(hop) if host_key.is_some() => {
                let mac = self.state.neighbours.usable_mac(hop.ifindex, ip);
                why.push(self.why_host(hop.ifindex, ip, mac));
            }
            _ => why.extend(self.why_paths(&route)),
        }
        if nexthop.is_none() {
            why.push("the tables are yet to be written".into());
        }
        Explanation {
            address: ip,
            route: Some(route),
            nexthop,
            why,
        }
    }

    fn why_no_route<A: Bits>(&self, host: Prefix<A>) -> String
    where
        Self: HasTable<A>,
    {
        match self
            .table::<A>()
            .cover(0, host)
            .filter(|(_, entry)| entry.throw)
        {
            Some((prefix, _)) => format!(
                "throw {} ends table main, and no later table has a route: network unreachable",
                prefix.to_net()
            ),
            None => "no prefix covers it: network unreachable".into(),
        }
    }

    /// Routes of the same prefix that are not in force.
    fn why_not_others<A: Bits>(&self, prefix: Prefix<A>, used: &Entry) -> Option<String>
    where
        Self: HasTable<A>,
    {
        let entries = self.table::<A>().node(prefix)?.entries();
        let others = entries.iter().filter(|entry| *entry != used).map(|entry| {
            let protocol = self.state.bodies[entry.body].key.protocol;
            let tos = if entry.tos == 0 {
                String::new()
            } else {
                format!(" tos {}", entry.tos)
            };
            let (table, metric) = (entry.table.id(), entry.metric);
            format!(
                "table {table} metric {metric}{tos} proto {}",
                protocol_text(protocol)
            )
        });
        let others: Vec<String> = others.collect();
        (!others.is_empty()).then(|| format!("behind it wait: {}", others.join("; ")))
    }

    fn why_host(&self, ifindex: IfIndex, address: IpAddr, mac: Option<Mac>) -> String {
        let state = self
            .neighbour(ifindex, address)
            .map_or("none", |n| n.state.name());
        let mac = mac.map(mac_text).unwrap_or_default();
        let interface = self.interface_name(ifindex);
        format!("{address} is itself a neighbour on {interface}: {mac} ({state})")
    }

    fn why_paths(&self, route: &RouteView) -> Vec<String> {
        match route.route.kind {
            RouteKind::Unicast => {}
            RouteKind::Local | RouteKind::Anycast => {
                return vec!["an address of this router: to the tap of the arrival port".into()];
            }
            kind => return vec![format!("the route is of kind {kind}")],
        }
        if let RouteTarget::Object(id) = route.route.target
            && self.state.objects.get(id).is_none()
        {
            return vec![format!("nexthop object {id} is not known: Linux forwards")];
        }
        route.paths.iter().map(|path| self.why_path(path)).collect()
    }

    fn why_path(&self, path: &PathView) -> String {
        let way = match path.gateway {
            Some(gateway) => format!("via {gateway} on {}", path.interface),
            None => format!("on {}", path.interface),
        };
        let link = self.link(path.ifindex);
        if self.binding(path.ifindex).is_none() {
            return format!("{way}: not a port of the data plane, so Linux forwards");
        }
        if link.is_none_or(|link| !link.up) {
            return format!("{way}: the interface is down");
        }
        if !path.alive {
            let carrier = link.is_some_and(|link| link.carrier);
            return format!("{way}: {}", if carrier { "dead" } else { "no carrier" });
        }
        let Some(gateway) = path.gateway else {
            return format!("{way}: the kernel resolves the destination (glean)");
        };
        match self.neighbour(path.ifindex, gateway) {
            Some(Neighbour {
                mac: Some(mac),
                state,
                ..
            }) if state.is_usable() => {
                format!("{way}: neighbour {} ({state})", mac_text(mac))
            }
            Some(Neighbour { state, .. }) => {
                format!("{way}: neighbour {state}, so the kernel resolves it (glean)")
            }
            None => format!("{way}: no neighbour yet, so the kernel resolves it (glean)"),
        }
    }
}

/// A route in the words of `ip route`.
pub(crate) fn describe(view: &RouteView) -> String {
    let route = &view.route;
    let mut text = format!("{} in table {}", route.prefix, route.table);
    if route.kind != RouteKind::Unicast {
        text = format!("{} {text}", route.kind);
    }
    if let RouteTarget::Object(id) = route.target {
        text.push_str(&format!(" nhid {id}"));
    }
    for path in &view.paths {
        if let Some(gateway) = path.gateway {
            text.push_str(&format!(" via {gateway}"));
        }
        text.push_str(&format!(" dev {}", path.interface));
    }
    text.push_str(&format!(
        " proto {} metric {}",
        protocol_text(route.protocol),
        route.metric
    ));
    text
}

fn protocol_text(protocol: u8) -> String {
    protocol_name(protocol).map_or_else(|| protocol.to_string(), str::to_string)
}

/// A MAC as people write it.
fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
