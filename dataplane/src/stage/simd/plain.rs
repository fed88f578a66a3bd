//! What every CPU of the architecture can: one packet after the other. The reference of the other paths.

use std::net::IpAddr;

use ironlane_packet::eth::Mac;

use super::super::straight::L2;
use super::Found;
use crate::burst::{Arrived, Plain, PlainList};
use crate::eal::{BURST_MAX, HEAD_BYTES, Mbuf, RxChecksum, TAG_STRIPPED};

#[inline]
fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// Lists the plain packets of each family: unicast frames for `own` in one buffer each, with a
/// header that breaks no rule and needs nothing special.
#[inline]
pub(super) fn find(
    packets: &[Mbuf],
    list4: &mut PlainList<u32>,
    list6: &mut PlainList<u128>,
    own: Mac,
) -> Found {
    let [a, b, c, d, e, f] = own.0;
    let own = word([a, b, c, d, e, f, 0, 0]) << 16;
    let (mut ip4, mut ip6) = (0, 0);
    let mut found = Found {
        arrived: Arrived::of(packets),
        ..Found::default()
    };
    for (place, mbuf) in (0..BURST_MAX as u8).zip(packets) {
        let frame = mbuf.data();
        let Some(head) = frame.first_chunk::<HEAD_BYTES>() else {
            continue;
        };
        let (eth, _) = head.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let eth = u128::from_le_bytes(*eth);
        let (dst, src) = ((eth as u64) << 16, (eth >> 32) as u64 >> 16 << 16);
        // All of these are zero for a plain frame.
        let odd = dst ^ own | src & GROUP | u64::from(mbuf.nb_segs() ^ 1);
        let odd = odd | mbuf.ol_flags() & TAG_STRIPPED;
        if odd != 0 || src == own {
            continue;
        }
        // Type, version, header length.
        let kind = (eth >> 96) as u32;
        if kind & 0xff_ffff == 0x45_0008 {
            if let Some(plain) = check4(head, mbuf) {
                found.cut |= u64::from(is_longer(mbuf, plain.len)) << place;
                found.ip4 |= 1 << place;
                list4.push(&mut ip4, place, plain);
            }
        } else if kind & 0xf0_ffff == 0x60_dd86
            && let Some(plain) = check6(frame)
        {
            found.cut |= u64::from(is_longer(mbuf, plain.len)) << place;
            found.ip6 |= 1 << place;
            list6.push(&mut ip6, place, plain);
        }
    }
    found
}

/// Whether the frame goes on behind the IP packet.
#[inline]
fn is_longer(mbuf: &Mbuf, len: u16) -> bool {
    mbuf.data_len() > L2 + usize::from(len)
}

/// The group bit of an address in the upper six bytes of a word.
const GROUP: u64 = 1 << 16;

/// What is known of an IPv4 packet if it is plain, from the first bytes of its frame.
#[inline]
fn check4(head: &[u8; HEAD_BYTES], mbuf: &Mbuf) -> Option<Plain<u32>> {
    const HEADER: usize = 20;
    let front = word(*head[L2..].first_chunk()?);
    let back = word(*head[L2 + 8..].first_chunk()?);
    let to = u32::from_le_bytes(*head[L2 + 16..].first_chunk()?);
    let len = ((front >> 16) as u16).swap_bytes();
    // Not below a header, not beyond the frame, in one compare.
    let plain = usize::from(len).wrapping_sub(HEADER) <= mbuf.data_len() - HEAD_BYTES
        && back & 0xfe != 0
        && is_ordinary4((back >> 32) as u32)
        && is_ordinary4(to)
        && match mbuf.ip_checksum() {
            RxChecksum::Unknown => is_right(front, back, to),
            said => said == RxChecksum::Good,
        };
    // One hop less. RFC 1624 (eqn. 3): ~m + m' is 0xfeff for any word of TTL and protocol. All of it
    // with the bytes turned round, which a sum does not mind.
    let sum = u32::from(!(back >> 16) as u16) + 0xfffe;
    let sum = u32::from(!(sum + (sum >> 16)) as u16);
    let plain_word = sum << 16 | u32::from(back as u16).wrapping_sub(1) & 0xffff;
    plain.then_some(Plain {
        address: to.swap_bytes(),
        len,
        word: plain_word,
    })
}

/// Whether a header of five words sums up (RFC 1071, to which the order of bytes is all one).
#[inline]
const fn is_right(front: u64, back: u64, dst: u32) -> bool {
    let (sum, carry) = front.overflowing_add(back);
    let (sum, carry) = sum.overflowing_add(dst as u64 + carry as u64);
    let sum = sum + carry as u64;
    let (sum, carry) = ((sum >> 32) as u32).overflowing_add(sum as u32);
    let sum = sum + carry as u32;
    // The upper half is now the sum of both, with the carry of the lower one.
    sum.wrapping_add(sum.rotate_left(16)) >> 16 == 0xffff
}

/// Unicast, on the wire by right, and not link-local. The first byte of the address is the lowest.
#[inline]
fn is_ordinary4(address: u32) -> bool {
    NETS[usize::from(address as u8)] == Net::Ordinary
        || address as u8 == 169 && address & 0xffff != LINK_LOCAL
}

/// Whether a packet with this source or destination may be plain.
pub(crate) fn is_ordinary(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_ordinary4(u32::from_le_bytes(address.octets())),
        IpAddr::V6(address) => is_ordinary6((address.to_bits() >> 64) as u64),
    }
}

/// 169.254, the first byte the lowest.
const LINK_LOCAL: u32 = 0xfea9;

/// What the first byte of an IPv4 address says.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Net {
    Ordinary,
    Other,
}

/// By first byte. One load instead of four compares.
static NETS: [Net; 256] = {
    let mut nets = [Net::Other; 256];
    let mut net = 1;
    while net < 224 {
        if net != 127 && net != 169 {
            nets[net] = Net::Ordinary;
        }
        net += 1;
    }
    nets
};

/// What is known of an IPv6 packet if it is plain.
#[inline]
fn check6(frame: &[u8]) -> Option<Plain<u128>> {
    const HEADER: usize = 40;
    const HOP_BY_HOP: u8 = 0;
    let head = frame.first_chunk::<{ L2 + HEADER }>()?;
    let front = word(*head[L2..].first_chunk()?);
    let src = word(*head[L2 + 8..].first_chunk()?);
    let dst = u128::from_be_bytes(*head[L2 + 24..].first_chunk()?);
    let payload = ((front >> 32) as u16).swap_bytes();
    let (next_header, hop_limit) = ((front >> 48) as u8, (front >> 56) as u8);
    let plain = usize::from(payload) <= frame.len() - head.len()
        && hop_limit > 1
        && next_header != HOP_BY_HOP
        && is_ordinary6(src.swap_bytes())
        && is_ordinary6((dst >> 64) as u64);
    // No overflow: not longer than the data of a buffer, which is a u16.
    plain.then(|| Plain {
        address: dst,
        len: payload + HEADER as u16,
        // One hop less, in the upper byte.
        word: ((front >> 32) as u32).wrapping_sub(1 << 24),
    })
}

/// Neither in `::/64` nor in `fe00::/7`, by the upper half: no address with special meaning.
#[inline]
const fn is_ordinary6(high: u64) -> bool {
    (high != 0) & (high >> 57 != 0x7f)
}
