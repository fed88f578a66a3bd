//! The writer's books about nexthops: what each slot holds, and who uses it.

use super::rows::Rows;
use crate::egress::ROWS;
use crate::nexthop::{NO_ROUTE, NO_ROUTE_ROW};
use crate::{Adjacency, Egress, FibError, Nexthop, NexthopIndex};

#[derive(Debug, Default)]
enum State {
    #[default]
    Free,
    /// An adjacency, with its row.
    Single(u16),
    Group(Box<[NexthopIndex]>),
    /// Removed; waits for a grace period. An adjacency still has its row.
    Leaving(Option<u16>),
}

#[derive(Debug, Default)]
struct Slot {
    state: State,
    prefixes: u32,
    groups: u32,
}

/// All slots that were ever used, and the free ones among them.
pub(super) struct NexthopSlots {
    slots: Vec<Slot>,
    free: Vec<NexthopIndex>,
    capacity: usize,
    leaving: usize,
    rows: Rows,
}

impl NexthopSlots {
    /// Slot 0 is taken, for no route.
    pub(super) fn new(capacity: usize) -> Self {
        let none = Slot {
            state: State::Single(NO_ROUTE_ROW),
            ..Slot::default()
        };
        let mut rows = Rows::default();
        let row = rows.take(Egress::of(&NO_ROUTE));
        debug_assert_eq!(row, Some(NO_ROUTE_ROW), "the first");
        Self {
            slots: vec![none],
            free: Vec::new(),
            capacity,
            leaving: 0,
            rows,
        }
    }

    /// Whether there is no row for this, unless rows are [recycled](Self::recycle_rows).
    pub(super) fn lacks_row(&self, nexthop: &Nexthop) -> bool {
        match nexthop {
            Nexthop::Adjacency(adjacency) => self.rows.lack(&Egress::of(adjacency)),
            Nexthop::Group(_) => false,
        }
    }

    /// Frees rows: no reader has been led to one that is not used for a grace period.
    pub(super) fn recycle_rows(&mut self) {
        self.rows.recycle();
    }

    /// A row for ever, for an adjacency that the books will not know of.
    pub(super) fn row_beside(&mut self, adjacency: &Adjacency) -> Option<u16> {
        self.rows.take(Egress::of(adjacency))
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() == self.capacity
    }

    /// Nexthops that exist, slot 0 not counted.
    pub(super) fn live(&self) -> usize {
        self.slots.len() - self.free.len() - self.leaving - 1
    }

    pub(super) fn leaving(&self) -> usize {
        self.leaving
    }

    /// Whether prefixes may use the nexthop.
    pub(super) fn check(&self, index: NexthopIndex) -> Result<(), FibError> {
        match self.slots.get(index.slot()).map(|slot| &slot.state) {
            Some(State::Single(_) | State::Group(_)) => Ok(()),
            _ => Err(FibError::NoSuchNexthop(index)),
        }
    }

    /// Where a nexthop is to be put, and the row of it; of a group that means nothing.
    pub(super) fn add(&mut self, nexthop: &Nexthop) -> Result<(NexthopIndex, u16), FibError> {
        self.check_members(nexthop)?;
        if self.is_full() {
            return Err(FibError::NexthopsExhausted);
        }
        let state = self.state_for(nexthop)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            NexthopIndex::from_low_bits(self.slots.len() as u32 - 1)
        });
        Ok((index, self.set(index, state)))
    }

    /// The row of a nexthop that is to be put in the place of another.
    pub(super) fn replace(
        &mut self,
        index: NexthopIndex,
        nexthop: &Nexthop,
    ) -> Result<u16, FibError> {
        self.check_mutable(index)?;
        self.check_members(nexthop)?;
        if let Nexthop::Group(group) = nexthop {
            let within = group.members().iter().any(|member| member.nexthop == index);
            if self.slots[index.slot()].groups > 0 || within {
                return Err(FibError::NestedGroup(index));
            }
        }
        let state = self.state_for(nexthop)?;
        Ok(self.set(index, state))
    }

    pub(super) fn remove(&mut self, index: NexthopIndex) -> Result<(), FibError> {
        self.check_mutable(index)?;
        let slot = &self.slots[index.slot()];
        let users = slot.prefixes + slot.groups;
        if users > 0 {
            return Err(FibError::NexthopInUse { index, users });
        }
        let row = match slot.state {
            State::Single(row) => Some(row),
            _ => None,
        };
        // It keeps the row, which packets in flight are led to.
        self.set(index, State::Leaving(row));
        self.leaving += 1;
        Ok(())
    }

    /// The grace period is over.
    pub(super) fn free(&mut self, index: NexthopIndex) {
        self.set(index, State::Free);
        self.leaving -= 1;
        self.free.push(index);
    }

    pub(super) fn use_by_prefix(&mut self, index: NexthopIndex) {
        self.slots[index.slot()].prefixes += 1;
    }

    pub(super) fn unuse_by_prefix(&mut self, index: NexthopIndex) {
        self.slots[index.slot()].prefixes -= 1;
    }

    /// Like [`check`](Self::check); slot 0 is no route for ever.
    fn check_mutable(&self, index: NexthopIndex) -> Result<(), FibError> {
        if index.is_none() {
            Err(FibError::NoSuchNexthop(index))
        } else {
            self.check(index)
        }
    }

    fn check_members(&self, nexthop: &Nexthop) -> Result<(), FibError> {
        let Nexthop::Group(group) = nexthop else {
            return Ok(());
        };
        for member in group.members() {
            self.check(member.nexthop)?;
            if matches!(self.slots[member.nexthop.slot()].state, State::Group(_)) {
                return Err(FibError::NestedGroup(member.nexthop));
            }
        }
        Ok(())
    }

    /// Takes a row for an adjacency.
    fn state_for(&mut self, nexthop: &Nexthop) -> Result<State, FibError> {
        match nexthop {
            Nexthop::Adjacency(adjacency) => {
                let row = self.rows.take(Egress::of(adjacency));
                Ok(State::Single(row.ok_or(FibError::EgressesExhausted(ROWS))?))
            }
            Nexthop::Group(group) => {
                let members = group.members().iter().map(|member| member.nexthop);
                Ok(State::Group(members.collect()))
            }
        }
    }

    /// Returns the row of the state.
    fn set(&mut self, index: NexthopIndex, state: State) -> u16 {
        let row = match &state {
            State::Single(row) => *row,
            _ => NO_ROUTE_ROW,
        };
        if let State::Group(members) = &state {
            members
                .iter()
                .for_each(|member| self.slots[member.slot()].groups += 1);
        }
        let leaves = matches!(state, State::Leaving(_));
        let before = std::mem::replace(&mut self.slots[index.slot()].state, state);
        match before {
            State::Group(members) => members
                .iter()
                .for_each(|member| self.slots[member.slot()].groups -= 1),
            State::Single(row) | State::Leaving(Some(row)) if !leaves => self.rows.leave(row),
            _ => {}
        }
        row
    }
}
