//! Filling an empty table, at once or piece by piece: each node is made once, and nothing is published
//! before all is there.
//!
//! Routes come in order, what covers before what it covers, so those of a node stand together.
//! The nodes from the top to where the last route ended are open; one that the next route is not
//! in is complete. In the end they are published from the deepest up in a root that nobody sees yet,
//! of the shape that fits. Other changes may follow there; then readers, who found nothing, find all.

use super::key::{Address, FANOUT, NODE_BITS};
use super::shadow::{Cell, Owner};
use super::update::{Edit, Place, TrieWriter};
use crate::NexthopIndex;

/// A node whose routes are still coming, and its slots so far.
struct Open<K> {
    place: Place<K>,
    cells: [Cell; FANOUT],
}

impl<K: Address> Open<K> {
    fn holds(&self, address: K) -> bool {
        address.masked(self.place.above) == self.place.base
    }
}

/// A table while it is being filled.
pub(super) struct Filling<K> {
    /// From the top to where the last route ended.
    open: Vec<Open<K>>,
    /// How many nodes were made.
    nodes: usize,
    last: Option<(K, u32)>,
    pages: Pages,
}

impl<K: Address> TrieWriter<K> {
    /// Installs prefixes without host bits in a table that has none, or none but those of earlier
    /// calls; tells how many, from the first on. It ends early where one is not behind the one
    /// before it, by address and then by length, and where memory ends. Readers find nothing
    /// before [`show`](Self::show). Any other change ends the filling.
    pub(crate) fn fill(
        &mut self,
        edit: &mut Edit<'_, K>,
        routes: impl ExactSizeIterator<Item = (K, u32, NexthopIndex)>,
    ) -> usize {
        let mut filling = match self.filling.take() {
            Some(filling) => filling,
            None if self.routes.len() == 0 => {
                self.routes.reserve(routes.len());
                Box::new(Filling {
                    open: Vec::with_capacity(24),
                    nodes: 0,
                    last: None,
                    pages: Pages::default(),
                })
            }
            None => return 0,
        };
        let deepest = K::BITS.div_ceil(NODE_BITS) as usize;
        let mut count = 0;
        for (address, len, nexthop) in routes {
            let in_order = filling.last.is_none_or(|last| last < (address, len));
            let needed = filling.nodes + deepest;
            if !in_order || edit.memory.slabs.ensure(needed).is_err() {
                break;
            }
            let open = &mut filling.open;
            while open.last().is_some_and(|node| !node.holds(address)) {
                close(edit, open);
            }
            filling.last = Some((address, len));
            filling.nodes += self.open(edit, open, address, len);
            let node = open.last_mut().expect("the top at least");
            let range = node.place.range(address, len);
            node.cells[range].fill(Cell::leaf(nexthop, Owner::prefix(len)));
            self.routes.insert(address, len, nexthop);
            self.pages += Self::pages_of(address, len);
            filling.pages.add(address, len);
            count += 1;
        }
        self.hidden = true;
        self.filling = Some(filling);
        count
    }

    /// Ends the filling, if the table is being filled: it is complete, and other changes may follow.
    /// Readers find nothing yet.
    pub(super) fn end_filling(&mut self, edit: &mut Edit<'_, K>) {
        let Some(mut filling) = self.filling.take() else {
            return;
        };
        while !filling.open.is_empty() {
            close(edit, &mut filling.open);
        }
        if self.routes.len() > 0 {
            self.resize(edit, self.shape_of_all(filling.pages.count));
        }
    }

    /// Readers find what the table was filled with, and what became of that since.
    pub(crate) fn show(&mut self, edit: &mut Edit<'_, K>) {
        if !self.hidden {
            return;
        }
        self.end_filling(edit);
        self.hidden = false;
        self.publish_root(edit);
        self.settle(edit, false);
    }

    /// Opens the nodes from the last that is open to that in which a prefix ends; returns how many.
    fn open(
        &mut self,
        edit: &mut Edit<'_, K>,
        open: &mut Vec<Open<K>>,
        address: K,
        len: u32,
    ) -> usize {
        let before = open.len();
        let shadows = &mut edit.memory.shadows;
        if open.is_empty() {
            let node = *self.top.get_or_insert_with(|| shadows.add(Cell::NONE));
            let top = Place {
                node,
                above: 0,
                base: K::zero(),
            };
            let cells = [Cell::NONE; FANOUT];
            open.push(Open { place: top, cells });
        }
        while let Some(Open { place, cells }) = open.last_mut()
            && len > place.below()
        {
            // No node is below the slot: its routes stand together, and this is the first.
            let slot = address.slot(place.above);
            let node = shadows.add(cells[slot]);
            let below = Open {
                place: place.child(slot, node),
                cells: [cells[slot]; FANOUT],
            };
            cells[slot] = Cell::child_of(node);
            open.push(below);
        }
        open.len() - before
    }
}

/// The deepest open node is complete.
fn close<K: Address>(edit: &mut Edit<'_, K>, open: &mut Vec<Open<K>>) {
    if let Some(Open { place, cells }) = open.pop() {
        edit.memory.shadows.set(place.node, &cells);
    }
}

/// The pages of a sparse root that routes in order would write.
#[derive(Default)]
struct Pages {
    count: usize,
    /// All before it are counted.
    end: usize,
}

impl Pages {
    fn add<K: Address>(&mut self, address: K, len: u32) {
        let pages = TrieWriter::pages_at(address, len);
        self.count += pages.end.saturating_sub(pages.start.max(self.end));
        self.end = self.end.max(pages.end);
    }
}
