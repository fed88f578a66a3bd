//! The writer's books about rows: what adjacencies have in common, and how many refer to each.

use std::collections::HashMap;

use crate::Egress;
use crate::egress::ROWS;

/// A row that is not used any more stays as it is, since its port will come back, until all are taken.
#[derive(Debug, Default)]
pub(super) struct Rows {
    numbers: HashMap<Egress, u16>,
    /// By row.
    users: Vec<u32>,
    free: Vec<u16>,
}

impl Rows {
    /// Whether there is no row for this, unless some are [recycled](Self::recycle).
    pub(super) fn lack(&self, egress: &Egress) -> bool {
        let full = self.free.is_empty() && self.users.len() == ROWS;
        full && !self.numbers.contains_key(egress)
    }

    /// A row for one more adjacency with this in common.
    pub(super) fn take(&mut self, egress: Egress) -> Option<u16> {
        if self.lack(&egress) {
            return None;
        }
        let Self {
            numbers,
            users,
            free,
        } = self;
        let row = *numbers.entry(egress).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                users.push(0);
                users.len() as u16 - 1 // at most ROWS, which is below
            })
        });
        users[usize::from(row)] += 1;
        Some(row)
    }

    /// One adjacency less. Readers may have been led to the row until now.
    pub(super) fn leave(&mut self, row: u16) {
        self.users[usize::from(row)] -= 1;
    }

    /// Frees the rows that nothing refers to: no reader has been led there for a grace period.
    pub(super) fn recycle(&mut self) {
        let Self {
            numbers,
            users,
            free,
        } = self;
        numbers.retain(|_, row| {
            let used = users[usize::from(*row)] > 0;
            if !used {
                free.push(*row);
            }
            used
        });
    }
}
