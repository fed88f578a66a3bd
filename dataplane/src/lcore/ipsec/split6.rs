//! Splitting IPv6 packets that the router itself sends into fragments (RFC 8200 4.5).

use ironlane_packet::ip6::{HEADER_LEN_BYTES, Ip6};
use ironlane_packet::ip6_ext::MAX_HEADERS;
use ironlane_packet::proto::ip;

use super::split::steps;
use crate::eal::{Mbuf, MbufBatch, Mempool};
use crate::reason::DropReason;

/// Length of the fragment header.
const FRAGMENT_LEN: usize = 8;

/// The fragments of the IPv6 packet behind the first `base` bytes of `mbuf`, each in a buffer of its own
/// with a copy of those bytes, and none longer than `mtu`.
///
/// # Errors
/// [`DropReason::IpsecTooBig`] if it is no whole packet, or more than a burst of pieces;
/// [`DropReason::IpsecNoBuffer`] if there are no buffers.
pub(super) fn split6(
    pool: &Mempool,
    mbuf: &Mbuf,
    base: usize,
    mtu: usize,
    id: u32,
) -> Result<MbufBatch, DropReason> {
    let too_big = DropReason::IpsecTooBig;
    let packet = mbuf.data().get(base..).unwrap_or(&[]);
    let payload_len = Ip6::new(packet).ok_or(too_big)?.payload_len_bytes();
    let (head_len, next_at) = headers_of_all(packet).ok_or(too_big)?;
    let total_len = HEADER_LEN_BYTES + usize::from(payload_len);
    let body_len = total_len.checked_sub(head_len).ok_or(too_big)?;
    if mbuf.pkt_len() < base + total_len {
        return Err(too_big);
    }
    let header_len = head_len + FRAGMENT_LEN;
    let (step, count) = steps(body_len, base, header_len, mtu).ok_or(too_big)?;
    let mut pieces = MbufBatch::new();
    if !pool.alloc(&mut pieces, count) {
        return Err(DropReason::IpsecNoBuffer);
    }
    for (place, piece) in pieces.as_mut_slice().iter_mut().enumerate() {
        let at = place * step;
        let len = step.min(body_len - at);
        // Checked against the smallest buffer in `steps`.
        let Some(room) = piece.append(base + header_len + len) else {
            pieces.free();
            return Err(too_big);
        };
        let (head, body) = room.split_at_mut(base + header_len);
        let (head, fragment) = head.split_at_mut(base + head_len);
        head.copy_from_slice(&mbuf.data()[..base + head_len]);
        let head = &mut head[base..];
        let protocol = std::mem::replace(&mut head[next_at], ip::FRAGMENT);
        // No more than the packet.
        let payload_len = (header_len - HEADER_LEN_BYTES + len) as u16;
        head[4..6].copy_from_slice(&payload_len.to_be_bytes());
        let word = at as u16 | u16::from(place + 1 < count);
        fragment[..2].copy_from_slice(&[protocol, 0]);
        fragment[2..4].copy_from_slice(&word.to_be_bytes());
        fragment[4..].copy_from_slice(&id.to_be_bytes());
        mbuf.copy_to(base + head_len + at, body);
        piece.set_port(mbuf.port());
    }
    Ok(pieces)
}

/// How long the headers are that each fragment has, and where the last of them names what follows: all up to
/// a routing header, or else hop-by-hop options. `None` if they are cut.
fn headers_of_all(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut next, mut at) = (Ip6::new(packet)?.next_header(), HEADER_LEN_BYTES);
    let mut found = (HEADER_LEN_BYTES, 6);
    for _ in 0..=MAX_HEADERS {
        if !matches!(next, ip::HOP_BY_HOP | ip::ROUTING | ip::DEST_OPTIONS) {
            break;
        }
        let &[following, len] = packet.get(at..)?.first_chunk()?;
        let end = at + (usize::from(len) + 1) * 8;
        if next != ip::DEST_OPTIONS {
            found = (end, at);
        }
        (next, at) = (following, end);
    }
    (found.0 <= packet.len()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlane_packet::ip6::Ip6Fields;

    #[test]
    fn each_fragment_has_what_routers_look_at() {
        let packet = |next_header, extensions: &[[u8; 8]]| {
            let fields = Ip6Fields {
                next_header,
                ..Ip6Fields::default()
            };
            [&fields.to_bytes(64)[..], &extensions.concat(), &[0; 8]].concat()
        };
        let header = |next| [next, 0, 1, 4, 0, 0, 0, 0];
        let (hop, dest, routing) = (ip::HOP_BY_HOP, ip::DEST_OPTIONS, ip::ROUTING);
        for (packet, expected) in [
            (packet(ip::ESP, &[]), Some((40, 6))),
            (packet(hop, &[header(ip::ESP)]), Some((48, 40))),
            (packet(dest, &[header(ip::ESP)]), Some((40, 6))),
            (
                packet(hop, &[header(dest), header(ip::ESP)]),
                Some((48, 40)),
            ),
            (
                packet(dest, &[header(routing), header(ip::ESP)]),
                Some((56, 48)),
            ),
            (
                packet(routing, &[header(dest), header(ip::ESP)]),
                Some((48, 40)),
            ),
            (packet(hop, &[])[..41].to_vec(), None),
        ] {
            assert_eq!(headers_of_all(&packet), expected, "{packet:x?}");
        }
    }
}
