//! All answers of a table in address order, for `verify`.

use std::iter::FusedIterator;

use ironlane_rcu::Guard;

use super::key::Address;
use super::lookup::Trie;
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
    guard: &'q Guard<'q>,
    /// Where the next run begins.
    next: Option<K>,
    /// The answer there, and how far it is known to reach.
    ahead: Option<(NexthopIndex, K)>,
}

impl<'q, K: Address> Runs<'q, K> {
    pub(crate) fn new(trie: &'q Trie<K>, guard: &'q Guard<'_>) -> Self {
        Self {
            trie,
            guard,
            next: Some(K::zero()),
            ahead: Some(trie.answer_from(guard, K::zero())),
        }
    }
}

impl<K: Address> Iterator for Runs<'_, K> {
    type Item = Run<K>;

    fn next(&mut self) -> Option<Run<K>> {
        let first = self.next?;
        let (nexthop, mut last) = self.ahead?;
        // A lookup for each word: it needs no place in a structure that changes meanwhile.
        loop {
            self.next = last.next();
            self.ahead = self
                .next
                .map(|next| self.trie.answer_from(self.guard, next));
            match self.ahead {
                Some((same, further)) if same == nexthop => last = further,
                _ => break,
            }
        }
        Some(Run {
            first,
            last,
            nexthop,
        })
    }
}

impl<K: Address> FusedIterator for Runs<'_, K> {}
