//! `[lcores]`: which CPUs forward packets, and what they do when there are none.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::cpus;
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

/// What an lcore does when no packets come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// Whether it sleeps.
    pub mode: IdleMode,
    /// How long it polls on after the last packet before it first sleeps, in microseconds.
    pub spin_us: u32,
    /// The longest sleep between two looks at the ports, in microseconds.
    pub max_sleep_us: u32,
}

/// Whether an idle lcore sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleMode {
    /// It polls without end: lowest latency, a whole core burnt.
    Poll,
    /// It sleeps in growing steps; packets injected by the kernel wake it at once.
    Sleep,
}

impl FromStr for IdleMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "poll" => Ok(IdleMode::Poll),
            "sleep" => Ok(IdleMode::Sleep),
            other => Err(format!("\"{other}\" is neither \"poll\" nor \"sleep\"")),
        }
    }
}

impl fmt::Display for IdleMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdleMode::Poll => "poll",
            IdleMode::Sleep => "sleep",
        })
    }
}

impl Idle {
    /// [`Idle::spin_us`] as a duration.
    pub fn spin(&self) -> Duration {
        Duration::from_micros(self.spin_us.into())
    }

    /// [`Idle::max_sleep_us`] as a duration.
    pub fn max_sleep(&self) -> Duration {
        Duration::from_micros(self.max_sleep_us.into())
    }
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

pub(super) static IDLE_SECTION: Section = Section {
    name: "lcores.idle",
    shape: Shape::Single,
    help: "What an lcore does when no packets come.",
    keys: &[
        Key {
            name: "mode",
            kind: Kind::Choice(&["sleep", "poll"]),
            default: Default::Value("\"sleep\""),
            example: "",
            help: "\"sleep\" backs off in growing steps, so that an idle router burns no CPU; \
                   \"poll\" never sleeps, for the lowest latency on CPUs of its own.",
        },
        Key {
            name: "spin_us",
            kind: Kind::Integer(0, 10_000_000),
            default: Default::Value("50"),
            example: "",
            help: "Microseconds of polling after the last packet before the first sleep.",
        },
        Key {
            name: "max_sleep_us",
            kind: Kind::Integer(1, 1_000_000),
            default: Default::Value("500"),
            example: "",
            help: "Longest sleep between two looks at the ports, in microseconds: the latency that \
                   the first packet after a pause may meet.",
        },
    ],
};

impl Lcores {
    pub(super) fn read(table: &Table<'_>, idle: &Table<'_>) -> Self {
        let cpus = table.read("cpus", cpus::read).unwrap_or_default();
        if table.has("cpus") && cpus.is_empty() {
            table.fault("cpus", "at least one CPU has to forward packets");
        }
        Self {
            cpus,
            idle: Idle {
                mode: idle.parsed("mode").unwrap_or(IdleMode::Sleep),
                spin_us: idle.integer("spin_us").unwrap_or(50),
                max_sleep_us: idle.integer("max_sleep_us").unwrap_or(500),
            },
        }
    }
}
