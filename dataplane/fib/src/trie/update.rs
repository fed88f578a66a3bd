//! The writer's side: prefixes become slots, in place, while lcores read.
//!
//! A change is made in the shadow and published on the way back, from the deepest node up. Whose a
//! slot is stands beside it: a prefix may take the slots of shorter ones, and gives its own back
//! to the longest that covers it.
#![allow(unsafe_code)] // it says when a block may be written again

use std::ops::Range;

use ironlane_rcu::Retirer;
use ironlane_rcu::primitive::Ordering;

use super::arena::Arena;
use super::image::Published;
use super::key::{Address, FANOUT, NODE_BITS};
use super::load::Filling;
use super::lookup::{RootHandle, Trie};
use super::root::Root;
use super::routes::Routes;
use super::shadow::{Cell, Owner, Shadows};
use super::slabs::Slabs;
use crate::{FibError, NexthopIndex};

/// Where nodes come from: those of the writer, and the blocks that readers see.
pub(crate) struct Memory {
    pub(super) shadows: Shadows,
    pub(super) slabs: Slabs,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            shadows: Shadows::new(),
            slabs: Slabs::new(),
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// No word leads to the block, and a grace period has passed since one did.
    pub(crate) unsafe fn give_back(&mut self, arena: &Arena, unit: u32) {
        // SAFETY: by our contract.
        unsafe { self.slabs.give_back(arena, unit) };
    }

    /// Blocks in use, those included that wait for a grace period.
    pub(crate) fn blocks(&self) -> usize {
        self.slabs.blocks()
    }

    /// Bytes of blocks, free ones included, and of what the writer knows about nodes.
    pub(crate) fn bytes(&self) -> usize {
        self.slabs.bytes() + self.shadows.bytes()
    }
}

/// What the writer of all tables lends for a change of one.
pub(crate) struct Edit<'a, K> {
    /// The table.
    pub(crate) trie: &'a Trie<K>,
    /// Where nodes come from.
    pub(crate) memory: &'a mut Memory,
    /// Where blocks go that no word leads to any more, to be taken again after a grace period.
    pub(crate) dead: &'a mut Vec<u32>,
    /// Where a root goes that is replaced.
    pub(crate) retirer: &'a mut Retirer,
}

/// A node, by the bits that lead there.
#[derive(Clone, Copy)]
pub(super) struct Place<K> {
    pub(super) node: u32,
    pub(super) above: u32,
    /// The first address below.
    pub(super) base: K,
}

impl<K: Address> Place<K> {
    /// How many bits are known behind the node.
    pub(super) fn below(self) -> u32 {
        self.above + NODE_BITS
    }

    /// The child in a slot.
    pub(super) fn child(self, slot: usize, node: u32) -> Self {
        Self {
            node,
            above: self.below(),
            base: self.base.with_slot(slot, self.above),
        }
    }

    /// The slots that a prefix which ends here or above covers.
    pub(super) fn range(self, address: K, len: u32) -> Range<usize> {
        if len <= self.above {
            return 0..FANOUT;
        }
        let first = address.slot(self.above);
        first..first + (1 << (self.below() - len))
    }
}

/// Which slots change, and what they become.
struct Paint {
    /// The slots of prefixes from the first to the second length change.
    from: (Owner, Owner),
    to: Cell,
}

/// What the writer knows about one table.
pub(crate) struct TrieWriter<K> {
    /// The node that resolves the first bits, if there are routes.
    pub(super) top: Option<u32>,
    pub(super) routes: Routes<K>,
    /// What readers have, unless it is hidden from them.
    pub(super) root: Root,
    /// What is open while the table is being filled.
    pub(super) filling: Option<Box<Filling<K>>>,
    /// Readers have the empty root from before the table was filled.
    pub(super) hidden: bool,
    /// How many pages of a sparse root the routes would fill if no two had one in common.
    pub(super) pages: usize,
    /// Whether the root stays as large as that of many routes.
    pub(super) pinned: bool,
}

impl<K: Address> TrieWriter<K> {
    pub(crate) fn new(root: RootHandle) -> Self {
        Self {
            top: None,
            routes: Routes::new(),
            pages: 0,
            pinned: root.shape() != K::SMALL,
            root: root.0,
            filling: None,
            hidden: false,
        }
    }

