//! What the mirror asks beside changes: to confirm a route that crossed a dump, and which hops
//! traffic may use.

use std::net::IpAddr;

use ironlane_fib::NexthopIndex;

use crate::body::BodyKey;
use crate::change::{Family, ObjectKind};
use crate::node::{Entry, Table};
use crate::object::{IfIndex, NeighbourState, Route};
use crate::prefix::Prefix;
use crate::rib::Rib;
use crate::table::RouteTable;
use crate::{body::Bodies, prefix::Bits};

/// A single hop that prefixes point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopSlot {
    /// Its slot in the tables.
    pub index: NexthopIndex,
    /// The interface that it leaves by.
    pub ifindex: IfIndex,
    /// Whose MAC it needs.
    pub gateway: IpAddr,
    /// How far the kernel has resolved it; none if it has no entry.
    pub neighbour: Option<NeighbourState>,
}

impl Rib {
    /// A dump names a route that an event touched since the dump began, so that the dump may be
    /// the older of the two: nothing is changed, but if the route is here as it is named, it
    /// outlives the sweep. False if it is not here.
    pub fn confirm_route(&mut self, route: Route) -> bool {
        let family = Family::of(route.prefix.addr());
        let Some(table) = Table::new(route.table, family) else {
            return true;
        };
        let generation = self.generation(ObjectKind::Routes(family));
        let (prefix, metric, tos) = (route.prefix, route.metric, route.tos);
        let (key, _) = BodyKey::new(route);
        let named = Named {
            table,
            metric,
            tos,
            key,
            generation,
        };
        let bodies = &mut self.state.bodies;
        match prefix {
            ipnet::IpNet::V4(_) => {
                Prefix::from_net(prefix).is_some_and(|at| named.confirm(&mut self.ip4, at, bodies))
            }
            ipnet::IpNet::V6(_) => {
                Prefix::from_net(prefix).is_some_and(|at| named.confirm(&mut self.ip6, at, bodies))
            }
        }
    }

    /// All slots of the tables that stand for one neighbour on a port, whoever uses them: routes
    /// with that gateway, nexthop objects, the neighbour as a host.
    pub fn hops(&self) -> impl Iterator<Item = HopSlot> {
        self.slots.iter().filter_map(|slot| {
            let (Some(ifindex), Some(gateway)) = self.leads_to(slot.key) else {
                return None;
            };
            self.state.bindings.get(&ifindex)?;
            let neighbour = self.state.neighbours.get(ifindex, gateway);
            let neighbour = neighbour.map(|neighbour| neighbour.state);
            Some(HopSlot {
                index: slot.index?,
                ifindex,
                gateway,
                neighbour,
            })
        })
    }
}

struct Named {
    table: Table,
    metric: u32,
    tos: u8,
    key: BodyKey,
    generation: u32,
}

impl Named {
    fn confirm<A: Bits>(
        &self,
        routes: &mut RouteTable<A>,
        prefix: Prefix<A>,
        bodies: &mut Bodies,
    ) -> bool {
        if routes.node(prefix).is_none() {
            return false;
        }
        let mut found = false;
        routes.edit(prefix, bodies, |entries, bodies| {
            let same = |entry: &&mut Entry| {
                (entry.table, entry.metric, entry.tos) == (self.table, self.metric, self.tos)
                    && *bodies[entry.body].key == self.key
            };
            // One may be there twice, and a list names it twice.
            for entry in entries.iter_mut().filter(same) {
                entry.generation = self.generation;
                found = true;
            }
            false
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use ironlane_fib::VrfId;

    use super::*;
    use crate::{Change, Path, RouteFlags};

    fn route(prefix: &str, gateway: &str) -> Route {
        let path = Path::via(gateway.parse().unwrap(), IfIndex(2));
        Route::new(prefix.parse().unwrap(), vec![path])
    }

    #[test]
    fn a_confirmed_route_outlives_the_sweep_and_another_is_not_made() {
        let mut rib = Rib::new(VrfId::DEFAULT);
        let (kept, lost) = (
            route("198.51.100.0/24", "192.0.2.1"),
            route("203.0.113.0/24", "192.0.2.1"),
        );
        for route in [&kept, &lost] {
            rib.apply(Change::SetRoute(route.clone(), RouteFlags::DUMP));
        }
        let kind = ObjectKind::Routes(Family::Ip4);
        rib.sync_begin(kind);
        assert!(rib.confirm_route(kept));
        assert!(
            !rib.confirm_route(route("198.51.100.0/24", "192.0.2.2")),
            "another gateway"
        );
        assert!(
            !rib.confirm_route(route("198.51.0.0/16", "192.0.2.1")),
            "another prefix"
        );
        assert_eq!(rib.sync_end(kind), 1);
        rib.sync_begin(kind);
        assert_eq!(rib.sync_end(kind), 1, "the confirmed one was left");
    }
}
