//! Frames from the host 192.0.2.9.

use super::{HOST, MAC};

fn sum(bytes: &[u8]) -> u16 {
    ironlane_packet::checksum::of(bytes)
}

/// An IPv4 frame from the host 192.0.2.9.
pub fn ip4(dst: [u8; 4], ttl: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut header = vec![
        0x45,
        0,
        (len >> 8) as u8,
        len as u8,
        0,
        0,
        0x40,
        0,
        ttl,
        protocol,
        0,
        0,
    ];
    header.extend([192, 0, 2, 9]);
    header.extend(dst);
    let check = sum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&check);
    let mut frame = [&MAC[..], &HOST, &[8, 0]].concat();
    frame.extend(header);
    frame.extend(payload);
    frame
}

pub fn echo_request(len: usize) -> Vec<u8> {
    let mut icmp = vec![8, 0, 0, 0, 0, 7, 0, 1];
    icmp.extend((0..len).map(|i| i as u8));
    let check = sum(&icmp).to_be_bytes();
    icmp[2..4].copy_from_slice(&check);
    ip4([192, 0, 2, 1], 64, 1, &icmp)
}

/// Who has 192.0.2.1? Tell 192.0.2.9.
pub fn arp_request() -> Vec<u8> {
    let mut frame = [
        &[0xff; 6][..],
        &HOST,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &HOST,
    ]
    .concat();
    frame.extend([192, 0, 2, 9]);
    frame.extend([0; 6]);
    frame.extend([192, 0, 2, 1]);
    frame
}

pub fn is_arp(frame: &[u8], operation: u8) -> bool {
    frame[12..14] == [8, 6] && frame[21] == operation
}
