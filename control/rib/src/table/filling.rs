//! What a first list has brought, for tables that are filled while it comes.

use std::ops::Bound;

use super::{Queued, RouteTable};
use crate::prefix::{Bits, Prefix};

/// With so many prefixes queued that cannot be taken it is less work to write all at once. Tests have few.
const LEFT: usize = if cfg!(test) { 8 } else { 1 << 16 };

/// How far a list, and the tables with it, have come.
#[derive(Debug)]
pub(super) struct Filling<A: Bits> {
    /// The address of the route that a list named last.
    listed: Option<A>,
    /// The prefix that was taken last.
    taken: Option<Prefix<A>>,
    /// No more is taken.
    over: bool,
}

impl<A: Bits> Default for Filling<A> {
    fn default() -> Self {
        Self {
            listed: None,
            taken: None,
            over: false,
        }
    }
}

impl<A: Bits> RouteTable<A> {
    /// A list has come to this prefix.
    pub(crate) fn note_listed(&mut self, prefix: Prefix<A>) {
        self.filling.listed = Some(prefix.first());
    }

    /// Whether prefixes were taken, and more will be.
    pub(crate) fn is_filling(&self) -> bool {
        self.filling.taken.is_some() && !self.filling.over
    }

    /// No more is taken; tells whether something was since the last call.
    pub(crate) fn end_filling(&mut self) -> bool {
        self.filling.over = true;
        self.filling.taken.take().is_some()
    }

    /// Takes queued prefixes, in order, behind those of the call before and up to where the list has come:
    /// those whose own routes tell what answers for them. Of an address the kernel names the longest prefix
    /// first, so the last address may have more to come.
    pub(crate) fn take_listed(&mut self) -> Vec<Queued<A>> {
        let listed = self.filling.listed.filter(|_| !self.filling.over);
        let Some(last) = listed.and_then(A::before).map(Prefix::host) else {
            return Vec::new();
        };
        let taken = self.filling.taken;
        if taken.is_some_and(|taken| taken >= last) {
            return Vec::new();
        }
        let start = taken.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = Vec::new();
        for (&prefix, node) in self.nodes.range_mut((start, Bound::Included(last))) {
            let queued = Queued::new(prefix, node, self.family, false);
            if node.queued && queued.winner.is_some() {
                node.queued = false;
                found.push(queued);
            }
        }
        let mut gone = found.iter().map(|queued| queued.prefix).peekable();
        self.queue.sort_unstable();
        self.queue.retain(|&prefix| {
            while gone.next_if(|&before| before < prefix).is_some() {}
            gone.next_if_eq(&prefix).is_none()
        });
        self.filling.taken = found.last().map(|queued| queued.prefix).or(taken);
        self.filling.over = self.queue.len() > LEFT;
        found
    }
}
