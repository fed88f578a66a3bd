//! Writing what changed: nexthop slots first, since each moves many prefixes by one word; then
//! prefixes, additions before removals; then slots that nothing uses any more.

use std::net::IpAddr;

use ironlane_fib::{AdjacencyKind, Group, Member, Nexthop, NexthopIndex, Writer};

use crate::prefix::{Bits, Prefix};
use crate::report::CommitReport;
use crate::resolve::Wanted;
use crate::rib::{HasTable, Rib};
use crate::slot::{Content, Hop, HopKey, SlotId, SlotKey, is_confined};
use crate::table::Queued;

impl Rib {
    /// Writes to the tables what changed since the last commit, and nothing else. Between
    /// commits `writer` must not be used to write to this VRF.
    ///
    /// Cost: by what changed, but for routes that the kernel dropped by the deletion of what they
    /// used, which are searched for among all.
    pub fn commit(&mut self, writer: &mut Writer) -> CommitReport {
        self.commit_some(writer, usize::MAX)
    }

    /// As [`commit`](Self::commit), but of the routes that the kernel dropped by the deletion of what they
    /// used about `most` leave the tables, in order; [`is_cleaning`](Self::is_cleaning) tells whether
    /// there are more. Their nexthops are changed at once: they forward nothing any more. So a change that comes while
    /// a million routes leave need not wait for all of them.
    pub fn commit_some(&mut self, writer: &mut Writer, most: usize) -> CommitReport {
        let mut report = std::mem::take(&mut self.filled);
        let filled = self.ip4.end_filling();
        if filled {
            // All may have come under another route.
            let all = self.state.neighbours.iter();
            self.dirty_hosts
                .extend(all.map(|neighbour| neighbour.address));
        }
        self.release_freed();
        // Convergence first: one word for all prefixes behind it.
        self.publish_dirty(writer, &mut report);
        self.flush_doomed(most);
        let mut ip4 = self.ip4.take_queue();
        let mut ip6 = self.ip6.take_queue();
        self.mark_hosts_below(&ip4);
        self.mark_hosts_below(&ip6);
        self.settle_hosts();
        ip4.extend(self.ip4.take_queue());
        ip6.extend(self.ip6.take_queue());
        self.write_prefixes(ip4, writer, &mut report);
        self.write_prefixes(ip6, writer, &mut report);
        if filled {
            writer.show(self.vrf);
        }
        self.give_back(writer, &mut report);
        self.slots.settle();
        writer.reclaim();
        report
    }

    /// Whether a commit would have anything to look at.
    pub fn is_dirty(&self) -> bool {
        self.slots.is_dirty()
            || self.is_cleaning()
            || !self.filled.is_empty()
            || self.ip4.has_queue()
            || self.ip6.has_queue()
            || !self.dirty_hosts.is_empty()
    }

    /// Whether routes that the kernel dropped without saying so are still in the tables.
    pub fn is_cleaning(&self) -> bool {
        self.state.bodies.any_doomed()
    }

    fn publish_dirty(&mut self, writer: &mut Writer, report: &mut CommitReport) {
        // A slot that was never written has no prefixes yet: it is written when one needs it. One
        // without users may stand for a body that is gone, and is about to go too.
        for id in self.slots.take_dirty() {
            let slot = self.slots.get(id);
            if slot.index.is_some() && slot.is_used() {
                self.publish(id, writer, report);
            }
        }
    }

    fn flush_doomed(&mut self, most: usize) {
        self.ip4.flush(&mut self.state.bodies, most);
        self.ip6.flush(&mut self.state.bodies, most);
        self.release_freed();
    }

    fn release_freed(&mut self) {
        for slot in self.state.bodies.take_freed() {
            self.slots.release(slot);
        }
    }

    /// Neighbours below a prefix that changed may have come under another route.
    fn mark_hosts_below<A: Bits>(&mut self, queue: &[Queued<A>]) {
        let neighbours = &self.state.neighbours;
        if queue.len() > 8 * neighbours.len() {
            // It is less work to look at all of them again.
            let all = neighbours.iter().map(|neighbour| neighbour.address);
            let hosts = self.hosts.keys().copied();
            self.dirty_hosts.extend(all.chain(hosts));
            return;
        }
        for Queued { prefix, .. } in queue {
            let (first, last) = (prefix.first().to_ip(), prefix.last().to_ip());
            self.dirty_hosts
                .extend(self.state.neighbours.between(first, last));
            if prefix.is_host() && self.hosts.contains_key(&first) {
                self.dirty_hosts.insert(first);
            }
        }
    }

    fn settle_hosts(&mut self) {
        for address in std::mem::take(&mut self.dirty_hosts) {
            let wanted = self.host_key(address);
            let has = self.hosts.get(&address).copied();
            if has.map(|id| self.slots.get(id).key) == wanted.map(SlotKey::Hop) {
                continue;
            }
            if let Some(key) = wanted {
                let id = self.slots.acquire(SlotKey::Hop(key));
                self.hosts.insert(address, id);
            } else {
                self.hosts.remove(&address);
            }
            if let Some(old) = has {
                self.slots.release(old);
            }
            match address {
                IpAddr::V4(v4) => self.ip4.enqueue(Prefix::host(v4.to_bits())),
                IpAddr::V6(v6) => self.ip6.enqueue(Prefix::host(v6.to_bits())),
            }
        }
    }

