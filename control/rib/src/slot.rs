//! Nexthop slots: what prefixes point at, one word each in the tables.
//!
//! A slot is found by its key and shared by all that need the same. What it holds can change at
//! any time and costs one write, however many prefixes point at it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ironlane_fib::{Adjacency, AdjacencyKind, Mac, NexthopIndex, PortId};

use crate::body::BodyId;
use crate::object::{IfIndex, NexthopId};

/// Number of a slot of ours; that of the tables is [`Slot::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(u32);

/// A single hop: by an interface to a gateway, or on-link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HopKey {
    pub(crate) ifindex: IfIndex,
    pub(crate) gateway: Option<IpAddr>,
    /// The metric `mtu` of the route; 0 for none.
    pub(crate) mtu: u16,
}

/// What decides what a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SlotKey {
    /// A verdict that needs nothing else.
    Simple(AdjacencyKind),
    /// The broadcast address of a subnet on an interface.
    Broadcast(IfIndex),
    /// One path.
    Hop(HopKey),
    /// The paths of a multipath route.
    Body(BodyId),
    /// A nexthop object, used by routes with this metric `mtu` (0 for none).
    Object(NexthopId, u16),
}

/// An adjacency, without the marks that lcores write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) kind: AdjacencyKind,
    pub(crate) port: PortId,
    pub(crate) mtu: u16,
    pub(crate) dst: Mac,
    pub(crate) src: Mac,
}

impl Hop {
    /// A verdict.
    pub(crate) const fn simple(kind: AdjacencyKind) -> Self {
        Self {
            kind,
            port: PortId::NONE,
            mtu: u16::MAX,
            dst: [0; 6],
            src: [0; 6],
        }
    }

    /// As it is written to the tables.
    pub(crate) fn adjacency(&self) -> Adjacency {
        match self.kind {
            AdjacencyKind::Forward => Adjacency::forward(self.port, self.mtu, self.dst, self.src),
            AdjacencyKind::Glean => Adjacency::glean(self.port, self.mtu),
            AdjacencyKind::Broadcast => Adjacency::broadcast(self.port),
            AdjacencyKind::Ipsec => Adjacency::ipsec(self.port, self.mtu),
            kind => Adjacency::simple(kind),
        }
    }
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// One adjacency.
    Hop(Hop),
    /// Several slots by weight; each is held by a reference.
    Group(Vec<(SlotId, u16)>),
}

/// A slot and its users.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: SlotKey,
    /// Bodies, groups and host entries that use it.
    refs: u32,
    /// Its number in the tables, once it was written.
    pub(crate) index: Option<NexthopIndex>,
    /// What was written.
    pub(crate) content: Option<Content>,
    dirty: bool,
}

impl Slot {
    /// Whether anything uses it.
    pub(crate) fn is_used(&self) -> bool {
        self.refs > 0
    }
}

/// All slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slab: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_key: BTreeMap<SlotKey, SlotId>,
    dirty: Vec<SlotId>,
    /// Lost their last user since the last commit.
    unused: Vec<SlotId>,
}

impl Slots {
    /// One more user of the slot with this key.
    pub(crate) fn acquire(&mut self, key: SlotKey) -> SlotId {
        if let Some(&id) = self.by_key.get(&key) {
            let slot = self.get_mut(id);
            slot.refs += 1;
            if slot.refs == 1 {
                // It had no user any more: its key may stand for another body or object now.
                self.mark(id);
            }
            return id;
        }
        let slot = Slot {
            key,
            refs: 1,
            index: None,
            content: None,
            dirty: false,
        };
        let id = match self.free.pop() {
            Some(index) => SlotId(index),
            None => {
                self.slab.push(None);
                SlotId(u32::try_from(self.slab.len() - 1).expect("fewer slots than routes"))
            }
        };
        self.slab[id.0 as usize] = Some(slot);
        self.by_key.insert(key, id);
        self.mark(id);
        id
    }

    /// One user less.
    pub(crate) fn release(&mut self, id: SlotId) {
        let slot = self.get_mut(id);
        slot.refs -= 1;
        if slot.refs == 0 {
            self.unused.push(id);
        }
    }

