//! IPv6 extension headers: what lies between the fixed header and the upper layer (RFC 8200 4).
//!
//! A router that forwards looks at none of them but hop-by-hop options (RFC 7045 2.1). They are
//! walked where the upper layer matters: for packets to the router itself, for the flow hash,
//! and to see whether an ICMPv6 error may answer. The walk has a budget (RFC 8504 5.3), so a
//! long chain costs a bounded time and simply has no known upper layer.

use crate::proto::ip;

/// Most extension headers that a walk passes.
pub const MAX_HEADERS: usize = 8;

/// What a walk over extension headers found.
///
/// ```
/// use ironlane_packet::ip6_ext::{walk, Walk};
/// // Destination options of eight bytes, then UDP.
/// let bytes = [17, 0, 1, 4, 0, 0, 0, 0, 0xaa];
/// assert_eq!(walk(60, &bytes), Walk::Upper { protocol: 17, offset_bytes: 8, fragment: false });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The upper layer, or a header that hides it (ESP), starts at this offset.
    Upper {
        /// Its protocol; 59 if nothing follows.
        protocol: u8,
        /// Where it starts, counted from the end of the fixed header; it may start where the
        /// packet ends.
        offset_bytes: usize,
        /// True behind a fragment header, of a first (or only) fragment.
        fragment: bool,
    },
    /// A fragment that does not start its packet: no upper-layer header in it.
    LaterFragment {
        /// Protocol named by the fragment header; the upper layer only if no more extension
        /// headers were in the first fragment.
        protocol: u8,
    },
    /// The bytes end inside the chain of headers.
    Truncated,
    /// More headers than [`MAX_HEADERS`].
    TooMany,
}

/// Walks from the header named `next`, which starts `bytes`, to the upper layer.
pub fn walk(next: u8, bytes: &[u8]) -> Walk {
    walk_past(next, bytes, |_| true)
}

/// As [`walk`], to what IPsec takes for the protocol: it passes no headers but hop-by-hop and destination
/// options, routing and fragment headers (RFC 4301 4.4.1.1), so AH is an end of the way.
///
/// ```
/// use ironlane_packet::ip6_ext::{walk_for_ipsec, Walk};
/// // Destination options of eight bytes, then AH.
/// let bytes = [51, 0, 1, 4, 0, 0, 0, 0, 17, 4];
/// assert_eq!(walk_for_ipsec(60, &bytes), Walk::Upper { protocol: 51, offset_bytes: 8, fragment: false });
/// ```
pub fn walk_for_ipsec(next: u8, bytes: &[u8]) -> Walk {
    walk_past(next, bytes, |kind| {
        matches!(
            kind,
            ip::HOP_BY_HOP | ip::ROUTING | ip::DEST_OPTIONS | ip::FRAGMENT
        )
    })
}

/// Walks past headers of the kinds that `passes` says, where they are extension headers.
#[inline]
fn walk_past(next: u8, bytes: &[u8], passes: impl Fn(u8) -> bool) -> Walk {
    let (mut next, mut at, mut fragment) = (next, 0usize, false);
    for _ in 0..=MAX_HEADERS {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let len = match next {
            protocol if !passes(protocol) => {
                return Walk::Upper {
                    protocol,
                    offset_bytes: at,
                    fragment,
                };
            }
            ip::HOP_BY_HOP
            | ip::ROUTING
            | ip::DEST_OPTIONS
            | ip::MOBILITY
            | ip::HIP
            | ip::SHIM6 => match *rest {
                [_, len, ..] => (usize::from(len) + 1) * 8,
                _ => return Walk::Truncated,
            },
            // AH counts in words of four bytes, less two (RFC 4302 2.2).
            ip::AH => match *rest {
                [_, len, ..] => (usize::from(len) + 2) * 4,
                _ => return Walk::Truncated,
            },
            ip::FRAGMENT => match *rest {
                [protocol, _, high, low, _, _, _, _, ..] => {
                    if u16::from_be_bytes([high, low]) & 0xfff8 != 0 {
                        return Walk::LaterFragment { protocol };
                    }
                    fragment = true;
                    8
                }
                _ => return Walk::Truncated,
            },
            protocol => {
                return Walk::Upper {
                    protocol,
                    offset_bytes: at,
                    fragment,
                };
            }
        };
        if len > rest.len() {
            return Walk::Truncated;
        }
        next = rest[0];
        at += len;
    }
    Walk::TooMany
}

/// What a router that forwards has to know about hop-by-hop options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopByHopNeed {
    /// Padding only.
    Nothing,
    /// Router alert with this value (RFC 2711 2.1), beside padding.
    RouterAlert(u16),
    /// An option to be judged by its type's upper bits, a jumbo payload, or a header that is cut
    /// or malformed.
    Handling,
}

