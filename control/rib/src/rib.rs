//! The state of the kernel, as the mirror feeds it in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ironlane_fib::{AdjacencyKind, VrfId};

use crate::body::BodyKey;
use crate::change::{Change, Family, ObjectKind, PortBinding, RouteFlags};
use crate::node::{Entry, Table, is_throw};
use crate::object::{Address, IfIndex, Neighbour, Route, Rule};
use crate::prefix::{Bits, Prefix};
use crate::report::CommitReport;
use crate::resolve::State;
use crate::slot::{SlotId, Slots};
use crate::table::RouteTable;
use crate::update;

/// What makes an address the same address.
pub(crate) type AddressKey = (IfIndex, IpAddr, u8, Option<IpAddr>);

/// What the kernel has, and what the tables make of it.
///
/// Changes are taken in by [`apply`](Rib::apply), which writes nothing; [`commit`](Rib::commit)
/// then writes each prefix and each nexthop that changed once, whatever happened to it between.
/// One thread.
#[derive(Debug)]
pub struct Rib {
    pub(crate) vrf: VrfId,
    pub(crate) state: State,
    pub(crate) ip4: RouteTable<u32>,
    pub(crate) ip6: RouteTable<u128>,
    pub(crate) addresses: BTreeMap<AddressKey, (Address, u32)>,
    pub(crate) rules: BTreeMap<Rule, u32>,
    pub(crate) slots: Slots,
    /// Slots that are kept for good.
    pub(crate) shared: BTreeMap<AdjacencyKind, SlotId>,
    /// Host prefixes whose leaf is their neighbour's slot.
    pub(crate) hosts: BTreeMap<IpAddr, SlotId>,
    /// Addresses that may have begun or ceased to be such hosts.
    pub(crate) dirty_hosts: BTreeSet<IpAddr>,
    /// By slot of the tables: prefixes that point at it.
    pub(crate) leaves: Vec<u32>,
    generations: BTreeMap<ObjectKind, u32>,
    pub(crate) audit: BTreeSet<ObjectKind>,
    /// What was written since the last commit and is to be counted by the next.
    pub(crate) filled: CommitReport,
    /// Addresses, or what they belong to, changed since somebody asked.
    pub(crate) own_moved: bool,
    /// An event left open in which order routes stand: tests send a list then, and then alone.
    #[cfg(test)]
    pub(crate) order_lost: bool,
}

/// Runs `$do` with the route table of the family of `$prefix` and the prefix as it knows it.
macro_rules! in_table {
    ($rib:expr, $prefix:expr, |$table:ident, $key:ident| $do:expr) => {
        match $prefix {
            ipnet::IpNet::V4(_) => {
                let ($table, $key) = (&mut $rib.ip4, Prefix::<u32>::from_net($prefix));
                let $key = $key.expect("the prefix is of this family");
                $do
            }
            ipnet::IpNet::V6(_) => {
                let ($table, $key) = (&mut $rib.ip6, Prefix::<u128>::from_net($prefix));
                let $key = $key.expect("the prefix is of this family");
                $do
            }
        }
    };
}

impl Rib {
    /// An empty one, which writes to the tables of `vrf`.
    pub fn new(vrf: VrfId) -> Self {
        Self {
            vrf,
            state: State::default(),
            ip4: RouteTable::new(Family::Ip4),
            ip6: RouteTable::new(Family::Ip6),
            addresses: BTreeMap::new(),
            rules: BTreeMap::new(),
            slots: Slots::default(),
            shared: BTreeMap::new(),
            hosts: BTreeMap::new(),
            dirty_hosts: BTreeSet::new(),
            leaves: Vec::new(),
            generations: BTreeMap::new(),
            audit: BTreeSet::new(),
            filled: CommitReport::default(),
            own_moved: false,
            #[cfg(test)]
            order_lost: false,
        }
    }

    /// The VRF whose tables it writes.
    pub fn vrf(&self) -> VrfId {
        self.vrf
    }

