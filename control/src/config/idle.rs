//! `[lcores.idle]` and `[lcore.CPU]`: what lcores do when no packets come.

use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Reader, Table};
use super::schema::{Default, Key, Kind, Section, Shape};

/// What an lcore does when no packets come: it polls on, then with pauses, then it sleeps in
/// growing steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// Whether it sleeps.
    pub mode: IdleMode,
    /// How long it polls on after the last packet, in microseconds.
    pub spin_us: u32,
    /// How long it then polls with CPU pauses, in microseconds.
    pub pause_us: u32,
    /// The first sleep, in microseconds; each further one is twice as long.
    pub sleep_min_us: u32,
    /// The longest sleep between two looks at ports that cannot wake it, in microseconds.
    pub sleep_max_us: u32,
}

/// Whether an idle lcore sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleMode {
    /// It polls without end: lowest latency, a whole core burnt.
    Poll,
    /// It sleeps in growing steps; ports that can and other threads wake it at once.
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

/// Lcores that idle in a way of their own, by CPU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnIdle(pub Vec<(u16, Idle)>);

impl Serialize for OwnIdle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (cpu, idle) in &self.0 {
            map.serialize_entry(&cpu.to_string(), idle)?;
        }
        map.end()
    }
}

pub(super) static SECTION: Section = Section {
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

pub(super) static OWN_SECTION: Section = Section {
    name: "lcore",
    shape: Shape::Keyed {
        key: "CPU",
        example: "1",
    },
    help: "What the lcore on one CPU does when no packets come, where that differs from \
           [lcores.idle]. CPU is one of [lcores] cpus.",
    keys: &[
        own(0, "\"poll\""),
        own(1, "20"),
        own(2, "100"),
        own(3, "50"),
        own(4, "500"),
    ],
};

/// Key `index` of `[lcores.idle]`, for one lcore.
const fn own(index: usize, example: &'static str) -> Key {
    let key = &SECTION.keys[index];
    Key {
        name: key.name,
        kind: key.kind,
        default: Default::Derived("as in [lcores.idle]"),
        example,
        help: "As in [lcores.idle], for this lcore alone.",
    }
}

impl Idle {
    /// Reads `[lcores.idle]`.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let microseconds = |key| table.integer(key).unwrap_or_default();
        let read = Self {
            mode: table.parsed("mode").unwrap_or(IdleMode::Sleep),
            spin_us: microseconds("spin_us"),
            pause_us: microseconds("pause_us"),
            sleep_min_us: microseconds("sleep_min_us"),
            sleep_max_us: microseconds("sleep_max_us"),
        };
        read.check(table);
        read
    }

    /// Reads `[lcore.CPU]`: what is absent is as in `all`.
    fn read_own(table: &Table<'_>, all: &Idle) -> Self {
        let read = Self {
            mode: table.parsed("mode").unwrap_or(all.mode),
            spin_us: table.integer("spin_us").unwrap_or(all.spin_us),
            pause_us: table.integer("pause_us").unwrap_or(all.pause_us),
            sleep_min_us: table.integer("sleep_min_us").unwrap_or(all.sleep_min_us),
            sleep_max_us: table.integer("sleep_max_us").unwrap_or(all.sleep_max_us),
        };
        read.check(table);
        read
    }

    fn check(&self, table: &Table<'_>) {
        let (min, max) = (self.sleep_min_us, self.sleep_max_us);
        if min > max {
            let message = format!("{min} is above sleep_max_us, which is {max}");
            table.fault("sleep_min_us", message);
        }
    }
}

impl OwnIdle {
    /// Reads all `[lcore.CPU]`. `cpus` are those of lcores, `all` is what `[lcores.idle]` says.
    pub(super) fn read(
        reader: &Reader<'_>,
        value: Option<&Spanned<DeValue<'_>>>,
        cpus: &[u16],
        all: &Idle,
    ) -> Self {
        let Some(value) = value else {
            return Self::default();
        };
        let Some(table) = value.get_ref().as_table() else {
            let message = "what one lcore does is written [lcore.CPU]";
            reader.fault(&value.span(), message);
            return Self::default();
        };
        let mut own = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let cpu = name.parse().ok().filter(|cpu| cpus.contains(cpu));
            let Some(cpu) = cpu else {
                let cpus: Vec<_> = cpus.iter().map(u16::to_string).collect();
                let message = format!(
                    "[lcore.{name}]: no lcore is on CPU {name}; [lcores] cpus are {}",
                    cpus.join(", ")
                );
                reader.fault(&key.span(), message);
                continue;
            };
            let title = format!("[lcore.{name}]");
            let table = Table::new(reader, &OWN_SECTION, title, Some(value), &[]);
            own.push((cpu, Idle::read_own(&table, all)));
        }
        own.sort_by_key(|(cpu, _)| *cpu);
        Self(own)
    }
}
