//! One fragment: which packet it is of, and which bytes of it.

use std::net::IpAddr;

use ironlane_fib::VrfId;
use ironlane_packet::checksum;
use ironlane_packet::ip4::{Ip4, MF, OFFSET};
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6};
use ironlane_packet::ip6_ext::MAX_HEADERS;
use ironlane_packet::proto::ip;

use super::Loss;
use crate::buffer::{get_u16, put_u16};
use crate::ecn::CE;
use crate::header::Header;

/// Length of the fragment header of IPv6.
const FRAGMENT_LEN: usize = 8;

/// What fragments of one packet have in common (RFC 791 3.2, RFC 8200 4.5).
///
/// RFC 8200 leaves the protocol out, which later fragments may name wrongly; those of IPsec are told
/// from others by it, so that here they must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// What the fragments say that they are of.
    pub protocol: u8,
    /// Identification.
    pub id: u32,
    /// Where they arrived.
    pub vrf: VrfId,
}

/// A fragment, as its headers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which packet it is of.
    pub key: Key,
    /// Where its bytes are in that, counted from the end of the headers.
    pub at: usize,
    /// How many they are; not 0.
    pub len: usize,
    /// Whether there are bytes behind them.
    pub more: bool,
    /// Where they begin in this packet.
    pub body_at: usize,
    /// Its ECN field.
    pub(super) ecn: u8,
    /// What of it the whole packet begins with, if it is the first.
    pub(super) head: Head,
}

/// The headers that a packet of fragments begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// How long they are: without the fragment header.
    pub(super) len: u8,
    /// Where they name what follows.
    next_at: u8,
    /// What does.
    protocol: u8,
}

/// A fragment before it is known to be right.
struct Found {
    head: Head,
    body_at: usize,
    /// Offset in bytes.
    at: usize,
    more: bool,
    id: u32,
}

/// The protocol that a packet says it is a fragment of; `None` if it is whole, or its headers are cut.
/// It begins with its IP header. A whole IPv6 packet with a fragment header (RFC 6946) counts as a fragment.
///
/// ```
/// use ironlane_ipsec::fragments::protocol;
/// use ironlane_packet::ip4::{Ip4Fields, MF};
///
/// let fields = Ip4Fields { protocol: 50, fragment_word: MF, ..Ip4Fields::default() };
/// assert_eq!(protocol(&fields.to_bytes(8)), Some(50));
/// assert_eq!(protocol(&Ip4Fields { fragment_word: 0, ..fields }.to_bytes(8)), None);
/// ```
#[inline]
pub fn protocol(packet: &[u8]) -> Option<u8> {
    find(packet).map(|found| found.head.protocol)
}

#[inline]
fn find(packet: &[u8]) -> Option<Found> {
    match packet.first()? >> 4 {
        4 => find4(packet),
        6 => find6(packet),
        _ => None,
    }
}

fn find4(packet: &[u8]) -> Option<Found> {
    let header = Ip4::new(packet)?;
    let word = header.fragment_word();
    if word & (MF | OFFSET) == 0 {
        return None;
    }
    Some(Found {
        head: Head {
            // At most 60.
            len: header.header_len_bytes() as u8,
            next_at: 9,
            protocol: header.protocol(),
        },
        body_at: header.header_len_bytes(),
        at: usize::from(word & OFFSET) * 8,
        more: word & MF != 0,
        id: header.id().into(),
    })
}

fn find6(packet: &[u8]) -> Option<Found> {
    let (mut next, mut next_at, mut at) = (Ip6::new(packet)?.next_header(), 6, IP6_LEN);
    for _ in 0..=MAX_HEADERS {
        let rest = packet.get(at..)?;
        match next {
            ip::HOP_BY_HOP | ip::ROUTING | ip::DEST_OPTIONS => {
                let &[following, len] = rest.first_chunk()?;
                next = following;
                next_at = at;
                at += (usize::from(len) + 1) * 8;
            }
            ip::FRAGMENT => {
                let &[protocol, _, high, low, a, b, c, d] = rest.first_chunk()?;
                let word = u16::from_be_bytes([high, low]);
                return Some(Found {
                    head: Head {
                        len: at.try_into().ok()?,
                        next_at: next_at.try_into().ok()?,
                        protocol,
                    },
                    body_at: at + FRAGMENT_LEN,
                    at: usize::from(word & 0xfff8),
                    more: word & 1 != 0,
                    id: u32::from_be_bytes([a, b, c, d]),
                });
            }
            _ => return None,
        }
    }
    None
}

