//! `[ipsec]`: who may install SAs and policies.

use std::path::PathBuf;

use serde::Serialize;

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// Where SAs and policies come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ipsec {
    /// Unix socket for charon's plugin; IPsec is off without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charon_socket: Option<PathBuf>,
}

pub(super) static SECTION: Section = Section {
    name: "ipsec",
    shape: Shape::Single,
    help: "ESP and AH on the lcores, keyed by strongSwan (docs/ipsec.md).",
    keys: &[Key {
        name: "charon_socket",
        kind: Kind::Text,
        default: Default::Derived("IPsec is off"),
        example: "\"/run/ironlane/ipsec.sock\"",
        help: "Unix socket on which strongSwan's plugin kernel-ironlane installs SAs and policies, \
               made with mode 0660 for root's group. Keys pass through it.",
    }],
};

impl Ipsec {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            charon_socket: table
                .has("charon_socket")
                .then(|| table.socket("charon_socket")),
        }
    }
}
