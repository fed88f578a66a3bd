//! Nexthop objects (`ip nexthop`).

use std::fmt;

use serde::Serialize;

use super::Path;

/// Number of a nexthop object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NexthopId(pub u32);

impl fmt::Display for NexthopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A member of a nexthop group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct NexthopMember {
    /// The member: an object that is not a group.
    pub id: NexthopId,
    /// Share of the flows, from 1 (the kernel's `weight` + 1).
    pub weight: u16,
}

/// What a nexthop object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NexthopBody {
    /// One path.
    Single(Path),
    /// Packets are lost without an answer.
    Blackhole,
    /// Several objects by weight.
    Group(Vec<NexthopMember>),
}

/// A nexthop object of the kernel, which routes use by its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NexthopObject {
    /// Its number.
    pub id: NexthopId,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// What it is.
    pub body: NexthopBody,
}
