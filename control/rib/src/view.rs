//! What people and programs see of the RIB.

use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::{AdjacencyKind, Mac, NexthopIndex};
use serde::{Serialize, Serializer};

use crate::body::BodyId;
use crate::change::Family;
use crate::node::{Entry, Node};
use crate::object::{
    Address, IfIndex, Link, Neighbour, NexthopBody, NexthopId, NexthopObject, Path, Route,
    RouteTarget, Rule,
};
use crate::prefix::{Bits, Prefix};
use crate::rib::{HasTable, Rib};
use crate::slot::{Content, Hop, Slot, SlotKey};

/// Which routes to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteFilter {
    /// Only of this family.
    pub family: Option<Family>,
    /// Only for prefixes within this one.
    pub within: Option<IpNet>,
    /// Those too that are not in force.
    pub all: bool,
}

/// A route and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteView {
    /// The route, its paths marked dead where they are.
    pub route: Route,
    /// Where packets may go by it; those of its nexthop object, if it uses one.
    pub paths: Vec<PathView>,
    /// Whether it is the one in force for its prefix.
    pub active: bool,
    /// Whether lookups can honour it: not with a TOS or a source prefix, nor with all its paths
    /// dead.
    pub honoured: bool,
    /// The slot of the tables that its prefix points at; 0 for a route that is not in force.
    #[serde(serialize_with = "index_number")]
    pub nexthop: NexthopIndex,
}

/// A path of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathView {
    /// The router to send to; none where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface to leave by.
    pub ifindex: IfIndex,
    /// Its name.
    pub interface: String,
    /// Share of the flows.
    pub weight: u16,
    /// Whether packets can take it now.
    pub alive: bool,
}

/// An adjacency of the tables and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdjacencyView {
    /// The slot that it fills.
    #[serde(serialize_with = "index_number")]
    pub nexthop: NexthopIndex,
    /// What is done with a packet.
    #[serde(serialize_with = "kind_name")]
    pub kind: AdjacencyKind,
    /// The port to leave by.
    pub port: Option<u16>,
    /// The interface of that port.
    pub ifindex: Option<IfIndex>,
    /// Its name.
    pub interface: Option<String>,
    /// The neighbour that it stands for.
    pub neighbour: Option<IpAddr>,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// Source MAC, where packets are sent.
    pub source_mac: Option<Mac>,
    /// Destination MAC, where packets are sent.
    pub destination_mac: Option<Mac>,
}

/// A nexthop slot of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NexthopView {
    /// Its number.
    #[serde(serialize_with = "index_number")]
    pub index: NexthopIndex,
    /// Whether it is a group.
    pub group: bool,
    /// The kernel's nexthop object that it stands for.
    pub object: Option<NexthopId>,
    /// Prefixes of the tables that point at it.
    pub prefixes: u32,
    /// Its adjacency, of weight 1; or those of the group's members, with their weights.
    pub members: Vec<(AdjacencyView, u16)>,
}

fn index_number<S: Serializer>(index: &NexthopIndex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(index.raw())
}

