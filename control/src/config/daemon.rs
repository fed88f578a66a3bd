//! `[daemon]`: where the daemon lives.

use std::path::PathBuf;

use serde::Serialize;

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// Where the daemon lives and whom it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Unix socket of the API.
    pub socket: PathBuf,
    /// Group that may use the socket beside root, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
    /// Folder for the lock file and what else lives as long as the daemon.
    pub run_dir: PathBuf,
    /// Network namespace of taps and mirror; the daemon's own if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Log level, or `target=level` directives.
    pub log: String,
}

/// Where API and CLI meet unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ironlane/ironlane.sock";

pub(super) static SECTION: Section = Section {
    name: "daemon",
    shape: Shape::Single,
    help: "Where the daemon lives and whom it answers.",
    keys: &[
        Key {
            name: "socket",
            kind: Kind::Text,
            default: Default::Value("\"/run/ironlane/ironlane.sock\""),
            example: "",
            help: "Unix socket of the API, made with mode 0660. The command line finds it by \
                   --socket or IRONLANE_SOCKET if it is not this one.",
        },
        Key {
            name: "socket_group",
            kind: Kind::Text,
            default: Default::Derived("root's group: root alone may use the socket"),
            example: "\"adm\"",
            help: "Group whose members may use the socket, by name or number.",
        },
        Key {
            name: "run_dir",
            kind: Kind::Text,
            default: Default::Value("\"/run/ironlane\""),
            example: "",
            help: "Folder for the lock file that keeps a second daemon out. Made if missing. Two \
                   daemons on one machine need two folders, two sockets and two file_prefix.",
        },
        Key {
            name: "netns",
            kind: Kind::Text,
            default: Default::Derived("the namespace in which the daemon is started"),
            example: "\"router\"",
            help: "Network namespace (a name under /run/netns, or a path) in which the taps are \
                   made and whose routes are mirrored. It must exist.",
        },
        Key {
            name: "log",
            kind: Kind::Text,
            default: Default::Value("\"info\""),
            example: "\"info,ironlane_control::netlink=debug\"",
            help: "Log level (error, warn, info, debug, trace), alone or by part of the program. \
                   `ironlane log level` changes it while the daemon runs.",
        },
    ],
};

impl Daemon {
    pub(super) fn read(table: &Table<'_>) -> Self {
        let log = table.parsed::<String>("log").unwrap_or_default();
        if let Err(e) = crate::log::check_level(&log) {
            table.fault("log", e);
        }
        let netns = table.parsed::<String>("netns");
        if let Some(name) = &netns
            && (name.is_empty() || name.contains('/') && !name.starts_with('/'))
        {
            table.fault(
                "netns",
                format!("\"{name}\" is neither a name nor an absolute path"),
            );
        }
        Self {
            socket: table.socket("socket"),
            socket_group: table.parsed("socket_group"),
            run_dir: table.path("run_dir"),
            netns,
            log,
        }
    }

    /// The path of the network namespace, if one is configured.
    pub fn netns_path(&self) -> Option<PathBuf> {
        self.netns.as_deref().map(netns_path)
    }
}

/// Where a namespace is found: a path is one already, a name is one of `ip netns`.
pub(super) fn netns_path(name: &str) -> PathBuf {
    // Joining an absolute path replaces what it is joined to.
    PathBuf::from("/run/netns").join(name)
}
