//! Flow hash: which member of a nexthop group a packet takes (RFC 2991, RFC 2992).
//!
//! All packets of a flow must get one hash. A flow is addresses, protocol and ports where the
//! ports can be seen. A fragment hashes on its addresses alone, the first one included, since
//! the later ones carry no ports: so all fragments of a datagram take one way.
//!
//! The mixer multiplies 64-bit halves and folds the product, twice; an avalanche test guards
//! it. It needs neither a table nor special instructions.

use crate::ip4::Ip4;
use crate::ip6::{self, Ip6};
use crate::ip6_ext::{Walk, walk};
use crate::udp::Ports;

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd1b5_4a32_d192_ed03;

/// Multiplies to 128 bits and folds: every input bit reaches every output bit.
#[inline]
const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Ports and protocol as one word; 0 where they do not count.
#[inline]
fn upper(protocol: u8, bytes: &[u8]) -> u64 {
    let ports = match Ports::new(bytes) {
        Some(ports) if Ports::are_in(protocol) => u64::from(ports.src) << 16 | u64::from(ports.dst),
        _ => 0,
    };
    u64::from(protocol) << 32 | ports
}

#[inline]
const fn finish(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// The hash of an IPv4 packet; `bytes` starts with its header, which the caller has checked.
///
/// ```
/// use ironlane_packet::{flow, ip4::{Ip4Fields, MF}};
/// let fields = Ip4Fields { src: 1, dst: 2, fragment_word: MF, ..Ip4Fields::default() };
/// let first = [&fields.to_bytes(4)[..], &[0, 1, 0, 2]].concat();
/// let later = Ip4Fields { fragment_word: 185, ..fields }.to_bytes(0);
/// assert_eq!(flow::hash4(&first), flow::hash4(&later));
/// ```
#[inline]
pub fn hash4(bytes: &[u8]) -> u32 {
    let Some(ip) = Ip4::new(bytes) else { return 0 };
    let addresses = u64::from(ip.src()) << 32 | u64::from(ip.dst());
    let upper = if ip.is_fragment() {
        0
    } else {
        upper(
            ip.protocol(),
            bytes.get(ip.header_len_bytes()..).unwrap_or(&[]),
        )
    };
    finish(mix(mix(addresses ^ K0, K1), upper ^ K1))
}

/// The hash of an IPv6 packet; `bytes` starts with its header, which the caller has checked.
///
/// ```
/// use ironlane_packet::{flow, ip6::Ip6Fields};
/// let packet = |dst_port| {
///     let header = Ip6Fields { src: 1, dst: 2, ..Ip6Fields::default() }.to_bytes(4);
///     [&header[..], &[0, 1, 0, dst_port]].concat()
/// };
/// assert_eq!(flow::hash6(&packet(7)), flow::hash6(&packet(7)));
/// assert_ne!(flow::hash6(&packet(7)), flow::hash6(&packet(8)));
/// ```
#[inline]
pub fn hash6(bytes: &[u8]) -> u32 {
    let Some(ip) = Ip6::new(bytes) else { return 0 };
    let (src, dst) = (ip.src(), ip.dst());
    let rest = bytes.get(ip6::HEADER_LEN_BYTES..).unwrap_or(&[]);
    let upper = match walk(ip.next_header(), rest) {
        Walk::Upper {
            protocol,
            offset_bytes,
            fragment: false,
        } => upper(protocol, rest.get(offset_bytes..).unwrap_or(&[])),
        _ => 0,
    };
    let a = mix((src >> 64) as u64 ^ K0, src as u64 ^ K1);
    let b = mix((dst >> 64) as u64 ^ K1, dst as u64 ^ K0);
    finish(mix(a ^ b.rotate_left(32) ^ K0, upper ^ K1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip4::Ip4Fields;
    use crate::ip6::Ip6Fields;
    use proptest::prelude::*;

    fn udp4(src: u32, dst: u32, ports: u32) -> Vec<u8> {
        let header = Ip4Fields {
            src,
            dst,
            ..Ip4Fields::default()
        }
        .to_bytes(4);
        [&header[..], &ports.to_be_bytes()].concat()
    }

    /// Shares of `bits` low bits over many flows that differ only in one counter.
    fn spread(flows: impl Iterator<Item = u32>, bits: u32) -> (usize, usize) {
        let mut counts = vec![0usize; 1 << bits];
        for hash in flows {
            counts[(hash & ((1 << bits) - 1)) as usize] += 1;
        }
        (*counts.iter().min().unwrap(), *counts.iter().max().unwrap())
    }

    #[test]
    fn flows_that_differ_in_one_field_spread_evenly() {
        let n = 16_000u32;
        let by_port = (0..n).map(|i| hash4(&udp4(0x0a00_0001, 0x0a00_0002, i)));
        let by_src = (0..n).map(|i| hash4(&udp4(0x0a00_0000 + i, 0x0a00_0002, 7)));
        let by_dst = (0..n).map(|i| hash4(&udp4(0x0a00_0001, 0xc000_0000 + (i << 8), 7)));
        for (name, (min, max)) in [
            ("port", spread(by_port, 4)),
            ("source", spread(by_src, 4)),
            ("destination", spread(by_dst, 4)),
        ] {
            // 1000 on average in 16 buckets; five standard deviations are 155.
            assert!(min > 845 && max < 1155, "{name}: {min}..{max}");
        }
    }

    #[test]
    fn hop_limit_and_labels_do_not_count() {
        let packet = |hop_limit, flow_label| {
            let fields = Ip6Fields {
                src: 5,
                dst: 6,
                hop_limit,
                flow_label,
                ..Ip6Fields::default()
            };
            [&fields.to_bytes(4)[..], &[1, 2, 3, 4]].concat()
        };
        assert_eq!(hash6(&packet(64, 0)), hash6(&packet(3, 77)));
    }

    #[test]
    fn fragments_of_an_ip6_packet_share_a_hash() {
        let fragment = |offset: u16, rest: &[u8]| {
            let header = Ip6Fields {
                next_header: 44,
                src: 5,
                dst: 6,
                ..Ip6Fields::default()
            };
            let mut bytes = header.to_bytes(8 + rest.len() as u16).to_vec();
            bytes.extend([17, 0]);
            bytes.extend((offset | 1).to_be_bytes());
            bytes.extend([0, 0, 0, 1]);
            bytes.extend(rest);
            bytes
        };
        assert_eq!(
            hash6(&fragment(0, &[1, 2, 3, 4])),
            hash6(&fragment(8, &[9]))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_hash(bytes: Vec<u8>) {
            hash4(&bytes);
            hash6(&bytes);
        }

        #[test]
        fn one_flipped_bit_flips_about_half_of_the_hash(src: u32, dst: u32, ports: u32) {
            let base = hash4(&udp4(src, dst, ports));
            let flipped: u32 = (0..32)
                .map(|bit| (hash4(&udp4(src ^ 1 << bit, dst, ports)) ^ base).count_ones())
                .sum();
            prop_assert!((300..725).contains(&flipped), "{flipped} of 1024");
        }
    }
}