fn kind_name<S: Serializer>(kind: &AdjacencyKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

impl Rib {
    /// All interfaces.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.state.links.values().map(|(link, _)| link)
    }

    /// An interface.
    pub fn link(&self, ifindex: IfIndex) -> Option<&Link> {
        self.state.links.get(&ifindex).map(|(link, _)| link)
    }

    /// The interface of this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links().find(|link| link.name == name)
    }

    /// The port behind an interface.
    pub fn binding(&self, ifindex: IfIndex) -> Option<crate::PortBinding> {
        self.state.bindings.get(&ifindex).copied()
    }

    /// All addresses of this router.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values().map(|(address, _)| address)
    }

    /// All neighbours, IPv4 first, by address.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> {
        self.state.neighbours.iter()
    }

    /// A neighbour.
    pub fn neighbour(&self, ifindex: IfIndex, address: IpAddr) -> Option<Neighbour> {
        self.state.neighbours.get(ifindex, address)
    }

    /// All nexthop objects of the kernel.
    pub fn nexthop_objects(&self) -> impl Iterator<Item = &NexthopObject> {
        self.state.objects.iter()
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.keys()
    }

    /// Rules beyond the kernel's defaults: known, but not honoured.
    pub fn ignored_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules().filter(|rule| !rule.is_default())
    }

    /// Default rules that were deleted: lookups go on as if they were there. A family of which the
    /// kernel has nothing misses none.
    pub fn missing_rules(&self) -> impl Iterator<Item = Rule> {
        let known = [Family::Ip4, Family::Ip6]
            .into_iter()
            .filter(|family| self.route_count(*family) > 0);
        known
            .flat_map(Rule::defaults)
            .filter(|rule| !self.rules.contains_key(rule))
    }

    /// How many routes of a family there are, in tables local, main and default.
    pub fn route_count(&self, family: Family) -> usize {
        match family {
            Family::Ip4 => self.ip4.len(),
            Family::Ip6 => self.ip6.len(),
        }
    }

    /// How many neighbours there are.
    pub fn neighbour_count(&self) -> usize {
        self.state.neighbours.len()
    }

    /// How many nexthop slots are in use.
    pub fn nexthop_count(&self) -> usize {
        self.slots.len()
    }

    /// Routes in the order of their prefixes, IPv4 first: those behind the prefix `after`, at
    /// least `limit` of them if there are as many, since a prefix is never split. Ask again with
    /// the last prefix of the answer; an empty answer is the end.
    pub fn routes(
        &self,
        filter: &RouteFilter,
        after: Option<IpNet>,
        limit: usize,
    ) -> Vec<RouteView> {
        let within = filter.within.map(|net| net.trunc());
        let family = |family| {
            filter.family.is_none_or(|only| only == family)
                && within.is_none_or(|net| Family::of(net.addr()) == family)
        };
        let mut views = Vec::new();
        if family(Family::Ip4) && !matches!(after, Some(IpNet::V6(_))) {
            self.routes_of_family::<u32>(filter, within, after, limit, &mut views);
        }
        if family(Family::Ip6) && views.len() < limit {
            let after = after.filter(|net| matches!(net, IpNet::V6(_)));
            self.routes_of_family::<u128>(filter, within, after, limit, &mut views);
        }
        views
    }

    /// Routes that lookups cannot honour, since they ask for a TOS or a source prefix; at most
    /// `limit`.
    pub fn unhonoured_routes(&self, limit: usize) -> Vec<RouteView> {
        let mut views = Vec::new();
        self.unhonoured_of_family::<u32>(limit, &mut views);
        self.unhonoured_of_family::<u128>(limit, &mut views);
        views
    }

    fn unhonoured_of_family<A: Bits>(&self, limit: usize, views: &mut Vec<RouteView>)
    where
        Self: HasTable<A>,
    {
        for (prefix, node) in self.table::<A>().nodes() {
            let sources = |entry: &&Entry| !self.state.bodies[entry.body].is_for_all_sources();
            let entries = node.entries().iter();
            for entry in entries.filter(|entry| entry.tos != 0 || sources(entry)) {
                if views.len() >= limit {
                    return;
                }
                views.push(self.route_view(prefix, entry));
            }
        }
    }

    fn routes_of_family<A: Bits>(
        &self,
        filter: &RouteFilter,
        within: Option<IpNet>,
        after: Option<IpNet>,
        limit: usize,
        views: &mut Vec<RouteView>,
    ) where
        Self: HasTable<A>,
    {
        let all = within
            .and_then(Prefix::from_net)
            .unwrap_or(Prefix::new(A::from_bits(0), 0));
        let after = after.and_then(Prefix::from_net);
        for (prefix, node) in self.table::<A>().nodes_within(all, after) {
            if views.len() >= limit {
                break;
            }
            views.extend(self.views(prefix, node, filter.all));
        }
    }

    fn views<A: Bits>(&self, prefix: Prefix<A>, node: &Node, all: bool) -> Vec<RouteView>
    where
        Self: HasTable<A>,
    {
        let winner = self.table::<A>().winner(prefix);
        let winner = winner
            .filter(|(own, _)| *own == prefix)
            .map(|(_, entry)| entry);
        let entries = node.entries().iter();
        let live = entries.filter(|entry| !self.state.bodies[entry.body].is_doomed());
        // A route that is there twice (IPv4 append of the same) is in force once.
        let mut left = winner;
        live.map(|entry| {
            let active = left == Some(*entry);
            left = left.filter(|_| !active);
            let nexthop = if active {
                node.installed
            } else {
                NexthopIndex::NONE
            };
            RouteView {
                active,
                nexthop,
                ..self.route_view(prefix, entry)
            }
        })
        .filter(|view| all || view.active)
        .collect()
    }

    /// A route as people see it, apart from whether it is in force.
    pub(crate) fn route_view<A: Bits>(&self, prefix: Prefix<A>, entry: &Entry) -> RouteView {
        let body = &self.state.bodies[entry.body];
        let key = &body.key;
        let mut target = key.target.clone();
        if let RouteTarget::Paths(paths) = &mut target {
            for (number, path) in paths.iter_mut().enumerate() {
                path.dead = body.is_dead(number);
                path.linkdown = self
                    .link(path.ifindex)
                    .is_some_and(|link| !link.up || !link.carrier);
            }
        }
        let route = Route {
            table: entry.table.id(),
            prefix: prefix.to_net(),
            from: key.from,
            tos: entry.tos,
            metric: entry.metric,
            protocol: key.protocol,
            scope: key.scope,
            kind: key.kind,
            target,
            prefsrc: key.prefsrc,
            mtu: key.mtu,
        };
        RouteView {
            paths: self.path_views(entry.body),
            route,
            active: false,
            honoured: entry.honoured,
            nexthop: NexthopIndex::NONE,
        }
    }

    /// The paths of a body, or of its nexthop object.
    pub(crate) fn path_views(&self, body: BodyId) -> Vec<PathView> {
        let body = &self.state.bodies[body];
        let object = body.key.object().and_then(|id| self.state.objects.get(id));
        let Some(object) = object else {
            let paths = body.key.paths().iter().enumerate();
            return paths
                .map(|(number, path)| self.path_view(path, path.weight, body.is_dead(number)))
                .collect();
        };
        match &object.body {
            NexthopBody::Single(path) => vec![self.path_view(path, path.weight, false)],
            NexthopBody::Blackhole => Vec::new(),
            NexthopBody::Group(members) => {
                let single = |id| match &self.state.objects.get(id)?.body {
                    NexthopBody::Single(path) => Some(path),
                    _ => None,
                };
                let paths = members
                    .iter()
                    .filter_map(|m| Some((single(m.id)?, m.weight)));
                paths
                    .map(|(path, weight)| self.path_view(path, weight, false))
                    .collect()
            }
        }
    }

    fn path_view(&self, path: &Path, weight: u16, dead: bool) -> PathView {
        let link = self.link(path.ifindex);
        PathView {
            gateway: path.gateway,
            ifindex: path.ifindex,
            interface: self.interface_name(path.ifindex),
            weight,
            alive: !dead && link.is_some_and(|link| link.up && link.carrier),
        }
    }

    /// The name of an interface, or its number.
    pub(crate) fn interface_name(&self, ifindex: IfIndex) -> String {
        self.link(ifindex)
            .map_or_else(|| format!("if{ifindex}"), |link| link.name.clone())
    }

    /// All nexthop slots that are in the tables.
    pub fn nexthops(&self) -> Vec<NexthopView> {
        let mut views: Vec<_> = self
            .slots
            .iter()
            .filter_map(|slot| self.nexthop_view(slot))
            .collect();
        views.sort_by_key(|view| view.index);
        views
    }

    pub(crate) fn nexthop_view(&self, slot: &Slot) -> Option<NexthopView> {
        let index = slot.index?;
        let object = match slot.key {
            SlotKey::Object(id, _) => Some(id),
            _ => None,
        };
        let (group, members) = match slot.content.as_ref()? {
            Content::Hop(hop) => (false, vec![(self.adjacency_view(slot, hop)?, 1)]),
            Content::Group(members) => {
                let member = |id| {
                    let slot = self.slots.get(id);
                    match slot.content.as_ref()? {
                        Content::Hop(hop) => self.adjacency_view(slot, hop),
                        Content::Group(_) => None,
                    }
                };
                let views = members
                    .iter()
                    .filter_map(|&(id, weight)| Some((member(id)?, weight)));
                (true, views.collect())
            }
        };
        let prefixes = self.leaves.get(index.raw() as usize).copied().unwrap_or(0);
        Some(NexthopView {
            index,
            group,
            object,
            prefixes,
            members,
        })
    }

    fn adjacency_view(&self, slot: &Slot, hop: &Hop) -> Option<AdjacencyView> {
        let (ifindex, neighbour) = self.leads_to(slot.key);
        let on_port = !matches!(slot.key, SlotKey::Simple(_));
        let ifindex = ifindex.filter(|_| on_port);
        let sends = hop.kind == AdjacencyKind::Forward;
        Some(AdjacencyView {
            nexthop: slot.index?,
            kind: hop.kind,
            port: Some(hop.port.0).filter(|&port| port != ironlane_fib::PortId::NONE.0),
            ifindex,
            interface: ifindex.map(|ifindex| self.interface_name(ifindex)),
            neighbour,
            mtu: hop.mtu,
            source_mac: sends.then_some(hop.src),
            destination_mac: sends.then_some(hop.dst),
        })
    }

    /// The interface and the neighbour that a slot of a single hop stands for.
    pub(crate) fn leads_to(&self, key: SlotKey) -> (Option<IfIndex>, Option<IpAddr>) {
        match key {
            SlotKey::Hop(hop) => (Some(hop.ifindex), hop.gateway),
            SlotKey::Broadcast(ifindex) => (Some(ifindex), None),
            SlotKey::Object(id, _) => match self.state.objects.get(id).map(|object| &object.body) {
                Some(NexthopBody::Single(path)) => (Some(path.ifindex), path.gateway),
                _ => (None, None),
            },
            SlotKey::Simple(_) | SlotKey::Body(_) => (None, None),
        }
    }
}
