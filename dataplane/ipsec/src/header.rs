//! IP headers that stay in front of ESP or AH, and fields that both versions have.

use ironlane_packet::checksum;
use ironlane_packet::ip4;
use ironlane_packet::ip6;
use ironlane_packet::ip6_ext::MAX_HEADERS;
use ironlane_packet::proto::ip;

use crate::Reject;
use crate::buffer::{get_u16, put_u16};

pub(crate) const IP4_LEN: usize = ip4::HEADER_LEN_BYTES;
pub(crate) const IP6_LEN: usize = ip6::HEADER_LEN_BYTES;

/// Where IPv4 has its protocol, and IPv6 its next header.
const IP4_NEXT_AT: usize = 9;
const IP6_NEXT_AT: usize = 6;

/// Which IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Ip4,
    Ip6,
}

/// An IP header with options, or with extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    /// Its length, extension headers included.
    pub(crate) len: usize,
    /// Where the protocol of what follows is named.
    next_at: usize,
}

impl Header {
    /// The headers that fill all of `headers`, whatever follows them. `None` if they do not.
    pub(crate) fn parse(headers: &[u8]) -> Option<Self> {
        match headers.first()? >> 4 {
            4 => {
                let len = usize::from(headers[0] & 0x0f) * 4;
                (len >= IP4_LEN && len == headers.len()).then_some(Self::ip4(len))
            }
            6 => {
                let mut header = Self::ip6();
                for _ in 0..=MAX_HEADERS {
                    if header.len >= headers.len() {
                        break;
                    }
                    header = header.past_extension(headers)?;
                }
                (header.len == headers.len()).then_some(header)
            }
            _ => None,
        }
    }

    /// The headers of a packet to protect in transport mode: ESP or AH comes behind hop-by-hop
    /// options, routing header, and destination options that are not behind a routing header
    /// (RFC 4303 3.1.1, where it may as well come before the last).
    ///
    /// # Errors
    /// [`Reject::Fragment`], [`Reject::Malformed`].
    pub(crate) fn to_stay(packet: &[u8]) -> Result<Self, Reject> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) if packet.len() >= IP4_LEN => {
                let len = usize::from(packet[0] & 0x0f) * 4;
                if len < IP4_LEN || len > packet.len() {
                    return Err(Reject::Malformed);
                }
                if is_fragment(packet) {
                    return Err(Reject::Fragment);
                }
                Ok(Self::ip4(len))
            }
            Some(6) if packet.len() >= IP6_LEN => {
                let mut header = Self::ip6();
                let mut routed = false;
                for _ in 0..=MAX_HEADERS {
                    match packet[header.next_at] {
                        ip::HOP_BY_HOP => {}
                        ip::ROUTING => routed = true,
                        ip::DEST_OPTIONS if !routed => {}
                        ip::FRAGMENT => return Err(Reject::Fragment),
                        _ => return Ok(header),
                    }
                    header = header.past_extension(packet).ok_or(Reject::Malformed)?;
                }
                Err(Reject::Malformed)
            }
            _ => Err(Reject::Malformed),
        }
    }

    const fn ip4(len: usize) -> Self {
        Self {
            version: Version::Ip4,
            len,
            next_at: IP4_NEXT_AT,
        }
    }

    const fn ip6() -> Self {
        Self {
            version: Version::Ip6,
            len: IP6_LEN,
            next_at: IP6_NEXT_AT,
        }
    }

    /// With the extension header that follows; `None` if it is cut, or is none that may stand in
    /// front of ESP in a whole packet.
    fn past_extension(self, packet: &[u8]) -> Option<Self> {
        let kind = *packet.get(self.next_at)?;
        if !matches!(kind, ip::HOP_BY_HOP | ip::ROUTING | ip::DEST_OPTIONS) {
            return None;
        }
        let len = (usize::from(*packet.get(self.len + 1)?) + 1) * 8;
        (self.len + len <= packet.len()).then_some(Self {
            len: self.len + len,
            next_at: self.len,
            ..self
        })
    }

    /// The protocol of what follows.
    pub(crate) fn next(&self, packet: &[u8]) -> u8 {
        packet[self.next_at]
    }

    /// Names the protocol of what follows, and makes lengths and checksum those of `packet`.
    pub(crate) fn finish(&self, packet: &mut [u8], next: u8) {
        packet[self.next_at] = next;
        match self.version {
            Version::Ip4 => {
                let len = packet.len() as u16;
                put_u16(packet, 2, len);
                put_u16(packet, 10, 0);
                let sum = checksum::of(&packet[..self.len]);
                put_u16(packet, 10, sum);
            }
            Version::Ip6 => {
                let len = (packet.len() - IP6_LEN) as u16;
                put_u16(packet, 4, len);
            }
        }
    }

    /// The sum of the pseudo header of TCP or UDP, from `upper_at` on. `None` with a routing header
    /// that is not at its end, whose last address would count.
    pub(crate) fn pseudo_sum(&self, packet: &[u8], upper_at: usize, protocol: u8) -> Option<u32> {
        let len = packet.len().checked_sub(upper_at)?;
        let sum = match self.version {
            Version::Ip4 => checksum::add(0, packet.get(12..20)?),
            Version::Ip6 => checksum::add(0, packet.get(8..40)?),
        };
        Some(sum + len as u32 + u32::from(protocol))
    }

    /// Traffic class, or type of service, of a packet of either version.
    pub(crate) fn traffic_class_of(packet: &[u8]) -> Option<u8> {
        let &[first, second] = packet.first_chunk()?;
        match first >> 4 {
            4 => Some(second),
            6 => Some(first << 4 | second >> 4),
            _ => None,
        }
    }

    /// Changes it, and mends the checksum of IPv4. The packet has a whole header.
    pub(crate) fn set_traffic_class(packet: &mut [u8], class: u8) {
        if packet[0] >> 4 == 6 {
            packet[0] = 0x60 | class >> 4;
            packet[1] = class << 4 | packet[1] & 0x0f;
            return;
        }
        let old = get_u16(packet, 0);
        packet[1] = class;
        let sum = checksum::update(get_u16(packet, 10), old, get_u16(packet, 0));
        put_u16(packet, 10, sum);
    }
}

/// Whether an IPv4 packet with a whole header is a fragment.
pub(crate) fn is_fragment(packet: &[u8]) -> bool {
    get_u16(packet, 6) & (ip4::MF | ip4::OFFSET) != 0
}
