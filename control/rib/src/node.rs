//! A prefix and its routes, in the order in which the kernel looks at them.

use ironlane_fib::NexthopIndex;

use crate::body::BodyId;
use crate::change::Family;
use crate::object::{RouteKind, TableId};

/// A table that the default rules lead to, in the order of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Table {
    Local,
    Main,
    Default,
}

impl Table {
    /// The table of this number, if the default rules of the family lead to it.
    pub(crate) fn new(id: TableId, family: Family) -> Option<Self> {
        match id {
            TableId::LOCAL => Some(Self::Local),
            TableId::MAIN => Some(Self::Main),
            TableId::DEFAULT if family == Family::Ip4 => Some(Self::Default),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) fn id(self) -> TableId {
        match self {
            Self::Local => TableId::LOCAL,
            Self::Main => TableId::MAIN,
            Self::Default => TableId::DEFAULT,
        }
    }
}

/// A route, at its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) body: BodyId,
    pub(crate) metric: u32,
    /// The dump that named it last.
    pub(crate) generation: u32,
    pub(crate) table: Table,
    pub(crate) tos: u8,
    /// Takes part in lookups: has neither TOS nor source prefix, and a path that is not dead.
    pub(crate) honoured: bool,
    pub(crate) throw: bool,
}

impl Entry {
    /// Where it stands among the routes of its prefix; equal for routes with the same key.
    pub(crate) fn rank(&self) -> (Table, u8, u32) {
        (self.table, !self.tos, self.metric)
    }

    /// 0 for the tables that are looked up first, 1 for those after them.
    pub(crate) fn layer(&self, family: Family) -> usize {
        let first = match family {
            Family::Ip4 => self.table < Table::Default,
            Family::Ip6 => self.table < Table::Main,
        };
        usize::from(!first)
    }
}

/// The routes of a prefix, ordered by [`Entry::rank`]; nearly always one.
#[derive(Debug, Default)]
pub(crate) enum Entries {
    #[default]
    None,
    One(Entry),
    Many(Box<[Entry]>),
}

impl Entries {
    /// In their order.
    pub(crate) fn as_slice(&self) -> &[Entry] {
        match self {
            Self::None => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    /// Those of a slice, which is in their order.
    pub(crate) fn from_slice(entries: &[Entry]) -> Self {
        match entries {
            [] => Self::None,
            [entry] => Self::One(*entry),
            entries => Self::Many(entries.into()),
        }
    }
}

/// A prefix that has routes, a leaf in the tables, or both.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Its routes.
    pub(crate) entries: Entries,
    /// The leaf as it was last written; `NONE` if the prefix is not in the tables.
    pub(crate) installed: NexthopIndex,
    /// Waits in the queue.
    pub(crate) queued: bool,
}

impl Node {
    /// Its routes, in the order in which the kernel looks at them.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_slice()
    }
}

/// Whether a route of this kind sends lookups on to the next table.
pub(crate) fn is_throw(kind: RouteKind) -> bool {
    kind == RouteKind::Throw
}
