//! Taking out routes that the kernel dropped without saying so: their bodies are doomed.

use std::ops::Bound;

use super::RouteTable;
use crate::body::Bodies;
use crate::change::Family;
use crate::node::Entry;
use crate::prefix::Bits;

/// How many prefixes are looked at, at most, for each route that is to be found.
const LOOKS: usize = 16;

impl<A: Bits> RouteTable<A> {
    /// Takes out routes that the kernel dropped by dooming their bodies: about `most` of them, and
    /// it looks at no more than some prefixes for each. The next call goes on where this one ended.
    pub(crate) fn flush(&mut self, bodies: &mut Bodies, most: usize) {
        let mut left = bodies.doomed_refs(self.family).min(most);
        let mut looks = most.saturating_mul(LOOKS);
        let mut found = Vec::new();
        let from = self.flushed.take().filter(|_| left > 0);
        let behind = self.nodes.range((
            from.map_or(Bound::Unbounded, Bound::Included),
            Bound::Unbounded,
        ));
        let before = from.map(|from| self.nodes.range(..from));
        for (&prefix, node) in behind.chain(before.into_iter().flatten()) {
            if left == 0 || looks == 0 {
                self.flushed = Some(prefix);
                break;
            }
            looks -= 1;
            let entries = node.entries().iter();
            let doomed = entries
                .filter(|entry| bodies[entry.body].is_doomed())
                .count();
            if doomed > 0 {
                left = left.saturating_sub(doomed);
                found.push(prefix);
            }
        }
        for prefix in found {
            self.edit(prefix, bodies, |_, _| false);
        }
    }
}

/// Takes out routes that the kernel dropped by dooming their bodies; tells whether there were any.
pub(super) fn drop_doomed(entries: &mut Vec<Entry>, bodies: &mut Bodies) -> bool {
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