/// Judges the hop-by-hop header that starts `bytes`.
///
/// ```
/// use ironlane_packet::ip6_ext::{hop_by_hop_need, HopByHopNeed};
/// let mld = [58, 0, 5, 2, 0, 0, 1, 0];
/// assert_eq!(hop_by_hop_need(&mld), HopByHopNeed::RouterAlert(0));
/// assert_eq!(hop_by_hop_need(&[17, 0, 1, 4, 0, 0, 0, 0]), HopByHopNeed::Nothing);
/// assert_eq!(hop_by_hop_need(&[17, 1, 1, 4, 0, 0, 0, 0]), HopByHopNeed::Handling);
/// ```
pub fn hop_by_hop_need(bytes: &[u8]) -> HopByHopNeed {
    let Some(mut options) = (match *bytes {
        [_, len, ..] => bytes.get(2..(usize::from(len) + 1) * 8),
        _ => None,
    }) else {
        return HopByHopNeed::Handling;
    };
    let mut need = HopByHopNeed::Nothing;
    loop {
        options = match *options {
            [] => return need,
            [0, ref rest @ ..] => rest,
            [kind, len, ref rest @ ..] if usize::from(len) <= rest.len() => {
                let (data, rest) = rest.split_at(usize::from(len));
                match (kind, data) {
                    (1, _) => {}
                    (5, &[high, low]) if need == HopByHopNeed::Nothing => {
                        need = HopByHopNeed::RouterAlert(u16::from_be_bytes([high, low]));
                    }
                    _ => return HopByHopNeed::Handling,
                }
                rest
            }
            _ => return HopByHopNeed::Handling,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_header_is_passed_by_its_length() {
        // Hop-by-hop, routing with one segment, AH of 24 bytes, fragment (atomic), TCP.
        let mut bytes = vec![43, 0, 1, 4, 0, 0, 0, 0];
        bytes.extend([51, 2, 4, 0]);
        bytes.extend([0; 20]);
        bytes.extend([44, 4]);
        bytes.extend([0; 22]);
        bytes.extend([6, 0, 0, 0, 0, 0, 0, 1]);
        let at = bytes.len();
        let tcp = Walk::Upper {
            protocol: 6,
            offset_bytes: at,
            fragment: true,
        };
        assert_eq!(walk(0, &bytes), tcp, "nothing behind the last header");
        bytes.push(0);
        assert_eq!(walk(0, &bytes), tcp);
        for cut in 0..at {
            assert_eq!(walk(0, &bytes[..cut]), Walk::Truncated, "cut at {cut}");
        }
    }

    #[test]
    fn a_later_fragment_has_no_upper_layer() {
        let later = [17, 0, 0, 8, 0, 0, 0, 1, 1, 2];
        assert_eq!(walk(44, &later), Walk::LaterFragment { protocol: 17 });
    }

    #[test]
    fn the_walk_has_a_budget() {
        let chain = |n| {
            let mut bytes = [60, 0, 1, 4, 0, 0, 0, 0].repeat(n);
            bytes[(n - 1) * 8] = 17;
            bytes
        };
        let last = Walk::Upper {
            protocol: 17,
            offset_bytes: 64,
            fragment: false,
        };
        assert_eq!(walk(60, &chain(MAX_HEADERS)), last);
        assert_eq!(walk(60, &chain(MAX_HEADERS + 1)), Walk::TooMany);
        assert_eq!(walk(60, &chain(150)), Walk::TooMany);
    }

    #[test]
    fn options_beyond_padding_and_one_alert_need_handling() {
        let handling: &[&[u8]] = &[
            &[],
            &[17],
            &[17, 0, 1, 4],                                     // cut
            &[17, 0, 0x1e, 4, 0, 0, 0, 0],                      // unknown, may be skipped
            &[17, 0, 0xc2, 4, 0, 1, 0, 0],                      // jumbo payload
            &[17, 0, 1, 9, 0, 0, 0, 0],                         // option past the header
            &[17, 0, 5, 2, 0, 0, 0, 5],                         // type without length at the end
            &[17, 0, 5, 1, 0, 0, 0, 0],                         // alert of a wrong length
            &[17, 1, 5, 2, 0, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], // two alerts
        ];
        for bytes in handling {
            assert_eq!(hop_by_hop_need(bytes), HopByHopNeed::Handling, "{bytes:?}");
        }
        assert_eq!(
            hop_by_hop_need(&[17, 0, 0, 0, 0, 0, 0, 0]),
            HopByHopNeed::Nothing
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_the_walk_inside_them(next: u8, bytes: Vec<u8>) {
            if let Walk::Upper { offset_bytes, .. } = walk(next, &bytes) {
                prop_assert!(offset_bytes <= bytes.len());
            }
            hop_by_hop_need(&bytes);
        }
    }
}
