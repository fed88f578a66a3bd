//! The slots as lcores see them during one burst.
#![allow(unsafe_code)] // slots hold pointers to the groups that are published in them

use std::fmt;

use ironlane_rcu::primitive::Ordering;

use super::word;
use super::{NexthopRef, Nexthops, SlotWord};
use crate::{Egress, NexthopIndex};

/// The slots of all nexthops during one burst. Made by [`Nexthops::of_burst`].
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{AdjacencyKind, NexthopIndex, NexthopRef, SlotWord, Tables};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let tables = Tables::new(&domain);
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let nexthops = tables.nexthops().of_burst(&burst);
/// let Some(NexthopRef::Adjacency(adjacency)) = nexthops.get(NexthopIndex::NONE) else {
///     unreachable!("always there");
/// };
/// assert_eq!(adjacency.kind(), AdjacencyKind::NoRoute);
/// let word = nexthops.word(NexthopIndex::NONE);
/// assert_eq!(nexthops.egress(word).port(), adjacency.port());
/// let mut words = [SlotWord::EMPTY; 2];
/// let common = nexthops.words(&[NexthopIndex::NONE; 2], &mut words);
/// assert_eq!((words, common), ([word; 2], Some((nexthops.egress(word), false))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct BurstNexthops<'q> {
    /// Its domain protects it for `'q`.
    pub(super) table: &'q Nexthops,
}

impl<'q> BurstNexthops<'q> {
    /// What a slot holds; `None` for an empty slot.
    #[inline]
    pub fn get(&self, index: NexthopIndex) -> Option<NexthopRef<'q>> {
        // Acquire pairs with the Release in `swap`: group or row are complete.
        let word = self.table.slots.get(index.slot())?.load(Ordering::Acquire);
        let packed = SlotWord::of(word);
        if packed.is_adjacency() {
            let adjacency = self.egress(packed).to_neighbour(packed.dst_mac_bits());
            return Some(NexthopRef::Adjacency(adjacency));
        }
        // SAFETY: published by `swap`, and freed by a retirer of this domain (checked there)
        // after the burst of the guard that `of_burst` checked and that `'q` borrows, or by `Drop`,
        // when the table is unborrowed.
        word::group(word).map(|group| NexthopRef::Group(unsafe { group.as_ref() }))
    }

    /// The word of a slot, which tells all of an adjacency together with its
    /// [`egress`](Self::egress); it says nothing of a group, nor is there anything in an empty slot.
    /// Lcores; one load.
    #[inline]
    pub fn word(&self, index: NexthopIndex) -> SlotWord {
        let slot = self.table.slots.get(index.slot());
        // Acquire as in `get`.
        slot.map_or(SlotWord::EMPTY, |slot| {
            SlotWord::of(slot.load(Ordering::Acquire))
        })
    }

    /// The words of slots, as many as there is room for, and what they have in common if all are
    /// adjacencies of one row: that, and whether all have the mark of use. Lcores; loads that do not
    /// wait for each other.
    #[inline]
    pub fn words(
        &self,
        indexes: &[NexthopIndex],
        words: &mut [SlotWord],
    ) -> Option<(Egress, bool)> {
        let mut common = word::Common::default();
        // Found once: behind an acquiring load it would be loaded again.
        let slots = &*self.table.slots;
        for (word, &index) in words.iter_mut().zip(indexes) {
            // Acquire as in `get`.
            let slot = slots
                .get(index.slot())
                .map(|slot| slot.load(Ordering::Acquire));
            *word = slot.map_or(SlotWord::EMPTY, SlotWord::of);
            common.add(*word);
        }
        let word = common.one_row()?;
        Some((self.egress(word), word.is_used()))
    }

    /// What an adjacency has in common with others. Of a word that is none: of any adjacency.
    #[inline]
    pub fn egress(&self, word: SlotWord) -> Egress {
        self.table.egresses.get(word.row())
    }

    /// Notes that traffic uses an adjacency, so that its neighbour is kept fresh. Lcores; a store only
    /// where the mark is not set, so that the line stays shared between caches. Nothing happens to a
    /// group.
    #[inline]
    pub fn mark_used(&self, index: NexthopIndex) {
        if let Some(slot) = self.table.slots.get(index.slot()) {
            // Relaxed, as in `take_used`: a hint that guards no data.
            let word = slot.load(Ordering::Relaxed);
            let packed = SlotWord::of(word);
            if packed.is_adjacency() && !packed.is_used() {
                // If it fails the slot has another nexthop, or the mark of another lcore.
                let _ = slot.compare_exchange(
                    word,
                    word::with_mark(word, true),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
    }

    /// Whether traffic used an adjacency since the last call; clears the mark. Control.
    pub fn take_used(&self, index: NexthopIndex) -> bool {
        let Some(slot) = self.table.slots.get(index.slot()) else {
            return false;
        };
        // Relaxed: see `mark_used`. A mark that is set meanwhile is seen by the next call.
        let mut word = slot.load(Ordering::Relaxed);
        while SlotWord::of(word).is_used() {
            let cleared = word::with_mark(word, false);
            match slot.compare_exchange(word, cleared, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Whether traffic used an adjacency since the mark was last cleared.
    pub fn is_used(&self, index: NexthopIndex) -> bool {
        self.word(index).is_used()
    }

    /// Whether one more packet may go to the kernel because of what a slot holds, at most `burst` at
    /// once and then one each `interval_ns`: a policer by GCRA (ITU-T I.371), shared by all lcores.
    /// Another nexthop in the slot begins anew.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ironlane_fib::{NexthopIndex, Tables};
    /// # use ironlane_rcu::Domain;
    /// # let domain = Domain::new();
    /// # let tables = Tables::new(&domain);
    /// # let mut reader = Domain::register(&domain)?;
    /// # let burst = reader.read();
    /// let nexthops = tables.nexthops().of_burst(&burst);
    /// let at = |now_ns| nexthops.admits(NexthopIndex::NONE, now_ns, 1_000, 2);
    /// assert_eq!([at(5), at(6), at(7)], [true, true, false]);
    /// assert_eq!([at(1_006), at(1_007)], [true, false]);
    /// # Ok::<(), ironlane_rcu::Full>(())
    /// ```
    pub fn admits(&self, index: NexthopIndex, now_ns: u64, interval_ns: u64, burst: u32) -> bool {
        let tolerance_ns = interval_ns.saturating_mul(u64::from(burst));
        let Some(policer) = self.table.policers.get(index.slot()) else {
            return false;
        };
        // Relaxed: the arrival time is all there is; it orders nothing else.
        let admitted = policer.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat_ns| {
            let next_ns = tat_ns.max(now_ns).saturating_add(interval_ns);
            (next_ns - now_ns <= tolerance_ns).then_some(next_ns)
        });
        admitted.is_ok()
    }
}

impl fmt::Debug for BurstNexthops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurstNexthops").finish_non_exhaustive()
    }
}
