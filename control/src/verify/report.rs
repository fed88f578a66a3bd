//! What verify says.

use serde::Serialize;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// What a prefix points at.
    Leaf,
    /// A slot that holds another sort of thing.
    Nexthop,
    /// A slot with the right kind of adjacency, but another port, MTU or rewrite.
    Adjacency,
    /// Members, weights or buckets of a group.
    Group,
    /// What is known of a neighbour.
    Neighbour,
    /// The counters of an lcore.
    Counters,
}

impl Object {
    /// The name in the CLI and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Nexthop => "nexthop",
            Self::Adjacency => "adjacency",
            Self::Group => "group",
            Self::Neighbour => "neighbour",
            Self::Counters => "counters",
        }
    }
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What lcores read is not what was written.
    Tables,
    /// The mirror does not know what the kernel has.
    Mirror,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub object: Object,
    /// Whose fault it is.
    pub cause: Cause,
    /// What it is about: a prefix, a slot, an lcore.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether it was mended.
    pub repaired: bool,
}

impl Difference {
    /// What makes it the same difference in a later look.
    pub(super) fn identity(&self) -> (Object, String) {
        (self.object, self.subject.clone())
    }
}

/// Numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Routes that the kernel has in tables local, main and default.
    pub routes_checked: u64,
    /// Prefixes with an answer of their own, neighbours included.
    pub prefixes_checked: u64,
    /// Slots that were compared with what was written.
    pub nexthops_checked: u64,
    /// How many of them are adjacencies; the others are groups.
    pub adjacencies_checked: u64,
    /// Neighbours that the kernel has.
    pub neighbours_checked: u64,
    /// How many things differ.
    pub differences: u64,
    /// How many places beyond those that are named differ still.
    pub untold: u64,
    /// How many were mended.
    pub repaired: u64,
    /// Whether every packet that came in went somewhere, once. True where nothing was checked.
    pub counters_identity_holds: bool,
    /// How long it took.
    pub duration_ms: u64,
    /// What the kernel has that cannot be honoured, a line each.
    pub notes: Vec<String>,
}

/// What verify found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// What differs.
    pub differences: Vec<Difference>,
    /// Numbers.
    pub summary: Summary,
}

impl VerifyReport {
    /// Whether everything is as the kernel has it, mended or not.
    pub fn is_clean(&self) -> bool {
        self.summary.untold == 0
            && self
                .differences
                .iter()
                .all(|difference| difference.repaired)
    }
}
