//! Identifiers: small integers that never mix.

use std::fmt;

/// How many bits a [`NexthopIndex`] may use.
const NEXTHOP_BITS: u32 = 20;

/// Which nexthop slot a prefix points at: what a lookup answers.
///
/// It is a plain number, good for as long as the burst in which it was looked up: its slot is
/// given to another nexthop only after a grace period.
///
/// ```
/// use ironlane_fib::NexthopIndex;
///
/// assert_eq!(NexthopIndex::NONE.raw(), 0);
/// assert_eq!(NexthopIndex::from_raw(1 << 20), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct NexthopIndex(u32);

impl NexthopIndex {
    /// No route. Its slot holds an adjacency of kind
    /// [`NoRoute`](crate::AdjacencyKind::NoRoute), so that it resolves like any other.
    pub const NONE: Self = Self(0);

    /// One more than the largest index.
    pub const LIMIT: u32 = 1 << NEXTHOP_BITS;

    /// The index of this number, if it has no more than 20 bits.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        if raw < Self::LIMIT {
            Some(Self(raw))
        } else {
            None
        }
    }

    /// The lower 20 bits of a number, such as a leaf as it is stored.
    #[inline]
    pub(crate) const fn from_low_bits(raw: u32) -> Self {
        Self(raw & (Self::LIMIT - 1))
    }

    /// The number.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The number as the place in an array.
    #[inline]
    pub(crate) const fn slot(self) -> usize {
        self.0 as usize
    }

    /// Whether this is [`NexthopIndex::NONE`].
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for NexthopIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A virtual routing and forwarding instance: which set of tables.
///
/// ```
/// use ironlane_fib::VrfId;
///
/// assert_eq!(VrfId::DEFAULT, VrfId(0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VrfId(pub u16);

impl VrfId {
    /// The VRF of all that is in no VRF.
    pub const DEFAULT: Self = Self(0);
}

impl fmt::Display for VrfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A DPDK port, by DPDK's number.
///
/// ```
/// use ironlane_fib::PortId;
///
/// assert_eq!(PortId(3).to_string(), "3");
/// assert_eq!(PortId::NONE.to_string(), "none");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PortId(pub u16);

impl PortId {
    /// No port, as in an adjacency that sends nothing (DPDK's `RTE_MAX_ETHPORTS` is below).
    pub const NONE: Self = Self(u16::MAX);
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self(id) => id.fmt(f),
        }
    }
}
