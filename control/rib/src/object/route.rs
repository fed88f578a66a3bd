//! Routes and their paths.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::{IfIndex, NexthopId};

/// A routing table of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TableId(pub u32);

impl TableId {
    /// Looked at first by the default rules.
    pub const LOCAL: Self = Self(255);
    /// Looked at second.
    pub const MAIN: Self = Self(254);
    /// Looked at last.
    pub const DEFAULT: Self = Self(253);
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LOCAL => f.pad("local"),
            Self::MAIN => f.pad("main"),
            Self::DEFAULT => f.pad("default"),
            Self(id) => id.fmt(f),
        }
    }
}

/// What a route asks for (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// Forward along a path.
    Unicast,
    /// An address of this router.
    Local,
    /// A broadcast address of a subnet of this router.
    Broadcast,
    /// An anycast address of this router.
    Anycast,
    /// Multicast by an interface (IPv6 `ff00::/8`).
    Multicast,
    /// Lose without an answer.
    Blackhole,
    /// Answer: host unreachable.
    Unreachable,
    /// Answer: administratively prohibited.
    Prohibit,
    /// As if this table had no route: go on with the next table.
    Throw,
}

impl RouteKind {
    /// From the kernel's number (`rtm_type`); `None` for those that no table holds for lookups.
    pub const fn from_rtn(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            _ => return None,
        })
    }

    /// The name as `ip route` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One way to the destination of a route.
///
/// ```
/// use ironlane_rib::{IfIndex, Path};
///
/// let path = Path::via("192.0.2.1".parse().unwrap(), IfIndex(3));
/// assert_eq!(path.weight, 1);
/// assert_eq!(path.to_string(), "via 192.0.2.1 dev 3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Path {
    /// The router to send to, of either family (`RTA_GATEWAY` or `RTA_VIA`); on-link if none.
    pub gateway: Option<IpAddr>,
    /// The interface to leave by; [`IfIndex::NONE`] where the kernel gives none.
    pub ifindex: IfIndex,
    /// Share of the flows, 1 to 256 (the kernel's `rtnh_hops` + 1).
    pub weight: u16,
    /// `RTNH_F_DEAD` was set in the message.
    pub dead: bool,
    /// `RTNH_F_LINKDOWN` was set in the message.
    pub linkdown: bool,
    /// `RTNH_F_ONLINK`: the gateway is taken as on-link.
    pub onlink: bool,
    /// A lightweight tunnel is on this path (`RTA_ENCAP`): Linux forwards it, we do not.
    pub encap: bool,
}

impl Path {
    /// A path to a gateway, of weight 1.
    pub fn via(gateway: IpAddr, ifindex: IfIndex) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::dev(ifindex)
        }
    }

    /// An on-link path, of weight 1.
    pub fn dev(ifindex: IfIndex) -> Self {
        Self {
            gateway: None,
            ifindex,
            weight: 1,
            dead: false,
            linkdown: false,
            onlink: false,
            encap: false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, "via {gateway} ")?;
        }
        write!(f, "dev {}", self.ifindex)?;
        if self.weight != 1 {
            write!(f, " weight {}", self.weight)?;
        }
        Ok(())
    }
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    /// Paths of its own: none for a v4 blackhole, several for multipath.
    Paths(Vec<Path>),
    /// A nexthop object (`RTA_NH_ID`); the paths that the kernel prints beside it are left out.
    Object(NexthopId),
}

/// A route of the kernel.
///
/// ```
/// use ironlane_rib::{IfIndex, Path, Route, TableId};
///
/// let prefix = "203.0.113.0/24".parse().unwrap();
/// let route = Route::new(prefix, vec![Path::via("192.0.2.1".parse().unwrap(), IfIndex(3))]);
/// assert_eq!(route.table, TableId::MAIN);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Route {
    /// The table that has it.
    pub table: TableId,
    /// The destination.
    pub prefix: IpNet,
    /// Only packets from here (`RTA_SRC`, IPv6 subtrees). Not honoured where set.
    pub from: Option<IpNet>,
    /// Only packets of this TOS (`rtm_tos`). Not honoured where not 0.
    pub tos: u8,
    /// Priority among routes of one prefix; the least wins.
    pub metric: u32,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// Scope: 0 universe, 253 link, 254 host.
    pub scope: u8,
    /// What it asks for.
    pub kind: RouteKind,
    /// Where it leads.
    pub target: RouteTarget,
    /// Source address that the kernel prefers for its own packets.
    pub prefsrc: Option<IpAddr>,
    /// The metric `mtu`, if set.
    pub mtu: Option<u32>,
}

impl Route {
    /// A unicast route of table main with metric 0.
    pub fn new(prefix: IpNet, paths: Vec<Path>) -> Self {
        Self {
            table: TableId::MAIN,
            prefix: prefix.trunc(),
            from: None,
            tos: 0,
            metric: 0,
            protocol: 4,
            scope: 0,
            kind: RouteKind::Unicast,
            target: RouteTarget::Paths(paths),
            prefsrc: None,
            mtu: None,
        }
    }
}

/// Name of a routing protocol as `ip route` prints it, for those that it knows.
///
/// ```
/// assert_eq!(ironlane_rib::protocol_name(188), Some("ospf"));
/// ```
pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        84 => "openr",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        193 => "ripng",
        194 => "nhrp",
        195 => "sharp",
        196 => "static",
        _ => return None,
    })
}
