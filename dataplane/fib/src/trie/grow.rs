//! A root as large as the table is: small tables have a small one, so that a thousand VRFs fit.

use ironlane_rcu::primitive::Ordering;

use super::key::{Address, FANOUT, Shape};
use super::root::Root;
use super::update::{Edit, Place, TrieWriter};

/// With more routes a table has a large root.
const GROW: usize = if cfg!(any(loom, miri)) { 2 } else { 2000 };

/// With fewer it has a small one again.
const SHRINK: usize = if cfg!(any(loom, miri)) { 1 } else { 500 };

impl<K: Address> TrieWriter<K> {
    /// Changes the root if there are too many routes for it, or too few.
    pub(super) fn fit(&mut self, edit: &mut Edit<'_, K>) {
        if self.pinned {
            return;
        }
        let large = self.root.shape() == K::LARGE;
        if !large && self.routes.len() > GROW {
            self.resize(edit, K::LARGE);
        } else if large && self.routes.len() < SHRINK {
            self.resize(edit, K::SMALL);
        }
    }

    /// Publishes a root of another shape that says the same. The nodes that both roots lead to
    /// keep their blocks, so whoever still has the old root sees later changes there; the other
    /// words that he sees are those of now.
    fn resize(&mut self, edit: &mut Edit<'_, K>, shape: Shape) {
        self.root = Root::new(shape);
        if let Some(node) = self.top {
            let top = Place {
                node,
                above: 0,
                base: K::zero(),
            };
            self.rebuild(edit, top);
        }
        edit.trie
            .root
            .swap(Box::new(self.root.clone()), edit.retirer);
        // Relaxed: a figure for people.
        let bytes = self.root.bytes() as u64;
        edit.trie.counts.root_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Publishes a node and all below, from the deepest up, in a root that nobody sees yet.
    fn rebuild(&self, edit: &mut Edit<'_, K>, place: Place<K>) {
        let children: Vec<Place<K>> = edit
            .memory
            .shadows
            .get(place.node)
            .runs()
            .filter_map(|(slot, _, cell)| Some(place.child(slot, cell.child()?)))
            .collect();
        for child in children {
            self.rebuild(edit, child);
        }
        if !self.has_image(place) {
            edit.retract(place.node);
        }
        self.publish(edit, place, 0..FANOUT);
    }
}
