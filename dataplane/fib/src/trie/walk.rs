//! All answers of a table in address order, for `verify`.
#![allow(unsafe_code)] // nodes are found by number

use std::iter::FusedIterator;

use ironlane_rcu::Guard;

use super::key::{Address, FANOUT, NODE_BITS, ROOT_BITS, ROOT_SLOTS};
use super::lookup::Trie;
use super::node::Entry;
use crate::NexthopIndex;

/// Neighbouring addresses that have the same answer; see the example of [`Fib`](crate::Fib).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<K> {
    /// First address, in host order.
    pub first: K,
    /// Last address.
    pub last: K,
    /// The answer for all of them.
    pub nexthop: NexthopIndex,
}

/// The runs of a table in address order, from the first address to the last without a gap; two
/// runs in a row differ. What is changed meanwhile is seen before or after, address by address.
/// See the example of [`Fib`](crate::Fib).
pub struct Runs<'q, K> {
    trie: &'q Trie<K>,
    /// Where we are: the nodes from the root down, each with its next slot and its first address.
    path: Vec<(Option<u32>, usize, K)>,
    /// The run that may go on.
    current: Option<Run<K>>,
}

impl<'q, K: Address> Runs<'q, K> {
    pub(crate) fn new(trie: &'q Trie<K>, guard: &'q Guard<'_>) -> Self {
        trie.check(guard);
        Self {
            trie,
            path: vec![(None, 0, K::zero())],
            current: None,
        }
    }

    /// The next leaf.
    fn leaf(&mut self) -> Option<Run<K>> {
        loop {
            let depth = self.path.len() as u32 - 1;
            let (number, slot, base) = self.path.last_mut()?;
            let shift = K::BITS - ROOT_BITS - depth * NODE_BITS;
            let (entry, slots) = match *number {
                None if *slot < ROOT_SLOTS => (self.trie.root[*slot].load(), ROOT_SLOTS),
                Some(number) if *slot < FANOUT => {
                    // SAFETY: the number was loaded under the guard that `'q` borrows, of the
                    // right domain by the check in `new`.
                    let node = unsafe { self.trie.nodes.get(number) };
                    (node.slots[*slot].load(), FANOUT)
                }
                _ => {
                    self.path.pop();
                    if self.path.is_empty() {
                        return None;
                    }
                    continue;
                }
            };
            debug_assert!(*slot < slots);
            let first = base.with_slot(*slot, shift);
            *slot += 1;
            match entry {
                Entry::Leaf(nexthop) => {
                    return Some(Run {
                        first,
                        last: first.filled(K::BITS - shift),
                        nexthop,
                    });
                }
                Entry::Child(number) => self.path.push((Some(number), 0, first)),
            }
        }
    }
}

impl<K: Address> Iterator for Runs<'_, K> {
    type Item = Run<K>;

    fn next(&mut self) -> Option<Run<K>> {
        loop {
            if self.path.is_empty() {
                return self.current.take();
            }
            let Some(leaf) = self.leaf() else { continue };
            match &mut self.current {
                Some(run) if run.nexthop == leaf.nexthop => run.last = leaf.last,
                current => {
                    if let Some(done) = current.replace(leaf) {
                        return Some(done);
                    }
                }
            }
        }
    }
}

impl<K: Address> FusedIterator for Runs<'_, K> {}
