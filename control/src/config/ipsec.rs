//! `[ipsec]`: who may install SAs and policies.

use std::path::PathBuf;

use serde::Serialize;

use super::reader::Table;
use super::schema::{Default, Key, Kind, Section, Shape};

/// Where SAs and policies come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ipsec {
    /// Unix socket for charon's plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charon_socket: Option<PathBuf>,
    /// Whether the SAs and policies of the kernel's XFRM are taken.
    pub xfrm: bool,
    /// Whether IPv6 packets of the host itself pass the kernel's IPsec in clear, to be sealed by lcores; as
    /// it fits without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xfrm_pass_ip6: Option<bool>,
    /// What encrypts: `cpu`, or a crypto device of DPDK by its device string; the best there is without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crypto_device: Option<String>,
    /// charon's VICI socket; charon is not asked without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vici: Option<PathBuf>,
    /// How long nothing leaves that policies would be asked about, unless charon tells them before.
    pub wait_for_charon_s: u32,
    /// Fragments that each lcore holds, and the packets that they are of.
    pub fragments_held: u16,
    /// How long the first fragment of a packet waits for the last.
    pub fragment_timeout_ms: u32,
}

pub(super) static SECTION: Section = Section {
    name: "ipsec",
    shape: Shape::Single,
    help: "ESP and AH on the lcores, keyed by strongSwan's plugin or through the kernel (docs/ipsec.md).",
    keys: &[
        Key {
            name: "charon_socket",
            kind: Kind::Text,
            default: Default::Derived("no plugin"),
            example: "\"/run/ironlane/ipsec.sock\"",
            help: "Unix socket on which strongSwan's plugin kernel-ironlane installs SAs and policies, \
                   made with mode 0660 for root's group. Keys pass through it.",
        },
        Key {
            name: "xfrm",
            kind: Kind::Bool,
            default: Default::Value("false"),
            example: "true",
            help: "Take the SAs and policies that anybody installs in the kernel (ip xfrm, strongSwan or \
                   libreswan as they come) in the network namespace of the taps. The kernel must have XFRM \
                   and ESP. Without this and without charon_socket, IPsec is off.",
        },
        Key {
            name: "xfrm_pass_ip6",
            kind: Kind::Bool,
            default: Default::Derived("true where [daemon] netns is set"),
            example: "true",
            help: "With xfrm: install a policy of priority 0 in the kernel by which IPv6 packets of the host \
                   itself pass its IPsec, so that lcores seal them; else those that a policy would protect \
                   are lost. It counts for every interface of the namespace: what leaves by one that is no \
                   port leaves in clear.",
        },
        Key {
            name: "crypto_device",
            kind: Kind::Text,
            default: Default::Derived("\"cpu\", or \"crypto_openssl0\" without AES instructions"),
            example: "\"cpu\"",
            help: "What encrypts: \"cpu\" is the lcore itself, by code of Ironlane's for AES-GCM where it has AVX-512 and \
                   VAES, by libipsec-mb for all else; \"libipsec-mb\" is that for AES-GCM, too; else a crypto device of DPDK \
                   by its device string (crypto_openssl0, crypto_aesni_mb0, a PCI address). \
                   `ironlane doctor` says what it can do.",
        },
        Key {
            name: "vici",
            kind: Kind::Text,
            default: Default::Derived("charon is not asked"),
            example: "\"/run/charon.vici\"",
            help: "charon's own socket (VICI): names and identities of SAs, `ironlane ipsec connection show`, \
                   `initiate`, `terminate` and `monitor`. charon may come later and restart.",
        },
        Key {
            name: "wait_for_charon_s",
            kind: Kind::Integer(0, 3_600),
            default: Default::Value("0"),
            example: "",
            help: "How many seconds from the start on nothing is forwarded or sent that a policy might want protected, \
                   unless charon has told its policies before. IKE and neighbour discovery pass; the rest is \
                   dropped as policy_not_known. 0 waits for nobody.",
        },
        Key {
            name: "fragments_held",
            kind: Kind::Integer(272, 16_384),
            default: Default::Value("1024"),
            example: "",
            help: "Fragments of ESP and AH that each lcore keeps until their packet is whole, together with the \
                   packets that they are of. A source has a quarter of it; more costs its oldest. Each needs a \
                   packet buffer, which is counted in where [mempool] mbufs is not given.",
        },
        Key {
            name: "fragment_timeout_ms",
            kind: Kind::Integer(10, 60_000),
            default: Default::Value("2000"),
            example: "",
            help: "How long the first fragment of such a packet to come waits for the last, in milliseconds.",
        },
    ],
};

impl Ipsec {
    /// Whether anybody may install SAs.
    pub fn is_on(&self) -> bool {
        self.charon_socket.is_some() || self.xfrm
    }

    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            charon_socket: table
                .has("charon_socket")
                .then(|| table.socket("charon_socket")),
            xfrm: table.boolean("xfrm"),
            xfrm_pass_ip6: table
                .has("xfrm_pass_ip6")
                .then(|| table.boolean("xfrm_pass_ip6")),
            crypto_device: table.parsed("crypto_device"),
            vici: table.has("vici").then(|| table.socket("vici")),
            wait_for_charon_s: table.integer("wait_for_charon_s").unwrap_or_default(),
            fragments_held: table.integer("fragments_held").unwrap_or_default(),
            fragment_timeout_ms: table.integer("fragment_timeout_ms").unwrap_or_default(),
        }
    }
}
