//! `[[port]]`: one DPDK port and its Linux face, the tap.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;
use toml::Spanned;

use super::device::Device;
use super::name::{IfName, MacAddress};
use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name in counters, logs and the command line.
    pub name: IfName,
    /// What it is made of.
    pub device: Device,
    /// Name of its tap, the interface that Linux and routing daemons see.
    pub tap: IfName,
    /// Largest IP packet, of port and tap.
    pub mtu: u16,
    /// Receive queues; as many as lcores and device allow if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_queues: Option<u16>,
    /// Transmit queues; as many as lcores and device allow if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_queues: Option<u16>,
    /// Descriptors of each receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue.
    pub tx_descriptors: u16,
    /// Receive frames for any destination MAC.
    pub promiscuous: bool,
    /// MAC of port and tap; the device's own if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Addresses that the daemon gives the tap.
    pub addresses: Vec<IpNet>,
    /// The kernel end of a net_tap device, if it is to be arranged.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

/// What to do with the kernel end of a `net_tap` device, which plays the host on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Network namespace to move it to.
    #[serde(rename = "peer_netns", skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Name it gets; DPDK's `iface` argument if none.
    #[serde(rename = "peer_name", skip_serializing_if = "Option::is_none")]
    pub name: Option<IfName>,
    /// MAC it gets; it must not be the port's.
    #[serde(rename = "peer_mac", skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Addresses it gets.
    #[serde(rename = "peer_addresses", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNet>,
}

pub(super) static SECTION: Section = Section {
    name: "port",
    shape: Shape::Repeated,
    help: "One DPDK port with its tap, the ordinary interface by which Linux and routing daemons \
           use the port. Repeat the section for each port.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text,
            default: Default::Required,
            example: "\"p0\"",
            help: "Name of the port in counters, logs and commands.",
        },
        Key {
            name: "device",
            kind: Kind::Text,
            default: Default::Required,
            example: "\"net_tap0,iface=host0\"",
            help: "PCI address (\"0000:3b:02.1\"), or a virtual device of DPDK with its arguments \
                   (\"net_tap0,iface=host0\", \"net_af_packet0,iface=eth1\", \
                   \"net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap\").",
        },
        Key {
            name: "tap",
            kind: Kind::Text,
            default: Default::Derived("the port's name"),
            example: "\"p0\"",
            help: "Name of the tap. No other interface of the namespace may have it.",
        },
        Key {
            name: "mtu",
            kind: Kind::Integer(576, 9_000),
            default: Default::Value("1500"),
            example: "",
            help: "Largest IP packet in bytes, of port and tap. IPv6 needs 1280.",
        },
        Key {
            name: "rx_queues",
            kind: Kind::Integer(1, 126),
            default: Default::Derived("one for each lcore, as far as the device has them"),
            example: "1",
            help: "Receive queues. With fewer than lcores, some lcores receive from other ports \
                   only.",
        },
        Key {
            name: "tx_queues",
            kind: Kind::Integer(1, 126),
            default: Default::Derived("one for each lcore, as far as the device has them"),
            example: "1",
            help: "Transmit queues. With fewer than lcores, the others hand their packets over by \
                   rings.",
        },
        Key {
            name: "rx_descriptors",
            kind: Kind::Integer(32, 32_768),
            default: Default::Value("1024"),
            example: "",
            help: "Descriptors of each receive queue; rounded to what the device takes.",
        },
        Key {
            name: "tx_descriptors",
            kind: Kind::Integer(32, 32_768),
            default: Default::Value("1024"),
            example: "",
            help: "Descriptors of each transmit queue; rounded to what the device takes.",
        },
        Key {
            name: "promiscuous",
            kind: Kind::Bool,
            default: Default::Value("false"),
            example: "",
            help: "Receive frames for any destination MAC, and all multicast where a virtual \
                   function gets a list of groups otherwise. Unicast for other stations is dropped \
                   by reason eth_not_for_us, also if it is for a virtual MAC of VRRP.",
        },
        Key {
            name: "mac",
            kind: Kind::Text,
            default: Default::Derived("the device's own"),
            example: "\"02:00:00:00:00:01\"",
            help: "MAC address of port and tap.",
        },
        Key {
            name: "addresses",
            kind: Kind::TextList,
            default: Default::Value("[]"),
            example: "[\"192.0.2.1/24\", \"2001:db8:0:2::1/64\"]",
            help: "Addresses that the daemon gives the tap. Leave it empty where FRR, ifupdown or \
                   systemd-networkd do so.",
        },
        Key {
            name: "peer_netns",
            kind: Kind::Text,
            default: Default::Derived("it stays where the daemon is"),
            example: "\"host0\"",
            help: "Only for net_tap: namespace to move the kernel end of the device to, where it \
                   plays the host on the wire.",
        },
        Key {
            name: "peer_name",
            kind: Kind::Text,
            default: Default::Derived("the iface argument of the device"),
            example: "\"eth0\"",
            help: "Only for net_tap: name that the kernel end gets in its namespace.",
        },
        Key {
            name: "peer_mac",
            kind: Kind::Text,
            default: Default::Derived("one that differs from the port's"),
            example: "\"02:00:00:00:01:01\"",
            help: "Only for net_tap: MAC address of the kernel end. DPDK gives both ends the same \
                   one, with which no neighbour could ever be resolved.",
        },
        Key {
            name: "peer_addresses",
            kind: Kind::TextList,
            default: Default::Value("[]"),
            example: "[\"192.0.2.3/24\"]",
            help: "Only for net_tap: addresses of the kernel end.",
        },
    ],
};

