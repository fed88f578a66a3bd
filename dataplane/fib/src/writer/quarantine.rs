//! Numbers that wait for a grace period before they mean something else: blocks and nexthops.

use std::collections::VecDeque;

use ironlane_rcu::{Grace, Retirer};

use crate::NexthopIndex;

/// How many numbers come together before a release is tried unasked.
const BATCH: usize = 64;

/// How many numbers may wait: at most 5 MiB of blocks.
const LIMIT: usize = 16_384;

#[derive(Default)]
struct Batch {
    blocks: Vec<u32>,
    nexthops: Vec<NexthopIndex>,
}

impl Batch {
    fn len(&self) -> usize {
        self.blocks.len() + self.nexthops.len()
    }
}

/// What was taken out of the tables, by the time at which it was.
#[derive(Default)]
pub(super) struct Quarantine {
    open: Batch,
    waiting: VecDeque<(Grace, Batch)>,
    waiting_len: usize,
    waits: u64,
}

impl Quarantine {
    /// Where to put blocks that no word leads to any more.
    pub(super) fn blocks(&mut self) -> &mut Vec<u32> {
        &mut self.open.blocks
    }

    /// Where to put nexthops that no leaf and no group points at any more.
    pub(super) fn nexthops(&mut self) -> &mut Vec<NexthopIndex> {
        &mut self.open.nexthops
    }

    pub(super) fn len(&self) -> usize {
        self.open.len() + self.waiting_len
    }

    pub(super) fn wants_release(&self) -> bool {
        self.open.len() >= BATCH
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.len() > LIMIT
    }

    pub(super) fn note_wait(&mut self) {
        self.waits += 1;
    }

    pub(super) fn waits(&self) -> u64 {
        self.waits
    }

    /// Hands over what has waited for a grace period.
    pub(super) fn release(
        &mut self,
        retirer: &mut Retirer,
        mut recycle: impl FnMut(&mut Retirer, Vec<u32>, Vec<NexthopIndex>),
    ) {
        if self.open.len() > 0 {
            self.waiting_len += self.open.len();
            self.waiting
                .push_back((retirer.grace(), std::mem::take(&mut self.open)));
        }
        while self
            .waiting
            .front()
            .is_some_and(|(grace, _)| retirer.elapsed(*grace))
        {
            let (_, batch) = self.waiting.pop_front().expect("looked at above");
            self.waiting_len -= batch.len();
            recycle(retirer, batch.blocks, batch.nexthops);
        }
    }
}
