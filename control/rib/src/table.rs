//! Routes of one family: by prefix, then in the order in which the kernel would look at them.
//!
//! IPv4 is looked up as one trie of tables local and main, then table default (the kernel merges
//! the first two as long as nobody adds rules); IPv6 in table local, then in main. So there are
//! two *layers* in either family; the longest prefix of the first layer wins over any of the
//! second, unless it is a `throw`.

mod doomed;
mod filling;

use std::collections::BTreeMap;
use std::ops::Bound;

use ipnet::IpNet;
use ironlane_fib::NexthopIndex;

use crate::body::{Bodies, BodyId};
use crate::change::Family;
use crate::node::{Entries, Entry, Node};
use crate::prefix::{Bits, Prefix};
use doomed::drop_doomed;
use filling::Filling;

/// What of a prefix matters to the prefixes that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Profile {
    layers: [bool; 2],
    throw: bool,
}

/// A queue of more than one prefix in so many is dense.
const DENSE: usize = 4;

/// Longest length plus one, of either family.
const LENGTHS: usize = 129;

/// A prefix whose leaf may have to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queued<A: Bits> {
    pub(crate) prefix: Prefix<A>,
    /// The body that answers for it, where the routes of the prefix itself tell: not if another
    /// layer or a `throw` may have a say.
    pub(crate) winner: Option<BodyId>,
}

impl<A: Bits> Queued<A> {
    /// `alone` says that no prefix of the first layer covers it.
    fn new(prefix: Prefix<A>, node: &Node, family: Family, alone: bool) -> Self {
        let best = node.entries().iter().find(|entry| entry.honoured);
        let own = best.filter(|best| !best.throw && (alone || best.layer(family) == 0));
        Self {
            prefix,
            winner: own.map(|entry| entry.body),
        }
    }
}

/// The routes of a family.
#[derive(Debug)]
pub(crate) struct RouteTable<A: Bits> {
    family: Family,
    nodes: BTreeMap<Prefix<A>, Node>,
    /// By layer and length: prefixes that have a route there.
    lengths: [[u32; LENGTHS]; 2],
    /// Prefixes with a route in the second layer, and prefixes with a `throw` in the first.
    second: usize,
    throws: usize,
    /// Prefixes to look at in the next commit.
    queue: Vec<Prefix<A>>,
    routes: usize,
    /// Routes that take no part in lookups.
    passed_by: usize,
    /// Where the search for routes whose bodies are doomed goes on.
    flushed: Option<Prefix<A>>,
    /// The generation of a dump that began with no route here: all there are came since.
    first_dump: Option<u32>,
    filling: Filling<A>,
    scratch: Vec<Entry>,
}

impl<A: Bits> RouteTable<A> {
    pub(crate) fn new(family: Family) -> Self {
        Self {
            family,
            nodes: BTreeMap::new(),
            lengths: [[0; LENGTHS]; 2],
            second: 0,
            throws: 0,
            queue: Vec::new(),
            routes: 0,
            passed_by: 0,
            flushed: None,
            first_dump: None,
            filling: Filling::default(),
            scratch: Vec::new(),
        }
    }

    /// How many routes there are.
    pub(crate) fn len(&self) -> usize {
        self.routes
    }