/// Keys that make sense for net_tap devices alone.
const PEER_KEYS: [&str; 4] = ["peer_netns", "peer_name", "peer_mac", "peer_addresses"];

impl Peer {
    /// The path of the namespace that the kernel end moves to, if it moves.
    pub fn netns_path(&self) -> Option<PathBuf> {
        self.netns.as_deref().map(super::daemon::netns_path)
    }
}

impl Port {
    /// Where the kernel end of a `net_tap` device is at last, and its name there, if that is known.
    pub(super) fn kernel_end(&self) -> Option<(Option<PathBuf>, String)> {
        let born = self.device.arg("iface");
        let born = born.filter(|_| self.device.driver() == Some("net_tap"))?;
        let peer = self.peer.as_ref();
        let name = peer.and_then(|peer| peer.name.as_ref());
        let name = name.map_or(born, IfName::as_str);
        Some((peer.and_then(Peer::netns_path), name.to_owned()))
    }

    pub(super) fn read(table: &Table<'_>) -> Option<Self> {
        let name: Option<IfName> = table.parsed("name");
        let device: Option<Device> = table.parsed("device");
        let tap: Option<IfName> = table.parsed("tap");
        let inner = |list: Vec<Spanned<IpNet>>| -> Vec<IpNet> {
            list.into_iter().map(Spanned::into_inner).collect()
        };
        let addresses = inner(table.list("addresses"));
        let is_net_tap = device
            .as_ref()
            .is_some_and(|d| d.driver() == Some("net_tap"));
        if let Some(device) = device.as_ref().filter(|_| !is_net_tap) {
            for key in PEER_KEYS.into_iter().filter(|key| table.has(key)) {
                let id = device.id();
                table.fault(
                    key,
                    format!("only a net_tap device has a kernel end, {id} has none"),
                );
            }
        }
        let has_peer = PEER_KEYS.into_iter().any(|key| table.has(key));
        if let Some(device) = device.as_ref().filter(|_| is_net_tap) {
            match device.arg("iface").map(str::parse::<IfName>) {
                Some(Err(fault)) => table.fault("device", format!("iface: {fault}")),
                // DPDK lets the kernel choose a name then, and does not tell which one.
                None if has_peer => table.fault(
                    "device",
                    format!(
                        "the kernel end that peer_... keys are about needs a name; write {},iface=NAME",
                        device.id()
                    ),
                ),
                _ => {}
            }
        }
        let peer = Peer {
            netns: table.parsed("peer_netns"),
            name: table.parsed("peer_name"),
            mac: table.parsed("peer_mac"),
            addresses: inner(table.list("peer_addresses")),
        };
        let mac = table.parsed("mac");
        if let (Some(ours), Some(theirs)) = (mac, peer.mac)
            && ours == theirs
        {
            table.fault(
                "peer_mac",
                format!("{theirs} is the port's own; the two ends must differ"),
            );
        }
        let port = Self {
            tap: tap.or_else(|| name.clone())?,
            name: name?,
            device: device?,
            mtu: table.integer("mtu").unwrap_or_default(),
            rx_queues: table.integer("rx_queues"),
            tx_queues: table.integer("tx_queues"),
            rx_descriptors: table.integer("rx_descriptors").unwrap_or_default(),
            tx_descriptors: table.integer("tx_descriptors").unwrap_or_default(),
            promiscuous: table.boolean("promiscuous"),
            mac,
            addresses,
            peer: has_peer.then_some(peer),
        };
        let has_ip6 = port.addresses.iter().any(|a| matches!(a, IpNet::V6(_)));
        if has_ip6 && port.mtu < 1280 {
            table.fault(
                "mtu",
                format!(
                    "{} is below the 1280 that IPv6 needs (RFC 8200 5)",
                    port.mtu
                ),
            );
        }
        Some(port)
    }
}
