//! A root as large as the table is: small tables have a small one, so that a thousand VRFs fit;
//! large ones have a sparse one, while its pages are few. That of the default VRF is never small;
//! with few routes the blocks below it are flat.

use std::ops::Range;

use super::key::{Address, FANOUT, Shape};
use super::root::Root;
use super::update::{Edit, Place, TrieWriter};
use super::word::Word;
use super::words::PAGE;

/// With more routes a table has a large root.
const GROW: usize = if cfg!(any(loom, miri)) { 2 } else { 2000 };

/// With fewer it has a small one again.
const SHRINK: usize = if cfg!(any(loom, miri)) { 1 } else { 500 };

/// How many pages an empty sparse root may keep.
const KEPT_PAGES: usize = if cfg!(any(loom, miri)) { 1 } else { 64 };

/// The slots of a root that a prefix covers, or in which it ends: the first, and how many.
fn slots<K: Address>(shape: Shape, address: K, len: u32) -> (usize, usize) {
    let (first, bits) = address.enter(shape);
    (first, 1 << bits.saturating_sub(len))
}

impl<K: Address> TrieWriter<K> {
    /// Changes the root if there are too many routes for it, or too few.
    pub(super) fn fit(&mut self, edit: &mut Edit<'_, K>) {
        let shape = self.fitting();
        // Memory comes back after a flush.
        let is_stale = self.routes.len() == 0 && self.root.pages() > KEPT_PAGES;
        if shape != self.root.shape() || is_stale {
            self.resize(edit, shape);
        }
    }

    /// The shape of the root that fits the routes; that which it has, if it may keep it.
    fn fitting(&self) -> Shape {
        let (routes, shape) = (self.routes.len(), self.root.shape());
        let is_few = routes < SHRINK || (routes <= GROW && (shape == K::SMALL || shape.flat));
        // Wherever they are, routes that fill half of the pages at most fit into a sparse root.
        // One that has grown within its bound stays.
        let fits_sparse = shape.sparse || self.pages <= K::PAGES / 2;
        Self::shape_for(is_few, fits_sparse, self.pinned)
    }

    /// Changes a sparse root for another if a prefix would write too many of its pages.
    pub(super) fn make_room(&mut self, edit: &mut Edit<'_, K>, address: K, len: u32) {
        let shape = self.root.shape();
        let (first, count) = slots(shape, address, len);
        if shape.sparse && len > K::DEFAULT.1 && first >= shape.defaults_from {
            let more = self.root.pages_for(first, count);
            if self.root.pages() + more > K::PAGES {
                self.resize(edit, K::LARGE);
            }
        }
    }

    /// How many pages of a sparse root a prefix fills by itself.
    pub(super) fn pages_of(address: K, len: u32) -> usize {
        Self::pages_at(address, len).len()
    }

    /// Which pages of a sparse root a prefix writes to.
    pub(super) fn pages_at(address: K, len: u32) -> Range<usize> {
        let (first, count) = slots(K::SPARSE, address, len);
        match len <= K::DEFAULT.1 || first < K::SPARSE.defaults_from {
            true => 0..0,
            false => first / PAGE..(first + count).div_ceil(PAGE),
        }
    }

    /// The shape for all routes of a table that was empty, which would write so many pages: that which
    /// it would have if they had come one by one.
    pub(super) fn shape_of_all(&self, pages: usize) -> Shape {
        let fits_sparse = match self.root.shape().sparse {
            true => pages <= K::PAGES,
            false => self.pages <= K::PAGES / 2,
        };
        Self::shape_for(self.routes.len() <= GROW, fits_sparse, self.pinned)
    }

    fn shape_for(is_few: bool, fits_sparse: bool, pinned: bool) -> Shape {
        match (is_few, fits_sparse) {
            (true, _) if !pinned => K::SMALL,
            (true, true) => K::FLAT,
            (false, true) => K::SPARSE,
            (_, false) => K::LARGE,
        }
    }

    /// Finds the default of the root after a change of a prefix; says whether it is another one,
    /// which is to be published after the slots.
    pub(super) fn choose_default(&mut self, len: u32) -> bool {
        if len > K::DEFAULT.1 {
            return false;
        }
        let before = self.root.default();
        self.root = self.root.with_default(self.default());
        self.root.default() != before
    }

    /// What covers all slots that may say the default.
    fn default(&self) -> Word {
        let (address, len) = K::DEFAULT;
        let cover = self.routes.cover(address, len + 1);
        cover.map_or(Word::NONE, |(_, nexthop)| Word::leaf(nexthop))
    }

    /// Publishes a root of another shape that says the same. The nodes that both roots lead to
    /// keep their blocks, so whoever still has the old root sees later changes there; the other
    /// words that he sees are those of now. Where blocks become flat, or cease to be, all are new.
    pub(super) fn resize(&mut self, edit: &mut Edit<'_, K>, shape: Shape) {
        let reform = shape.flat != self.root.shape().flat;
        self.root = Root::new(shape, self.default());
        if let Some(node) = self.top {
            let top = Place {
                node,
                above: 0,
                base: K::zero(),
            };
            self.rebuild(edit, top, reform);
        }
        self.publish_root(edit);
    }

    /// Makes readers find our root, unless the table is still hidden from them.
    pub(super) fn publish_root(&self, edit: &mut Edit<'_, K>) {
        if self.hidden {
            return;
        }
        let root = Box::new(self.root.clone());
        edit.trie.root.swap(root, edit.retirer);
    }

    /// Publishes a node and all below, from the deepest up, in a root that nobody sees yet; with
    /// `reform` in blocks that nobody sees yet.
    fn rebuild(&self, edit: &mut Edit<'_, K>, place: Place<K>, reform: bool) {
        let children: Vec<Place<K>> = edit
            .memory
            .shadows
            .get(place.node)
            .runs()
            .filter_map(|(slot, _, cell)| Some(place.child(slot, cell.child()?)))
            .collect();
        for child in children {
            self.rebuild(edit, child, reform);
        }
        if reform || !self.has_image(place) {
            edit.retract(place.node);
        }
        self.publish(edit, place, 0..FANOUT);
    }
}
