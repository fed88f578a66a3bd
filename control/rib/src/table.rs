//! Routes of one family: by prefix, then in the order in which the kernel would look at them.
//!
//! IPv4 is looked up as one trie of tables local and main, then table default (the kernel merges
//! the first two as long as nobody adds rules); IPv6 in table local, then in main. So there are
//! two *layers* in either family; the longest prefix of the first layer wins over any of the
//! second, unless it is a `throw`.

use std::collections::BTreeMap;
use std::ops::Bound;

use ipnet::IpNet;
use ironlane_fib::NexthopIndex;

use crate::body::{Bodies, BodyId};
use crate::change::Family;
use crate::object::{RouteKind, TableId};
use crate::prefix::{Bits, Prefix};

/// A table that the default rules lead to, in the order of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Table {
    Local,
    Main,
    Default,
}

impl Table {
    /// The table of this number, if the default rules of the family lead to it.
    pub(crate) fn new(id: TableId, family: Family) -> Option<Self> {
        match id {
            TableId::LOCAL => Some(Self::Local),
            TableId::MAIN => Some(Self::Main),
            TableId::DEFAULT if family == Family::Ip4 => Some(Self::Default),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) fn id(self) -> TableId {
        match self {
            Self::Local => TableId::LOCAL,
            Self::Main => TableId::MAIN,
            Self::Default => TableId::DEFAULT,
        }
    }
}

/// A route, at its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) body: BodyId,
    pub(crate) metric: u32,
    /// The dump that named it last.
    pub(crate) generation: u32,
    pub(crate) table: Table,
    pub(crate) tos: u8,
    /// Takes part in lookups: has neither TOS nor source prefix, and a path that is not dead.
    pub(crate) honoured: bool,
    pub(crate) throw: bool,
}

impl Entry {
    /// Where it stands among the routes of its prefix; equal for routes with the same key.
    pub(crate) fn rank(&self) -> (Table, u8, u32) {
        (self.table, !self.tos, self.metric)
    }

    fn layer(&self, family: Family) -> usize {
        let first = match family {
            Family::Ip4 => self.table < Table::Default,
            Family::Ip6 => self.table < Table::Main,
        };
        usize::from(!first)
    }
}

/// The routes of a prefix, ordered by [`Entry::rank`]; nearly always one.
#[derive(Debug, Default)]
enum Entries {
    #[default]
    None,
    One(Entry),
    Many(Box<[Entry]>),
}

impl Entries {
    fn as_slice(&self) -> &[Entry] {
        match self {
            Self::None => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    fn from_slice(entries: &[Entry]) -> Self {
        match entries {
            [] => Self::None,
            [entry] => Self::One(*entry),
            entries => Self::Many(entries.into()),
        }
    }
}

/// A prefix that has routes, a leaf in the tables, or both.
#[derive(Debug, Default)]
pub(crate) struct Node {
    entries: Entries,
    /// The leaf as it was last written; `NONE` if the prefix is not in the tables.
    pub(crate) installed: NexthopIndex,
    /// Waits in the queue.
    queued: bool,
}

impl Node {
    /// Its routes, in the order in which the kernel looks at them.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_slice()
    }
}

/// What of a prefix matters to the prefixes that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Profile {
    layers: [bool; 2],
    throw: bool,
}

/// Longest length plus one, of either family.
const LENGTHS: usize = 129;

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
        if bodies.doomed_refs() > 0 {
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
    pub(crate) fn take_queue(&mut self) -> Vec<Prefix<A>> {
        let queue = std::mem::take(&mut self.queue);
        for prefix in &queue {
            if let Some(node) = self.nodes.get_mut(prefix) {
                node.queued = false;
            }
        }
        queue
    }

    /// Forgets a prefix that has neither routes nor leaf.
    pub(crate) fn forget_if_empty(&mut self, prefix: Prefix<A>) {
        let empty =
            |node: &Node| node.entries().is_empty() && node.installed.is_none() && !node.queued;
        if self.nodes.get(&prefix).is_some_and(empty) {
            self.nodes.remove(&prefix);
        }
    }

    /// Takes out routes that the kernel dropped by dooming their bodies.
    pub(crate) fn flush(&mut self, bodies: &mut Bodies) {
        let mut left = bodies.doomed_refs();
        let mut found = Vec::new();
        for (&prefix, node) in &self.nodes {
            if left == 0 {
                break;
            }
            let entries = node.entries().iter();
            let doomed = entries
                .filter(|entry| bodies[entry.body].is_doomed())
                .count();
            if doomed > 0 {
                left -= doomed;
                found.push(prefix);
            }
        }
        for prefix in found {
            self.edit(prefix, bodies, |_, _| false);
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

    /// Takes out routes that the dump of this generation did not name; tells how many.
    pub(crate) fn sweep(&mut self, bodies: &mut Bodies, generation: u32) -> usize {
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

/// Takes out routes that the kernel dropped by dooming their bodies; tells whether there were any.
fn drop_doomed(entries: &mut Vec<Entry>, bodies: &mut Bodies) -> bool {
    let mut any = false;
    for at in 0..entries.len() {
        if may_escape(entries, at, bodies) {
            let key = (*bodies[entries[at].body].key).clone();
            let body = bodies.acquire(key, &[false]);
            bodies.release(std::mem::replace(&mut entries[at].body, body));
            any = true;
        }
    }
    entries.retain(|entry| {
        let doomed = bodies[entry.body].is_doomed();
        if doomed {
            bodies.release(entry.body);
            any = true;
        }
        !doomed
    });
    any
}

/// Whether the kernel may have forgotten to drop a route: when an interface goes down, it goes on
/// behind the last path of an IPv6 multipath route that stays (`fib6_clean_node`), and so passes by
/// what stands among its paths. If it did drop it, it says so.
fn may_escape(entries: &[Entry], at: usize, bodies: &Bodies) -> bool {
    let body = &bodies[entries[at].body];
    let alone = body.is_doomed() && body.key.family == Family::Ip6 && body.key.paths().len() == 1;
    alone
        && !body.key.joins_multipath()
        && entries.iter().any(|other| {
            let beside = &bodies[other.body];
            other.rank() == entries[at].rank()
                && !beside.is_doomed()
                && beside.key.joins_multipath()
                && beside.key.paths().len() > 1
        })
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

/// Whether a route of this kind sends lookups on to the next table.
pub(crate) fn is_throw(kind: RouteKind) -> bool {
    kind == RouteKind::Throw
}