    /// What the slot holds may have changed.
    pub(crate) fn mark(&mut self, id: SlotId) {
        let slot = self.get_mut(id);
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(id);
        }
    }

    /// As [`mark`](Self::mark), for the slot with this key, if there is one.
    pub(crate) fn mark_key(&mut self, key: SlotKey) {
        if let Some(&id) = self.by_key.get(&key) {
            self.mark(id);
        }
    }

    /// Marks all single hops over an interface, and its broadcast slot.
    pub(crate) fn mark_port(&mut self, ifindex: IfIndex) {
        let first = HopKey {
            ifindex,
            gateway: None,
            mtu: 0,
        };
        let last = HopKey {
            ifindex,
            gateway: Some(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX))),
            mtu: u16::MAX,
        };
        self.mark_range(SlotKey::Hop(first), SlotKey::Hop(last));
        self.mark_key(SlotKey::Broadcast(ifindex));
    }

    /// Marks all single hops to a neighbour.
    pub(crate) fn mark_neighbour(&mut self, ifindex: IfIndex, address: IpAddr) {
        let key = |mtu| {
            SlotKey::Hop(HopKey {
                ifindex,
                gateway: Some(address),
                mtu,
            })
        };
        self.mark_range(key(0), key(u16::MAX));
    }

    /// Marks all slots of a nexthop object.
    pub(crate) fn mark_object(&mut self, id: NexthopId) {
        self.mark_range(SlotKey::Object(id, 0), SlotKey::Object(id, u16::MAX));
    }

    fn mark_range(&mut self, first: SlotKey, last: SlotKey) {
        let found: Vec<SlotId> = self.by_key.range(first..=last).map(|(_, &id)| id).collect();
        for id in found {
            self.mark(id);
        }
    }

    /// Takes the slots that may have changed, oldest mark first.
    pub(crate) fn take_dirty(&mut self) -> Vec<SlotId> {
        let taken = std::mem::take(&mut self.dirty);
        taken
            .into_iter()
            .filter(|&id| self.slab[id.0 as usize].is_some())
            .collect()
    }

    /// Forgets marks that were served on the way; those of slots that no prefix needs wait there.
    pub(crate) fn settle(&mut self) {
        let Self { slab, dirty, .. } = self;
        dirty.retain(|id| {
            let slot = slab[id.0 as usize].as_ref();
            slot.is_some_and(|slot| slot.dirty && slot.index.is_some())
        });
    }

    /// Whether any slot may have changed, or lost its last user.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.unused.is_empty()
    }

    /// Takes the mark off a slot; tells whether it had one.
    pub(crate) fn unmark(&mut self, id: SlotId) -> bool {
        std::mem::take(&mut self.get_mut(id).dirty)
    }

    /// Takes away a slot that lost its last user and got no new one.
    pub(crate) fn pop_unused(&mut self) -> Option<Slot> {
        while let Some(id) = self.unused.pop() {
            let place = &mut self.slab[id.0 as usize];
            if let Some(slot) = place.take_if(|slot| slot.refs == 0) {
                self.by_key.remove(&slot.key);
                self.free.push(id.0);
                return Some(slot);
            }
        }
        None
    }

    /// The slot of this number.
    pub(crate) fn get(&self, id: SlotId) -> &Slot {
        self.slab[id.0 as usize]
            .as_ref()
            .expect("a slot lives as long as its users")
    }

    /// The slot of this number, to change.
    pub(crate) fn get_mut(&mut self, id: SlotId) -> &mut Slot {
        self.slab[id.0 as usize]
            .as_mut()
            .expect("a slot lives as long as its users")
    }

    /// The slot with this key.
    pub(crate) fn find(&self, key: SlotKey) -> Option<SlotId> {
        self.by_key.get(&key).copied()
    }

    /// All slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slab.iter().flatten()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// Whether no packet is forwarded to this address by a route: multicast, and IPv6 link-local.
pub(crate) fn is_confined(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4 == Ipv4Addr::BROADCAST,
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}
