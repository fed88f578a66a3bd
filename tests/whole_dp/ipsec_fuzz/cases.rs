//! Frames: right ones, and what can be done to them before, while and after they are protected.

use std::ops::Range;

use ironlane_ipsec::{Mode, Protocol};
use ironlane_packet::ip4::MF;
use ironlane_tests::Injected;

use super::clear::{MARK_LEN, Shape, add_options, marked, mend, mend_len, packet, scramble};
use super::rng::Rng;
use crate::ipsec_peers::{Kind, OURS, Peer, protected_at};

/// What must become of the packet with the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// It is delivered, once.
    Arrives,
    /// It is not.
    Never,
    /// Whatever; once at most.
    Any,
}

/// Where a frame goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Received by p1, as from a peer.
    Peers,
    /// Received by p0, as from a host.
    Hosts,
    /// Sent by the kernel.
    Kernel,
}

/// A frame and what is to be expected.
pub struct Case {
    pub by: By,
    pub packets: Vec<Injected>,
    pub hope: Hope,
    /// What was done, and to what.
    pub how: Damage,
    pub kind: Kind,
}

/// Puts an IP packet in a frame, in one buffer or several.
fn frame(rng: &mut Rng, to: [u8; 6], packet: &[u8]) -> Injected {
    let ethertype: [u8; 2] = match packet.first().map(|byte| byte >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [8, 0],
    };
    let frame = Injected::from([&to[..], &[2, 0, 0, 0, 0, 9], &ethertype, packet].concat());
    if rng.one_in(8) {
        let cuts: Vec<usize> = (0..=rng.below(3)).map(|_| rng.below(200)).collect();
        return frame.segments(&cuts);
    }
    frame
}

/// MACs of p0 and p1.
pub type Macs = [[u8; 6]; 2];

/// What is done to a packet from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Nothing,
    /// Bits flip from the ESP or AH header on.
    Flipped,
    Cut,
    Longer,
    Replayed,
    /// The outer header says something else.
    Outside,
    /// Authentic, with another trailer.
    Trailer,
    /// Authentic, with other bytes in the inner headers.
    Inside,
    /// Authentic noise.
    NoiseInside,
    /// A malformed packet, well protected.
    Malformed,
    Nested,
    /// Options or extension headers in front, put there later.
    Options,
    Giant,
    Pieces,
    /// Noise that names an SA, or comes to port 4500.
    Noise,
    /// Nothing: it is what the router protects.
    Outbound,
}

const DAMAGES: [Damage; 20] = [
    Damage::Nothing,
    Damage::Nothing,
    Damage::Nothing,
    Damage::Nothing,
    Damage::Nothing,
    Damage::Flipped,
    Damage::Flipped,
    Damage::Cut,
    Damage::Longer,
    Damage::Replayed,
    Damage::Outside,
    Damage::Trailer,
    Damage::Inside,
    Damage::NoiseInside,
    Damage::Malformed,
    Damage::Nested,
    Damage::Options,
    Damage::Giant,
    Damage::Pieces,
    Damage::Noise,
];

/// A frame for p1 with mark `n`.
pub fn from_peer(rng: &mut Rng, macs: Macs, peers: &[Peer], n: u64) -> Case {
    let peer = rng.pick(peers);
    let how = *rng.pick(&DAMAGES);
    let (wires, hope) = damaged(rng, peers, peer, how, n);
    let frames = wires.iter().map(|wire| frame(rng, macs[1], wire));
    Case {
        by: By::Peers,
        packets: frames.collect(),
        hope,
        how,
        kind: peer.kind,
    }
}

/// Packets as they come from the wire.
fn damaged(
    rng: &mut Rng,
    peers: &[Peer],
    peer: &Peer,
    how: Damage,
    n: u64,
) -> (Vec<Vec<u8>>, Hope) {
    let shape = match how {
        Damage::Giant => Shape {
            len: 1400 + rng.below(4000),
            ..Shape::any(rng)
        },
        _ => Shape::any(rng),
    };
    let mut inner = packet(peer.inner, peer.host(), shape, n);
    if how == Damage::Malformed {
        scramble(rng, &mut inner);
    }
    let sealed = peer.seal(&inner, |text| match how {
        Damage::Trailer => some_bytes(rng, text, text.len().saturating_sub(16)..text.len()),
        Damage::Inside => some_bytes(rng, text, 0..text.len().min(64)),
        Damage::NoiseInside => text.fill_with(|| rng.byte()),
        _ => {}
    });
    let Some(mut wire) = sealed else {
        // Not even the peer takes it.
        return (vec![inner], Hope::Any);
    };
    let hope = match how {
        Damage::Nothing | Damage::Outbound => Hope::Arrives,
        Damage::Replayed => return (vec![wire; 2 + rng.below(3)], Hope::Arrives),
        Damage::Pieces => return (in_pieces(rng, &wire), Hope::Any),
        Damage::Noise => return (vec![noise(rng, peer)], Hope::Any),
        Damage::Nested => return nested(rng, peers, wire),
        Damage::Flipped => {
            let right = wire.clone();
            let (at, _) = protected_at(&wire).expect("just sealed");
            for _ in 0..=rng.below(3) {
                let byte = at + rng.below(wire.len() - at);
                wire[byte] ^= 1 << rng.below(8);
            }
            // Two flips may undo each other.
            match wire == right {
                true => Hope::Arrives,
                false => Hope::Never,
            }
        }
        Damage::Cut => {
            wire.truncate(rng.below(wire.len()));
            if rng.one_in(2) {
                mend_len(&mut wire);
            }
            Hope::Never
        }
        Damage::Longer => {
            let more = 1 + rng.below(70);
            wire.extend(rng.bytes(more));
            match rng.one_in(2) {
                // Padding of the frame.
                false => Hope::Arrives,
                true => {
                    mend_len(&mut wire);
                    Hope::Never
                }
            }
        }
        Damage::Outside => {
            scramble(rng, &mut wire);
            Hope::Any
        }
        Damage::Options => {
            add_options(rng, &mut wire);
            Hope::Any
        }
        Damage::Trailer
        | Damage::Inside
        | Damage::NoiseInside
        | Damage::Malformed
        | Damage::Giant => Hope::Any,
    };
    (vec![wire], hope)
}