    pub(crate) fn get(&self, address: K, len: u32) -> Option<NexthopIndex> {
        self.routes.get(address, len)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, u32, NexthopIndex)> {
        self.routes.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.len() == 0
    }

    /// Bytes of the list of prefixes.
    pub(crate) fn bytes(&self) -> usize {
        self.routes.bytes()
    }

    /// Installs or replaces a prefix without host bits; returns the nexthop that it had.
    pub(crate) fn insert(
        &mut self,
        edit: &mut Edit<'_, K>,
        address: K,
        len: u32,
        nexthop: NexthopIndex,
    ) -> Result<Option<NexthopIndex>, FibError> {
        self.end_filling(edit);
        let nodes = len.div_ceil(NODE_BITS) as usize;
        edit.memory.slabs.ensure(nodes)?;
        self.make_room(edit, address, len);
        let old = self.routes.get(address, len);
        self.routes.insert(address, len, nexthop);
        if old.is_none() {
            self.pages += Self::pages_of(address, len);
        }
        let new_default = self.choose_default(len);
        let path = self.path(edit, address, len, true);
        let owner = Owner::prefix(len);
        let paint = Paint {
            from: (Owner::NONE, owner),
            to: Cell::leaf(nexthop, owner),
        };
        let last = *path.last().expect("a path begins at the top");
        self.paint(edit, last, last.range(address, len), &paint);
        self.climb(edit, &path, address, true);
        self.settle(edit, new_default);
        Ok(old)
    }

    /// Removes a prefix without host bits; returns the nexthop that it had.
    pub(crate) fn remove(
        &mut self,
        edit: &mut Edit<'_, K>,
        address: K,
        len: u32,
    ) -> Option<NexthopIndex> {
        self.end_filling(edit);
        let old = self.routes.remove(address, len)?;
        self.pages -= Self::pages_of(address, len);
        let new_default = self.choose_default(len);
        let to = match self.routes.cover(address, len) {
            Some((shorter, nexthop)) => Cell::leaf(nexthop, Owner::prefix(shorter)),
            None => Cell::NONE,
        };
        let own = Owner::prefix(len);
        let paint = Paint {
            from: (own, own),
            to,
        };
        let mut path = self.path(edit, address, len, false);
        let last = *path.last().expect("a path begins at the top");
        self.paint(edit, last, last.range(address, len), &paint);
        self.collapse(edit, &mut path, address);
        self.climb(edit, &path, address, true);
        if self.routes.len() == 0
            && let Some(top) = self.top.take()
        {
            edit.memory.shadows.remove(top);
        }
        self.settle(edit, new_default);
        Some(old)
    }

    /// The nodes from the top to the one in which a prefix ends; those that are missing are made
    /// on demand, or else left out.
    pub(super) fn path(
        &mut self,
        edit: &mut Edit<'_, K>,
        address: K,
        len: u32,
        make: bool,
    ) -> Vec<Place<K>> {
        let shadows = &mut edit.memory.shadows;
        let top = *self.top.get_or_insert_with(|| shadows.add(Cell::NONE));
        let mut place = Place {
            node: top,
            above: 0,
            base: K::zero(),
        };
        let mut path = Vec::with_capacity(12);
        path.push(place);
        while len > place.below() {
            let slot = address.slot(place.above);
            let cell = shadows.get(place.node).cell(slot);
            let child = match cell.child() {
                Some(child) => child,
                None if make => {
                    let child = shadows.add(cell);
                    shadows.set_slot(place.node, slot, Cell::child_of(child));
                    child
                }
                None => break,
            };
            place = place.child(slot, child);
            path.push(place);
        }
        path
    }

    /// Changes the slots of a range, and of all nodes below it, that belong to `paint.from`, and
    /// publishes them.
    fn paint(&self, edit: &mut Edit<'_, K>, place: Place<K>, range: Range<usize>, paint: &Paint) {
        let mut parents = edit.memory.shadows.get(place.node).parents(range.clone());
        while parents != 0 {
            let slot = parents.trailing_zeros() as usize;
            parents &= parents - 1;
            let child = edit.memory.shadows.get(place.node).cell(slot).child();
            let child = child.expect("the slot leads to a child");
            self.paint(edit, place.child(slot, child), 0..FANOUT, paint);
        }
        let shadows = &mut edit.memory.shadows;
        shadows.change(place.node, range.clone(), |cell| {
            let theirs = paint.from.0 <= cell.owner() && cell.owner() <= paint.from.1;
            match theirs && cell.child().is_none() {
                true => paint.to,
                false => cell,
            }
        });
        self.publish(edit, place, range);
    }

