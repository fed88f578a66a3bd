//! `[[ipsec_interface]]`: a Linux interface by which routes choose the SA.

use std::collections::HashMap;
use std::ops::Range;

use ipnet::IpNet;
use ironlane_dataplane::eal::PORTS_MAX;
use serde::Serialize;
use toml::Spanned;
use toml::de::DeTable;

use super::Ipsec;
use super::name::IfName;
use super::port::Port;
use super::reader::{self, Reader, Table};
use super::schema::{Default, Key, Kind, Section, Shape};

/// One IPsec interface: has an `if_id` or a mark, the other is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IpsecInterface {
    /// Its name, in Linux as well.
    pub name: IfName,
    /// Its SAs and policies have this `if_id`.
    #[serde(skip_serializing_if = "is_zero")]
    pub if_id: u32,
    /// Its SAs and policies have this mark.
    #[serde(skip_serializing_if = "is_zero")]
    pub mark: u32,
    /// Largest IP packet.
    pub mtu: u16,
    /// Addresses that the daemon gives it.
    pub addresses: Vec<IpNet>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) static SECTION: Section = Section {
    name: "ipsec_interface",
    shape: Shape::Optional,
    help: "A Linux interface for a route-based VPN, as `ip link add NAME type xfrm if_id N` makes one: \
           what is routed to it is protected by the SAs of its if_id, what they open arrives by it \
           (docs/ipsec.md). Needs [ipsec] charon_socket or xfrm. Repeat the section for each interface.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text,
            default: Default::Required,
            example: "\"ipsec0\"",
            help: "Name of the interface, in Linux, counters, logs and commands. No other interface of \
                   the namespace may have it.",
        },
        Key {
            name: "if_id",
            kind: Kind::Integer(1, u32::MAX as i64),
            default: Default::Derived("none, then there must be a mark"),
            example: "42",
            help: "The if_id_in and if_id_out of its children in swanctl.conf.",
        },
        Key {
            name: "mark",
            kind: Kind::Integer(1, u32::MAX as i64),
            default: Default::Instead("if_id"),
            example: "42",
            help: "As for a VTI: the mark_in and mark_out of its children. Nothing else \
                   gives packets marks here.",
        },
        Key {
            name: "mtu",
            kind: Kind::Integer(576, 9_000),
            default: Default::Value("1400"),
            example: "",
            help: "Largest IP packet in bytes, before it is protected; Linux may set a smaller one. 1400 \
                   fits a path of 1500 with any algorithm and header. IPv6 needs 1280.",
        },
        Key {
            name: "addresses",
            kind: Kind::TextList,
            default: Default::Value("[]"),
            example: "[\"10.255.0.1/30\", \"2001:db8:ff::1/64\"]",
            help: "Addresses that the daemon gives it. Leave it empty where FRR, ifupdown or \
                   systemd-networkd do so.",
        },
    ],
};

impl IpsecInterface {
    fn read(table: &Table<'_>) -> Option<Self> {
        let name: Option<IfName> = table.parsed("name");
        let addresses = table.list("addresses").into_iter();
        let this = Self {
            name: name?,
            if_id: table.integer("if_id").unwrap_or(0),
            mark: table.integer("mark").unwrap_or(0),
            mtu: table.integer("mtu").unwrap_or_default(),
            addresses: addresses.map(Spanned::into_inner).collect(),
        };
        let asked = (table.has("if_id"), table.has("mark"));
        match asked {
            (true, true) => table.fault("mark", "beside an if_id; take one of the two"),
            (false, false) => table.fault("if_id", "needed, or a mark: they name the SAs"),
            _ => {}
        }
        let has_ip6 = this.addresses.iter().any(|a| matches!(a, IpNet::V6(_)));
        if has_ip6 && this.mtu < 1280 {
            let mtu = this.mtu;
            table.fault(
                "mtu",
                format!("{mtu} is below the 1280 that IPv6 needs (RFC 8200 5)"),
            );
        }
        Some(this)
    }