impl Piece {
    /// Reads the headers of a fragment of `len` bytes that arrived in `vrf`; `packet` begins with its IP
    /// header and has all of its headers.
    ///
    /// # Errors
    /// [`Loss::Malformed`] if it is none, empty, cut, not of whole words of eight bytes before others, or
    /// goes beyond what IP can say (RFC 8200 4.5).
    pub fn of(packet: &[u8], len: usize, vrf: VrfId) -> Result<Self, Loss> {
        let found = find(packet).ok_or(Loss::Malformed)?;
        let body_len = len.checked_sub(found.body_at).ok_or(Loss::Malformed)?;
        // IPv6 does not count its fixed header.
        let most = match packet[0] >> 4 {
            4 => usize::from(u16::MAX) - usize::from(found.head.len),
            _ => usize::from(u16::MAX) + IP6_LEN - usize::from(found.head.len),
        };
        let is_cut = found.more && !body_len.is_multiple_of(8);
        if body_len == 0 || is_cut || found.at + body_len > most || packet.len() < found.body_at {
            return Err(Loss::Malformed);
        }
        let (src, dst) = match packet[0] >> 4 {
            4 => {
                let header = Ip4::new(packet).ok_or(Loss::Malformed)?;
                let (src, dst) = (header.src(), header.dst());
                (IpAddr::V4(src.into()), IpAddr::V4(dst.into()))
            }
            _ => {
                let header = Ip6::new(packet).ok_or(Loss::Malformed)?;
                let (src, dst) = (header.src(), header.dst());
                (IpAddr::V6(src.into()), IpAddr::V6(dst.into()))
            }
        };
        let key = Key {
            src,
            dst,
            protocol: found.head.protocol,
            id: found.id,
            vrf,
        };
        Ok(Self {
            key,
            at: found.at,
            len: body_len,
            more: found.more,
            body_at: found.body_at,
            ecn: Header::traffic_class_of(packet).unwrap_or(0) & CE,
            head: found.head,
        })
    }

    /// Whether it begins the packet, and so has what names an SA.
    #[inline]
    pub fn is_first(&self) -> bool {
        self.at == 0
    }

    /// Whether it is all of it: to be taken for itself, whatever others of its key there are (RFC 6946).
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.at == 0 && !self.more
    }

    /// What a packet of this alone is.
    pub fn whole(&self) -> Whole {
        Whole {
            head: self.head,
            body_len: self.len,
            is_marked: false,
        }
    }
}

/// A packet whose fragments are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    pub(super) head: Head,
    pub(super) body_len: usize,
    /// Congestion was marked on some fragment.
    pub(super) is_marked: bool,
}

impl Whole {
    /// How many bytes of the first fragment it begins with.
    #[inline]
    pub fn head_len(&self) -> usize {
        self.head.len.into()
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.head_len() + self.body_len
    }

    /// Never: no fragment is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the headers those of a whole packet. `packet` is all of it, and begins with
    /// [`head_len`](Self::head_len) bytes of its first fragment.
    ///
    /// # Panics
    /// If `packet` is not [`len`](Self::len) bytes long.
    pub fn finish(&self, packet: &mut [u8]) {
        assert_eq!(packet.len(), self.len(), "the whole packet");
        if self.is_marked {
            let class = Header::traffic_class_of(packet).unwrap_or(0) | CE;
            Header::set_traffic_class(packet, class);
        }
        let head_len = self.head_len();
        packet[usize::from(self.head.next_at)] = self.head.protocol;
        // `Piece::of` has seen to it that lengths fit.
        if packet[0] >> 4 == 4 {
            put_u16(packet, 2, packet.len() as u16);
            put_u16(packet, 6, get_u16(packet, 6) & !(MF | OFFSET));
            put_u16(packet, 10, 0);
            let sum = checksum::of(&packet[..head_len]);
            put_u16(packet, 10, sum);
        } else {
            put_u16(packet, 4, (packet.len() - IP6_LEN) as u16);
        }
    }
}
