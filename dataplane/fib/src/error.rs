//! What a writer cannot do.

use crate::{NexthopIndex, VrfId};

/// Why a change of the tables was refused; the tables are as they were.
///
/// ```
/// use ironlane_fib::{FibError, VrfId};
///
/// let error = FibError::NoSuchVrf(VrfId(3));
/// assert_eq!(error.to_string(), "VRF 3 has no tables; add the VRF first");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FibError {
    /// More than 2^20 - 1 nexthops, counting those whose grace period is not over.
    #[error("all {} nexthop slots are taken; remove nexthops that no route uses", NexthopIndex::LIMIT - 1)]
    NexthopsExhausted,
    /// Adjacencies differ in more than their neighbours' addresses in too many ways.
    #[error(
        "adjacencies have {0} combinations of port, MTU and source address already; use fewer MTUs"
    )]
    EgressesExhausted(usize),
    /// More nodes than the lookup structure can number.
    #[error("the lookup structure is full at {0} nodes; the route is not installed")]
    NodesExhausted(usize),
    /// The slot holds no nexthop.
    #[error("there is no nexthop {0}; add it before routes or groups use it")]
    NoSuchNexthop(NexthopIndex),
    /// Prefixes or groups point at the nexthop.
    #[error("nexthop {index} is used by {users} prefixes or groups; change those first")]
    NexthopInUse {
        /// The nexthop.
        index: NexthopIndex,
        /// How many prefixes and groups use it.
        users: u32,
    },
    /// A member of a group is a group, or would become one.
    #[error("nexthop {0} would be a group within a group; members must be single hops")]
    NestedGroup(NexthopIndex),
    /// More members than a group has buckets at most.
    #[error("a group of {0} members exceeds the {max} buckets of a group", max = crate::MAX_BUCKETS)]
    GroupTooLarge(usize),
    /// The VRF has no tables.
    #[error("VRF {0} has no tables; add the VRF first")]
    NoSuchVrf(VrfId),
}
