//! `[lcores]`: which CPUs forward packets, and what they do when there are none.

use std::fmt;
use std::str::FromStr;

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

/// What an lcore does when no packets come: it polls on, then with pauses, then it sleeps in
/// growing steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// Whether it sleeps.
    pub mode: IdleMode,
    /// How long it polls on after the last packet, in microseconds.
    pub spin_us: u32,
    /// How long it then polls with CPU pauses, in microseconds.
    pub pause_us: u32,
    /// The first sleep, in microseconds; each further one is twice as long.
    pub sleep_min_us: u32,
    /// The longest sleep between two looks at the ports, in microseconds.
    pub sleep_max_us: u32,
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
            default: Default::Value("20"),
            example: "",
            help: "Microseconds of plain polling after the last packet.",
        },
        Key {
            name: "pause_us",
            kind: Kind::Integer(0, 10_000_000),
            default: Default::Value("100"),
            example: "",
            help: "Then microseconds of polling with CPU pauses between.",
        },
        Key {
            name: "sleep_min_us",
            kind: Kind::Integer(1, 1_000_000),
            default: Default::Value("50"),
            example: "",
            help: "Then the first sleep, in microseconds; each further one is twice as long.",
        },
        Key {
            name: "sleep_max_us",
            kind: Kind::Integer(1, 1_000_000),
            default: Default::Value("500"),
            example: "",
            help: "Longest sleep between two looks at ports that cannot wake the lcore, in \
                   microseconds: the latency that the first packet after a pause may meet. \
                   What arrives meanwhile must fit in rx_descriptors: 1024 are full after 69 \
                   microseconds of the smallest frames at 10 Gbit/s.",
        },
    ],
};

impl Lcores {
    pub(super) fn read(table: &Table<'_>, idle: &Table<'_>) -> Self {
        let cpus = table.read("cpus", cpus::read).unwrap_or_default();
        if table.has("cpus") && cpus.is_empty() {
            table.fault("cpus", "at least one CPU has to forward packets");
        }
        let microseconds = |key: &str| idle.integer(key).unwrap_or_default();
        let (sleep_min_us, sleep_max_us) =
            (microseconds("sleep_min_us"), microseconds("sleep_max_us"));
        if sleep_min_us > sleep_max_us {
            let message = format!("{sleep_min_us} is above sleep_max_us, which is {sleep_max_us}");
            idle.fault("sleep_min_us", message);
        }
        Self {
            cpus,
            idle: Idle {
                mode: idle.parsed("mode").unwrap_or(IdleMode::Sleep),
                spin_us: microseconds("spin_us"),
                pause_us: microseconds("pause_us"),
                sleep_min_us,
                sleep_max_us,
            },
        }
    }
}
