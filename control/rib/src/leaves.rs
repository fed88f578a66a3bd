//! Leaves: which slot the best route of a prefix leads to, and writing that to the tables.

use ipnet::IpNet;
use ironlane_fib::{AdjacencyKind, NexthopIndex, VrfId, Writer};

use crate::body::BodyId;
use crate::object::RouteKind;
use crate::prefix::{Bits, Prefix};
use crate::report::CommitReport;
use crate::rib::{HasTable, Rib};
use crate::slot::{SlotId, SlotKey, is_confined};
use crate::table::Queued;

/// From so many prefixes on, an empty table is filled at once. Tests have few.
const LOAD: usize = if cfg!(test) { 2 } else { 64 };

impl Rib {
    /// What decides the leaf of a prefix; `None` if the prefix has none of its own.
    pub(crate) fn leaf_key<A: Bits>(&self, prefix: Prefix<A>) -> Option<SlotKey>
    where
        Self: HasTable<A>,
    {
        let host = || self.host_key_of(prefix.first());
        if let Some(key) = prefix.is_host().then(host).flatten() {
            return Some(SlotKey::Hop(key));
        }
        if !self.table::<A>().is_seen(prefix) {
            return None;
        }
        let winner = self.table::<A>().winner(prefix);
        let key = winner.map(|(_, entry)| self.route_key(prefix, entry.body));
        Some(key.unwrap_or(SlotKey::Simple(AdjacencyKind::NoRoute)))
    }

    /// The slot of a prefix whose best route has this body. Link-local destinations are never
    /// forwarded (RFC 4291 2.5.6): they go to the tap of the port where the packet arrived.
    pub(crate) fn route_key<A: Bits>(&self, prefix: Prefix<A>, body: BodyId) -> SlotKey {
        let unicast = self.state.bodies[body].key.kind == RouteKind::Unicast;
        if unicast && prefix.len() >= 10 && is_confined(prefix.first().to_ip()) {
            return SlotKey::Simple(AdjacencyKind::Local);
        }
        self.state.body_key(body)
    }

    /// The slot of a leaf, kept by the body or for good, but not by the leaf.
    fn leaf_slot<A: Bits>(&mut self, queued: Queued<A>) -> Option<SlotId>
    where
        Self: HasTable<A>,
    {
        let Queued { prefix, winner } = queued;
        if prefix.is_host()
            && let Some(&slot) = self.hosts.get(&prefix.first().to_ip())
        {
            return Some(slot);
        }
        if let Some(body) = winner {
            return Some(self.route_slot(prefix, body));
        }
        if !self.table::<A>().is_seen(prefix) {
            return None;
        }
        match self.table::<A>().winner(prefix) {
            Some((_, entry)) => Some(self.route_slot(prefix, entry.body)),
            None => Some(self.shared(AdjacencyKind::NoRoute)),
        }
    }

    /// The slot of a prefix whose best route has this body.
    fn route_slot<A: Bits>(&mut self, prefix: Prefix<A>, body: BodyId) -> SlotId {
        match self.route_key(prefix, body) {
            SlotKey::Simple(kind) => self.shared(kind),
            key => {
                let slots = &mut self.slots;
                let slot = &mut self.state.bodies[body].slot;
                *slot.get_or_insert_with(|| slots.acquire(key))
            }
        }
    }

    pub(crate) fn write_prefixes<A: Bits>(
        &mut self,
        mut queue: Vec<Queued<A>>,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) where
        Self: HasTable<A>,
    {
        // Neighbouring prefixes share nodes of the tables.
        queue.sort_unstable_by_key(|queued| queued.prefix);
        queue.dedup_by_key(|queued| queued.prefix);
        if queue.len() >= LOAD && writer.is_empty(self.vrf, A::LEN > 32) {
            queue = self.load_prefixes(&queue, Writer::load, writer, report);
        }
        queue.retain(|&queued| {
            let Some(slot) = self.leaf_slot(queued) else {
                return true;
            };
            self.write_leaf(queued.prefix, slot, writer, report);
            false
        });
        for Queued { prefix, .. } in queue {
            let Some(node) = self.routes_of_mut().node_mut(prefix) else {
                continue;
            };
            let installed = std::mem::take(&mut node.installed);
            if !installed.is_none() {
                writer.remove(self.vrf, prefix.to_net());
                self.count_leaf(installed, NexthopIndex::NONE);
                report.prefixes_removed += 1;
            }
            self.routes_of_mut().forget_if_empty(prefix);
        }
    }

    /// Fills an empty table by prefixes in order, as `load` does it. Returns those that are left to be looked at.
    pub(crate) fn load_prefixes<A: Bits>(
        &mut self,
        queue: &[Queued<A>],
        load: impl Fn(&mut Writer, VrfId, &[(IpNet, NexthopIndex)]) -> usize,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) -> Vec<Queued<A>>
    where
        Self: HasTable<A>,
    {
        let mut routes = Vec::with_capacity(queue.len());
        let mut rest = Vec::new();
        for &queued in queue {
            let slot = self.leaf_slot(queued);
            let index = slot.and_then(|slot| self.index_or_kernel(slot, writer, report));
            match index {
                Some(index) => routes.push((queued.prefix.to_net(), index)),
                None => rest.push(queued),
            }
        }
        let (loaded, refused) = routes.split_at(load(writer, self.vrf, &routes));
        let of_family = |&(net, index): &(IpNet, _)| Some((Prefix::from_net(net)?, index));
        let refused = refused.iter().filter_map(of_family);
        rest.extend(refused.map(|(prefix, _)| Queued {
            prefix,
            winner: None,
        }));
        report.prefixes_added += loaded.len();
        let written = loaded.iter().filter_map(of_family);
        self.routes_of_mut().note_installed(written);
        for &(_, index) in loaded {
            self.count_leaf(NexthopIndex::NONE, index);
        }
        rest
    }

    fn write_leaf<A: Bits>(
        &mut self,
        prefix: Prefix<A>,
        slot: SlotId,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) where
        Self: HasTable<A>,
    {
        let index = self.index_or_kernel(slot, writer, report);
        let vrf = self.vrf;
        let Some(node) = self.routes_of_mut().node_mut(prefix) else {
            return;
        };
        let Some(index) = index.filter(|&index| index != node.installed) else {
            return;
        };
        match writer.insert(vrf, prefix.to_net(), index) {
            Ok(_) if node.installed.is_none() => report.prefixes_added += 1,
            Ok(_) => report.prefixes_changed += 1,
            Err(error) => {
                tracing::error!(prefix = %prefix.to_net(), %error, "route not installed");
                report.refused += 1;
                self.routes_of_mut().enqueue(prefix);
                return;
            }
        }
        let old = std::mem::replace(&mut node.installed, index);
        self.count_leaf(old, index);
    }

    fn count_leaf(&mut self, old: NexthopIndex, new: NexthopIndex) {
        let place = |index: NexthopIndex| index.raw() as usize;
        if !old.is_none() {
            self.leaves[place(old)] -= 1;
        }
        if !new.is_none() {
            let size = self.leaves.len().max(place(new) + 1);
            self.leaves.resize(size, 0);
            self.leaves[place(new)] += 1;
        }
    }
}
