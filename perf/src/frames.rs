//! Frames of a scene, and pcap files of them.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use ironlane_packet::checksum;
use ironlane_packet::vlan::TAG_LEN_BYTES;

use crate::numbers::Numbers;
use crate::scene::{Scene, Stream};
use crate::table::{Prefix, Tables};

type Failure = Box<dyn std::error::Error>;

/// MAC address of the first `net_pcap` port, which frames are sent to.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0x70, 0x63, 0x61, 0x70, 0x00];
/// MAC address that they come from.
pub const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];

/// IPv4 source: a prefix for documentation, which no table has.
const SOURCE4: u32 = 0xc000_020a;
/// IPv6 source.
const SOURCE6: u128 = 0x2001_0db8_0000_0001_0000_0000_0000_0010;

/// Makes the frames of a scene, the same ones each time. `port` is the number of the `net_pcap` port
/// that they are sent to: the last byte of its MAC address.
///
/// # Errors
/// If a table is missing, a destination is no prefix, or a frame is too short for its headers.
pub fn make(scene: &Scene, tables: &Tables, port: u8) -> Result<Vec<Vec<u8>>, Failure> {
    let mut numbers = Numbers(1 + u64::from(port));
    let total: u32 = scene.streams.iter().map(|stream| stream.weight).sum();
    let destinations = scene
        .streams
        .iter()
        .map(|stream| destinations(stream, tables))
        .collect::<Result<Vec<_>, _>>()?;
    let mut frames = Vec::with_capacity(scene.frames);
    for _ in 0..scene.frames {
        let mut draw = (numbers.draw() % u64::from(total)) as u32;
        let mut chosen = 0;
        while draw >= scene.streams[chosen].weight {
            draw -= scene.streams[chosen].weight;
            chosen += 1;
        }
        let prefixes = &destinations[chosen];
        let prefix = prefixes[numbers.draw() as usize % prefixes.len()];
        let address = prefix.address(&mut numbers);
        frames.push(frame(&scene.streams[chosen], prefix.ip6, address, port)?);
    }
    Ok(frames)
}

fn destinations(stream: &Stream, tables: &Tables) -> Result<Vec<Prefix>, Failure> {
    if let Ok(net) = stream.to.parse::<ipnet::IpNet>() {
        return Ok(vec![net.into()]);
    }
    let routes = tables.get(&stream.to)?.iter();
    // Tables as collected hold some routes that no router forwards by.
    let prefixes: Vec<_> = routes
        .map(|route| route.prefix)
        .filter(|prefix| is_forwarded(*prefix))
        .collect();
    Ok(prefixes)
}

/// A UDP frame of so many bytes, without FCS, to an address.
///
/// # Errors
/// If it is too short for its headers.
pub fn udp(ip6: bool, to: u128, size: usize) -> Result<Vec<u8>, Failure> {
    let stream = Stream {
        to: String::new(),
        size,
        weight: 1,
        ttl: 64,
        bad_checksum: false,
        bad_length: false,
        vlan: None,
    };
    frame(&stream, ip6, to, 0)
}

/// Whether packets to it pass the rules for addresses (RFC 1812 5.3.7, RFC 4291).
pub fn is_forwarded(prefix: Prefix) -> bool {
    if prefix.ip6 {
        prefix.address >> 125 == 1
    } else {
        let first = prefix.address >> 24;
        prefix.len >= 8 && (1..224).contains(&first) && first != 127 && first != 169
    }
}

fn frame(stream: &Stream, ip6: bool, to: u128, port: u8) -> Result<Vec<u8>, Failure> {
    let tag_len = stream.vlan.map_or(0, |_| TAG_LEN_BYTES);
    let least = if ip6 { 62 } else { 42 };
    if stream.size < least + tag_len {
        return Err(format!("a frame of {} bytes has no room for UDP", stream.size).into());
    }
    let size = stream.size - tag_len;
    let mut frame = Vec::with_capacity(stream.size);
    frame.extend_from_slice(&ROUTER_MAC[..5]);
    frame.push(port);
    frame.extend_from_slice(&SOURCE_MAC);
    if ip6 {
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
        let len = (size - 54) as u16 + u16::from(stream.bad_length);
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&[17, stream.ttl]);
        frame.extend_from_slice(&SOURCE6.to_be_bytes());
        frame.extend_from_slice(&to.to_be_bytes());
    } else {
        frame.extend_from_slice(&[0x08, 0, 0x45, 0]);
        frame.extend_from_slice(&((size - 14) as u16).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 0, stream.ttl, 17, 0, 0]);
        frame.extend_from_slice(&SOURCE4.to_be_bytes());
        frame.extend_from_slice(&(to as u32).to_be_bytes());
        let sum = checksum::of(&frame[14..34]) ^ u16::from(stream.bad_checksum);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    let len = (size - frame.len()) as u16;
    for word in [4000, 5000, len, 0] {
        frame.extend_from_slice(&u16::to_be_bytes(word));
    }
    frame.resize(size, 0);
    if let Some(vlan) = stream.vlan {
        // The tag's own type, 0x8100, then the VLAN; the type of what is inside stays behind it.
        let [high, low] = vlan.to_be_bytes();
        frame.splice(12..12, [0x81, 0, high, low]);
    }
    Ok(frame)
}

/// Writes frames to a pcap file.
///
/// # Errors
/// What writing says.
pub fn write(path: &Path, frames: &[Vec<u8>]) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for (index, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for word in [index as u32 / 1_000_000, index as u32 % 1_000_000, len, len] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(frame)?;
    }
    file.flush()
}

/// Frames of a pcap file of microseconds in this machine's byte order.
///
/// # Errors
/// What reading says, or that it is not such a file.
pub fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let bad = || io::Error::other(format!("{} is not a pcap file", path.display()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene;

    #[test]
    fn streams_get_their_share() {
        let scene = scene::named("imix").unwrap().with(None, Some(12_000));
        let frames = make(&scene, &Tables::default(), 0).unwrap();
        let count = |len| frames.iter().filter(|frame| frame.len() == len).count();
        assert!(count(64).abs_diff(7_000) < 300, "{}", count(64));
        assert!(count(1514).abs_diff(1_000) < 200, "{}", count(1514));
    }

    #[test]
    fn a_frame_too_short_for_its_headers_is_refused() {
        let scene = scene::named("rfc8219").unwrap().with(Some(60), None);
        assert!(make(&scene, &Tables::default(), 0).is_err());
    }
}
