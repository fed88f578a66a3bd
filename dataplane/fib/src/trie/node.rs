//! Nodes, and where they live: chunks that never move, found through a directory, so that a
//! slot needs 32 bits only and memory goes back chunk by chunk.
#![allow(unsafe_code)] // the directory holds pointers to chunks

use std::collections::BTreeSet;
use std::fmt;

use ironlane_rcu::primitive::{AtomicPtr, AtomicU32, Ordering};

use super::key::FANOUT;
use crate::zeroed::zeroed_slice;
use crate::{FibError, NexthopIndex};

/// How many nodes a chunk has: 128 KiB, which allocators map and unmap by themselves.
#[cfg(not(any(loom, miri)))]
const CHUNK: usize = 128;
#[cfg(any(loom, miri))]
const CHUNK: usize = 2;

/// The free nodes of a chunk that has no other.
const ALL_FREE: u128 = u128::MAX >> (u128::BITS as usize - CHUNK);

/// How many chunks there may be: 8 Mi nodes, or 8 GiB of them.
#[cfg(not(any(loom, miri)))]
const CHUNKS: usize = 1 << 16;
#[cfg(any(loom, miri))]
const CHUNKS: usize = 64;

/// Tells a slot that leads to a node from a leaf.
const CHILD: u32 = 1 << 31;

/// What one slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The answer for all addresses below.
    Leaf(NexthopIndex),
    /// The number of the node that resolves further bits.
    Child(u32),
}

impl Entry {
    #[inline(always)]
    pub(super) fn of(word: u32) -> Self {
        match word & CHILD {
            0 => Self::Leaf(NexthopIndex::from_low_bits(word)),
            _ => Self::Child(word & !CHILD),
        }
    }

    pub(super) fn word(self) -> u32 {
        match self {
            Self::Leaf(nexthop) => nexthop.raw(),
            Self::Child(node) => node | CHILD,
        }
    }
}

/// A leaf or the number of a node, changed in place.
#[repr(transparent)]
pub(super) struct Slot(AtomicU32);

impl Slot {
    #[inline(always)]
    pub(super) fn load(&self) -> Entry {
        // Acquire pairs with the Release in `store`: a node is seen filled, and so is the
        // nexthop's slot that a leaf points at.
        Entry::of(self.0.load(Ordering::Acquire))
    }

    pub(super) fn store(&self, entry: Entry) {
        // Release pairs with the Acquire in `load`.
        self.0.store(entry.word(), Ordering::Release);
    }
}

/// Slots that are leaves without a route.
pub(super) fn empty_slots(len: usize) -> Box<[Slot]> {
    let atomics = Box::into_raw(zeroed_slice::<AtomicU32>(len));
    // SAFETY: a Slot is a transparent AtomicU32, and the box is ours.
    unsafe { Box::from_raw(atomics as *mut [Slot]) }
}

/// The slots of one stride.
#[repr(C, align(64))]
pub(super) struct Node {
    pub(super) slots: [Slot; FANOUT],
}

/// The nodes of all tables, as readers see them.
pub(crate) struct Nodes {
    chunks: Box<[AtomicPtr<Node>]>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self {
            chunks: zeroed_slice(CHUNKS),
        }
    }

    /// The node of this number.
    ///
    /// # Safety
    /// The number was loaded from a slot under a guard that is still held and that protects the
    /// tables; or the caller is their writer and has not freed the node.
    #[inline(always)]
    pub(super) unsafe fn get(&self, number: u32) -> &Node {
        let (chunk, place) = (number as usize / CHUNK, number as usize % CHUNK);
        // Relaxed suffices: the slot's Acquire has ordered the store of the chunk, which came
        // before the store of the slot; and a chunk goes a grace period after its last node.
        let first = self.chunks[chunk % CHUNKS].load(Ordering::Relaxed);
        // SAFETY: by our contract the node is allocated, and its chunk with it, as nodes are
        // freed only a grace period after no slot leads to them; `place` is below CHUNK.
        unsafe { &*first.add(place) }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            // Relaxed: `&mut self` orders all earlier accesses before.
            let first = chunk.load(Ordering::Relaxed);
            if !first.is_null() {
                // SAFETY: references borrow `self`, so none is left.
                unsafe { free_chunk(first) };
            }
        }
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").finish_non_exhaustive()
    }
}

fn new_chunk() -> *mut Node {
    let node = || Node {
        slots: std::array::from_fn(|_| Slot(AtomicU32::new(0))),
    };
    Box::into_raw((0..CHUNK).map(|_| node()).collect::<Box<[Node]>>()).cast()
}

/// # Safety
/// `first` came from `new_chunk`, and nobody uses the chunk any more.
unsafe fn free_chunk(first: *mut Node) {
    let chunk = std::ptr::slice_from_raw_parts_mut(first, CHUNK);
    // SAFETY: by our contract; `new_chunk` made a box of CHUNK nodes.
    drop(unsafe { Box::from_raw(chunk) });
}

/// The writer's knowledge about one node: for each slot the length of the prefix that it is
/// expanded from.
pub(super) struct Shadow {
    pub(super) owners: [Owner; FANOUT],
    /// How many slots lead to a child, or belong to a prefix that ends in this node: when none
    /// is left, the node says no more than its parent's slot could.
    pub(super) own: u16,
}

/// Whose a slot is, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u8);

impl Owner {
    /// No prefix covers the slot.
    pub(super) const NONE: Self = Self(0);
    /// The slot leads to a child.
    pub(super) const CHILD: Self = Self(u8::MAX);

