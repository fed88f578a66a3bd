//! Which indexes are free, in use, or waiting for a grace period.

use std::collections::VecDeque;

use ironlane_rcu::{Grace, Retirer};

/// How many indexes come together before a release is tried unasked.
const BATCH: usize = 64;

/// Indexes of one table, each with a generation. An index is given out again only when every lcore
/// has ended the burst in which it was taken away, and then under another generation.
pub(super) struct Ids {
    /// For each index that was ever used: how often it was.
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Taken away since the last grace period began.
    open: Vec<u32>,
    waiting: VecDeque<(Grace, Vec<u32>)>,
    leaving: usize,
    capacity: usize,
}

impl Ids {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            generations: Vec::new(),
            free: Vec::new(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            leaving: 0,
            capacity,
        }
    }

    /// An index and its generation; `None` if all are in use or waiting.
    pub(super) fn take(&mut self, retirer: &mut Retirer) -> Option<(u32, u32)> {
        if self.free.is_empty() && self.generations.len() == self.capacity {
            self.release(retirer);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.generations.len() < self.capacity => {
                self.generations.push(0);
                self.generations.len() as u32 - 1
            }
            None => return None,
        };
        Some((index, self.generations[index as usize] & 0xfff))
    }

    /// Takes an index out of use; its object is unpublished already.
    pub(super) fn give(&mut self, index: u32, retirer: &mut Retirer) {
        self.generations[index as usize] = self.generations[index as usize].wrapping_add(1);
        self.open.push(index);
        self.leaving += 1;
        if self.open.len() >= BATCH {
            self.release(retirer);
        }
    }

    /// How many wait for a grace period.
    pub(super) fn leaving(&self) -> usize {
        self.leaving
    }

    /// Frees what has waited for a grace period. Never waits.
    pub(super) fn release(&mut self, retirer: &mut Retirer) {
        if !self.open.is_empty() {
            let batch = std::mem::take(&mut self.open);
            self.waiting.push_back((retirer.grace(), batch));
        }
        while self
            .waiting
            .front()
            .is_some_and(|(grace, _)| retirer.elapsed(*grace))
        {
            let (_, batch) = self.waiting.pop_front().expect("looked at above");
            self.leaving -= batch.len();
            self.free.extend(batch);
        }
    }
}
