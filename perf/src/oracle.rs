//! What should become of a frame, worked out without any code of the data plane.

use std::collections::HashMap;

use crate::table::{Prefix, Route};

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves by the sink, to this nexthop.
    Forwarded(u32),
    /// It is Linux's.
    Punted,
    /// It is lost, by a rule.
    Dropped,
    /// No route has it.
    NoRoute,
}

/// How many frames met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Left by the sink.
    pub forwarded: u64,
    /// Went to Linux.
    pub punted: u64,
    /// Were lost.
    pub dropped: u64,
}

/// Routes by prefix length, in hash tables.
pub struct Oracle {
    lengths: Vec<(u8, bool)>,
    routes: HashMap<Prefix, u32>,
}

/// Source MAC address of what leaves by the sink.
pub const SINK_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 1];

/// MAC address of a nexthop behind the sink.
pub const fn nexthop_mac(index: u32) -> [u8; 6] {
    let [a, b, c, d] = index.to_be_bytes();
    [0x02, 1, a, b, c, d]
}

impl Oracle {
    /// Takes the routes; of two for one prefix the later counts.
    pub fn new(routes: &[Route]) -> Self {
        let routes: HashMap<_, _> = routes.iter().map(|r| (r.prefix, r.nexthop)).collect();
        let mut lengths: Vec<_> = routes.keys().map(|p: &Prefix| (p.len, p.ip6)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths.reverse();
        Self { lengths, routes }
    }

    fn nexthop(&self, ip6: bool, address: u128) -> Option<u32> {
        let width = if ip6 { 128 } else { 32 };
        let lengths = self.lengths.iter().filter(|(_, of6)| *of6 == ip6);
        lengths.map(|(len, _)| *len).find_map(|len| {
            let host = u32::from(width - len);
            let address = address & u128::MAX.checked_shl(host).unwrap_or(0);
            self.routes.get(&Prefix { ip6, address, len }).copied()
        })
    }

    /// What becomes of `frame`, one of [`frames::make`](crate::frames::make).
    pub fn fate(&self, frame: &[u8]) -> Fate {
        if frame[12..14] == [0x81, 0] {
            // Ports have no VLANs.
            return Fate::Dropped;
        }
        let ip6 = frame[12..14] == [0x86, 0xdd];
        let (ttl, address) = if ip6 {
            if be(&frame[18..20]) > frame.len() as u128 - 54 {
                return Fate::Dropped;
            }
            (frame[21], be(&frame[38..54]))
        } else {
            if ones_sum(&frame[14..34]) != 0xffff {
                return Fate::Dropped;
            }
            (frame[22], be(&frame[30..34]))
        };
        match self.nexthop(ip6, address) {
            None => Fate::NoRoute,
            Some(_) if ttl <= 1 => Fate::Punted,
            Some(nexthop) => Fate::Forwarded(nexthop),
        }
    }

    /// The frame as it leaves by the sink; `None` if it does not.
    pub fn forwarded(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let Fate::Forwarded(nexthop) = self.fate(frame) else {
            return None;
        };
        let mut out = frame.to_vec();
        out[..6].copy_from_slice(&nexthop_mac(nexthop));
        out[6..12].copy_from_slice(&SINK_MAC);
        if frame[12..14] == [0x86, 0xdd] {
            out[21] -= 1;
        } else {
            out[22] -= 1;
            out[24..26].fill(0);
            let sum = !ones_sum(&out[14..34]);
            out[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        Some(out)
    }

    /// Counts fates.
    ///
    /// # Errors
    /// If a frame has no route: the scene itself is wrong.
    pub fn count(&self, frames: &[Vec<u8>]) -> Result<Fates, Box<dyn std::error::Error>> {
        let mut fates = Fates::default();
        for frame in frames {
            match self.fate(frame) {
                Fate::Forwarded(_) => fates.forwarded += 1,
                Fate::Punted => fates.punted += 1,
                Fate::Dropped => fates.dropped += 1,
                Fate::NoRoute => return Err(format!("no route for {frame:02x?}").into()),
            }
        }
        Ok(fates)
    }
}

fn be(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |word, &byte| word << 8 | u128::from(byte))
}

/// Sum of the 16-bit words by one's complement (RFC 1071), word by word.
fn ones_sum(bytes: &[u8]) -> u16 {
    let sum = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Tables;
    use crate::{frames, scene};

    fn made(name: &str) -> (Oracle, Vec<Vec<u8>>) {
        let scene = scene::named(name).unwrap().with(None, Some(400));
        let frames = frames::make(&scene, &Tables::default(), 0).unwrap();
        let routes = scene.routes(&Tables::default()).unwrap();
        (Oracle::new(&routes), frames)
    }

    #[test]
    fn the_longest_prefix_decides() {
        let route = |net: &str, nexthop| Route {
            prefix: net.parse::<ipnet::IpNet>().unwrap().into(),
            nexthop,
        };
        let oracle = Oracle::new(&[route("198.18.0.0/15", 1), route("198.18.7.0/24", 2)]);
        assert_eq!(oracle.nexthop(false, 0xc612_0701), Some(2));
        assert_eq!(oracle.nexthop(false, 0xc612_0801), Some(1));
        assert_eq!(oracle.nexthop(false, 0xc613_ffff), Some(1));
        assert_eq!(oracle.nexthop(false, 0xc614_0000), None);
        assert_eq!(oracle.nexthop(true, 0xc612_0701), None);
    }

    #[test]
    fn punts_and_drops_are_told_apart() {
        let (oracle, frames) = made("punt25");
        let fates = oracle.count(&frames).unwrap();
        assert!(fates.punted.abs_diff(100) < 40 && fates.dropped == 0);
        for name in ["drop", "vlan"] {
            let (oracle, frames) = made(name);
            assert_eq!(oracle.count(&frames).unwrap().dropped, 400, "{name}");
        }
        for name in ["bad1", "bad1-6"] {
            let (oracle, frames) = made(name);
            let dropped = oracle.count(&frames).unwrap().dropped;
            assert!((1..20).contains(&dropped), "{name}: {dropped}");
        }
    }
}