    /// All of them.
    pub(super) fn read_all(
        reader: &Reader<'_>,
        document: &DeTable<'_>,
        ports: &[Port],
        ipsec: &Ipsec,
    ) -> Vec<Self> {
        let Some(value) = reader::get(document, SECTION.name) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            let message = "IPsec interfaces are written [[ipsec_interface]], in two brackets";
            reader.fault(&value.span(), message);
            return Vec::new();
        };
        if let (false, Some(first)) = (ipsec.is_on(), items.first()) {
            let message = "[[ipsec_interface]]: nobody would give it SAs; set charon_socket or xfrm in [ipsec]";
            reader.fault(&first.span(), message);
        }
        if let Some(first) = items.get(PORTS_MAX.saturating_sub(ports.len())) {
            let (count, most) = (items.len() + ports.len(), PORTS_MAX);
            let message = format!(
                "{count} ports and IPsec interfaces are more than the {most} that this DPDK has numbers for"
            );
            reader.fault(&first.span(), message);
        }
        let mut all = Vec::new();
        let mut seen: HashMap<(&str, String), Range<usize>> = HashMap::new();
        for item in items {
            let table = Table::new(reader, &SECTION, SECTION.title(), Some(item), &[]);
            let Some(this) = Self::read(&table) else {
                continue;
            };
            let is_taken = |port: &&Port| port.name == this.name || port.tap == this.name;
            if let Some(port) = ports.iter().find(is_taken) {
                let message = format!("{} is a name of port {} already", this.name, port.name);
                table.fault("name", message);
            }
            let names = [
                ("name", this.name.to_string()),
                ("if_id", this.if_id.to_string()),
                ("mark", this.mark.to_string()),
            ];
            for (key, value) in names.into_iter().filter(|(key, _)| table.has(key)) {
                let span = table.span_of(key);
                if let Some(first) = seen.insert((key, value.clone()), span) {
                    let line = reader.line(&first);
                    table.fault(
                        key,
                        format!("{value} is already that of the interface at line {line}"),
                    );
                }
            }
            all.push(this);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const BEFORE: &str = "[ipsec]\ncharon_socket = \"/run/s\"\n\
                          [[port]]\nname = \"p0\"\ntap = \"wan\"\ndevice = \"net_null0\"\n";

    #[test]
    fn interfaces_are_read_and_shown() {
        let text = format!(
            "{BEFORE}[[ipsec_interface]]\nname = \"ipsec0\"\nif_id = 0xffff_ffff\nmtu = 1380\n\
             addresses = [\"10.255.0.1/30\"]\n[[ipsec_interface]]\nname = \"vti0\"\nmark = 42\n"
        );
        let config = Config::parse("c", &text).unwrap();
        let [ipsec0, vti0] = &config.ipsec_interfaces[..] else {
            panic!("{config:?}")
        };
        assert_eq!((ipsec0.if_id, ipsec0.mark, ipsec0.mtu), (u32::MAX, 0, 1380));
        assert_eq!((vti0.if_id, vti0.mark, vti0.mtu), (0, 42, 1400));
        assert_eq!(config.dataplane().interfaces[0].if_id, u32::MAX);
        assert_eq!(Config::parse("shown", &config.to_toml()).unwrap(), config);
    }

    #[test]
    fn each_fault_has_its_message() {
        let one = "[[ipsec_interface]]\nname = \"ipsec0\"\nif_id = 42\n";
        let cases = [
            (
                "[[ipsec_interface]]\nname = \"i0\"",
                "7:1: [[ipsec_interface]] if_id: needed, or a mark: they name the SAs",
            ),
            (
                "[[ipsec_interface]]\nname = \"i0\"\nif_id = 1\nmark = 1",
                "10:8: [[ipsec_interface]] mark: beside an if_id; take one of the two",
            ),
            (
                "[[ipsec_interface]]\nname = \"wan\"\nif_id = 1",
                "8:8: [[ipsec_interface]] name: wan is a name of port p0 already",
            ),
            (
                &format!("{one}[[ipsec_interface]]\nname = \"i1\"\nif_id = 42"),
                "12:9: [[ipsec_interface]] if_id: 42 is already that of the interface at line 9",
            ),
            (
                "[ipsec_interface]\nname = \"i0\"",
                "7:1: IPsec interfaces are written [[ipsec_interface]], in two brackets",
            ),
            (
                "[[ipsec_interface]]\nname = \"i0\"\nif_id = 0",
                "9:9: [[ipsec_interface]] if_id: expected an integer from 1 to 4294967295, found the integer 0",
            ),
        ];
        for (text, message) in cases {
            let text = format!("{BEFORE}{text}");
            let told = Config::parse("c", &text).expect_err(&text).to_string();
            assert_eq!(told, format!("c:{message}"), "for\n{text}");
        }
        let told = Config::parse("c", one).unwrap_err().to_string();
        assert_eq!(
            told,
            "c:1:1: [[ipsec_interface]]: nobody would give it SAs; set charon_socket or xfrm in [ipsec]"
        );
        let text = BEFORE.replace("charon_socket = \"/run/s\"", "xfrm = true");
        let of_kernel = Config::parse("c", &format!("{text}{one}")).unwrap();
        assert_eq!(of_kernel.ipsec_interfaces[0].if_id, 42);
    }
}
