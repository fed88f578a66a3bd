//! The configuration file: read, checked and turned into types with nothing left to check.
//!
//! Every section is a file here with its type, its part of the schema and its reader. The
//! schema ([`schema::SECTIONS`]) is the one list of keys, kinds, defaults and help:
//! `docs/configuration.md` and `ironlane config example` are made from it.
//!
//! ```
//! use ironlane_control::config::Config;
//!
//! let config = Config::parse("router.toml", r#"
//!     [[port]]
//!     name = "p0"
//!     device = "net_tap0,iface=host0"
//! "#).unwrap();
//! assert_eq!(config.ports[0].tap.as_str(), "p0");
//!
//! let error = Config::parse("router.toml", "[daemon]\nsokcet = \"/run/x\"\n").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "router.toml:2:1: unknown key \"sokcet\" in [daemon]; did you mean \"socket\"?"
//! );
//! ```

mod cpus;
mod daemon;
mod dataplane;
mod device;
mod dpdk;
mod error;
mod idle;
mod ipsec;
mod ipsec_interface;
mod lcores;
pub mod machine;
mod mirror;
mod name;
mod page;
mod port;
mod punt;
mod reader;
pub mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use ironlane_dataplane::eal::PORTS_MAX;
use ironlane_dataplane::reason::PuntReason;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use cpus::MAX_CPU;
pub use daemon::{DEFAULT_SOCKET, Daemon};
pub use device::Device;
pub use dpdk::{Dpdk, Mempool};
pub use error::{ConfigError, ConfigErrors};
pub use idle::{Idle, IdleMode, OwnIdle};
pub use ipsec::Ipsec;
pub use ipsec_interface::IpsecInterface;
pub use lcores::Lcores;
pub use mirror::{Mirror, Neighbour};
pub use name::{IfName, MacAddress};
pub use page::{example, page};
pub use port::{Peer, Port};
pub use punt::{Policer, Punt};

use reader::{Reader, Table};

/// A whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where the daemon lives.
    pub daemon: Daemon,
    /// How DPDK is started.
    pub dpdk: Dpdk,
    /// Packet buffers.
    pub mempool: Mempool,
    /// CPUs that forward.
    pub lcores: Lcores,
    /// Those of them that idle in a way of their own.
    #[serde(rename = "lcore")]
    pub own_idle: OwnIdle,
    /// The ports, in the order of the file.
    #[serde(rename = "port")]
    pub ports: Vec<Port>,
    /// Policers that differ from their defaults.
    pub punt: Punt,
    /// How the kernel is followed.
    pub mirror: Mirror,
    /// How neighbours are kept fresh.
    pub neighbour: Neighbour,
    /// Where SAs and policies come from.
    pub ipsec: Ipsec,
    /// By which interfaces routes lead to SAs, in the order of the file.
    #[serde(rename = "ipsec_interface", skip_serializing_if = "Vec::is_empty")]
    pub ipsec_interfaces: Vec<IpsecInterface>,
}

impl Config {
    /// Reads and checks `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigErrors(vec![ConfigError::whole(&file, unreadable(&e))]))?;
        Self::parse(&file, &text)
    }

    /// Checks `text`, which messages call `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        let (document, broken) = DeTable::parse_recoverable(text);
        if !broken.is_empty() {
            // What does not parse cannot be judged further: a missing quote makes any key unknown.
            let first = broken.iter().take(1);
            let errors = first.map(|e| {
                let span = e.span().unwrap_or(0..0);
                ConfigError::at(
                    file,
                    text,
                    &span,
                    format!("not TOML: {}", e.message().trim_end()),
                )
            });
            return Err(ConfigErrors(errors.collect()));
        }
        let reader = Reader::new(file, text);
        let config = read(&reader, document.get_ref());
        let faults = reader.finish();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(faults))
        }
    }

    /// The configuration with every default written out, as TOML.
    pub fn to_toml(&self) -> String {
        // Every type here serialises; the only other way to fail is a value before a table, which
        // the order of the fields rules out and a test checks.
        toml::to_string(self).unwrap_or_default()
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "no such file; `ironlane config example` prints one to begin with".into()
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn read(reader: &Reader<'_>, document: &DeTable<'_>) -> Config {
    known_sections(reader, document);
    let single = |section: &'static schema::Section| {
        let mut value = None;
        let mut table = Some(document);
        for part in section.name.split('.') {
            value = table.and_then(|t| reader::get(t, part));
            table = value.and_then(|v| v.get_ref().as_table());
        }
        let prefix = format!("{}.", section.name);
        let names = schema::SECTIONS
            .iter()
            .filter_map(|s| s.name.strip_prefix(&prefix));
        Table::new(
            reader,
            section,
            section.title(),
            value,
            &names.collect::<Vec<_>>(),
        )
    };
    let daemon = Daemon::read(&single(&daemon::SECTION));
    let ports = ports(reader, document, &daemon);
    let lcores = Lcores::read(&single(&lcores::SECTION), &single(&idle::SECTION));
    let own = reader::get(document, idle::OWN_SECTION.name);
    let ipsec = Ipsec::read(&single(&ipsec::SECTION));
    let ipsec_interfaces = IpsecInterface::read_all(reader, document, &ports, &ipsec);
    Config {
        daemon,
        dpdk: Dpdk::read(&single(&dpdk::SECTION)),
        mempool: Mempool::read(&single(&dpdk::MEMPOOL_SECTION)),
        own_idle: OwnIdle::read(reader, own, &lcores.cpus, &lcores.idle),
        lcores,
        ports,
        punt: policers(reader, document),
        mirror: Mirror::read(&single(&mirror::SECTION)),
        neighbour: Neighbour::read(&single(&mirror::NEIGHBOUR_SECTION)),
        ipsec,
        ipsec_interfaces,
    }
}

