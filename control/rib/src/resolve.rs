//! The resolver: from what the kernel says to what a slot should hold.

use std::collections::BTreeMap;

use ironlane_fib::AdjacencyKind;

use crate::body::{Bodies, BodyId};
use crate::change::PortBinding;
use crate::neighbours::Neighbours;
use crate::object::{IfIndex, Link, NexthopBody, Path, RouteKind};
use crate::objects::Objects;
use crate::slot::{Hop, HopKey, SlotKey};

/// All that decides what slots hold.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) links: BTreeMap<IfIndex, (Link, u32)>,
    pub(crate) bindings: BTreeMap<IfIndex, PortBinding>,
    pub(crate) objects: Objects,
    pub(crate) bodies: Bodies,
    pub(crate) neighbours: Neighbours,
}

/// What a slot should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One adjacency.
    Hop(Hop),
    /// Slots of single hops by weight.
    Group(Vec<(SlotKey, u16)>),
}

impl State {
    /// What the slot with this key should hold.
    pub(crate) fn resolve(&self, key: SlotKey) -> Wanted {
        match key {
            SlotKey::Simple(kind) => Wanted::Hop(Hop::simple(kind)),
            SlotKey::Broadcast(ifindex) => Wanted::Hop(self.broadcast(ifindex)),
            SlotKey::Hop(key) => Wanted::Hop(self.hop(key)),
            SlotKey::Body(id) => self.multipath(id),
            SlotKey::Object(id, mtu) => match self.objects.get(id).map(|object| &object.body) {
                // Linux knows it; until we do, it forwards.
                None => Wanted::Hop(Hop::simple(AdjacencyKind::Kernel)),
                Some(NexthopBody::Blackhole) => Wanted::Hop(Hop::simple(AdjacencyKind::Blackhole)),
                Some(NexthopBody::Single(path)) => self.resolve(path_key(path, mtu)),
                Some(NexthopBody::Group(members)) => {
                    let singles = members.iter().filter_map(|member| {
                        let ifindex = match &self.objects.get(member.id)?.body {
                            NexthopBody::Single(path) => path.ifindex,
                            NexthopBody::Blackhole => IfIndex::NONE,
                            NexthopBody::Group(_) => return None,
                        };
                        Some((SlotKey::Object(member.id, mtu), member.weight, ifindex))
                    });
                    self.group(singles.collect())
                }
            },
        }
    }

    /// What a slot that is a member of a group, and so a single hop, should hold.
    pub(crate) fn resolve_hop(&self, key: SlotKey) -> Hop {
        match self.resolve(key) {
            Wanted::Hop(hop) => hop,
            Wanted::Group(_) => Hop::simple(AdjacencyKind::Kernel),
        }
    }

    fn broadcast(&self, ifindex: IfIndex) -> Hop {
        match self.bindings.get(&ifindex) {
            Some(binding) => Hop {
                port: binding.port,
                ..Hop::simple(AdjacencyKind::Broadcast)
            },
            None => Hop::simple(AdjacencyKind::Kernel),
        }
    }

    fn hop(&self, key: HopKey) -> Hop {
        let Some(binding) = self.bindings.get(&key.ifindex) else {
            return Hop::simple(AdjacencyKind::Kernel);
        };
        let Some((link, _)) = self.links.get(&key.ifindex).filter(|(link, _)| link.up) else {
            // The kernel has no route over a port that is down. Those whose deletion we have yet
            // to hear of answer as if there were none.
            return Hop::simple(AdjacencyKind::Unreachable);
        };
        let link_mtu = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        let route_mtu = if key.mtu == 0 { u16::MAX } else { key.mtu };
        let mtu = binding.mtu.min(link_mtu).min(route_mtu);
        let glean = Hop {
            port: binding.port,
            mtu,
            ..Hop::simple(AdjacencyKind::Glean)
        };
        // Behind an IPsec interface there is nothing to resolve, with a gateway or without.
        let Some(src) = binding.mac else {
            return Hop {
                kind: AdjacencyKind::Ipsec,
                ..glean
            };
        };
        let mac = key
            .gateway
            .and_then(|to| self.neighbours.usable_mac(key.ifindex, to));
        match mac {
            Some(dst) => Hop {
                kind: AdjacencyKind::Forward,
                dst,
                src,
                ..glean
            },
            None => glean,
        }
    }

