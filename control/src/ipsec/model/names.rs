//! What sources say about SAs and policies, and by which names.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ironlane_ipsec::{IpsecError, Mark, Mode, PolicyDirection, Protocol, SaSpec, UdpEncap};

use super::TrafficSelector;

/// Who installed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A run of charon, by the number that its plugin chose.
    Charon(u64),
    /// The kernel, which others told.
    Kernel,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charon(_) => f.write_str("charon"),
            Self::Kernel => f.write_str("kernel"),
        }
    }
}

/// What tells one SA from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaKey {
    /// ESP or AH.
    pub protocol: Protocol,
    /// Security parameters index, host order.
    pub spi: u32,
    /// Outer destination.
    pub dst: IpAddr,
}

impl fmt::Display for SaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Esp => "ESP",
            Protocol::Ah => "AH",
        };
        write!(f, "{protocol} SA {:#010x} to {}", self.spi, self.dst)
    }
}

/// How long an SA may live, from when it was first installed; `None` for ever. Limits of bytes and
/// packets stand in [`SaSpec::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// When to rekey.
    pub soft: Option<Duration>,
    /// When to delete.
    pub hard: Option<Duration>,
}

/// An SA to install.
#[derive(Debug, Clone)]
pub struct NewSa {
    /// What it is.
    pub spec: SaSpec,
    /// How long it may live.
    pub lifetime: Lifetime,
    /// How long it has lived already, where it is told again.
    pub age: Duration,
}

impl NewSa {
    /// Its name.
    pub fn key(&self) -> SaKey {
        SaKey {
            protocol: self.spec.protocol,
            spi: self.spec.spi,
            dst: self.spec.dst,
        }
    }
}

/// What of an SA may change while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaChange {
    /// New outer source.
    pub src: IpAddr,
    /// New outer destination.
    pub dst: IpAddr,
    /// New encapsulation.
    pub encap: Option<UdpEncap>,
    /// New reqid, if it changes.
    pub reqid: Option<u32>,
}

/// What has passed an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaUse {
    /// Bytes of inner packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// How long ago the last of them was, to the second; `None` if there was none.
    pub idle: Option<Duration>,
}

/// What tells one policy from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyKey {
    /// Which packets are asked about.
    pub direction: PolicyDirection,
    /// Source of packets.
    pub src: TrafficSelector,
    /// Destination of packets.
    pub dst: TrafficSelector,
    /// Mark of packets.
    pub mark: Mark,
    /// XFRM interface; 0 for none.
    pub if_id: u32,
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            PolicyDirection::In => "in",
            PolicyDirection::Out => "out",
            PolicyDirection::Fwd => "fwd",
        };
        write!(f, "policy {direction} {} to {}", self.src, self.dst)?;
        match self.if_id {
            0 => Ok(()),
            if_id => write!(f, " if_id {if_id}"),
        }
    }
}

/// Rank of a policy, before its selector counts (RFC 4301 4.4.1 has an ordered list; IKE has classes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Exceptions, first of all.
    Pass,
    /// Policies with an SA.
    Default,
    /// Traps, which make IKE negotiate one.
    Routed,
    /// What happens where nothing else is said.
    Fallback,
}

/// What a policy does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Protects them.
    Protect,
    /// Lets them pass in clear.
    Bypass,
    /// Drops them.
    Discard,
}

/// One use of a policy: IKE installs a policy once for each CHILD_SA that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyUse {
    /// What to do.
    pub verdict: Verdict,
    /// Its rank.
    pub class: Class,
    /// Priority given by hand, instead of one by class and selector; 0 for none.
    pub priority: u32,
    /// Request id of the SAs; 0 for any.
    pub reqid: u32,
    /// Mode of the SAs.
    pub mode: Mode,
    /// Protocol of the SAs.
    pub protocol: Protocol,
    /// SPI of the SA that it is installed for; `None` for any of the reqid.
    pub spi: Option<u32>,
    /// Outer source and destination of the SAs, the unspecified address for any; `None` where the reqid
    /// says it all. With them SAs must be as XFRM wants them: of this mode and of the policy's XFRM
    /// interface, too.
    pub outer: Option<(IpAddr, IpAddr)>,
    /// Whether an inbound packet may also come in clear.
    pub optional: bool,
}

/// Something that a source should act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A lifetime has ended.
    Expire {
        /// Of this SA.
        key: SaKey,
        /// Whether the SA is gone; else it is to be rekeyed.
        hard: bool,
    },
    /// A packet found no SA.
    Acquire {
        /// The policy.
        policy: PolicyKey,
        /// Request id of its policy.
        reqid: u32,
        /// Source of the packet.
        src: TrafficSelector,
        /// Destination of the packet.
        dst: TrafficSelector,
    },
    /// A peer has another address or port.
    Mapping {
        /// Its inbound SA.
        key: SaKey,
        /// The new outer source.
        addr: IpAddr,
        /// The new UDP source port.
        port: u16,
    },
}

/// Why something is not done, in words for the log of the one who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not now.
    #[error("{0}")]
    Refused(String),
    /// Never.
    #[error("{0}")]
    NotSupported(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
}

impl From<IpsecError> for Refusal {
    fn from(error: IpsecError) -> Self {
        let text = error.to_string();
        match error {
            IpsecError::BadSa(_)
            | IpsecError::BadKey { .. }
            | IpsecError::BadPolicy(_)
            | IpsecError::Device { .. } => Self::NotSupported(text),
            IpsecError::SaExists { .. }
            | IpsecError::PolicyExists(_)
            | IpsecError::SasExhausted(_)
            | IpsecError::PoliciesExhausted(_) => Self::Refused(text),
            IpsecError::NoSuchSa(_) | IpsecError::NoSuchPolicy(_) => Self::NotFound(text),
        }
    }
}
