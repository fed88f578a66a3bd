//! What a commit did.

use serde::Serialize;

/// What one commit changed in the tables that lcores read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CommitReport {
    /// Prefixes whose leaf was written for the first time.
    pub prefixes_added: usize,
    /// Prefixes whose leaf was written anew.
    pub prefixes_changed: usize,
    /// Prefixes taken out.
    pub prefixes_removed: usize,
    /// Nexthop slots taken into use.
    pub nexthops_added: usize,
    /// Nexthop slots whose adjacency or group was swapped.
    pub nexthops_changed: usize,
    /// Nexthop slots given back.
    pub nexthops_removed: usize,
    /// Writes that the tables refused; the packets of those prefixes go to Linux, or meet the
    /// route before.
    pub refused: usize,
}

impl CommitReport {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many prefixes were written.
    pub fn prefixes(&self) -> usize {
        self.prefixes_added + self.prefixes_changed + self.prefixes_removed
    }
}
