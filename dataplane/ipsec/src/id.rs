//! Names of SAs and policies: dense indexes with a generation.

use std::fmt;

/// How many bits of an id are its index.
const INDEX_BITS: u32 = 20;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u32);

        impl $name {
            /// One more than the largest index.
            pub const LIMIT: u32 = 1 << INDEX_BITS;

            /// The id of this index, in its `generation` (12 bits; upper ones are cut off).
            pub(crate) const fn new(index: u32, generation: u32) -> Self {
                debug_assert!(index < Self::LIMIT);
                Self(generation << INDEX_BITS | index)
            }

            /// The id that [`raw`](Self::raw) gave. A number that names nothing is harmless.
            #[inline]
            pub const fn from_raw(raw: u32) -> Self {
                Self(raw)
            }

            /// All 32 bits, to be carried beside a packet.
            #[inline]
            pub const fn raw(self) -> u32 {
                self.0
            }

            /// The place in a table, given out again after a grace period.
            #[inline]
            pub const fn index(self) -> usize {
                (self.0 & (Self::LIMIT - 1)) as usize
            }

            /// How often the index was given out before, modulo 4096.
            #[inline]
            pub const fn generation(self) -> u32 {
                self.0 >> INDEX_BITS
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{}", self.index(), self.generation())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id! {
    /// Names an SA: what a lookup answers, and what a packet carries to the SA's lcore.
    ///
    /// The index is dense, for tables beside this one. The generation makes an id that outlived
    /// its SA (in a ring between lcores) name nothing, rather than the SA that has the index now.
    ///
    /// ```
    /// use ironlane_ipsec::SaId;
    ///
    /// let id = SaId::from_raw(7 << 20 | 3);
    /// assert_eq!((id.index(), id.generation(), id.to_string()), (3, 7, "3.7".into()));
    /// ```
    SaId
}

id! {
    /// Names a policy, as [`SaId`] names an SA.
    ///
    /// ```
    /// use ironlane_ipsec::PolicyId;
    ///
    /// assert_eq!(PolicyId::from_raw(3).index(), 3);
    /// ```
    PolicyId
}
