//! One change of the kernel's state, as the mirror hands it over.

use std::net::IpAddr;

use ironlane_fib::{Mac, PortId};
use serde::Serialize;

use crate::object::{Address, IfIndex, Link, Neighbour, NexthopId, NexthopObject, Route, Rule};

/// What of the netlink header decides how a new route meets those that are there
/// (`NLM_F_REPLACE`, `NLM_F_EXCL`, `NLM_F_CREATE`, `NLM_F_APPEND`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RouteFlags {
    /// Takes the place of a route with the same key.
    pub replace: bool,
    /// There was none with the same key.
    pub exclusive: bool,
    /// Was created.
    pub create: bool,
    /// Stands behind those with the same key.
    pub append: bool,
    /// Was there, and is said again since its nexthop object was replaced. The words are those of
    /// a replacement; the caller knows it by what comes with it.
    pub again: bool,
}

impl RouteFlags {
    /// A route of a dump: neither new nor a replacement.
    pub const DUMP: Self = Self {
        replace: false,
        exclusive: false,
        create: false,
        append: false,
        again: false,
    };

    /// From the flags of the netlink header.
    ///
    /// ```
    /// let flags = ironlane_rib::RouteFlags::from_nlmsg(0x600);
    /// assert!(flags.create && flags.exclusive && !flags.replace && !flags.append);
    /// ```
    pub const fn from_nlmsg(flags: u16) -> Self {
        Self {
            replace: flags & 0x100 != 0,
            exclusive: flags & 0x200 != 0,
            create: flags & 0x400 != 0,
            append: flags & 0x800 != 0,
            again: false,
        }
    }
}

/// A change of the kernel's state: an event, or one entry of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `RTM_NEWLINK`: new, or changed in any way.
    SetLink(Link),
    /// `RTM_DELLINK`: deleted, or moved to another network namespace.
    DelLink(IfIndex),
    /// `RTM_NEWADDR`.
    SetAddress(Address),
    /// `RTM_DELADDR`.
    DelAddress(Address),
    /// `RTM_NEWNEIGH`.
    SetNeighbour(Neighbour),
    /// `RTM_DELNEIGH`.
    DelNeighbour {
        /// The interface.
        ifindex: IfIndex,
        /// The neighbour's address.
        address: IpAddr,
    },
    /// `RTM_NEWROUTE`, with what its header says.
    SetRoute(Route, RouteFlags),
    /// `RTM_DELROUTE`, with all that the event says.
    DelRoute(Route),
    /// `RTM_NEWNEXTHOP`: new or replaced.
    SetNexthop(NexthopObject),
    /// `RTM_DELNEXTHOP`.
    DelNexthop(NexthopId),
    /// `RTM_NEWRULE`.
    SetRule(Rule),
    /// `RTM_DELRULE`.
    DelRule(Rule),
}

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ip4,
            IpAddr::V6(_) => Self::Ip6,
        }
    }
}

/// What one dump of the kernel covers, and so what its sweep may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// All interfaces.
    Links,
    /// All addresses of a family.
    Addresses(Family),
    /// All neighbours of a family.
    Neighbours(Family),
    /// All nexthop objects.
    Nexthops,
    /// All routes of a family, of all tables.
    Routes(Family),
    /// All rules of a family.
    Rules(Family),
}

impl ObjectKind {
    /// Every kind, in the order in which to dump them: what others refer to comes first.
    pub const ALL: [Self; 10] = [
        Self::Links,
        Self::Addresses(Family::Ip4),
        Self::Addresses(Family::Ip6),
        Self::Rules(Family::Ip4),
        Self::Rules(Family::Ip6),
        Self::Neighbours(Family::Ip4),
        Self::Neighbours(Family::Ip6),
        Self::Nexthops,
        Self::Routes(Family::Ip4),
        Self::Routes(Family::Ip6),
    ];
}

/// Which port of the data plane stands behind an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PortBinding {
    /// The port.
    #[serde(serialize_with = "port_number")]
    pub port: PortId,
    /// The MAC that frames leave with; `None` of an IPsec interface, which has no link layer.
    pub mac: Option<Mac>,
    /// Largest IP packet that the port takes, in bytes.
    pub mtu: u16,
}

fn port_number<S: serde::Serializer>(port: &PortId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(port.0)
}
