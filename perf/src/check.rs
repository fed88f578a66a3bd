//! Compares what left the box with what went in, frame by frame.

use std::path::Path;

use ironlane_packet::checksum;

use crate::rig::{SINK_MAC, nexthop_mac, nexthop_of};

/// Frames of a pcap file of microseconds in this machine's byte order.
///
/// # Errors
/// What reading says, or that it is not such a file.
pub fn frames(path: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let bad = || std::io::Error::other(format!("{} is not a pcap file", path.display()));
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if word(0) != Some(0xa1b2_c3d4) && word(0) != Some(0xa1b2_3c4d) {
        return Err(bad());
    }
    let mut at = 24;
    let mut frames = Vec::new();
    while at < bytes.len() {
        let len = word(at + 8).ok_or_else(bad)? as usize;
        frames.push(bytes.get(at + 16..at + 16 + len).ok_or_else(bad)?.to_vec());
        at += 16 + len;
    }
    Ok(frames)
}

/// What a router should have made of `frame`: MACs of the nexthop that its destination is routed to,
/// one hop less.
pub fn forwarded(frame: &[u8], nexthops: u16) -> Vec<u8> {
    let mut out = frame.to_vec();
    out[..6].copy_from_slice(&nexthop_mac(nexthop_of(frame, nexthops)));
    out[6..12].copy_from_slice(&SINK_MAC);
    if frame[12..14] == [0x86, 0xdd] {
        out[21] -= 1;
    } else {
        out[22] -= 1;
        out[24..26].fill(0);
        let sum = checksum::of(&out[14..34]);
        out[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    out
}

/// Compares both files, for destinations spread over so many nexthops. Returns how many frames there
/// are.
///
/// # Errors
/// What differs first, or what reading says.
pub fn compare(
    sent: &Path,
    got: &Path,
    nexthops: u16,
) -> Result<usize, Box<dyn std::error::Error>> {
    let (sent, got) = (frames(sent)?, frames(got)?);
    if sent.len() != got.len() {
        return Err(format!("{} frames in, {} out", sent.len(), got.len()).into());
    }
    for (index, (frame, out)) in sent.iter().zip(&got).enumerate() {
        let want = forwarded(frame, nexthops);
        if *out != want {
            return Err(format!("frame {index}: wanted {want:02x?}, got {out:02x?}").into());
        }
    }
    Ok(sent.len())
}
