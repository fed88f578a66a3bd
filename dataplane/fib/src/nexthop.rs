//! The nexthop table: slots that stay for a nexthop's life, each one atomic word.
#![allow(unsafe_code)] // slots hold pointers to what is published in them

use std::fmt;
use std::ptr::NonNull;

use ironlane_rcu::primitive::{Arc, AtomicPtr, AtomicU32, Ordering};
use ironlane_rcu::{Domain, Guard, Retirer};

use crate::zeroed::zeroed_slice;
use crate::{Adjacency, AdjacencyKind, Group, NexthopIndex};

/// A nexthop, as it is given to the [`Writer`](crate::Writer).
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop};
///
/// let local = Adjacency::simple(AdjacencyKind::Local);
/// assert_eq!(Nexthop::from(local.clone()), Nexthop::Adjacency(local));
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
/// assert_eq!(NexthopRef::Adjacency(&local).to_owned(), Nexthop::from(local));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NexthopRef<'q> {
    /// A single hop, or a verdict.
    Adjacency(&'q Adjacency),
    /// Several single hops by weight.
    Group(&'q Group),
}

impl NexthopRef<'_> {
    /// A copy that outlives the burst.
    pub fn to_owned(self) -> Nexthop {
        match self {
            Self::Adjacency(adjacency) => Nexthop::Adjacency(adjacency.clone()),
            Self::Group(group) => Nexthop::Group(group.clone()),
        }
    }
}

/// Marks, in the lowest bit of a slot's word, a pointer to a group. Both types are aligned to
/// more than that, and so the type costs no further load.
const GROUP: usize = 1;

/// How many slots there are: address space for all, memory for the pages that are used.
#[cfg(not(any(loom, miri)))]
const SLOTS: usize = NexthopIndex::LIMIT as usize;
#[cfg(any(loom, miri))]
const SLOTS: usize = 8;

/// The slots of all nexthops, read by lcores. An index is that of a slot; what the slot holds
/// can change with every burst.
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
    /// One more than the largest index that was ever used, for walkers.
    end: AtomicU32,
    domain: Arc<Domain>,
}

impl Nexthops {
    pub(crate) fn new(domain: &Arc<Domain>) -> Self {
        let slots = zeroed_slice(SLOTS);
        let this = Self {
            slots,
            end: AtomicU32::new(0),
            domain: Arc::clone(domain),
        };
        let no_route = Adjacency::simple(AdjacencyKind::NoRoute);
        this.publish(NexthopIndex::NONE, Nexthop::Adjacency(no_route));
        this
    }

    /// The adjacency for a packet of the flow: of a group the member that `flow_hash` selects.
    ///
    /// An empty slot, an index beyond the table, an empty group and a group within a group all
    /// resolve to the adjacency of slot 0, which is [`AdjacencyKind::NoRoute`].
    ///
    /// Lcores; one dependent load for a single hop, three for a group.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn resolve<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        index: NexthopIndex,
        flow_hash: u32,
    ) -> &'q Adjacency {
        match self.get(guard, index) {
            Some(NexthopRef::Adjacency(adjacency)) => adjacency,
            Some(NexthopRef::Group(group)) => {
                let member = group
                    .select(flow_hash)
                    .and_then(|member| self.get(guard, member));
                match member {
                    Some(NexthopRef::Adjacency(adjacency)) => adjacency,
                    _ => self.no_route(guard),
                }
            }
            None => self.no_route(guard),
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
        BurstNexthops { slots: &self.slots }
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

    #[cold]
    fn no_route<'q>(&'q self, guard: &'q Guard<'_>) -> &'q Adjacency {
        match self.get(guard, NexthopIndex::NONE) {
            Some(NexthopRef::Adjacency(adjacency)) => adjacency,
            _ => unreachable!("slot 0 holds an adjacency from `new` to `drop`"),
        }
    }

    /// How many nexthops there may be, `NONE` included.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Puts a nexthop in a slot that is empty and that nobody else writes.
    pub(crate) fn publish(&self, index: NexthopIndex, nexthop: Nexthop) {
        let old = self.swap(index, into_word(nexthop));
        debug_assert!(old.is_null(), "nexthop {index} was in use");
    }

    /// Puts another nexthop in a slot and retires the one before.
    pub(crate) fn replace(&self, index: NexthopIndex, nexthop: Nexthop, retirer: &mut Retirer) {
        self.retire(self.swap(index, into_word(nexthop)), retirer);
    }

    /// Empties a slot that no lookup can answer any more.
    pub(crate) fn clear(&self, index: NexthopIndex, retirer: &mut Retirer) {
        self.retire(self.swap(index, std::ptr::null_mut()), retirer);
    }

    fn swap(&self, index: NexthopIndex, word: *mut ()) -> *mut () {
        // Release pairs with the Acquire in `get`.
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
        let untagged = word.map_addr(|address| address & !GROUP);
        let Some(pointer) = NonNull::new(untagged) else {
            return;
        };
        match word.addr() & GROUP {
            // SAFETY: of type Group by the tag, from a Box, just swapped out by us.
            GROUP => unsafe { retirer.retire_raw(pointer.cast::<Group>()) },
            // SAFETY: of type Adjacency by the tag, from a Box, just swapped out by us.
            _ => unsafe { retirer.retire_raw(pointer.cast::<Adjacency>()) },
        }
    }
}

