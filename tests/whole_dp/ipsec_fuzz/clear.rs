//! Packets before they are protected, right ones and others.

use std::net::IpAddr;

use ironlane_packet::checksum;
use ironlane_packet::ip4::{DF, Ip4Fields, MF};
use ironlane_packet::ip6::Ip6Fields;

use super::rng::Rng;

/// Bytes at the end of each packet that tell it from all others.
pub const MARK_LEN: usize = 8;

/// The mark of packet `n`, which fills the end of it: what damage makes of it is the mark of none.
pub fn mark(n: u64) -> [u8; MARK_LEN] {
    let n = n as u32;
    let check = n.wrapping_mul(0x9e37_79b1).rotate_left(16) ^ 0xf5f5_f5f5;
    (u64::from(check) << 32 | u64::from(n)).to_be_bytes()
}

/// The mark at the end of a packet, if it has one.
pub fn marked(packet: &[u8]) -> Option<u64> {
    let found = *packet.last_chunk()?;
    let n = u64::from_be_bytes(found) & 0xffff_ffff;
    (mark(n) == found).then_some(n)
}

/// What a packet is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Bytes above UDP, mark included.
    pub len: usize,
    pub df: bool,
    /// Options or extension headers, of the kinds that are passed on.
    pub options: bool,
}

impl Shape {
    /// One that fits every tunnel.
    pub fn any(rng: &mut Rng) -> Self {
        let len = match rng.below(8) {
            0 => 1200,
            1 => rng.below(1200),
            _ => rng.below(200),
        };
        Self {
            len: MARK_LEN + len,
            df: rng.one_in(2),
            options: rng.one_in(8),
        }
    }
}

/// A UDP datagram with mark `n`, to a port where nothing of ours listens.
pub fn packet(src: IpAddr, dst: IpAddr, shape: Shape, n: u64) -> Vec<u8> {
    let data_len = shape.len.max(MARK_LEN);
    let udp_len = (8 + data_len) as u16;
    let mut udp = [
        &[0x1f, 0x90, 0x2f, 0x90][..],
        &udp_len.to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    udp.resize(8 + data_len - MARK_LEN, n as u8);
    udp.extend(mark(n));
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            // Router alert would be for the kernel; these are not.
            let options: &[u8] = if shape.options { &[1, 1, 1, 0] } else { &[] };
            let fields = Ip4Fields {
                id: n as u16,
                fragment_word: if shape.df { DF } else { 0 },
                ttl: 61,
                protocol: 17,
                src: src.to_bits(),
                dst: dst.to_bits(),
                ..Ip4Fields::default()
            };
            let mut header = fields.to_bytes((options.len() + udp.len()) as u16).to_vec();
            header[0] += (options.len() / 4) as u8;
            header.extend(options);
            let mut packet = [header, udp].concat();
            mend(&mut packet);
            packet
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let (src, dst) = (src.to_bits(), dst.to_bits());
            let pseudo = checksum::pseudo6(src, dst, 17, u32::from(udp_len));
            let sum = !checksum::fold(checksum::add(pseudo, &udp));
            udp[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
            let extension: &[u8] = if shape.options {
                &[17, 0, 1, 4, 0, 0, 0, 0]
            } else {
                &[]
            };
            let fields = Ip6Fields {
                next_header: if shape.options { 60 } else { 17 },
                hop_limit: 61,
                src,
                dst,
                ..Ip6Fields::default()
            };
            let header = fields.to_bytes((extension.len() + udp.len()) as u16);
            [&header[..], extension, &udp].concat()
        }
        _ => unreachable!("one family"),
    }
}

/// Makes the checksum of an IPv4 header right, as far as there is one.
pub fn mend(packet: &mut [u8]) {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return;
    }
    let len = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Makes the length in the IP header that of the packet.
pub fn mend_len(packet: &mut [u8]) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 => {
            let len = packet.len() as u16;
            packet[2..4].copy_from_slice(&len.to_be_bytes());
        }
        Some(6) if packet.len() >= 40 => {
            let len = (packet.len() - 40) as u16;
            packet[4..6].copy_from_slice(&len.to_be_bytes());
        }
        _ => {}
    }
    mend(packet);
}

/// Puts options or extension headers behind the IP header, good and bad ones.
pub fn add_options(rng: &mut Rng, packet: &mut Vec<u8>) {
    if packet[0] >> 4 == 4 {
        let header_len = (usize::from(packet[0] & 15) * 4).min(packet.len());
        let room = 60usize.saturating_sub(header_len) / 4;
        let mut options: Vec<u8> = match rng.below(7) {
            0 => vec![1, 1, 1, 1],
            1 => vec![7, 7, 4, 0, 0, 0, 0, 0],
            2 => vec![131, 7, [4, 8][rng.below(2)], 10, 0, 0, 1, 0],
            3 => vec![137, 3, 4, 0],
            4 => vec![148, 4, 0, 0],
            5 => vec![rng.byte(), rng.byte(), rng.byte(), rng.byte()],
            _ => {
                let len = 4 * rng.below(11);
                rng.bytes(len)
            }
        };
        options.truncate(room * 4);
        packet[0] += (options.len() / 4) as u8;
        packet.splice(header_len..header_len, options);
    } else if packet.len() >= 40 {
        let kind = *rng.pick(&[0, 43, 44, 51, 60, 135, 139, 140]);
        let mut header: Vec<u8> = match rng.below(4) {
            0 => vec![0, 0, 1, 4, 0, 0, 0, 0],
            1 => vec![0, 1, 5, 2, 0, 0, 0x3e, 6, 0, 0, 0, 0, 0, 0, 1, 0],
            2 => [vec![0, 0], rng.bytes(6)].concat(),
            _ => {
                let len = 8 * (1 + rng.below(6));
                rng.bytes(len)
            }
        };
        header[0] = packet[6];
        packet[6] = kind;
        packet.splice(40..40, header);
    }
    mend_len(packet);
}

/// Changes fields that matter to what reads the packet next.
pub fn scramble(rng: &mut Rng, packet: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let is_ip4 = packet[0] >> 4 == 4;
        match rng.below(9) {
            0 => packet[0] = rng.byte(),
            // Congestion experienced.
            8 => packet[1] |= if is_ip4 { 0x03 } else { 0x30 },
            1 if is_ip4 => packet[0] = 0x40 | rng.byte() & 15,
            1 | 2 => {
                let at = if is_ip4 { 2 } else { 4 };
                packet[at] = if rng.one_in(3) {
                    rng.byte()
                } else {
                    packet[at]
                };
                packet[at + 1] = rng.byte();
            }
            3 if is_ip4 => {
                let word = *rng.pick(&[MF, 1, 185, MF | 64, 0x1fff, DF | MF, 0x8000]);
                packet[6..8].copy_from_slice(&word.to_be_bytes());
            }
            3 | 4 => {
                let at = if is_ip4 { 9 } else { 6 };
                packet[at] = *rng.pick(&[0, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 94, 255]);
            }
            5 => add_options(rng, packet),
            6 => {
                let len = rng.below(packet.len() + 1).max(1);
                packet.truncate(len.max(40));
            }
            _ => {
                let at = rng.below(packet.len().min(64));
                packet[at] = rng.byte();
            }
        }
    }
    if rng.one_in(2) {
        mend(packet);
    }
}