/// Overwrites one to four bytes of a range.
fn some_bytes(rng: &mut Rng, text: &mut [u8], range: Range<usize>) {
    for _ in 0..=rng.below(4) {
        let at = range.start + rng.below(range.len());
        text[at] = rng.byte();
    }
}

/// A packet of one SA inside others.
fn nested(rng: &mut Rng, peers: &[Peer], mut wire: Vec<u8>) -> (Vec<Vec<u8>>, Hope) {
    let depth = 1 + rng.below(6);
    let mut hope = Hope::Arrives;
    for level in 0..depth {
        let outer = rng.pick(peers);
        let carries = outer.kind.mode == Mode::Tunnel;
        let Some(more) = carries.then(|| outer.seal(&wire, |_| {})).flatten() else {
            continue;
        };
        wire = more;
        if level >= 2 || wire.len() > 1800 {
            hope = Hope::Any;
        }
    }
    (vec![wire], hope)
}

/// An IPv4 packet as fragments, all or not.
fn in_pieces(rng: &mut Rng, wire: &[u8]) -> Vec<Vec<u8>> {
    let (header, body) = wire.split_at(usize::from(wire[0] & 15) * 4 % wire.len());
    let step = 8 * (1 + rng.below(40));
    let mut packets = Vec::new();
    if wire[0] >> 4 == 4 {
        for (at, part) in body.chunks(step).enumerate().take(12) {
            let mut piece = [header, part].concat();
            let more = if (at + 1) * step < body.len() { MF } else { 0 };
            let word = more | (at * step / 8) as u16;
            piece[6..8].copy_from_slice(&word.to_be_bytes());
            mend_len(&mut piece);
            if !rng.one_in(6) {
                packets.push(piece);
            }
        }
    }
    if rng.one_in(2) {
        packets.reverse();
    }
    packets
}

/// Something that names an SA, or UDP to port 4500, with any bytes in it.
fn noise(rng: &mut Rng, peer: &Peer) -> Vec<u8> {
    let len = rng.below(120);
    let ours = OURS[usize::from(peer.kind.outer6)]
        .parse()
        .expect("an address");
    let shape = Shape {
        len: MARK_LEN + len,
        ..Shape::default()
    };
    let mut wire = packet(peer.address, ours, shape, 0);
    let at = if peer.kind.outer6 { 40 } else { 20 };
    let next_at = if peer.kind.outer6 { 6 } else { 9 };
    for byte in &mut wire[at + 8..] {
        *byte = rng.byte();
    }
    let spi = peer.spi_here().to_be_bytes();
    match rng.below(4) {
        0 => {
            wire[next_at] = peer.kind.protocol.number();
            let spi_at = if peer.kind.protocol == Protocol::Ah {
                at + 4
            } else {
                at
            };
            wire[spi_at..spi_at + 4].copy_from_slice(&spi);
        }
        1 => {
            wire[at + 2..at + 4].copy_from_slice(&4500u16.to_be_bytes());
            wire[at + 8..at + 12].copy_from_slice(&spi);
        }
        2 => {
            wire[at + 2..at + 4].copy_from_slice(&4500u16.to_be_bytes());
            wire[at + 8] = 0xff;
            wire.truncate(at + 8 + rng.below(9));
            mend_len(&mut wire);
        }
        _ => {
            wire[at + 2..at + 4].copy_from_slice(&4500u16.to_be_bytes());
            wire[at + 8..at + 12].fill(0);
        }
    }
    mend(&mut wire);
    wire
}

/// A frame in clear with mark `n`, to what is behind a peer: by p0 from a host, or from the kernel.
pub fn to_peer(rng: &mut Rng, macs: Macs, peers: &[Peer], n: u64) -> Case {
    let peer = rng.pick(peers);
    let by = match peer.kind.mode {
        Mode::Transport => By::Kernel,
        Mode::Tunnel | Mode::Beet => *rng.pick(&[By::Hosts, By::Kernel]),
    };
    let to = match by {
        By::Kernel => [2, 0, 0, 0, 0, 9],
        By::Hosts | By::Peers => macs[0],
    };
    let shape = Shape::any(rng);
    let mut clear = packet(peer.host(), peer.inner, shape, n);
    let mut hope = Hope::Arrives;
    match rng.below(8) {
        0..4 => {}
        4 => {
            hope = Hope::Any;
            add_options(rng, &mut clear);
        }
        5 => {
            hope = Hope::Any;
            let len = 1200 + rng.below(if by == By::Kernel { 400 } else { 4000 });
            clear = packet(peer.host(), peer.inner, Shape { len, ..shape }, n);
        }
        _ => {
            hope = Hope::Any;
            scramble(rng, &mut clear);
        }
    }
    debug_assert!(hope == Hope::Any || marked(&clear) == Some(n));
    let mut whole = frame(rng, to, &clear);
    if by == By::Kernel {
        whole.segments.clear();
    }
    Case {
        by,
        packets: vec![whole],
        hope,
        how: Damage::Outbound,
        kind: peer.kind,
    }
}
