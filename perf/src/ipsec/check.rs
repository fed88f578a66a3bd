//! Whether what came out is what should have, by nothing of the data plane.

use super::esp;
use super::load::{Load, Way, number};
use crate::oracle::{SINK_MAC, nexthop_mac};
use crate::play::same;

type Failure = Box<dyn std::error::Error>;

/// Whose frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Ironlane's: a hop less inside, its MAC addresses.
    Ours,
    /// A peer's: hops, checksums that go with them, and MAC addresses are its own business.
    Peers,
}

/// Compares each frame that came out with what should have become of one of `load`'s.
///
/// Of what was sealed, that is: the outer header, the SPI that belongs to the other end and to the inner
/// destination, sequence numbers from 1 on, each once, authentic, the padding; and the packet inside. Of
/// what was opened, the frame.
///
/// # Errors
/// What differs first.
pub fn check(load: &Load, whose: Whose, got: Vec<Vec<u8>>) -> Result<usize, Failure> {
    let packets = load.packets()?;
    let count = packets.len();
    let (mut wanted, mut found) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (_, mut packet) in packets {
        lower(&mut packet);
        wanted.push(packet);
    }
    let mut numbers = std::collections::HashSet::new();
    for (index, frame) in got.iter().enumerate() {
        let told = |why: &str| format!("frame {index}: {why}: {frame:02x?}");
        let packet = match load.way {
            Way::In => frame.get(14..).map(<[u8]>::to_vec),
            Way::Out => {
                let (tunnel, seq, packet) = open(load, frame).map_err(told)?;
                if !numbers.insert((tunnel, seq)) {
                    return Err(told("its number was there before").into());
                }
                let outer = frame.len() as u32;
                // All of a tunnel's numbers, from 1 on, if there are as many as frames of it.
                let most = count as u32 / load.tunnels;
                if seq == 0 || seq > most || outer < 60 {
                    return Err(told("its number is out of range").into());
                }
                Some(packet)
            }
        };
        if whose == Whose::Ours && !frame.starts_with(&[nexthop_mac(0), SINK_MAC].concat()) {
            return Err(told("its MAC addresses are wrong").into());
        }
        found.push(packet.ok_or_else(|| told("it is too short"))?);
    }
    if whose == Whose::Peers {
        wanted
            .iter_mut()
            .chain(&mut found)
            .for_each(|packet| forget_hops(packet));
    }
    same(wanted.into_iter(), found)?;
    Ok(count)
}

/// The tunnel, number and packet of a frame.
fn open(load: &Load, frame: &[u8]) -> Result<(u32, u32, Vec<u8>), &'static str> {
    let (kind, headers) = match load.v6 {
        false => ([8, 0], 34),
        true => ([0x86, 0xdd], 54),
    };
    let outer = frame.get(14..headers).ok_or("it is too short")?;
    let (protocol, len, src, dst) = match load.v6 {
        false => (
            outer[9],
            be(&outer[2..4]),
            be(&outer[12..16]),
            be(&outer[16..20]),
        ),
        true => (
            outer[6],
            be(&outer[4..6]) + 40,
            be(&outer[8..24]),
            be(&outer[24..40]),
        ),
    };
    if frame[12..14] != kind || len != frame.len() as u128 - 14 || src != number(load.ours()) {
        return Err("its outer header is wrong");
    }
    if !load.v6 && ones_sum(outer) != 0xffff {
        return Err("the checksum of its outer header is wrong");
    }
    let mut esp = &frame[headers..];
    if load.encap {
        let udp = esp.split_off(..8).ok_or("it is too short")?;
        if udp[..4] != [17, 148, 17, 148] || be(&udp[4..6]) != frame.len() as u128 - headers as u128
        {
            return Err("its UDP header is wrong");
        }
    }
    if protocol != if load.encap { 17 } else { 50 } {
        return Err("it is not ESP");
    }
    let spi = esp.get(..4).map_or(0, be) as u32;
    let tunnel = load.tunnel_of(spi).ok_or("its SPI is wrong")?;
    if dst != number(load.peer(tunnel)) {
        return Err("its SPI is not that of the other end");
    }
    let (seq, packet) = esp::open(&Load::key(tunnel), esp)?;
    let inner = match load.v6 {
        false => packet.get(16..20),
        true => packet.get(24..40),
    };
    let far = crate::table::Prefix::from(load.far_of(tunnel));
    let host = u32::from(far.width() - far.len);
    match inner.map(be) {
        Some(inner) if inner >> host == far.address >> host => Ok((tunnel, seq, packet)),
        _ => Err("it went into another tunnel"),
    }
}

/// A hop less, with the checksum made anew.
fn lower(packet: &mut [u8]) {
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return;
    }
    packet[8] -= 1;
    packet[10..12].fill(0);
    let sum = !ones_sum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn forget_hops(packet: &mut [u8]) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 => {
            packet[8] = 0;
            packet[10..12].fill(0);
        }
        Some(6) if packet.len() >= 40 => packet[7] = 0,
        _ => {}
    }
}

fn be(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u128::from(byte))
}

/// Sum of the 16-bit words by one's complement (RFC 1071).
fn ones_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2);
    let sum: u32 = words
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}
