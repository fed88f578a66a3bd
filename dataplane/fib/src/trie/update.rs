//! The writer's side: prefixes become slots, in place, while lcores read.
//!
//! Whose a slot is stands in the shadow beside it: a prefix may take the slots of shorter ones,
//! and gives its own back to the longest that covers it. A node is filled before the slot above
//! leads to it, and is recycled a grace period after the last slot that did.
#![allow(unsafe_code)] // nodes are found by number

use std::ops::Range;

use ironlane_rcu::primitive::Ordering;

use super::key::{Address, FANOUT, NODE_BITS, ROOT_BITS, ROOT_SLOTS};
use super::lookup::Trie;
use super::node::{Entry, NodeAllocator, Owner, Slot};
use super::routes::Routes;
use crate::{FibError, NexthopIndex};

/// What the writer of all tables lends for a change of one.
pub(crate) struct Edit<'a, K> {
    /// The table.
    pub(crate) trie: &'a Trie<K>,
    /// Where nodes come from.
    pub(crate) allocator: &'a mut NodeAllocator,
    /// Where nodes go that no slot leads to any more, to be recycled after a grace period.
    pub(crate) dead: &'a mut Vec<u32>,
}

/// The root, or a node with so many bits above it.
#[derive(Clone, Copy)]
struct Place {
    node: Option<u32>,
    above: u32,
}

impl Place {
    const ROOT: Self = Self {
        node: None,
        above: 0,
    };

    /// How many bits are known behind this place.
    fn below(self) -> u32 {
        self.above
            + if self.node.is_none() {
                ROOT_BITS
            } else {
                NODE_BITS
            }
    }

    fn child(self, node: u32) -> Self {
        Self {
            node: Some(node),
            above: self.below(),
        }
    }

    fn slot_of<K: Address>(self, address: K) -> usize {
        match self.node {
            None => address.root_slot(),
            Some(_) => address.node_slot(K::BITS - self.below()),
        }
    }

    /// The slots that a prefix which ends here covers.
    fn range<K: Address>(self, address: K, len: u32) -> Range<usize> {
        let first = self.slot_of(address);
        first..first + (1 << (self.below() - len))
    }

    /// Whether a slot of this owner says more than the slot above could.
    fn owns(self, owner: Owner) -> bool {
        self.node.is_some() && owner > Owner::prefix(self.above)
    }
}

/// Which slots change, and what they become.
struct Paint {
    /// The slots of prefixes from the first to the second length change.
    from: (Owner, Owner),
    to: Owner,
    leaf: NexthopIndex,
}

/// What the writer knows about one table.
pub(crate) struct TrieWriter<K> {
    root: Box<[Owner]>,
    routes: Routes<K>,
}

impl<K: Address> TrieWriter<K> {
    pub(crate) fn new() -> Self {
        Self {
            root: vec![Owner::NONE; ROOT_SLOTS].into(),
            routes: Routes::new(),
        }
    }

    pub(crate) fn get(&self, address: K, len: u32) -> Option<NexthopIndex> {
        self.routes.get(address, len)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, u32, NexthopIndex)> {
        self.routes.iter()
    }

    /// Bytes of all that is kept for the writer alone, but the shadows of nodes.
    pub(crate) fn bytes(&self) -> usize {
        self.root.len() + self.routes.bytes()
    }