/// The slots of all nexthops during one burst. Made by [`Nexthops::of_burst`].
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{AdjacencyKind, NexthopIndex, NexthopRef, Tables};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let tables = Tables::new(&domain);
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let nexthops = tables.nexthops().of_burst(&burst);
/// nexthops.prefetch(NexthopIndex::NONE);
/// assert!(nexthops.single(NexthopIndex::NONE).is_some());
/// let Some(NexthopRef::Adjacency(adjacency)) = nexthops.get(NexthopIndex::NONE) else {
///     unreachable!("always there");
/// };
/// assert_eq!(adjacency.kind(), AdjacencyKind::NoRoute);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct BurstNexthops<'q> {
    /// Of tables whose domain protects them for `'q`.
    slots: &'q [AtomicPtr<()>],
}

impl<'q> BurstNexthops<'q> {
    /// What a slot holds; `None` for an empty slot.
    #[inline]
    pub fn get(&self, index: NexthopIndex) -> Option<NexthopRef<'q>> {
        // Acquire pairs with the Release in `swap`: the object is complete.
        let word = self.slots.get(index.slot())?.load(Ordering::Acquire);
        // SAFETY: published by `swap`, and freed by a retirer of this domain (checked there)
        // after the burst of the guard that `of_burst` checked and that `'q` borrows, or by `Drop`,
        // when the table is unborrowed.
        unsafe { view(word) }
    }

    /// The adjacency in a slot; `None` for an empty slot and for a group. Costs one compare where
    /// [`get`](Self::get) has two.
    #[inline]
    pub fn single(&self, index: NexthopIndex) -> Option<&'q Adjacency> {
        // Acquire pairs with the Release in `swap`: the object is complete.
        let word = self.slots.get(index.slot())?.load(Ordering::Acquire);
        // With the tag as its sign, a word above zero is an adjacency: addresses of objects have the
        // upper bit clear.
        if word.addr().rotate_right(1) as isize <= 0 {
            return None;
        }
        // SAFETY: as in `get`; neither null nor tagged, so of type Adjacency.
        Some(unsafe { &*word.cast::<Adjacency>() })
    }

    /// Asks for the cache line of what a slot holds, without waiting for it. Lcores, some packets
    /// before [`get`](Self::get); costs the load of the slot.
    #[inline]
    pub fn prefetch(&self, index: NexthopIndex) {
        if let Some(slot) = self.slots.get(index.slot()) {
            // Relaxed: a hint; what is read is loaded again by `get`.
            crate::prefetch::prefetch(slot.load(Ordering::Relaxed).cast_const());
        }
    }
}

impl fmt::Debug for BurstNexthops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurstNexthops").finish_non_exhaustive()
    }
}

impl Drop for Nexthops {
    fn drop(&mut self) {
        // Relaxed, here and below: `&mut self` orders all earlier accesses before.
        let end = self.end.load(Ordering::Relaxed) as usize;
        for slot in &self.slots[..end] {
            let word = slot.load(Ordering::Relaxed);
            let untagged = word.map_addr(|address| address & !GROUP);
            if untagged.is_null() {
                continue;
            }
            match word.addr() & GROUP {
                // SAFETY: from a Box of a Group by the tag; references borrow `self`, so none is
                // left, and what was swapped out belongs to a retirer and not to us.
                GROUP => drop(unsafe { Box::from_raw(untagged.cast::<Group>()) }),
                // SAFETY: as above, of an Adjacency.
                _ => drop(unsafe { Box::from_raw(untagged.cast::<Adjacency>()) }),
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

fn into_word(nexthop: Nexthop) -> *mut () {
    match nexthop {
        Nexthop::Adjacency(adjacency) => Box::into_raw(Box::new(adjacency)).cast(),
        Nexthop::Group(group) => {
            let pointer = Box::into_raw(Box::new(group)).cast::<()>();
            pointer.map_addr(|address| address | GROUP)
        }
    }
}

/// # Safety
/// `word` is null or came from `into_word`, and its object lives for `'q`.
#[inline]
unsafe fn view<'q>(word: *mut ()) -> Option<NexthopRef<'q>> {
    if word.addr() & GROUP == GROUP {
        let pointer = word.map_addr(|address| address & !GROUP).cast::<Group>();
        // SAFETY: by our contract; the tag says the type.
        return Some(NexthopRef::Group(unsafe { &*pointer }));
    }
    // SAFETY: by our contract; the tag says the type, and null is `None`.
    unsafe { word.cast::<Adjacency>().as_ref() }.map(NexthopRef::Adjacency)
}