/// Reports top-level names that are no section.
fn known_sections(reader: &Reader<'_>, document: &DeTable<'_>) {
    let names = || {
        schema::SECTIONS
            .iter()
            .map(|s| s.name)
            .filter(|n| !n.contains('.'))
    };
    for (key, value) in document {
        let name = key.get_ref().as_ref();
        if !names().any(|n| n == name) {
            let is_table = value.get_ref().is_table() || value.get_ref().is_array();
            let what = if is_table { "section" } else { "key" };
            let hint = reader::nearest(name, names());
            reader.fault(&key.span(), format!("unknown {what} \"{name}\"{hint}"));
        }
    }
}

fn ports(reader: &Reader<'_>, document: &DeTable<'_>, daemon: &Daemon) -> Vec<Port> {
    let Some(value) = reader::get(document, "port") else {
        return Vec::new();
    };
    let Some(items) = value.get_ref().as_array() else {
        reader.fault(&value.span(), "ports are written [[port]], in two brackets");
        return Vec::new();
    };
    let mut ports: Vec<Port> = Vec::new();
    let mut ends = Vec::new();
    let mut seen: HashMap<(&str, String), Range<usize>> = HashMap::new();
    for item in items {
        let title = port::SECTION.title();
        let table = Table::new(reader, &port::SECTION, title, Some(item), &[]);
        let Some(port) = Port::read(&table) else {
            continue;
        };
        let unique = [
            ("name", port.name.to_string()),
            ("tap", port.tap.to_string()),
            ("device", port.device.id().to_owned()),
        ];
        let iface = port
            .device
            .arg("iface")
            .map(|iface| ("iface", iface.to_owned()));
        let mac = port.mac.map(|mac| ("mac", mac.to_string()));
        for (what, value) in unique.into_iter().chain(mac).chain(iface) {
            let key = if what == "iface" { "device" } else { what };
            if let Some(first) = seen.get(&(what, value.clone())) {
                let line = reader.line(first);
                table.fault(
                    key,
                    format!("{what} {value} is already that of the port at line {line}"),
                );
            } else {
                seen.insert((what, value), table.span_of(key));
            }
        }
        if let Some(end) = port.kernel_end() {
            ends.push((table.span_of("device"), end));
        }
        ports.push(port);
    }
    for (span, (netns, name)) in ends.iter().filter(|(_, end)| end.0 == daemon.netns_path()) {
        if let Some(port) = ports.iter().find(|port| port.tap.as_str() == name) {
            let netns = netns.as_ref().map_or("[daemon] netns", |_| "peer_netns");
            let message = format!(
                "[[port]] device: its kernel end {name} is in the way of the tap of port {}; give \
                 it another iface or peer_name, or set {netns}",
                port.name
            );
            reader.fault(span, message);
        }
    }
    if let Some(first) = items.get(PORTS_MAX) {
        let count = items.len();
        let message = format!("{count} ports are more than the {PORTS_MAX} that this DPDK takes");
        reader.fault(&first.span(), message);
    }
    ports
}

fn policers(reader: &Reader<'_>, document: &DeTable<'_>) -> Punt {
    let Some(value) = reader::get(document, "punt") else {
        return Punt::default();
    };
    let Some(table) = value.get_ref().as_table() else {
        reader.fault(&value.span(), "policers are written [punt.REASON]");
        return Punt::default();
    };
    let mut policers = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if let Some(reason) = PuntReason::from_name(name) {
            policers.push((reason, policer(reader, reason, value)));
        } else {
            let hint = reader::nearest(name, PuntReason::ALL.iter().map(|r| r.name()));
            reader.fault(&key.span(), format!("unknown punt reason \"{name}\"{hint}"));
        }
    }
    policers.sort_by_key(|(reason, _)| *reason);
    Punt { policers }
}

fn policer(reader: &Reader<'_>, reason: PuntReason, value: &Spanned<DeValue<'_>>) -> Policer {
    let title = format!("[punt.{reason}]");
    Policer::read(
        reason,
        &Table::new(reader, &punt::SECTION, title, Some(value), &[]),
    )
}
