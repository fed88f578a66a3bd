//! The nexthop table: slots that stay for a nexthop's life, each one atomic word.
#![allow(unsafe_code)] // slots hold pointers to the groups that are published in them

mod burst;
mod word;

#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::ops::Deref;

use ironlane_rcu::primitive::{Arc, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use ironlane_rcu::{Domain, Guard, Retirer};

use crate::egress::{Egress, Egresses};
use crate::zeroed::zeroed_slice;
use crate::{Adjacency, AdjacencyKind, Group, NexthopIndex};
pub use burst::BurstNexthops;
pub use word::SlotWord;

/// A nexthop, as it is given to the [`Writer`](crate::Writer).
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop};
///
/// let local = Adjacency::simple(AdjacencyKind::Local);
/// assert_eq!(Nexthop::from(local), Nexthop::Adjacency(local));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nexthop {
    /// A single hop, or a verdict.
    Adjacency(Adjacency),
    /// Several single hops by weight.
    Group(Group),
}

impl From<Adjacency> for Nexthop {
    fn from(adjacency: Adjacency) -> Self {
        Self::Adjacency(adjacency)
    }
}

impl From<Group> for Nexthop {
    fn from(group: Group) -> Self {
        Self::Group(group)
    }
}

/// A nexthop, as it is found in its slot during a burst.
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop, NexthopRef};
///
/// let local = Adjacency::simple(AdjacencyKind::Local);
/// assert_eq!(NexthopRef::Adjacency(local).to_owned(), Nexthop::from(local));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NexthopRef<'q> {
    /// A single hop, or a verdict.
    Adjacency(Adjacency),
    /// Several single hops by weight.
    Group(&'q Group),
}

impl NexthopRef<'_> {
    /// A copy that outlives the burst.
    pub fn to_owned(self) -> Nexthop {
        match self {
            Self::Adjacency(adjacency) => Nexthop::Adjacency(adjacency),
            Self::Group(group) => Nexthop::Group(group.clone()),
        }
    }
}

/// The single hop that a packet goes by, and its slot.
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, Resolved};
///
/// let none = Adjacency::simple(AdjacencyKind::NoRoute);
/// let resolved = Resolved { index: NexthopIndex::NONE, adjacency: none };
/// assert_eq!(resolved.kind(), AdjacencyKind::NoRoute);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The slot; of a group, that of the member.
    pub index: NexthopIndex,
    /// What is done with the packet.
    pub adjacency: Adjacency,
}

impl Deref for Resolved {
    type Target = Adjacency;

    #[inline]
    fn deref(&self) -> &Adjacency {
        &self.adjacency
    }
}

/// How many slots there are: address space for all, memory for the pages that are used.
#[cfg(not(any(loom, miri)))]
const SLOTS: usize = NexthopIndex::LIMIT as usize;
#[cfg(any(loom, miri))]
const SLOTS: usize = 8;

/// The slots of all nexthops, read by lcores. An index is that of a slot; what the slot holds
/// can change with every burst.
///
/// The word of a slot is an adjacency or a pointer to a group. An adjacency is packed: the address of
/// the neighbour, the mark of use, and the number of a row that says all else and that many
/// adjacencies share. So a table of 64 k neighbours is half a megabyte, each of them one load away.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, NexthopRef, Tables, Writer};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let tables = Arc::new(Tables::new(&domain));
/// let mut writer = Writer::new(tables.clone(), domain.clone());
/// let local = writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())?;
///
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let nexthops = tables.nexthops();
/// assert_eq!(nexthops.resolve(&burst, local, 0).kind(), AdjacencyKind::Local);
/// let kinds: Vec<_> = nexthops.iter(&burst).map(|(index, nexthop)| match nexthop {
///     NexthopRef::Adjacency(adjacency) => (index, adjacency.kind()),
///     NexthopRef::Group(_) => unreachable!("there is none"),
/// }).collect();
/// assert_eq!(kinds, [(NexthopIndex::NONE, AdjacencyKind::NoRoute), (local, AdjacencyKind::Local)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Nexthops {
    slots: Box<[AtomicPtr<()>]>,
    egresses: Egresses,
    /// By slot: when a packet would arrive that keeps to its policer's rate, in nanoseconds.
    policers: Box<[AtomicU64]>,
    /// One more than the largest index that was ever used, for walkers.
    end: AtomicU32,
    domain: Arc<Domain>,
}

impl Nexthops {
    pub(crate) fn new(domain: &Arc<Domain>) -> Self {
        let this = Self {
            slots: zeroed_slice(SLOTS),
            egresses: Egresses::new(),
            policers: zeroed_slice(SLOTS),
            end: AtomicU32::new(0),
            domain: Arc::clone(domain),
        };
        this.publish(NexthopIndex::NONE, NO_ROUTE.into(), NO_ROUTE_ROW);
        this
    }