    fn multipath(&self, id: BodyId) -> Wanted {
        let body = &self.bodies[id];
        let live = body
            .key
            .paths()
            .iter()
            .zip(0..)
            .filter(|(_, number)| !body.is_dead(*number));
        let legs =
            live.map(|(path, _)| (path_key(path, body.key.mtu()), path.weight, path.ifindex));
        self.group(legs.collect())
    }

    /// A group of those members whose interface is up, and has carrier if any of them has.
    fn group(&self, members: Vec<(SlotKey, u16, IfIndex)>) -> Wanted {
        let link = |ifindex: IfIndex| self.links.get(&ifindex).map(|(link, _)| link);
        let up = |ifindex: IfIndex| ifindex == IfIndex::NONE || link(ifindex).is_some_and(|l| l.up);
        let carrier = |ifindex: IfIndex| {
            ifindex == IfIndex::NONE || link(ifindex).is_some_and(|link| link.carrier)
        };
        let mut members = members;
        members.retain(|&(_, _, ifindex)| up(ifindex));
        if members.iter().any(|&(_, _, ifindex)| carrier(ifindex)) {
            members.retain(|&(_, _, ifindex)| carrier(ifindex));
        }
        if members.is_empty() {
            return Wanted::Hop(Hop::simple(AdjacencyKind::Unreachable));
        }
        Wanted::Group(
            members
                .into_iter()
                .map(|(key, weight, _)| (key, weight))
                .collect(),
        )
    }

    /// The key of the slot for prefixes whose best route has this body.
    pub(crate) fn body_key(&self, id: BodyId) -> SlotKey {
        let key = &self.bodies[id].key;
        let kind = match key.kind {
            RouteKind::Local | RouteKind::Anycast | RouteKind::Multicast => AdjacencyKind::Local,
            RouteKind::Broadcast => {
                let ifindex = key
                    .paths()
                    .first()
                    .map_or(IfIndex::NONE, |path| path.ifindex);
                return SlotKey::Broadcast(ifindex);
            }
            RouteKind::Blackhole => AdjacencyKind::Blackhole,
            RouteKind::Unreachable => AdjacencyKind::Unreachable,
            RouteKind::Prohibit => AdjacencyKind::Prohibit,
            RouteKind::Throw => AdjacencyKind::NoRoute,
            RouteKind::Unicast => match (key.object(), key.paths()) {
                (Some(object), _) => return SlotKey::Object(object, key.mtu()),
                (None, [path]) => return path_key(path, key.mtu()),
                (None, []) => AdjacencyKind::Kernel,
                (None, _) => return SlotKey::Body(id),
            },
        };
        SlotKey::Simple(kind)
    }

    /// The interface behind which destinations of this body are, if they are neighbours there.
    pub(crate) fn on_link(&self, id: BodyId) -> Option<IfIndex> {
        let key = &self.bodies[id].key;
        let path = match (key.object(), key.paths()) {
            (Some(object), _) => match &self.objects.get(object)?.body {
                NexthopBody::Single(path) => path,
                _ => return None,
            },
            (None, [path]) => path,
            _ => return None,
        };
        let direct = key.kind == RouteKind::Unicast && path.gateway.is_none() && !path.encap;
        direct.then_some(path.ifindex)
    }
}

/// The key of the slot of one path.
pub(crate) fn path_key(path: &Path, mtu: u16) -> SlotKey {
    if path.encap || path.ifindex == IfIndex::NONE {
        return SlotKey::Simple(AdjacencyKind::Kernel);
    }
    SlotKey::Hop(HopKey {
        ifindex: path.ifindex,
        gateway: path.gateway,
        mtu,
    })
}
