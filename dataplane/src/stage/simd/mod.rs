//! The straight path's checks by what the CPU has. The plain path is the reference: each other one lists the
//! same packets.
#![allow(unsafe_code)] // code for certain CPUs

use std::fmt;

use ironlane_packet::eth::Mac;

use crate::burst::{Arrived, PlainList};
use crate::eal::Heads;

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx512;
mod plain;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod rows;

pub(crate) use plain::is_ordinary;

/// Which instructions the straight path checks headers with. What becomes of a packet is the same.
///
/// ```
/// use ironlane_dataplane::stage::HeaderPath;
///
/// assert!(HeaderPath::Plain.is_available());
/// assert!(HeaderPath::fastest().is_available());
/// assert_eq!(HeaderPath::Avx512.to_string(), "avx512");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPath {
    /// What every CPU of the architecture has: one packet after the other.
    Plain,
    /// Eight packets at a time: AVX2.
    Avx2,
    /// Sixteen packets at a time: AVX-512 F, BW, VL.
    Avx512,
}

impl HeaderPath {
    /// All of them, the best last.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The name: in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt"),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(not(all(target_arch = "x86_64", not(miri))))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest that this CPU has.
    pub fn fastest() -> Self {
        let mut available = Self::ALL.into_iter().filter(|path| path.is_available());
        available.next_back().unwrap_or(Self::Plain)
    }
}

impl fmt::Display for HeaderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Packets from which on it pays to check several at a time: a group costs the same, full or not.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const FEWEST: usize = 12;

/// The same for groups of eight.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const FEWEST_OF_EIGHT: usize = 8;

/// Lists the plain packets of a burst, in order; what the lists hold behind them is anything. The CPU has the
/// instructions of the path.
#[inline]
pub(super) fn find(
    path: HeaderPath,
    heads: &Heads<'_>,
    ip4: &mut PlainList<u32>,
    ip6: &mut PlainList<u128>,
    own: Mac,
) -> Found {
    match path {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        HeaderPath::Avx512 if heads.packets().len() >= FEWEST => {
            // SAFETY: the pipeline takes only paths that the CPU has.
            unsafe { avx512::find(heads, ip4, ip6, own) }
        }
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        HeaderPath::Avx2 if heads.packets().len() >= FEWEST_OF_EIGHT => {
            // SAFETY: as above.
            unsafe { avx2::find(heads, ip4, ip6, own) }
        }
        _ => plain::find(heads.packets(), ip4, ip6, own),
    }
}

/// What was found of a burst: words with a bit for each place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Plain IPv4.
    pub(super) ip4: u64,
    /// Plain IPv6.
    pub(super) ip6: u64,
    /// Of these, those with bytes behind the packet.
    pub(super) cut: u64,
    /// Of all packets.
    pub(super) arrived: Arrived,
}
