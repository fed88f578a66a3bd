//! The reader's side: longest prefix match.
#![allow(unsafe_code)] // nodes are found by number

use ironlane_rcu::primitive::{Arc, AtomicU64, Ordering};
use ironlane_rcu::{Domain, Guard};

use super::key::{Address, NODE_BITS, ROOT_BITS, ROOT_SLOTS};
use super::node::{Entry, Nodes, Slot, empty_slots};
use crate::NexthopIndex;

/// How many lookups are in flight at once: enough to hide a cache miss behind the others.
const LANES: usize = 16;

/// One table, as lcores see it.
pub(crate) struct Trie<K> {
    pub(super) root: Box<[Slot; ROOT_SLOTS]>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) domain: Arc<Domain>,
    /// Counts that the writer keeps and anybody may read.
    pub(super) prefix_count: AtomicU64,
    pub(super) node_count: AtomicU64,
    key: std::marker::PhantomData<K>,
}

impl<K: Address> Trie<K> {
    pub(crate) fn new(domain: &Arc<Domain>, nodes: &Arc<Nodes>) -> Self {
        let root = empty_slots(ROOT_SLOTS).try_into();
        Self {
            root: root.unwrap_or_else(|_| unreachable!("made with this length")),
            nodes: Arc::clone(nodes),
            domain: Arc::clone(domain),
            prefix_count: AtomicU64::new(0),
            node_count: AtomicU64::new(0),
            key: std::marker::PhantomData,
        }
    }

    /// Panics if the guard protects another domain's data.
    #[inline(always)]
    pub(super) fn check(&self, guard: &Guard<'_>) {
        assert!(
            guard.protects(&self.domain),
            "the guard is of another RCU domain"
        );
    }

    #[inline]
    pub(crate) fn lookup(&self, guard: &Guard<'_>, address: K) -> NexthopIndex {
        self.check(guard);
        let mut shift = K::BITS - ROOT_BITS;
        let mut entry = self.root[address.root_slot()].load();
        loop {
            match entry {
                Entry::Leaf(nexthop) => return nexthop,
                Entry::Child(number) => {
                    shift -= NODE_BITS;
                    // SAFETY: `number` was loaded under `guard`, of the right domain.
                    let node = unsafe { self.nodes.get(number) };
                    entry = node.slots[address.node_slot(shift)].load();
                }
            }
        }
    }

    /// Looks up several addresses level by level, so that their cache misses overlap.
    pub(crate) fn lookup_bulk(
        &self,
        guard: &Guard<'_>,
        addresses: &[K],
        answers: &mut [NexthopIndex],
    ) {
        self.check(guard);
        assert_eq!(addresses.len(), answers.len(), "an answer for each address");
        for (addresses, answers) in addresses.chunks(LANES).zip(answers.chunks_mut(LANES)) {
            // SAFETY: under `guard`, of the right domain.
            unsafe { self.lookup_lanes(addresses, answers) };
        }
    }

    /// # Safety
    /// Called under a guard of the right domain; at most [`LANES`] addresses, as many answers.
    #[inline]
    unsafe fn lookup_lanes(&self, addresses: &[K], answers: &mut [NexthopIndex]) {
        // Each level asks for all its slots before it looks at the first: whether a slot is a
        // leaf cannot be guessed, and a wrong guess would wait for a miss.
        let mut lanes: [(&Slot, u8); LANES] = [(&self.root[0], 0); LANES];
        let mut live = addresses.len();
        for (lane, address) in addresses.iter().enumerate() {
            let slot = &self.root[address.root_slot()];
            prefetch(slot);
            lanes[lane] = (slot, lane as u8);
        }
        let mut shift = K::BITS - ROOT_BITS;
        while live > 0 {
            shift = shift.wrapping_sub(NODE_BITS);
            let mut deeper = 0;
            for turn in 0..live {
                let (slot, lane) = lanes[turn];
                match slot.load() {
                    Entry::Leaf(nexthop) => answers[usize::from(lane)] = nexthop,
                    Entry::Child(number) => {
                        // SAFETY: the number was loaded under the guard of our contract.
                        let node = unsafe { self.nodes.get(number) };
                        let slot = &node.slots[addresses[usize::from(lane)].node_slot(shift)];
                        prefetch(slot);
                        lanes[deeper] = (slot, lane);
                        deeper += 1;
                    }
                }
            }
            live = deeper;
        }
    }

    /// Prefixes in the table.
    pub(crate) fn prefixes(&self) -> u64 {
        // Relaxed: a figure for people.
        self.prefix_count.load(Ordering::Relaxed)
    }

    /// Nodes that the root leads to.
    pub(crate) fn node_count(&self) -> u64 {
        // Relaxed: a figure for people.
        self.node_count.load(Ordering::Relaxed)
    }

    /// Bytes that lcores may touch.
    pub(crate) fn bytes(&self) -> u64 {
        let node = size_of::<super::node::Node>() as u64;
        size_of_val(&*self.root) as u64 + self.node_count() * node
    }
}

/// Asks for the cache line of a slot, without waiting for it.
#[inline(always)]
fn prefetch(slot: &Slot) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    // SAFETY: a prefetch is a hint; it neither faults nor changes anything.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(miri, loom)))))]
    let _ = slot;
}
