//! The writer's books about nexthops: what each slot holds, and who uses it.

use crate::{FibError, Nexthop, NexthopIndex};

#[derive(Debug, Default)]
enum State {
    #[default]
    Free,
    Single,
    Group(Box<[NexthopIndex]>),
    /// Removed; waits for a grace period.
    Leaving,
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
}

impl NexthopSlots {
    /// Slot 0 is taken, for no route.
    pub(super) fn new(capacity: usize) -> Self {
        let none = Slot {
            state: State::Single,
            ..Slot::default()
        };
        Self {
            slots: vec![none],
            free: Vec::new(),
            capacity,
            leaving: 0,
        }
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
            Some(State::Single | State::Group(_)) => Ok(()),
            _ => Err(FibError::NoSuchNexthop(index)),
        }
    }

    pub(super) fn add(&mut self, nexthop: &Nexthop) -> Result<NexthopIndex, FibError> {
        let state = self.state_for(nexthop)?;
        if self.is_full() {
            return Err(FibError::NexthopsExhausted);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            NexthopIndex::from_low_bits(self.slots.len() as u32 - 1)
        });
        self.set(index, state);
        Ok(index)
    }

    pub(super) fn replace(
        &mut self,
        index: NexthopIndex,
        nexthop: &Nexthop,
    ) -> Result<(), FibError> {
        self.check_mutable(index)?;
        let state = self.state_for(nexthop)?;
        if let State::Group(members) = &state
            && (self.slots[index.slot()].groups > 0 || members.contains(&index))
        {
            return Err(FibError::NestedGroup(index));
        }
        self.set(index, state);
        Ok(())
    }

    pub(super) fn remove(&mut self, index: NexthopIndex) -> Result<(), FibError> {
        self.check_mutable(index)?;
        let slot = &self.slots[index.slot()];
        let users = slot.prefixes + slot.groups;
        if users > 0 {
            return Err(FibError::NexthopInUse { index, users });
        }
        self.set(index, State::Leaving);
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

    fn state_for(&self, nexthop: &Nexthop) -> Result<State, FibError> {
        let Nexthop::Group(group) = nexthop else {
            return Ok(State::Single);
        };
        let members = group.members().iter().map(|member| member.nexthop);
        let members: Box<[NexthopIndex]> = members.collect();
        for &member in &members {
            self.check(member)?;
            if matches!(self.slots[member.slot()].state, State::Group(_)) {
                return Err(FibError::NestedGroup(member));
            }
        }
        Ok(State::Group(members))
    }

    fn set(&mut self, index: NexthopIndex, state: State) {
        if let State::Group(members) = &state {
            members
                .iter()
                .for_each(|member| self.slots[member.slot()].groups += 1);
        }
        let before = std::mem::replace(&mut self.slots[index.slot()].state, state);
        if let State::Group(members) = before {
            members
                .iter()
                .for_each(|member| self.slots[member.slot()].groups -= 1);
        }
    }
}
