//! `[mirror]` and `[neighbour]`: how closely the kernel is followed.

use std::time::Duration;

use serde::Serialize;

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// How the netlink mirror follows the kernel's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// Receive buffer of the netlink sockets, in KiB.
    pub receive_buffer_kib: u32,
    /// Seconds between two full comparisons with the kernel; 0 for never.
    pub audit_interval_s: u32,
    /// Milliseconds from an event after which the kernel may have changed routes unannounced to
    /// the comparison that finds them.
    pub audit_delay_ms: u32,
}

/// How neighbours that the fast path uses are kept fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// Seconds between two looks at which adjacencies carry traffic; 0 for never.
    pub refresh_interval_s: u32,
}

pub(super) static SECTION: Section = Section {
    name: "mirror",
    shape: Shape::Single,
    help: "How the kernel's routes, neighbours and links are followed.",
    keys: &[
        Key {
            name: "receive_buffer_kib",
            kind: Kind::Integer(64, 1_048_576),
            default: Default::Value("131072"),
            example: "",
            help: "Receive buffer of the netlink socket, in KiB. Too small a one overflows in a \
                   burst of routes, which costs a new dump of everything.",
        },
        Key {
            name: "audit_interval_s",
            kind: Kind::Integer(0, 86_400),
            default: Default::Value("300"),
            example: "",
            help: "Seconds between two full comparisons with the kernel's tables; 0 for never. A \
                   million routes take a few seconds, beside the normal work.",
        },
        Key {
            name: "audit_delay_ms",
            kind: Kind::Integer(1, 60_000),
            default: Default::Value("500"),
            example: "",
            help: "Milliseconds of quiet awaited, after events that let the kernel drop routes \
                   without a message, before the tables are compared.",
        },
    ],
};

pub(super) static NEIGHBOUR_SECTION: Section = Section {
    name: "neighbour",
    shape: Shape::Single,
    help: "How neighbours that the fast path uses are kept fresh: the kernel sees none of the \
           traffic that the lcores forward, so it is asked to probe.",
    keys: &[Key {
        name: "refresh_interval_s",
        kind: Kind::Integer(0, 3_600),
        default: Default::Value("5"),
        example: "",
        help: "Seconds between two looks at which adjacencies carry traffic; 0 for never (then \
               their entries go stale, and stay in use while stale).",
    }],
};

impl Mirror {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            receive_buffer_kib: table.integer("receive_buffer_kib").unwrap_or_default(),
            audit_interval_s: table.integer("audit_interval_s").unwrap_or_default(),
            audit_delay_ms: table.integer("audit_delay_ms").unwrap_or_default(),
        }
    }

    /// Time between two full comparisons, if they are wanted.
    pub fn audit_interval(&self) -> Option<Duration> {
        (self.audit_interval_s > 0).then(|| Duration::from_secs(self.audit_interval_s.into()))
    }
}

impl Neighbour {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            refresh_interval_s: table.integer("refresh_interval_s").unwrap_or_default(),
        }
    }

    /// Time between two refreshes, if they are wanted.
    pub fn refresh_interval(&self) -> Option<Duration> {
        (self.refresh_interval_s > 0).then(|| Duration::from_secs(self.refresh_interval_s.into()))
    }
}