    /// The adjacency for a packet of the flow: of a group the member that `flow_hash` selects.
    ///
    /// An empty slot, an index beyond the table, an empty group and a group within a group all
    /// resolve to the adjacency of slot 0, which is [`AdjacencyKind::NoRoute`].
    ///
    /// Lcores; two dependent loads for a single hop, four for a group.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn resolve(&self, guard: &Guard<'_>, index: NexthopIndex, flow_hash: u32) -> Resolved {
        let member = match self.get(guard, index) {
            Some(NexthopRef::Adjacency(adjacency)) => return Resolved { index, adjacency },
            Some(NexthopRef::Group(group)) => group.select(flow_hash),
            None => None,
        };
        match member.and_then(|member| Some((member, self.get(guard, member)?))) {
            Some((index, NexthopRef::Adjacency(adjacency))) => Resolved { index, adjacency },
            _ => Resolved {
                index: NexthopIndex::NONE,
                adjacency: NO_ROUTE,
            },
        }
    }

    /// The slots for the time of a burst, so that its guard is looked at once and not for each
    /// packet.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn of_burst<'q>(&'q self, guard: &'q Guard<'_>) -> BurstNexthops<'q> {
        self.check(guard);
        BurstNexthops { table: self }
    }

    #[inline]
    fn check(&self, guard: &Guard<'_>) {
        assert!(
            guard.protects(&self.domain),
            "the guard is of another RCU domain"
        );
    }

    /// What a slot holds, for walkers; `None` for an empty slot.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn get<'q>(&'q self, guard: &'q Guard<'_>, index: NexthopIndex) -> Option<NexthopRef<'q>> {
        self.of_burst(guard).get(index)
    }

    /// All nexthops, by index. What changes meanwhile is seen before or after.
    pub fn iter<'q>(
        &'q self,
        guard: &'q Guard<'_>,
    ) -> impl Iterator<Item = (NexthopIndex, NexthopRef<'q>)> {
        // Acquire pairs with the Release in `swap`, so that the slots below are not missed.
        let end = self.end.load(Ordering::Acquire);
        let indexes = (0..end).filter_map(NexthopIndex::from_raw);
        indexes.filter_map(|index| Some((index, self.get(guard, index)?)))
    }

    /// How many nexthops there may be, `NONE` included.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Puts a nexthop in a slot that is empty and that nobody else writes. `row` is for all of an
    /// adjacency but the neighbour's address: one that no reader can be led to, or that has the same
    /// in it.
    pub(crate) fn publish(&self, index: NexthopIndex, nexthop: Nexthop, row: u16) {
        let old = self.swap(index, self.word(nexthop, row));
        debug_assert!(old.is_null(), "nexthop {index} was in use");
    }

    /// Puts another nexthop in a slot and retires the one before. `row` as in
    /// [`publish`](Self::publish).
    pub(crate) fn replace(
        &self,
        index: NexthopIndex,
        nexthop: Nexthop,
        row: u16,
        retirer: &mut Retirer,
    ) {
        self.retire(self.swap(index, self.word(nexthop, row)), retirer);
    }

    /// Empties a slot that no lookup can answer any more.
    pub(crate) fn clear(&self, index: NexthopIndex, retirer: &mut Retirer) {
        self.retire(self.swap(index, std::ptr::null_mut()), retirer);
    }

    fn word(&self, nexthop: Nexthop, row: u16) -> *mut () {
        match nexthop {
            Nexthop::Adjacency(adjacency) => {
                self.egresses.set(row, Egress::of(&adjacency));
                word::of_adjacency(adjacency.dst_mac, row)
            }
            Nexthop::Group(group) => word::of_group(Box::into_raw(Box::new(group))),
        }
    }

    fn swap(&self, index: NexthopIndex, word: *mut ()) -> *mut () {
        // Relaxed: a packet that meets the policer of the nexthop before counts for one of them.
        self.policers[index.slot()].store(0, Ordering::Relaxed);
        // Release pairs with the Acquire in `get` and `word`: row and group are complete.
        let old = self.slots[index.slot()].swap(word, Ordering::AcqRel);
        // Release pairs with the Acquire in `iter`.
        self.end.fetch_max(index.raw() + 1, Ordering::Release);
        old
    }

    fn retire(&self, word: *mut (), retirer: &mut Retirer) {
        assert!(
            retirer.serves(&self.domain),
            "the retirer is of another RCU domain"
        );
        if let Some(group) = word::group(word) {
            // SAFETY: from a Box in `word`, just swapped out by us.
            unsafe { retirer.retire_raw(group) };
        }
    }
}

/// What slot 0 always holds.
pub(crate) const NO_ROUTE: Adjacency = Adjacency::simple(AdjacencyKind::NoRoute);

/// The row of slot 0.
pub(crate) const NO_ROUTE_ROW: u16 = 0;

impl Drop for Nexthops {
    fn drop(&mut self) {
        // Relaxed, here and below: `&mut self` orders all earlier accesses before.
        let end = self.end.load(Ordering::Relaxed) as usize;
        for slot in &self.slots[..end] {
            if let Some(group) = word::group(slot.load(Ordering::Relaxed)) {
                // SAFETY: from a Box in `word`; references borrow `self`, so none is left, and what
                // was swapped out belongs to a retirer and not to us.
                drop(unsafe { Box::from_raw(group.as_ptr()) });
            }
        }
    }
}

impl fmt::Debug for Nexthops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nexthops")
            .field("end", &self.end.load(Ordering::Relaxed))
            .finish()
    }
}
