//! What was in a protected packet: found, checked, and made a packet again.

use ironlane_packet::checksum;
use ironlane_packet::proto::ip;

use crate::buffer::{get_u16, put_u16};
use crate::header::{Header, IP4_LEN, IP6_LEN, Version};
use crate::{Mode, Reject, SaSpec, beet, ecn};

/// The packet that was inside, in the buffer of the packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Where its IP header begins.
    pub at: usize,
    /// How long it is.
    pub len: usize,
    /// Whether it is IPv6.
    pub is_ip6: bool,
}

impl Inner {
    /// As a range, to index the buffer with.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.len
    }
}

/// What ESP or AH protected, without trailer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    /// Where the headers end that stay in transport mode: before UDP and ESP, or AH.
    pub(crate) headers_end: usize,
    /// Where it begins.
    pub(crate) at: usize,
    /// How long it is.
    pub(crate) len: usize,
    /// Its protocol.
    pub(crate) next: u8,
}

/// Makes the inner packet, by the mode of the SA.
#[inline]
pub(crate) fn restore(spec: &SaSpec, payload: Payload, buffer: &mut [u8]) -> Result<Inner, Reject> {
    match spec.mode {
        Mode::Tunnel => tunnel(spec, payload, buffer),
        Mode::Transport => transport(spec, payload, buffer),
        Mode::Beet => beet::restore(spec, payload, buffer),
    }
}

/// A whole packet: what is behind it is TFC padding (RFC 4303 2.7).
#[inline(always)] // a call for each packet, with its answer in memory, is a thirtieth of what a short one costs
pub(crate) fn tunnel(spec: &SaSpec, payload: Payload, buffer: &mut [u8]) -> Result<Inner, Reject> {
    let is_ip6 = match payload.next {
        IP_IN_IP => false,
        IP6_IN_IP => true,
        _ => return Err(Reject::Mode),
    };
    let outer_class = Header::traffic_class_of(buffer).ok_or(Reject::Malformed)?;
    let packet = &mut buffer[payload.at..payload.at + payload.len];
    let len = checked_len(packet, is_ip6).ok_or(Reject::Inner)?;
    // Without news outside nothing changes inside.
    if spec.ecn && outer_class & ecn::MASK != ecn::NOT_ECT {
        let class = Header::traffic_class_of(packet).ok_or(Reject::Inner)?;
        let marked = ecn::decapsulate(class, outer_class)?;
        if marked != class {
            Header::set_traffic_class(packet, marked);
        }
    }
    Ok(Inner {
        at: payload.at,
        len,
        is_ip6,
    })
}

/// The length that an inner packet says it has, if it is of this version and not cut.
#[inline]
fn checked_len(packet: &[u8], is_ip6: bool) -> Option<usize> {
    let len = match (packet.first()? >> 4, is_ip6) {
        (4, false) if packet.len() >= IP4_LEN => {
            let header_len = usize::from(packet[0] & 0x0f) * 4;
            let len = usize::from(get_u16(packet, 2));
            if header_len < IP4_LEN || len < header_len {
                return None;
            }
            len
        }
        (6, true) if packet.len() >= IP6_LEN => IP6_LEN + usize::from(get_u16(packet, 4)),
        _ => return None,
    };
    (len <= packet.len()).then_some(len)
}

/// What follows the IP header: that moves up to it, and says its protocol again.
fn transport(spec: &SaSpec, payload: Payload, buffer: &mut [u8]) -> Result<Inner, Reject> {
    let header = Header::parse(&buffer[..payload.headers_end]).ok_or(Reject::Malformed)?;
    let at = payload.at - payload.headers_end;
    buffer.copy_within(..payload.headers_end, at);
    let len = payload.headers_end + payload.len;
    let packet = &mut buffer[at..at + len];
    header.finish(packet, payload.next);
    if spec.encap.is_some() {
        mend_checksum(&header, packet, payload.headers_end, payload.next);
    }
    Ok(Inner {
        at,
        len,
        is_ip6: header.version == Version::Ip6,
    })
}

/// Makes the checksum of TCP or UDP right again after a NAT has changed addresses that it covers:
/// ESP has shown that the packet is what was sent (RFC 3948 3.1.2).
fn mend_checksum(header: &Header, packet: &mut [u8], upper_at: usize, protocol: u8) {
    let at = match protocol {
        ip::TCP => 16,
        ip::UDP => 6,
        _ => return,
    };
    let Some(pseudo) = header.pseudo_sum(packet, upper_at, protocol) else {
        return;
    };
    let upper = &mut packet[upper_at..];
    if upper.len() < at + 2 {
        return;
    }
    // UDP over IPv4 may have none.
    if protocol == ip::UDP && get_u16(upper, at) == 0 {
        return;
    }
    put_u16(upper, at, 0);
    let sum = !checksum::fold(checksum::add(pseudo, upper));
    let sum = if sum == 0 && protocol == ip::UDP {
        0xffff
    } else {
        sum
    };
    put_u16(upper, at, sum);
}

/// IPv4 as a protocol.
pub(crate) const IP_IN_IP: u8 = 4;
/// IPv6 as a protocol.
pub(crate) const IP6_IN_IP: u8 = 41;