    /// Whether readers find a node by a word: if the root does not resolve its bits.
    pub(super) fn has_image(&self, place: Place<K>) -> bool {
        place.above >= place.base.enter(self.root.shape()).1
    }

    /// Makes readers find what the writer knows about a node, or about some slots of one that
    /// the root resolves.
    pub(super) fn publish(
        &self,
        edit: &mut Edit<'_, K>,
        place: Place<K>,
        range: Range<usize>,
    ) -> Published {
        if self.has_image(place) {
            return edit.publish(place.node, self.root.shape().flat);
        }
        let shape = self.root.shape();
        let mut stored = 0;
        for (slots, cell) in edit.memory.shadows.get(place.node).runs_in(range) {
            // The parts of a root lie behind each other by the first bits: the top has slots of all.
            let together = if place.above == 0 { 1 } else { slots.len() };
            for slot in slots.step_by(together) {
                let (first, bits) = place.base.with_slot(slot, place.above).enter(shape);
                stored += match cell.child() {
                    None => {
                        let count = together << (bits - place.below());
                        let by_default = cell.owner() <= Owner::prefix(K::DEFAULT.1);
                        self.root.store(first, count, cell.word(), by_default)
                    }
                    Some(child) if place.below() == bits => {
                        let image = edit.memory.shadows.get(child).image;
                        self.root.store(first, 1, image, false)
                    }
                    Some(_) => 0, // its own slots say it
                };
            }
        }
        Published {
            moved: false,
            stored,
            copied: false,
        }
    }

    /// Publishes the nodes above the last of a path, which is published: until one of them need
    /// not change, if `brief`. Returns how many words were changed.
    pub(super) fn climb(
        &self,
        edit: &mut Edit<'_, K>,
        path: &[Place<K>],
        address: K,
        brief: bool,
    ) -> usize {
        let mut sum = 0;
        for pair in path.windows(2).rev() {
            let (place, below) = (pair[0], pair[1]);
            if !self.has_image(below) {
                break;
            }
            let slot = address.slot(place.above);
            let published = self.publish(edit, place, slot..slot + 1);
            sum += published.changes();
            let is_leaf = edit.memory.shadows.get(place.node).image.is_leaf();
            let stays = !published.moved && !published.copied && !is_leaf;
            if brief && self.has_image(place) && stays {
                break;
            }
        }
        sum
    }

    /// Cuts off the nodes at the end of a path that say no more than a leaf above could, and
    /// publishes the one that remains.
    fn collapse(&self, edit: &mut Edit<'_, K>, path: &mut Vec<Place<K>>, address: K) {
        let before = path.len();
        while let [.., parent, last] = path[..] {
            let shadow = edit.memory.shadows.get(last.node);
            if shadow.runs().any(|(_, _, cell)| cell.is_own(last.above)) {
                break;
            }
            let cell = shadow.cell(0);
            if self.has_image(last) {
                edit.retract(last.node);
            }
            edit.memory.shadows.remove(last.node);
            let slot = address.slot(parent.above);
            edit.memory.shadows.set_slot(parent.node, slot, cell);
            path.pop();
        }
        if path.len() < before {
            let last = *path.last().expect("the top remains");
            let slot = address.slot(last.above);
            self.publish(edit, last, slot..slot + 1);
        }
    }

    /// Ends a change: publishes another default of the root, the root that fits, and figures.
    pub(super) fn settle(&mut self, edit: &mut Edit<'_, K>, new_default: bool) {
        if new_default {
            self.publish_root(edit);
        }
        self.fit(edit);
        // Relaxed: figures for people.
        let counts = &edit.trie.counts;
        let (prefixes, bytes) = (self.routes.len() as u64, self.root.bytes() as u64);
        counts.prefixes.store(prefixes, Ordering::Relaxed);
        counts.root_bytes.store(bytes, Ordering::Relaxed);
    }
}
