//! What the kernel does without saying so: links, addresses and nexthop objects that take
//! routes with them.

use std::net::IpAddr;

use crate::body::Loss;
use crate::change::{Family, ObjectKind};
use crate::object::{Address, IfIndex, Link, NexthopBody, NexthopId, NexthopObject};
use crate::rib::Rib;

const FAMILIES: [Family; 2] = [Family::Ip4, Family::Ip6];

impl Rib {
    pub(crate) fn set_link(&mut self, link: Link) {
        let generation = self.generation(ObjectKind::Links);
        let (ifindex, up, carrier, ready) = (link.index, link.up, link.carrier, link.is_ready());
        let old = self
            .state
            .links
            .insert(ifindex, (link, generation))
            .map(|(old, _)| old);
        let new = &self.state.links[&ifindex].0;
        if old
            .as_ref()
            .is_some_and(|old| (old.up, old.carrier, old.mtu) == (up, carrier, new.mtu))
            && old.as_ref().is_some_and(Link::is_ready) == ready
        {
            return;
        }
        self.mark_port(ifindex);
        // Of an interface that was not known no change is known: dumps say how its routes are.
        let Some(old) = old else {
            // It may be a loopback interface.
            self.own_moved = true;
            return;
        };
        if old.up && !up {
            self.lose_objects(ifindex);
            for family in FAMILIES {
                self.lose_port(family, ifindex, Loss::Down);
            }
        } else if up && old.carrier && !carrier {
            // Plain routes stay, marked linkdown; nexthop objects go (`nh_netdev_event`).
            self.lose_objects(ifindex);
        } else if !old.up && up {
            self.revive_port(Family::Ip4, ifindex);
        }
        if !old.is_ready() && ready {
            // IPv6 waits for the carrier (`addrconf_notify`).
            self.revive_port(Family::Ip6, ifindex);
        }
    }

    pub(crate) fn del_link(&mut self, ifindex: IfIndex) {
        if self.state.links.remove(&ifindex).is_none() {
            return;
        }
        self.lose_objects(ifindex);
        for family in FAMILIES {
            self.lose_port(family, ifindex, Loss::Gone);
        }
        self.addresses.retain(|(owner, ..), _| *owner != ifindex);
        self.own_moved = true;
        for address in self.state.neighbours.of_port(ifindex) {
            self.state.neighbours.remove(ifindex, address);
            self.mark_neighbour(ifindex, address);
        }
        self.mark_port(ifindex);
    }

    pub(crate) fn set_address(&mut self, address: Address) {
        let family = Family::of(address.address);
        let generation = self.generation(ObjectKind::Addresses(family));
        let ifindex = address.ifindex;
        let key = (ifindex, address.address, address.prefix_len, address.peer);
        let old = self.addresses.insert(key, (address, generation));
        let new = old.is_none();
        let own = self.addresses.get(&key).map(|(address, _)| address);
        self.own_moved |= old.as_ref().map(|(address, _)| address) != own;
        let up = self
            .state
            .links
            .get(&ifindex)
            .is_some_and(|(link, _)| link.up);
        if new && up && family == Family::Ip4 {
            // `fib_inetaddr_event`: IPv4 is back on the interface.
            self.revive_port(family, ifindex);
        }
    }

    pub(crate) fn del_address(&mut self, address: &Address) {
        let key = (
            address.ifindex,
            address.address,
            address.prefix_len,
            address.peer,
        );
        if self.addresses.remove(&key).is_none() {
            return;
        }
        self.own_moved = true;
        let IpAddr::V4(_) = address.address else {
            return;
        };
        let mut own = self.addresses.values().map(|(own, _)| own);
        if !own.any(|own| own.address == address.address) {
            self.lose_source(address.address);
        }
        let mut own = self.addresses.values().map(|(own, _)| own);
        if !own.any(|own| own.ifindex == address.ifindex && own.address.is_ipv4()) {
            self.lose_port(Family::Ip4, address.ifindex, Loss::Disabled);
        }
    }

    pub(crate) fn set_nexthop(&mut self, object: NexthopObject) {
        let id = object.id;
        let generation = self.generation(ObjectKind::Nexthops);
        let was = self.makes_neighbours(id);
        if self.state.objects.set(object, generation) {
            self.mark_object(id);
            if was || self.makes_neighbours(id) {
                self.mark_all_hosts();
            }
        }
    }

    pub(crate) fn del_nexthop(&mut self, id: NexthopId) {
        let had_neighbours = self.makes_neighbours(id);
        let (gone, shrunk) = self.state.objects.remove(id);
        for &id in gone.iter().chain(&shrunk) {
            self.mark_object(id);
        }
        for id in gone {
            for body in self.state.bodies.by_object(id) {
                self.state.bodies.doom(body);
                self.audit.extend(FAMILIES.map(ObjectKind::Routes));
            }
        }
        if had_neighbours {
            self.mark_all_hosts();
        }
    }

    /// Marks what depends on a nexthop object: its slots, and those of its groups.
    pub(crate) fn mark_object(&mut self, id: NexthopId) {
        self.slots.mark_object(id);
        for group in self.state.objects.groups_of(id) {
            self.slots.mark_object(group);
        }
    }

    /// Whether destinations of routes that use an object are neighbours themselves.
    fn makes_neighbours(&self, id: NexthopId) -> bool {
        let body = self.state.objects.get(id).map(|object| &object.body);
        matches!(body, Some(NexthopBody::Single(path)) if path.gateway.is_none())
    }

    fn mark_all_hosts(&mut self) {
        let all = self
            .state
            .neighbours
            .iter()
            .map(|neighbour| neighbour.address);
        self.dirty_hosts.extend(all);
    }

    /// The kernel removes the nexthop objects of an interface that lost its carrier or is down
    /// (`nexthop_flush_dev`), with no event.
    fn lose_objects(&mut self, ifindex: IfIndex) {
        for id in self.state.objects.by_port(ifindex) {
            self.del_nexthop(id);
            self.audit.insert(ObjectKind::Nexthops);
        }
    }

    /// Paths over the interface die. With its last path a route goes.
    fn lose_port(&mut self, family: Family, ifindex: IfIndex, loss: Loss) {
        let slots = self.slots_over(ifindex);
        if self.state.bodies.lose_port(family, ifindex, loss) {
            slots.into_iter().for_each(|slot| self.slots.mark(slot));
            self.audit.insert(ObjectKind::Routes(family));
        }
    }

    /// Dead paths over the interface are used again. Routes that went stay gone.
    fn revive_port(&mut self, family: Family, ifindex: IfIndex) {
        if self.state.bodies.revive_port(family, ifindex) {
            if family == Family::Ip6 {
                self.ip6.wake(&mut self.state.bodies);
            }
            self.slots_over(ifindex)
                .into_iter()
                .for_each(|slot| self.slots.mark(slot));
            self.audit.insert(ObjectKind::Routes(family));
        }
    }

    fn slots_over(&self, ifindex: IfIndex) -> Vec<crate::slot::SlotId> {
        let bodies = self.state.bodies.by_port(ifindex).into_iter();
        bodies
            .filter_map(|body| self.state.bodies[body].slot)
            .collect()
    }

    /// `fib_sync_down_addr`: IPv4 routes with this source address go.
    fn lose_source(&mut self, source: IpAddr) {
        let bodies = self.state.bodies.iter();
        let found = bodies.filter(|(_, body)| body.key.prefsrc == Some(source));
        let found: Vec<_> = found.map(|(id, _)| id).collect();
        for id in found {
            self.state.bodies.doom(id);
            self.audit.insert(ObjectKind::Routes(Family::Ip4));
        }
    }
}
