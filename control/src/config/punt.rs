//! `[punt.REASON]`: how much of each kind may reach the kernel.

use ironlane_dataplane::reason::PuntReason;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// Policers of punt reasons that differ from their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Punt {
    /// What is configured, in the order of the reasons.
    pub policers: Vec<(PuntReason, Policer)>,
}

/// A token bucket, over all lcores together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Policer {
    /// Packets a second.
    pub rate_pps: u32,
    /// Packets that may come at once; what the rate gives in a quarter of a second if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

impl Punt {
    /// The rate for `reason`: configured or default.
    pub fn rate_pps(&self, reason: PuntReason) -> u32 {
        self.get(reason)
            .map_or(reason.default_rate_pps(), |p| p.rate_pps)
    }

    /// The configured policer of `reason`, if there is one.
    pub fn get(&self, reason: PuntReason) -> Option<Policer> {
        self.policers
            .iter()
            .find(|(r, _)| *r == reason)
            .map(|(_, p)| *p)
    }
}

impl Serialize for Punt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.policers.len()))?;
        for (reason, policer) in &self.policers {
            map.serialize_entry(reason.name(), policer)?;
        }
        map.end()
    }
}

pub(super) static SECTION: Section = Section {
    name: "punt",
    shape: Shape::Keyed {
        key: "REASON",
        example: "ttl_expired",
    },
    help: "How many packets of one reason may reach the kernel. REASON is a punt reason of \
           docs/drops.md, which has the default rates; those left out keep theirs.",
    keys: &[
        Key {
            name: "rate_pps",
            kind: Kind::Integer(0, 100_000_000),
            default: Default::Derived("the reason's own, see docs/drops.md"),
            example: "500",
            help: "Packets a second over all lcores; 0 lets none through. What is above it is \
                   dropped by reason punt_policed.",
        },
        Key {
            name: "burst",
            kind: Kind::Integer(1, 100_000_000),
            default: Default::Derived("what the rate gives in a quarter of a second"),
            example: "64",
            help: "Packets that may come at once.",
        },
    ],
};

impl Policer {
    pub(super) fn read(reason: PuntReason, table: &Table<'_>) -> Self {
        Self {
            rate_pps: table
                .integer("rate_pps")
                .unwrap_or(reason.default_rate_pps()),
            burst: table.integer("burst"),
        }
    }
}