    /// All prefixes in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Prefix<A>, &Node)> {
        self.nodes.iter().map(|(&prefix, node)| (prefix, node))
    }

    /// Prefixes within `all`, behind the prefix `after`.
    pub(crate) fn nodes_within(
        &self,
        all: Prefix<A>,
        after: Option<Prefix<A>>,
    ) -> impl Iterator<Item = (Prefix<A>, &Node)> {
        let (first, last) = all.covered().into_inner();
        let start = match after.filter(|&after| after >= first) {
            Some(after) => Bound::Excluded(after.min(last)),
            None => Bound::Included(first),
        };
        let range = self.nodes.range((start, Bound::Included(last)));
        range.map(|(&prefix, node)| (prefix, node))
    }

    /// A prefix.
    pub(crate) fn node(&self, prefix: Prefix<A>) -> Option<&Node> {
        self.nodes.get(&prefix)
    }

    /// A prefix, to note its leaf.
    pub(crate) fn node_mut(&mut self, prefix: Prefix<A>) -> Option<&mut Node> {
        self.nodes.get_mut(&prefix)
    }

    /// Notes the leaves of prefixes, which are in order, as they were written.
    pub(crate) fn note_installed(
        &mut self,
        written: impl Iterator<Item = (Prefix<A>, NexthopIndex)>,
    ) {
        let mut written = written.peekable();
        let Some(&(first, _)) = written.peek() else {
            return;
        };
        let mut nodes = self.nodes.range_mut(first..);
        for (prefix, index) in written {
            if let Some((_, node)) = nodes.find(|(at, _)| **at == prefix) {
                node.installed = index;
            }
        }
    }

    /// Changes the routes of a prefix by `change`, which tells whether more than generations
    /// did, and which keeps the count of users of bodies. Routes that the kernel dropped before
    /// are gone when it runs.
    pub(crate) fn edit(
        &mut self,
        prefix: Prefix<A>,
        bodies: &mut Bodies,
        change: impl FnOnce(&mut Vec<Entry>, &mut Bodies) -> bool,
    ) {
        let node = self.nodes.entry(prefix).or_default();
        let entries = &mut self.scratch;
        entries.clear();
        entries.extend_from_slice(node.entries.as_slice());
        let (before, count) = (profile(entries, self.family), entries.len());
        let passed_by = count_passed_by(entries);
        let mut changed = false;
        if bodies.doomed_refs(self.family) > 0 {
            changed = drop_doomed(entries, bodies);
        }
        changed |= change(entries, bodies);
        let after = profile(entries, self.family);
        self.routes = self.routes + entries.len() - count;
        self.passed_by = self.passed_by + count_passed_by(entries) - passed_by;
        node.entries = Entries::from_slice(entries);
        if changed && !node.queued {
            node.queued = true;
            self.queue.push(prefix);
        }
        let empty = !node.queued && entries.is_empty() && node.installed.is_none();
        if empty {
            self.nodes.remove(&prefix);
        }
        self.account(prefix, before, after);
        if changed {
            self.spread(prefix, before, after);
        }
    }

    fn account(&mut self, prefix: Prefix<A>, before: Profile, after: Profile) {
        let adjust = |count: &mut u32, before: bool, after: bool| {
            *count = *count + u32::from(after) - u32::from(before);
        };
        for layer in [0, 1] {
            let count = &mut self.lengths[layer][usize::from(prefix.len())];
            adjust(count, before.layers[layer], after.layers[layer]);
        }
        self.second = self.second + usize::from(after.layers[1]) - usize::from(before.layers[1]);
        self.throws = self.throws + usize::from(after.throw) - usize::from(before.throw);
    }

    /// Queues those prefixes below whose answer came from this one in another layer.
    fn spread(&mut self, prefix: Prefix<A>, before: Profile, after: Profile) {
        if prefix.is_host() {
            return;
        }
        let first = (before.layers[0] || after.layers[0]) && self.second > 0;
        let second = (before.layers[1] || after.layers[1]) && self.throws > 0;
        if !first && !second {
            return;
        }
        let family = self.family;
        for (&below, node) in self.nodes.range_mut(prefix.covered()) {
            let profile = profile(node.entries.as_slice(), family);
            let affected = first && profile.layers[1] || second && profile.throw;
            if affected && !node.queued {
                node.queued = true;
                self.queue.push(below);
            }
        }
    }

    /// Queues a prefix; one without routes gets a node, for a leaf that no route asks for.
    pub(crate) fn enqueue(&mut self, prefix: Prefix<A>) {
        let node = self.nodes.entry(prefix).or_default();
        if !node.queued {
            node.queued = true;
            self.queue.push(prefix);
        }
    }

    /// Whether any prefix is queued.
    pub(crate) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes all queued prefixes.
    pub(crate) fn take_queue(&mut self) -> Vec<Queued<A>> {
        let queue = std::mem::take(&mut self.queue);
        let family = self.family;
        if queue.len() <= self.nodes.len() / DENSE {
            let nodes = queue.into_iter().filter_map(|prefix| {
                let node = self.nodes.get_mut(&prefix)?;
                node.queued = false;
                Some(Queued::new(prefix, node, family, false))
            });
            return nodes.collect();
        }
        // A walk is faster than so many searches, gives them in order, and meets what covers them.
        let mut taken = Vec::with_capacity(queue.len());
        // Where the prefixes of the first layer end that were met.
        let mut reach: Option<A> = None;
        for (&prefix, node) in &mut self.nodes {
            let alone = reach.is_none_or(|reach| reach < prefix.first());
            if profile(node.entries(), family).layers[0] {
                reach = reach.max(Some(prefix.last()));
            }
            if std::mem::take(&mut node.queued) {
                taken.push(Queued::new(prefix, node, family, alone));
            }
        }
        taken
    }

    /// Forgets a prefix that has neither routes nor leaf.
    pub(crate) fn forget_if_empty(&mut self, prefix: Prefix<A>) {
        let empty =
            |node: &Node| node.entries().is_empty() && node.installed.is_none() && !node.queued;
        if self.nodes.get(&prefix).is_some_and(empty) {
            self.nodes.remove(&prefix);
        }
    }

    /// Routes whose paths were all dead take part in lookups again, if any path revived.
    pub(crate) fn wake(&mut self, bodies: &mut Bodies) {
        if self.passed_by == 0 {
            return;
        }
        let wakes = |entry: &Entry, bodies: &Bodies| {
            let body = &bodies[entry.body];
            !entry.honoured && entry.tos == 0 && body.is_for_all_sources() && !body.sleeps()
        };
        let found = self
            .nodes
            .iter()
            .filter(|(_, node)| node.entries().iter().any(|entry| wakes(entry, bodies)));
        let found: Vec<Prefix<A>> = found.map(|(&prefix, _)| prefix).collect();
        for prefix in found {
            self.edit(prefix, bodies, |entries, bodies| {
                for entry in entries.iter_mut() {
                    entry.honoured |= wakes(entry, bodies);
                }
                true
            });
        }
    }

    /// A dump of this generation begins.
    pub(crate) fn begin(&mut self, generation: u32) {
        self.first_dump = (self.routes == 0).then_some(generation);
    }

    /// Takes out routes that the dump of this generation did not name; tells how many.
    pub(crate) fn sweep(&mut self, bodies: &mut Bodies, generation: u32) -> usize {
        if self.first_dump == Some(generation) {
            return 0;
        }
        let stale = |entry: &Entry| entry.generation != generation;
        let found = self
            .nodes
            .iter()
            .filter(|(_, node)| node.entries().iter().any(stale));
        let found: Vec<Prefix<A>> = found.map(|(&prefix, _)| prefix).collect();
        let before = self.routes;
        for prefix in found {
            self.edit(prefix, bodies, |entries, bodies| {
                entries.retain(|entry| {
                    if stale(entry) {
                        bodies.release(entry.body);
                    }
                    !stale(entry)
                });
                true
            });
        }
        before - self.routes
    }

    /// The route that the kernel uses for addresses whose longest prefix is this one (for a
    /// host's prefix: for that address), and the prefix that has it.
    pub(crate) fn winner(&self, prefix: Prefix<A>) -> Option<(Prefix<A>, Entry)> {
        let first = self.cover(0, prefix);
        let winner = match first {
            Some((_, entry)) if !entry.throw => first,
            _ => self.cover(1, prefix),
        };
        winner.filter(|(_, entry)| !entry.throw)
    }

    /// The best route of a layer at the longest prefix that covers this one.
    pub(crate) fn cover(&self, layer: usize, prefix: Prefix<A>) -> Option<(Prefix<A>, Entry)> {
        let lengths = &self.lengths[layer];
        let mut used = (0..=prefix.len())
            .rev()
            .filter(|&len| lengths[usize::from(len)] > 0);
        used.find_map(|len| {
            let cover = Prefix::new(prefix.first(), len);
            let mut entries = self.nodes.get(&cover)?.entries().iter();
            let best = entries.find(|entry| entry.honoured && entry.layer(self.family) == layer);
            Some((cover, *best?))
        })
    }

    /// The leaf that answers for an address, as it was written, and its prefix.
    pub(crate) fn written(&self, address: A) -> (NexthopIndex, Option<IpNet>) {
        let mut covers = (0..=A::LEN).rev().map(|len| Prefix::new(address, len));
        let found = covers.find_map(|cover| {
            let node = self
                .nodes
                .get(&cover)
                .filter(|node| !node.installed.is_none())?;
            Some((node.installed, Some(cover.to_net())))
        });
        found.unwrap_or((NexthopIndex::NONE, None))
    }

    /// Whether lookups see any route of this prefix.
    pub(crate) fn is_seen(&self, prefix: Prefix<A>) -> bool {
        let node = self.nodes.get(&prefix);
        node.is_some_and(|node| node.entries().iter().any(|entry| entry.honoured))
    }
}

fn count_passed_by(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| !entry.honoured).count()
}

fn profile(entries: &[Entry], family: Family) -> Profile {
    let mut profile = Profile::default();
    for entry in entries.iter().filter(|entry| entry.honoured) {
        let layer = entry.layer(family);
        profile.layers[layer] = true;
        profile.throw |= layer == 0 && entry.throw;
    }
    profile
}
