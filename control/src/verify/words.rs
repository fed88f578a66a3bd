//! Adjacencies and groups in words.

use std::collections::BTreeMap;

use ironlane_fib::{Adjacency, AdjacencyKind, Mac, NexthopRef, Nexthops, PortId};
use ironlane_rcu::Guard;
use ironlane_rib::{Expected, Rib};

/// Names of ports.
pub(super) struct Names(BTreeMap<u16, String>);

impl Names {
    /// Ports by the names of their interfaces.
    pub(super) fn new(rib: &Rib) -> Self {
        let name = |ifindex| rib.link(ifindex).map(|link| link.name.clone());
        let named = rib
            .bindings()
            .filter_map(|(ifindex, b)| Some((b.port.0, name(ifindex)?)));
        Self(named.collect())
    }

    fn port(&self, port: PortId) -> String {
        self.0
            .get(&port.0)
            .cloned()
            .unwrap_or_else(|| format!("port {port}"))
    }

    /// An adjacency.
    pub(super) fn adjacency(&self, adjacency: &Adjacency) -> String {
        let (kind, port, mtu) = (adjacency.kind(), adjacency.port(), adjacency.mtu());
        match kind {
            AdjacencyKind::Forward => format!(
                "forward by {} to {} from {} mtu {mtu}",
                self.port(port),
                mac(adjacency.dst_mac()),
                mac(adjacency.src_mac())
            ),
            AdjacencyKind::Glean => format!("glean on {} mtu {mtu}", self.port(port)),
            AdjacencyKind::Broadcast => format!("broadcast on {}", self.port(port)),
            AdjacencyKind::Ipsec => format!("by SAs of {} mtu {mtu}", self.port(port)),
            kind => kind.name().into(),
        }
    }

    /// What should be there.
    pub(super) fn expected(&self, expected: &Expected) -> String {
        match expected {
            Expected::Adjacency(adjacency) => self.adjacency(adjacency),
            Expected::Group(members) => {
                let words = members.iter().map(|(adjacency, weight)| {
                    format!("{} weight {weight}", self.adjacency(adjacency))
                });
                format!("group of {}", sorted(words))
            }
        }
    }

    /// What is there.
    pub(super) fn found(
        &self,
        nexthops: &Nexthops,
        guard: &Guard<'_>,
        found: Option<NexthopRef<'_>>,
    ) -> String {
        match found {
            None => "an empty slot".into(),
            Some(NexthopRef::Adjacency(adjacency)) => self.adjacency(&adjacency),
            Some(NexthopRef::Group(group)) => {
                let words = group.members().iter().map(|member| {
                    let hop = match nexthops.get(guard, member.nexthop) {
                        Some(NexthopRef::Adjacency(adjacency)) => self.adjacency(&adjacency),
                        Some(NexthopRef::Group(_)) => "a group".into(),
                        None => "an empty slot".into(),
                    };
                    format!("{hop} weight {}", member.weight)
                });
                let words = sorted(words);
                let shares = ironlane_fib::Group::new(group.members());
                let right = shares.is_ok_and(|fresh| fresh.buckets() == group.buckets());
                let buckets = if right {
                    ""
                } else {
                    ", its buckets not shared by weight"
                };
                format!("group of {words}{buckets}")
            }
        }
    }
}

fn sorted(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort();
    words.join(", ")
}

fn mac(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
