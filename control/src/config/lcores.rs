//! `[lcores]`: which CPUs forward packets.

use serde::Serialize;

use super::cpus;
use super::idle::Idle;
use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// CPUs that forward packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lcores {
    /// One lcore is pinned to each.
    pub cpus: Vec<u16>,
    /// What an lcore does when no packets come.
    pub idle: Idle,
}

pub(super) static SECTION: Section = Section {
    name: "lcores",
    shape: Shape::Single,
    help: "CPUs that forward packets. Everything else the daemon does floats over all CPUs.",
    keys: &[Key {
        name: "cpus",
        kind: Kind::Cpus,
        default: Default::Value("1"),
        example: "\"1-3\"",
        help: "One forwarding thread (lcore) is pinned to each of these CPUs. Leave the kernel at \
               least one CPU that is not listed where there are several.",
    }],
};

impl Lcores {
    pub(super) fn read(table: &Table<'_>, idle: &Table<'_>) -> Self {
        let cpus = table.read("cpus", cpus::read).unwrap_or_default();
        if table.has("cpus") && cpus.is_empty() {
            table.fault("cpus", "at least one CPU has to forward packets");
        }
        Self {
            cpus,
            idle: Idle::read(idle),
        }
    }
}