    /// Installs or replaces a prefix without host bits; returns the nexthop that it had.
    pub(crate) fn insert(
        &mut self,
        edit: &mut Edit<'_, K>,
        address: K,
        len: u32,
        nexthop: NexthopIndex,
    ) -> Result<Option<NexthopIndex>, FibError> {
        let old = self.routes.get(address, len);
        // Down the nodes that exist, towards the one in which the prefix ends.
        let mut place = Place::ROOT;
        while len > place.below() {
            match edit.slot(place, place.slot_of(address)).load() {
                Entry::Child(node) => place = place.child(node),
                Entry::Leaf(_) => break,
            }
        }
        let missing = len.saturating_sub(place.below()).div_ceil(NODE_BITS) as usize;
        edit.allocator.ensure(missing)?;
        let owner = Owner::prefix(len);
        let paint = Paint {
            from: (Owner::NONE, owner),
            to: owner,
            leaf: nexthop,
        };
        if missing == 0 {
            self.paint(edit, place, place.range(address, len), &paint);
        } else {
            let slot = place.slot_of(address);
            let child = self.chain(edit, place, slot, address, len, &paint);
            self.set_owner(edit, place, slot, Owner::CHILD);
            edit.slot(place, slot).store(Entry::Child(child));
        }
        self.routes.insert(address, len, nexthop);
        self.count(edit, missing as i64);
        Ok(old)
    }

    /// Makes the nodes that are missing below a leaf, down to where the prefix ends, with the
    /// prefix in them; nobody sees them yet. Returns the first.
    fn chain(
        &mut self,
        edit: &mut Edit<'_, K>,
        place: Place,
        slot: usize,
        address: K,
        len: u32,
        paint: &Paint,
    ) -> u32 {
        let (leaf, owner) = (edit.slot(place, slot).load(), self.owner(edit, place, slot));
        let first = edit.allocator.take(&edit.trie.nodes, leaf, owner);
        let mut place = place.child(first);
        while len > place.below() {
            let slot = place.slot_of(address);
            let node = edit.allocator.take(&edit.trie.nodes, leaf, owner);
            self.set_owner(edit, place, slot, Owner::CHILD);
            edit.slot(place, slot).store(Entry::Child(node));
            place = place.child(node);
        }
        self.paint(edit, place, place.range(address, len), paint);
        first
    }

    /// Removes a prefix without host bits; returns the nexthop that it had.
    pub(crate) fn remove(
        &mut self,
        edit: &mut Edit<'_, K>,
        address: K,
        len: u32,
    ) -> Option<NexthopIndex> {
        let old = self.routes.remove(address, len)?;
        let (to, leaf) = match self.routes.cover(address, len) {
            Some((shorter, nexthop)) => (Owner::prefix(shorter), nexthop),
            None => (Owner::NONE, NexthopIndex::NONE),
        };
        let mut path = vec![Place::ROOT];
        let mut place = Place::ROOT;
        while len > place.below() {
            let Entry::Child(node) = edit.slot(place, place.slot_of(address)).load() else {
                unreachable!("a prefix keeps the node in which it ends");
            };
            place = place.child(node);
            path.push(place);
        }
        let own = Owner::prefix(len);
        self.paint(
            edit,
            place,
            place.range(address, len),
            &Paint {
                from: (own, own),
                to,
                leaf,
            },
        );
        self.collapse(edit, &mut path, address);
        self.count(edit, 0);
        Some(old)
    }

    /// Cuts off the nodes at the end of the path that say no more than a leaf above could.
    fn collapse(&mut self, edit: &mut Edit<'_, K>, path: &mut Vec<Place>, address: K) {
        while let Some(Place {
            node: Some(node), ..
        }) = path.pop()
        {
            let shadow = edit.allocator.shadow(node);
            if shadow.own > 0 {
                return;
            }
            let owner = shadow.owners[0];
            let above = *path.last().expect("a node is below the root");
            // SAFETY: we are the writer and have not freed the node.
            let leaf = unsafe { edit.trie.nodes.get(node) }.slots[0].load();
            let slot = above.slot_of(address);
            edit.slot(above, slot).store(leaf);
            self.set_owner(edit, above, slot, owner);
            edit.dead.push(node);
            self.count(edit, -1);
        }
    }