    /// The hop to an address as its own neighbour: where the kernel's route for it is on-link,
    /// by the interface of a port, and the neighbour there has a MAC.
    pub(crate) fn host_key(&self, address: IpAddr) -> Option<HopKey> {
        match address {
            IpAddr::V4(v4) => self.host_key_of(v4.to_bits()),
            IpAddr::V6(v6) => self.host_key_of(v6.to_bits()),
        }
    }

    pub(crate) fn host_key_of<A: Bits>(&self, address: A) -> Option<HopKey>
    where
        Self: HasTable<A>,
    {
        let ip = address.to_ip();
        if is_confined(ip) {
            return None;
        }
        let (_, entry) = self.table::<A>().winner(Prefix::host(address))?;
        let ifindex = self.state.on_link(entry.body)?;
        self.state.bindings.get(&ifindex)?;
        self.state.neighbours.usable_mac(ifindex, ip)?;
        Some(HopKey {
            ifindex,
            gateway: Some(ip),
            mtu: self.state.bodies[entry.body].key.mtu(),
        })
    }

    /// A slot for a verdict, kept for good.
    pub(crate) fn shared(&mut self, kind: AdjacencyKind) -> SlotId {
        let slots = &mut self.slots;
        *self
            .shared
            .entry(kind)
            .or_insert_with(|| slots.acquire(SlotKey::Simple(kind)))
    }

    /// The slot's number in the tables; if the tables are full, that of the slot by which Linux
    /// forwards.
    pub(crate) fn index_or_kernel(
        &mut self,
        slot: SlotId,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) -> Option<NexthopIndex> {
        let index = self.publish(slot, writer, report);
        index.or_else(|| {
            let kernel = self.shared(AdjacencyKind::Kernel);
            self.publish(kernel, writer, report)
        })
    }

    /// Brings a slot up to date in the tables; its number there, or none if they are full.
    fn publish(
        &mut self,
        id: SlotId,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) -> Option<NexthopIndex> {
        let marked = self.slots.unmark(id);
        let index = self.slots.get(id).index;
        if !marked && index.is_some() {
            return index;
        }
        let mut content = match self.state.resolve(self.slots.get(id).key) {
            Wanted::Hop(hop) => Content::Hop(hop),
            Wanted::Group(members) => self.hold_members(members, writer, report),
        };
        let nexthop = self.nexthop(&content).unwrap_or_else(|error| {
            tracing::error!(%error, "group not installed: Linux forwards what needs it");
            report.refused += 1;
            self.drop_members(&content);
            let kernel = Hop::simple(AdjacencyKind::Kernel);
            content = Content::Hop(kernel);
            Nexthop::Adjacency(kernel.adjacency())
        });
        if index.is_some() && self.slots.get(id).content.as_ref() == Some(&content) {
            self.drop_members(&content);
            return index;
        }
        let written = match index {
            None => writer.add_nexthop(nexthop),
            Some(index) => writer.replace_nexthop(index, nexthop).map(|()| index),
        };
        match written {
            Ok(written) => {
                match index {
                    None => report.nexthops_added += 1,
                    Some(_) => report.nexthops_changed += 1,
                }
                let slot = self.slots.get_mut(id);
                slot.index = Some(written);
                if let Some(old) = slot.content.replace(content) {
                    self.drop_members(&old);
                }
                Some(written)
            }
            Err(error) => {
                tracing::error!(%error, "nexthop not installed: Linux forwards what needs it");
                report.refused += 1;
                self.drop_members(&content);
                self.slots.mark(id);
                index
            }
        }
    }

    /// Writes the members of a group that is to be written.
    fn hold_members(
        &mut self,
        members: Vec<(SlotKey, u16)>,
        writer: &mut Writer,
        report: &mut CommitReport,
    ) -> Content {
        let mut held = Vec::with_capacity(members.len());
        for (key, weight) in members {
            let id = self.slots.acquire(key);
            if self.publish(id, writer, report).is_some() {
                held.push((id, weight));
            } else {
                self.slots.release(id);
            }
        }
        if held.is_empty() {
            Content::Hop(Hop::simple(AdjacencyKind::Kernel))
        } else {
            Content::Group(held)
        }
    }

    fn drop_members(&mut self, content: &Content) {
        if let Content::Group(members) = content {
            members
                .iter()
                .for_each(|&(member, _)| self.slots.release(member));
        }
    }

    /// What a slot holds, as the tables know it.
    pub(crate) fn nexthop(&self, content: &Content) -> Result<Nexthop, ironlane_fib::FibError> {
        match content {
            Content::Hop(hop) => Ok(Nexthop::Adjacency(hop.adjacency())),
            Content::Group(members) => {
                let indexes = members.iter().filter_map(|&(member, weight)| {
                    Some(Member {
                        nexthop: self.slots.get(member).index?,
                        weight,
                    })
                });
                Ok(Nexthop::Group(Group::new(&indexes.collect::<Vec<_>>())?))
            }
        }
    }

    fn give_back(&mut self, writer: &mut Writer, report: &mut CommitReport) {
        self.release_freed();
        while let Some(slot) = self.slots.pop_unused() {
            if let Some(index) = slot.index {
                match writer.remove_nexthop(index) {
                    Ok(()) => report.nexthops_removed += 1,
                    Err(error) => tracing::error!(%error, "nexthop kept"),
                }
            }
            if let Some(content) = slot.content {
                self.drop_members(&content);
            }
        }
    }
}