    /// The prefix of this length; longer ones are greater.
    pub(super) fn prefix(len: u32) -> Self {
        debug_assert!(len <= 128);
        Self(len as u8 + 1)
    }

    /// The length of the prefix; `None` if no prefix covers the slot, or a node is below it.
    pub(super) fn len(self) -> Option<u32> {
        (self != Self::CHILD).then(|| u32::from(self.0).checked_sub(1))?
    }
}

/// Which nodes are free, and the shadows of those that are not; the writer's.
pub(crate) struct NodeAllocator {
    chunks: Vec<Option<ChunkState>>,
    /// Chunks that exist and have free nodes; the lowest is used first, so that high ones empty.
    roomy: BTreeSet<u32>,
    /// Numbers of chunks that do not exist, below `chunks.len()`.
    gaps: BTreeSet<u32>,
    /// Nodes that are free in chunks that exist.
    free: usize,
    used: usize,
}

struct ChunkState {
    free: u128,
    shadows: Box<[Shadow]>,
}

impl NodeAllocator {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            roomy: BTreeSet::new(),
            gaps: BTreeSet::new(),
            free: 0,
            used: 0,
        }
    }

    /// Checks that `count` nodes can be had.
    pub(super) fn ensure(&self, count: usize) -> Result<(), FibError> {
        let existing = self.chunks.len() - self.gaps.len();
        let possible = self.free + (CHUNKS - existing) * CHUNK;
        if count <= possible {
            Ok(())
        } else {
            Err(FibError::NodesExhausted(CHUNKS * CHUNK))
        }
    }

    /// Takes a node and fills all its slots, before anybody can see it.
    ///
    /// # Panics
    /// If [`ensure`](Self::ensure) was not asked.
    pub(super) fn take(&mut self, nodes: &Nodes, entry: Entry, owner: Owner) -> u32 {
        let chunk = match self.roomy.first() {
            Some(&chunk) => chunk,
            None => self.add_chunk(nodes),
        };
        let state = self.chunks[chunk as usize]
            .as_mut()
            .expect("a roomy chunk exists");
        let place = state.free.trailing_zeros();
        state.free &= !(1 << place);
        if state.free == 0 {
            self.roomy.remove(&chunk);
        }
        let shadow = &mut state.shadows[place as usize];
        shadow.owners.fill(owner);
        shadow.own = 0;
        self.free -= 1;
        self.used += 1;
        let number = chunk * CHUNK as u32 + place;
        // SAFETY: we are the writer and have just taken the node.
        for slot in unsafe { &nodes.get(number).slots } {
            slot.store(entry);
        }
        number
    }

    fn add_chunk(&mut self, nodes: &Nodes) -> u32 {
        let chunk = self.gaps.pop_first().unwrap_or_else(|| {
            self.chunks.push(None);
            self.chunks.len() as u32 - 1
        });
        let shadow = || Shadow {
            owners: [Owner::NONE; FANOUT],
            own: 0,
        };
        let shadows = (0..CHUNK).map(|_| shadow()).collect();
        self.chunks[chunk as usize] = Some(ChunkState {
            free: ALL_FREE,
            shadows,
        });
        self.roomy.insert(chunk);
        self.free += CHUNK;
        // Release, although the store of a slot that leads here orders it as well.
        nodes.chunks[chunk as usize].store(new_chunk(), Ordering::Release);
        chunk
    }

    /// Gives a node back, and its chunk if that is empty and not the only one with room.
    ///
    /// # Safety
    /// No slot leads to the node, and a grace period has passed since one did.
    pub(crate) unsafe fn give_back(&mut self, nodes: &Nodes, number: u32) {
        let (chunk, place) = (number / CHUNK as u32, number % CHUNK as u32);
        let state = self.chunks[chunk as usize]
            .as_mut()
            .expect("the node was taken");
        debug_assert_eq!(state.free & (1 << place), 0, "node {number} was free");
        state.free |= 1 << place;
        self.free += 1;
        self.used -= 1;
        let empty = state.free == ALL_FREE;
        self.roomy.insert(chunk);
        if empty && (self.roomy.len() > 1 || self.used == 0) {
            self.drop_chunk(nodes, chunk);
        }
    }

    fn drop_chunk(&mut self, nodes: &Nodes, chunk: u32) {
        self.roomy.remove(&chunk);
        self.free -= CHUNK;
        self.chunks[chunk as usize] = None;
        self.gaps.insert(chunk);
        // Relaxed: nobody has a number of a node in this chunk to look it up with.
        let slot = &nodes.chunks[chunk as usize];
        let first = slot.swap(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: all its nodes are free, each a grace period after the last slot led to it.
        unsafe { free_chunk(first) };
    }

    pub(super) fn shadow(&self, number: u32) -> &Shadow {
        let (chunk, place) = (number as usize / CHUNK, number as usize % CHUNK);
        &self.chunks[chunk]
            .as_ref()
            .expect("the node was taken")
            .shadows[place]
    }

    pub(super) fn shadow_mut(&mut self, number: u32) -> &mut Shadow {
        let (chunk, place) = (number as usize / CHUNK, number as usize % CHUNK);
        &mut self.chunks[chunk]
            .as_mut()
            .expect("the node was taken")
            .shadows[place]
    }

    /// Nodes in use, those included that wait for a grace period.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of all chunks, with the shadows.
    pub(crate) fn bytes(&self) -> usize {
        let existing = self.chunks.len() - self.gaps.len();
        existing * CHUNK * (size_of::<Node>() + size_of::<Shadow>())
    }
}
