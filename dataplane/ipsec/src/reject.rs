//! Why a packet is dropped.

use std::fmt;

/// Why IPsec drops a packet; each is counted for its SA, where there is one.
///
/// ```
/// use ironlane_ipsec::Reject;
///
/// assert_eq!(Reject::Replay.to_string(), "replay");
/// assert_eq!(Reject::ALL.len(), Reject::COUNT);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reject {
    /// Its sequence number was seen, is too old, or is 0 (RFC 4303 3.4.3).
    Replay,
    /// Its ICV is wrong: changed on the way, or another key.
    Integrity,
    /// It is cut, or its lengths contradict each other.
    Malformed,
    /// Padding is longer than the payload, or not 1, 2, 3 and so on (RFC 4303 2.4).
    Padding,
    /// A dummy packet, next header 59: authentic, and to be discarded in silence (RFC 4303 2.6).
    Dummy,
    /// Next header, or outer headers, do not fit the mode of the SA.
    Mode,
    /// The inner packet is cut, or not of the version that was announced.
    Inner,
    /// The inner packet matches no selector of the SA.
    Selector,
    /// Outer congestion mark on an inner packet that knows none (RFC 6040 4.2).
    Ecn,
    /// A fragment, where the SA takes whole packets only (RFC 4301 D).
    Fragment,
    /// All sequence numbers are used.
    SequenceExhausted,
    /// The hard limit of the SA is reached.
    Expired,
    /// The packet is longer than IP can say once it is protected.
    TooLong,
    /// The buffer has too little room before or behind the packet.
    NoRoom,
}

impl Reject {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, in order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Replay,
        Self::Integrity,
        Self::Malformed,
        Self::Padding,
        Self::Dummy,
        Self::Mode,
        Self::Inner,
        Self::Selector,
        Self::Ecn,
        Self::Fragment,
        Self::SequenceExhausted,
        Self::Expired,
        Self::TooLong,
        Self::NoRoom,
    ];

    /// Its name, as counters have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Integrity => "integrity",
            Self::Malformed => "malformed",
            Self::Padding => "padding",
            Self::Dummy => "dummy",
            Self::Mode => "mode",
            Self::Inner => "inner",
            Self::Selector => "selector",
            Self::Ecn => "ecn",
            Self::Fragment => "fragment",
            Self::SequenceExhausted => "sequence_exhausted",
            Self::Expired => "expired",
            Self::TooLong => "too_long",
            Self::NoRoom => "no_room",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_of_numbers() {
        for (number, reason) in Reject::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
    }
}