    /// Takes in an event, or an entry of a dump. Nothing is written before
    /// [`commit`](Rib::commit). What the kernel does without saying so follows at once: see the
    /// README for the list.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::SetLink(link) => self.set_link(link),
            Change::DelLink(ifindex) => self.del_link(ifindex),
            Change::SetAddress(address) => self.set_address(address),
            Change::DelAddress(address) => self.del_address(&address),
            Change::SetNeighbour(neighbour) => self.set_neighbour(&neighbour),
            Change::DelNeighbour { ifindex, address } => self.del_neighbour(ifindex, address),
            Change::SetRoute(route, flags) => self.set_route(route, flags),
            Change::DelRoute(route) => self.del_route(route),
            Change::SetNexthop(object) => self.set_nexthop(object),
            Change::DelNexthop(id) => self.del_nexthop(id),
            Change::SetRule(rule) => {
                let generation = self.generation(rule_kind(&rule));
                self.rules.insert(rule, generation);
            }
            Change::DelRule(rule) => {
                self.rules.remove(&rule);
            }
        }
    }

    /// A dump of this kind begins: what it does not name is gone when it ends. Begin again if it
    /// was interrupted.
    ///
    /// Events that arrive while a dump is read should be kept back and applied after
    /// [`sync_end`](Rib::sync_end), in order: applied again, they lead to the same state, but an
    /// entry of the dump that is older than an event would undo it.
    pub fn sync_begin(&mut self, kind: ObjectKind) {
        let generation = self.generations.entry(kind).or_default();
        *generation += 1;
        match kind {
            ObjectKind::Routes(Family::Ip4) => self.ip4.begin(*generation),
            ObjectKind::Routes(Family::Ip6) => self.ip6.begin(*generation),
            _ => {}
        }
    }

    /// A dump of this kind ended without interruption: sweeps what it did not name, and tells
    /// how much that was.
    pub fn sync_end(&mut self, kind: ObjectKind) -> usize {
        let generation = self.generation(kind);
        match kind {
            ObjectKind::Links => {
                let links = self
                    .state
                    .links
                    .iter()
                    .filter(|(_, (_, named))| *named != generation);
                let stale: Vec<IfIndex> = links.map(|(&ifindex, _)| ifindex).collect();
                stale.iter().for_each(|&ifindex| self.del_link(ifindex));
                stale.len()
            }
            ObjectKind::Addresses(family) => {
                let before = self.addresses.len();
                self.addresses.retain(|_, (address, named)| {
                    Family::of(address.address) != family || *named == generation
                });
                self.own_moved |= before != self.addresses.len();
                before - self.addresses.len()
            }
            ObjectKind::Neighbours(family) => {
                let stale = self.state.neighbours.sweep(family, generation);
                for &(ifindex, address) in &stale {
                    self.mark_neighbour(ifindex, address);
                }
                stale.len()
            }
            ObjectKind::Nexthops => {
                let stale = self.state.objects.stale(generation);
                stale.iter().for_each(|&id| self.del_nexthop(id));
                stale.len()
            }
            ObjectKind::Routes(family) => {
                let bodies = &mut self.state.bodies;
                // What was derived to be gone was not missed.
                self.ip4.flush(bodies, usize::MAX);
                self.ip6.flush(bodies, usize::MAX);
                match family {
                    Family::Ip4 => self.ip4.sweep(bodies, generation),
                    Family::Ip6 => self.ip6.sweep(bodies, generation),
                }
            }
            ObjectKind::Rules(_) => {
                let before = self.rules.len();
                self.rules
                    .retain(|rule, named| rule_kind(rule) != kind || *named == generation);
                before - self.rules.len()
            }
        }
    }

    /// The dump of this kind that runs, or ran last.
    pub(crate) fn generation(&self, kind: ObjectKind) -> u32 {
        self.generations.get(&kind).copied().unwrap_or(0)
    }

    /// What the kernel may have changed further without saying so since the last call: worth a
    /// dump, once events have calmed down.
    pub fn take_audit(&mut self) -> Vec<ObjectKind> {
        std::mem::take(&mut self.audit).into_iter().collect()
    }

    /// Says which port stands behind an interface, or that its MAC or MTU is another.
    pub fn bind_port(&mut self, ifindex: IfIndex, binding: PortBinding) {
        if self.state.bindings.insert(ifindex, binding) != Some(binding) {
            self.own_moved = true;
            self.mark_port(ifindex);
        }
    }

    /// The interface has no port any more: Linux forwards what leaves by it.
    pub fn unbind_port(&mut self, ifindex: IfIndex) -> Option<PortBinding> {
        let binding = self.state.bindings.remove(&ifindex)?;
        self.own_moved = true;
        self.mark_port(ifindex);
        Some(binding)
    }

    /// All ports and their interfaces.
    pub fn bindings(&self) -> impl Iterator<Item = (IfIndex, PortBinding)> {
        self.state
            .bindings
            .iter()
            .map(|(&ifindex, &binding)| (ifindex, binding))
    }

    fn set_route(&mut self, route: Route, flags: RouteFlags) {
        let family = Family::of(route.prefix.addr());
        let Some(table) = Table::new(route.table, family) else {
            return;
        };
        let generation = self.generation(ObjectKind::Routes(family));
        let (prefix, metric, tos) = (route.prefix, route.metric, route.tos);
        let (key, dead) = BodyKey::new(route);
        let throw = is_throw(key.kind);
        let bodies = &mut self.state.bodies;
        let body = bodies.acquire(key, &dead);
        let listed = flags == RouteFlags::DUMP && family == Family::Ip4;
        if listed && bodies.set_dead(body, &dead) {
            self.slots.mark_key(crate::slot::SlotKey::Body(body));
        }
        let honoured = tos == 0 && bodies[body].is_for_all_sources() && !bodies[body].sleeps();
        let entry = Entry {
            body,
            metric,
            generation,
            table,
            tos,
            honoured,
            throw,
        };
        in_table!(self, prefix, |routes, prefix| {
            routes.edit(prefix, bodies, |entries, bodies| {
                update::insert(entries, entry, flags, bodies)
            });
            if flags == RouteFlags::DUMP {
                routes.note_listed(prefix);
            }
        });
    }

    fn del_route(&mut self, route: Route) {
        let family = Family::of(route.prefix.addr());
        let Some(table) = Table::new(route.table, family) else {
            return;
        };
        let generation = self.generation(ObjectKind::Routes(family));
        let (prefix, metric, tos) = (route.prefix, route.metric, route.tos);
        let (key, dead) = BodyKey::new(route);
        let bodies = &mut self.state.bodies;
        // Only to compare with: nothing but the key of this entry is looked at.
        let body = bodies.acquire(key.clone(), &dead);
        let gone = Entry {
            body,
            metric,
            generation,
            table,
            tos,
            honoured: false,
            throw: false,
        };
        let mut order_lost = false;
        in_table!(self, prefix, |routes, prefix| {
            routes.edit(prefix, bodies, |entries, bodies| {
                order_lost = update::is_order_lost(entries, &gone, &key, bodies);
                update::delete(entries, &gone, &key, bodies)
            });
        });
        self.state.bodies.release(body);
        if order_lost {
            self.audit.insert(ObjectKind::Routes(family));
            #[cfg(test)]
            {
                self.order_lost = true;
            }
        }
    }

    fn set_neighbour(&mut self, neighbour: &Neighbour) {
        let kind = ObjectKind::Neighbours(Family::of(neighbour.address));
        let generation = self.generation(kind);
        if self.state.neighbours.set(neighbour, generation) {
            self.mark_neighbour(neighbour.ifindex, neighbour.address);
        }
    }

    fn del_neighbour(&mut self, ifindex: IfIndex, address: IpAddr) {
        if self.state.neighbours.remove(ifindex, address) {
            self.mark_neighbour(ifindex, address);
        }
    }

    /// Marks what depends on the MAC of a neighbour.
    pub(crate) fn mark_neighbour(&mut self, ifindex: IfIndex, address: IpAddr) {
        self.slots.mark_neighbour(ifindex, address);
        for id in self.state.objects.by_port(ifindex) {
            self.slots.mark_object(id);
        }
        self.dirty_hosts.insert(address);
    }

    /// Marks what depends on an interface: its link, its binding.
    pub(crate) fn mark_port(&mut self, ifindex: IfIndex) {
        self.slots.mark_port(ifindex);
        for id in self.state.objects.by_port(ifindex) {
            self.mark_object(id);
        }
        for body in self.state.bodies.by_port(ifindex) {
            if let Some(slot) = self.state.bodies[body].slot {
                self.slots.mark(slot);
            }
        }
        self.dirty_hosts
            .extend(self.state.neighbours.of_port(ifindex));
    }

    /// Routes of the family, for readers that know it.
    pub(crate) fn table<A: Bits>(&self) -> &RouteTable<A>
    where
        Self: HasTable<A>,
    {
        self.routes_of()
    }
}

/// Gives the route table of the family whose addresses are `A`.
pub(crate) trait HasTable<A: Bits> {
    /// The table.
    fn routes_of(&self) -> &RouteTable<A>;
    /// The table, to change.
    fn routes_of_mut(&mut self) -> &mut RouteTable<A>;
}

impl HasTable<u32> for Rib {
    fn routes_of(&self) -> &RouteTable<u32> {
        &self.ip4
    }

    fn routes_of_mut(&mut self) -> &mut RouteTable<u32> {
        &mut self.ip4
    }
}

impl HasTable<u128> for Rib {
    fn routes_of(&self) -> &RouteTable<u128> {
        &self.ip6
    }

    fn routes_of_mut(&mut self) -> &mut RouteTable<u128> {
        &mut self.ip6
    }
}

fn rule_kind(rule: &Rule) -> ObjectKind {
    ObjectKind::Rules(if rule.ipv6 { Family::Ip6 } else { Family::Ip4 })
}
