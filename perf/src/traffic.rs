//! Traffic for the rig: UDP frames to random addresses of one prefix, as a pcap file.

use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// MAC address of the first `net_pcap` port, which the frames are sent to.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0x70, 0x63, 0x61, 0x70, 0x00];
/// MAC address that the frames come from.
pub const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
/// Benchmarking prefix of RFC 2544; its addresses are the IPv4 destinations.
pub const PREFIX4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 16);
/// Benchmarking prefix of RFC 5180; its addresses are the IPv6 destinations.
pub const PREFIX6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48);

/// Length of a frame without its FCS, in bytes.
pub const FRAME_LEN_BYTES: usize = 64;

/// A small generator of repeatable numbers (SplitMix64), so that each run sees one traffic.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Writes `count` frames to random addresses of the prefix of the family to `path`.
///
/// # Errors
/// What writing the file answers.
pub fn write_pcap(path: &Path, count: usize, ip6: bool) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let mut head = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    file.write_all(&head)?;
    let mut numbers = Numbers(1);
    for index in 0..count {
        let frame = if ip6 {
            frame6(numbers.draw())
        } else {
            frame4(numbers.draw())
        };
        for word in [0, index as u32, frame.len() as u32, frame.len() as u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}

fn ethernet(ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_LEN_BYTES);
    frame.extend_from_slice(&ROUTER_MAC);
    frame.extend_from_slice(&SOURCE_MAC);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

fn udp(frame: &mut Vec<u8>) {
    let len = (FRAME_LEN_BYTES - frame.len()) as u16;
    for word in [4000, 5000, len, 0] {
        frame.extend_from_slice(&u16::to_be_bytes(word));
    }
    frame.resize(FRAME_LEN_BYTES, 0);
}

fn frame4(draw: u64) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    let dst = u32::from(PREFIX4.0) | (draw as u32 & 0xffff);
    let total = (FRAME_LEN_BYTES - 14) as u16;
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&total.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend_from_slice(&Ipv4Addr::new(192, 0, 2, 10).octets());
    frame.extend_from_slice(&dst.to_be_bytes());
    let sum = ironlane_packet::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    udp(&mut frame);
    frame
}

fn frame6(draw: u64) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    let dst = u128::from(PREFIX6.0) | u128::from(draw);
    let payload = (FRAME_LEN_BYTES - 54) as u16;
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&payload.to_be_bytes());
    frame.extend_from_slice(&[17, 64]);
    frame.extend_from_slice(&Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10).octets());
    frame.extend_from_slice(&dst.to_be_bytes());
    udp(&mut frame);
    frame
}