    /// Changes the slots of a range, and of all nodes below it, that belong to `paint.from`.
    fn paint(&mut self, edit: &mut Edit<'_, K>, place: Place, range: Range<usize>, paint: &Paint) {
        for slot in range {
            let owner = self.owner(edit, place, slot);
            if owner == Owner::CHILD {
                if let Entry::Child(node) = edit.slot(place, slot).load() {
                    self.paint(edit, place.child(node), 0..FANOUT, paint);
                }
            } else if paint.from.0 <= owner && owner <= paint.from.1 {
                edit.slot(place, slot).store(Entry::Leaf(paint.leaf));
                self.set_owner(edit, place, slot, paint.to);
            }
        }
    }

    /// Writes every leaf within a prefix as the list of prefixes says, and returns how many were
    /// wrong: the cure for a damaged table.
    pub(crate) fn mend(&mut self, edit: &mut Edit<'_, K>, address: K, len: u32) -> usize {
        let mut place = Place::ROOT;
        while len > place.below() {
            match edit.slot(place, place.slot_of(address)).load() {
                Entry::Child(node) => place = place.child(node),
                Entry::Leaf(_) => break,
            }
        }
        let range = place.range(address, len.min(place.below()));
        let base = address.masked(place.above);
        self.mend_range(edit, place, base, range)
    }

    fn mend_range(&self, edit: &Edit<'_, K>, place: Place, base: K, range: Range<usize>) -> usize {
        let mut mended = 0;
        for slot in range {
            let first = base.with_slot(slot, K::BITS - place.below());
            let found = edit.slot(place, slot).load();
            if let (Entry::Child(node), Owner::CHILD) = (found, self.owner(edit, place, slot)) {
                mended += self.mend_range(edit, place.child(node), first, 0..FANOUT);
                continue;
            }
            let owner = self.owner(edit, place, slot).len();
            let right = owner.and_then(|len| self.routes.get(first.masked(len), len));
            let right = Entry::Leaf(right.unwrap_or(NexthopIndex::NONE));
            if found != right {
                edit.slot(place, slot).store(right);
                mended += 1;
            }
        }
        mended
    }

    /// Writes the leaf that answers for an address, beside the list of prefixes.
    pub(crate) fn poke(&self, edit: &Edit<'_, K>, address: K, nexthop: NexthopIndex) {
        let mut place = Place::ROOT;
        loop {
            let slot = edit.slot(place, place.slot_of(address));
            match slot.load() {
                Entry::Child(node) => place = place.child(node),
                Entry::Leaf(_) => return slot.store(Entry::Leaf(nexthop)),
            }
        }
    }

    fn owner(&self, edit: &Edit<'_, K>, place: Place, slot: usize) -> Owner {
        match place.node {
            None => self.root[slot],
            Some(node) => edit.allocator.shadow(node).owners[slot],
        }
    }

    fn set_owner(&mut self, edit: &mut Edit<'_, K>, place: Place, slot: usize, owner: Owner) {
        let Some(node) = place.node else {
            self.root[slot] = owner;
            return;
        };
        let shadow = edit.allocator.shadow_mut(node);
        let before = std::mem::replace(&mut shadow.owners[slot], owner);
        shadow.own += u16::from(place.owns(owner));
        shadow.own -= u16::from(place.owns(before));
    }

    /// Publishes the counts for people.
    fn count(&self, edit: &Edit<'_, K>, nodes: i64) {
        // Relaxed: figures that guard no data, written by this thread alone.
        edit.trie
            .prefix_count
            .store(self.routes.len() as u64, Ordering::Relaxed);
        let before = edit.trie.node_count.load(Ordering::Relaxed);
        edit.trie
            .node_count
            .store(before.wrapping_add_signed(nodes), Ordering::Relaxed);
    }
}

impl<K: Address> Edit<'_, K> {
    fn slot(&self, place: Place, slot: usize) -> &Slot {
        match place.node {
            None => &self.trie.root[slot],
            // SAFETY: we are the writer and have not freed the node.
            Some(node) => unsafe { &self.trie.nodes.get(node).slots[slot] },
        }
    }
}
