//! What charon's plugin asks, as the protocol has it; see `plugins/charon/PROTOCOL.md`.

use std::fmt;
use std::net::IpAddr;

use ironlane_ipsec::{Mark, Mode, PolicyDirection, Protocol, Secret};

use crate::ipsec::model::{Class, PortUse, Verdict};

pub use crate::ipsec::model::TrafficSelector as Ts;

/// The type of a message; prints its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// Types of requests.
pub(super) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const GET_SPI: u8 = 2;
    pub(crate) const ADD_SA: u8 = 3;
    pub(crate) const UPDATE_SA: u8 = 4;
    pub(crate) const QUERY_SA: u8 = 5;
    pub(crate) const DEL_SA: u8 = 6;
    pub(crate) const FLUSH_SAS: u8 = 7;
    pub(crate) const ADD_POLICY: u8 = 8;
    pub(crate) const QUERY_POLICY: u8 = 9;
    pub(crate) const DEL_POLICY: u8 = 10;
    pub(crate) const FLUSH_POLICIES: u8 = 11;
    pub(crate) const PORT: u8 = 12;
    pub(crate) const SYNCED: u8 = 13;
}

const NAMES: [&str; 13] = [
    "hello",
    "get_spi",
    "add_sa",
    "update_sa",
    "query_sa",
    "del_sa",
    "flush_sas",
    "add_policy",
    "query_policy",
    "del_policy",
    "flush_policies",
    "port",
    "synced",
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::from(self.0)
            .checked_sub(1)
            .and_then(|at| NAMES.get(at))
        {
            Some(name) => f.write_str(name),
            None => write!(f, "message of type {}", self.0),
        }
    }
}

/// A request.
#[derive(Debug)]
pub enum Request {
    /// Who is there.
    Hello {
        /// Version that the plugin speaks.
        version: u16,
        /// Names the run of charon.
        instance: u64,
        /// Program and version, for logs.
        who: String,
    },
    /// Reserve an SPI.
    GetSpi {
        /// ESP or AH.
        protocol: Protocol,
        /// Outer destination of the SA to come.
        dst: IpAddr,
        /// Least number.
        least: u32,
        /// Greatest number.
        greatest: u32,
    },
    /// Install an SA.
    AddSa(Box<AddSa>),
    /// Give an SA other addresses.
    UpdateSa(UpdateSa),
    /// What passed an SA.
    QuerySa(SaName),
    /// Delete an SA.
    DelSa(SaName),
    /// Delete all SAs.
    FlushSas,
    /// Add a use of a policy.
    AddPolicy(PolicyName, UseOfPolicy),
    /// When a policy was used last.
    QueryPolicy(PolicyName),
    /// Remove a use of a policy.
    DelPolicy(PolicyName, UseOfPolicy),
    /// Remove all policies.
    FlushPolicies,
    /// What a UDP port is used for.
    Port(PortUse, u16),
    /// All was told.
    Synced,
}

/// The name of an SA. The source does not tell two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaName {
    /// ESP or AH.
    pub protocol: Protocol,
    /// Its SPI, host order.
    pub spi: u32,
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination.
    pub dst: IpAddr,
    /// Mark by which it is looked up.
    pub mark: Mark,
    /// XFRM interface.
    pub if_id: u32,
}

/// An SA.
#[derive(Debug, PartialEq, Eq)]
pub struct AddSa {
    /// Its name.
    pub name: SaName,
    /// Request id.
    pub reqid: u32,
    /// Mode.
    pub mode: Mode,
    /// See [`AddSa::has`].
    pub flags: u16,
    /// DSCP: 0 copied outward, 1 inward, 2 both, 3 neither.
    pub dscp: u8,
    /// IKEv2 transform id of the cipher.
    pub enc_alg: u16,
    /// Its key, with the salt.
    pub enc_key: Secret,
    /// IKEv2 transform id of the authenticator.
    pub int_alg: u16,
    /// Its key.
    pub int_key: Secret,
    /// Packets in the replay window.
    pub replay_window: u32,
    /// Inner packets are padded to this length.
    pub tfc: u32,
    /// UDP source and destination port, where it is encapsulated.
    pub ports: (u16, u16),
    /// Mark set on packets.
    pub set_mark: Mark,
    /// Limits.
    pub lifetimes: Lifetimes,
    /// Milliseconds since it was first installed.
    pub age_ms: u64,
    /// Inner sources.
    pub src_ts: Vec<Ts>,
    /// Inner destinations.
    pub dst_ts: Vec<Ts>,
    /// Interface that it is bound to; empty for none.
    pub interface: String,
}

/// Bits of [`AddSa::flags`].
pub mod flag {
    /// Inbound.
    pub const INBOUND: u16 = 1;
    /// Extended sequence numbers.
    pub const ESN: u16 = 2;
    /// In UDP.
    pub const ENCAP: u16 = 4;
    /// DF is copied to the outer header.
    pub const COPY_DF: u16 = 8;
    /// ECN goes between the headers.
    pub const COPY_ECN: u16 = 16;
    /// The SPI was reserved.
    pub const RESERVED: u16 = 32;
    /// Told again.
    pub const RESENT: u16 = 64;
    /// charon initiated it.
    pub const INITIATOR: u16 = 128;
    /// All that there are.
    pub const ALL: u16 = 255;
}

impl AddSa {
    /// Whether a bit of the flags is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// Limits of an SA; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Seconds until it is deleted.
    pub hard_s: u64,
    /// Seconds until it is rekeyed.
    pub soft_s: u64,
    /// Bytes.
    pub hard_bytes: u64,
    /// Bytes.
    pub soft_bytes: u64,
    /// Packets.
    pub hard_packets: u64,
    /// Packets.
    pub soft_packets: u64,
}

/// Other addresses of an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateSa {
    /// Its name until now.
    pub name: SaName,
    /// New source.
    pub src: IpAddr,
    /// New destination.
    pub dst: IpAddr,
    /// UDP ports, if it is encapsulated from now on.
    pub ports: Option<(u16, u16)>,
    /// New request id; 0 for the same.
    pub reqid: u32,
}

/// The name of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyName {
    /// Which packets are asked about.
    pub direction: PolicyDirection,
    /// Their source.
    pub src: Ts,
    /// Their destination.
    pub dst: Ts,
    /// Their mark.
    pub mark: Mark,
    /// XFRM interface.
    pub if_id: u32,
    /// Interface; empty for any.
    pub interface: String,
}

/// A use of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseOfPolicy {
    /// What to do.
    pub verdict: Verdict,
    /// Rank.
    pub class: Class,
    /// Priority by hand.
    pub priority: u32,
    /// Request id.
    pub reqid: u32,
    /// Mode of the SAs; `None` where there are none.
    pub mode: Option<Mode>,
    /// Protocol of the SAs, if there are any.
    pub protocol: Option<Protocol>,
    /// SPI of the SA; 0 for none.
    pub spi: u32,
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination.
    pub dst: IpAddr,
}
