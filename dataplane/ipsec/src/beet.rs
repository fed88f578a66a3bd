//! BEET mode (draft-nikander-esp-beet-mode): the inner header is not sent; both ends know its
//! addresses, and the outer header carries what else changes. IPv4 options travel in a pseudo
//! header, protocol 94.

use std::net::IpAddr;

use ironlane_packet::ip4::{self, Ip4Fields};
use ironlane_packet::ip6::Ip6Fields;

use crate::buffer::get_u16;
use crate::header::{Header, IP4_LEN, IP6_LEN, Version, is_fragment};
use crate::inner::{Inner, Payload};
use crate::{Reject, SaSpec};

/// The pseudo header, as a protocol.
const PSEUDO_HEADER: u8 = 94;

/// Next header, length in units of eight bytes less one, length of padding, zero.
const PSEUDO_LEN: usize = 4;

const NOP: u8 = 1;

/// What of an inner packet BEET sends, where it begins in that packet, and its protocol.
pub(crate) struct Body {
    /// Where it begins; for a packet with options, within the header that is left out.
    pub(crate) at: usize,
    /// Its protocol.
    pub(crate) next: u8,
}

/// What is sent of `packet`.
///
/// # Errors
/// [`Reject::Malformed`], [`Reject::Fragment`]; [`Reject::Selector`] if its addresses are not those
/// of the SA, which is all that the other end will know.
pub(crate) fn body(spec: &SaSpec, packet: &[u8]) -> Result<Body, Reject> {
    let addresses = spec.beet_addresses().ok_or(Reject::Mode)?;
    let (version, len) = match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= IP4_LEN => (Version::Ip4, usize::from(packet[0] & 0x0f) * 4),
        Some(6) if packet.len() >= IP6_LEN => (Version::Ip6, IP6_LEN),
        _ => return Err(Reject::Malformed),
    };
    if len < IP4_LEN || len > packet.len() {
        return Err(Reject::Malformed);
    }
    let flow = crate::Flow::of(packet).ok_or(Reject::Malformed)?;
    if (flow.src, flow.dst) != addresses {
        return Err(Reject::Selector);
    }
    if version == Version::Ip6 {
        return Ok(Body {
            at: IP6_LEN,
            next: packet[6],
        });
    }
    if is_fragment(packet) {
        return Err(Reject::Fragment);
    }
    Ok(match len - IP4_LEN {
        0 => Body {
            at: IP4_LEN,
            next: packet[9],
        },
        options_len => Body {
            at: IP4_LEN - PSEUDO_LEN - pad_len(options_len),
            next: PSEUDO_HEADER,
        },
    })
}

/// Padding that makes pseudo header and options a multiple of eight bytes.
const fn pad_len(options_len: usize) -> usize {
    4 - options_len % 8
}

/// Writes the pseudo header of an IPv4 packet with options, over the end of its header.
pub(crate) fn write_pseudo_header(packet: &mut [u8]) {
    if packet[0] >> 4 != 4 || packet[0] == 0x45 {
        return;
    }
    let options_len = usize::from(packet[0] & 0x0f) * 4 - IP4_LEN;
    let pad_len = pad_len(options_len);
    let at = IP4_LEN - PSEUDO_LEN - pad_len;
    let pseudo = [packet[9], (options_len / 8) as u8, pad_len as u8, 0];
    packet[at..at + PSEUDO_LEN].copy_from_slice(&pseudo);
    packet[at + PSEUDO_LEN..IP4_LEN].fill(NOP);
}

/// Makes the header again, in front of the payload.
pub(crate) fn restore(spec: &SaSpec, payload: Payload, buffer: &mut [u8]) -> Result<Inner, Reject> {
    let addresses = spec.beet_addresses().ok_or(Reject::Mode)?;
    let class = Header::traffic_class_of(buffer).ok_or(Reject::Malformed)?;
    let is_outer_ip4 = buffer[0] >> 4 == 4;
    let hops = buffer[if is_outer_ip4 { 8 } else { 7 }];
    match addresses {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let Payload { at, len, next, .. } = payload;
            let (skip, options_len, protocol) = match next {
                PSEUDO_HEADER => pseudo_header(&buffer[at..at + len]).ok_or(Reject::Inner)?,
                protocol => (0, 0, protocol),
            };
            let (id, fragment_word) = if is_outer_ip4 {
                (get_u16(buffer, 4), get_u16(buffer, 6) & ip4::DF)
            } else {
                (0, ip4::DF)
            };
            let fields = Ip4Fields {
                tos: class,
                id,
                fragment_word,
                ttl: hops,
                protocol,
                src: src.to_bits(),
                dst: dst.to_bits(),
            };
            // Behind the pseudo header come options and upper layer, as they were. The outer
            // header, and that of ESP, leave more place than the header takes.
            let at = at + skip - IP4_LEN;
            let len = IP4_LEN + len - skip;
            if len > usize::from(u16::MAX) {
                return Err(Reject::TooLong);
            }
            let packet = &mut buffer[at..at + len];
            packet[..IP4_LEN].copy_from_slice(&fields.to_bytes((len - IP4_LEN) as u16));
            if options_len > 0 {
                packet[0] = 0x45 + (options_len / 4) as u8;
                let header = Header::parse(&packet[..IP4_LEN + options_len]);
                header.ok_or(Reject::Inner)?.finish(packet, protocol);
            }
            Ok(Inner {
                at,
                len,
                is_ip6: false,
            })
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let fields = Ip6Fields {
                traffic_class: class,
                next_header: payload.next,
                hop_limit: hops,
                src: src.to_bits(),
                dst: dst.to_bits(),
                ..Ip6Fields::default()
            };
            // An outer IPv4 header with that of ESP may be shorter: the payload makes place.
            let from = payload.at.max(IP6_LEN);
            if from > payload.at {
                if buffer.len() < from + payload.len {
                    return Err(Reject::NoRoom);
                }
                buffer.copy_within(payload.at..payload.at + payload.len, from);
            }
            let at = from - IP6_LEN;
            buffer[at..from].copy_from_slice(&fields.to_bytes(payload.len as u16));
            Ok(Inner {
                at,
                len: IP6_LEN + payload.len,
                is_ip6: true,
            })
        }
        _ => Err(Reject::Mode),
    }
}

/// How long a pseudo header is with its padding, how long the options behind it, and the protocol.
fn pseudo_header(bytes: &[u8]) -> Option<(usize, usize, u8)> {
    let &[protocol, units, pad_len, _] = bytes.first_chunk()?;
    let skip = PSEUDO_LEN + usize::from(pad_len);
    let options_len = ((usize::from(units) + 1) * 8).checked_sub(skip)?;
    let fits = options_len.is_multiple_of(4) && options_len <= 40;
    (fits && skip + options_len <= bytes.len()).then_some((skip, options_len, protocol))
}
