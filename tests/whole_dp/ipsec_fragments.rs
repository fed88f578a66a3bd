//! Packets for an SA that come in fragments.

use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{Action, Direction, PolicyDirection, SaSpec, UdpEncap};
use ironlane_packet::checksum;
use ironlane_packet::ip4::{Ip4Fields, MF};
use ironlane_packet::ip6::Ip6;
use ironlane_packet::proto::ip;
use ironlane_tests::{Event, Injected, Outcome, Settings, WholeDp};

use crate::HOST4;
use crate::ipsec::{
    OURS, PEER, PROTECT, SPI, THERE, esp, from_peer, in_tunnel, packet, policy, sa, tunnel_in,
    with_ipsec, with_ipsec_by, with_ipsec_on,
};
pub use crate::ipsec_too_big::OURS6;

pub const PEER6: &str = "2001:db8:f::77";

/// Fragments of an IPv4 frame with 20 bytes of header, each with `len` bytes behind it but for the last.
pub fn fragments4(frame: &[u8], id: u16, len: usize) -> Vec<Vec<u8>> {
    let (head, body) = frame.split_at(34);
    let pieces = body.chunks(len).count();
    let piece = |(place, piece): (usize, &[u8])| {
        let mut head = head.to_vec();
        let more = if place + 1 < pieces { MF } else { 0 };
        let word = more | (place * len / 8) as u16;
        head[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        head[18..20].copy_from_slice(&id.to_be_bytes());
        head[20..22].copy_from_slice(&word.to_be_bytes());
        head[24..26].fill(0);
        let sum = checksum::of(&head[14..]);
        head[24..26].copy_from_slice(&sum.to_be_bytes());
        [&head, piece].concat()
    };
    body.chunks(len).enumerate().map(piece).collect()
}

/// Fragments of an IPv6 frame, of which the first `head_len` bytes are in each; the header that begins at
/// `next_at` names what follows them.
pub fn fragments6(frame: &[u8], id: u32, len: usize, head: (usize, usize)) -> Vec<Vec<u8>> {
    let (head_len, next_at) = head;
    let (head, body) = frame.split_at(head_len);
    let pieces = body.chunks(len).count();
    let piece = |(place, piece): (usize, &[u8])| {
        let mut head = head.to_vec();
        let protocol = std::mem::replace(&mut head[next_at], ip::FRAGMENT);
        let payload_len = (head_len - 54 + 8 + piece.len()) as u16;
        head[18..20].copy_from_slice(&payload_len.to_be_bytes());
        let word = (place * len) as u16 | u16::from(place + 1 < pieces);
        head.extend([protocol, 0]);
        head.extend(word.to_be_bytes());
        head.extend(id.to_be_bytes());
        [&head, piece].concat()
    };
    body.chunks(len).enumerate().map(piece).collect()
}

/// Received by p1, in one go.
pub fn send_all(dp: &mut WholeDp, frames: &[Vec<u8>]) -> Outcome {
    let sends: Vec<(&str, Injected)> = frames.iter().map(|frame| ("p1", frame.into())).collect();
    dp.send_all(&sends)
}

/// An inner packet of `len` bytes for a host of ours.
pub fn inner(len: usize) -> Vec<u8> {
    let fields = Ip4Fields {
        protocol: 253,
        ..Ip4Fields::default()
    };
    let data: Vec<_> = (0..len - 20).map(|n| (n * 7) as u8).collect();
    packet(THERE, HOST4, fields, &data)
}

/// The inner packet as a frame, as it is for the stages.
pub fn as_frame(dp: &mut WholeDp, inner: &[u8]) -> Vec<u8> {
    [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], inner].concat()
}

#[test]
pub fn esp_in_fragments_is_opened_whatever_their_order() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (n, order) in orders.into_iter().enumerate() {
        let inner = inner(1400);
        let frame = from_peer(&mut dp, &esp(SPI, n as u32 + 1, &in_tunnel(&inner)));
        let fragments = fragments4(&frame, 7, 600);
        let fragments = order.map(|place| fragments[place].clone());
        let was = as_frame(&mut dp, &inner);
        send_all(&mut dp, &fragments)
            .forwarded("p0", "02::aa", &was)
            .joined(2)
            .nothing_else();
    }
}

#[test]
pub fn fragments_wait_and_are_counted_meanwhile() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let inner = inner(1000);
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner)));
    let other = from_peer(&mut dp, &esp(SPI, 2, &in_tunnel(&inner)));
    let (fragments, others) = (fragments4(&frame, 1, 512), fragments4(&other, 2, 512));
    send_all(&mut dp, &fragments[1..]).held(2).nothing_else();
    // Of another packet, though all but its identification is the same.
    send_all(&mut dp, &others[..2]).held(4).nothing_else();
    let was = as_frame(&mut dp, &inner);
    send_all(&mut dp, &fragments[..1])
        .forwarded("p0", "02::aa", &was)
        .joined(2)
        .held(2)
        .nothing_else();
    // What waits when the data plane stops is given back.
}

#[test]
pub fn packets_of_fragments_may_be_as_long_as_ip_takes_nearly() {
    let mut dp = with_ipsec_on(|dp| dp.port_with("jumbo", "10.9.0.1/24", 9000, (1, 1)));
    tunnel_in(&mut dp, sa(Direction::In));
    for (n, len) in [1760, 1900, 9000, 65_000].into_iter().enumerate() {
        let inner = inner(len);
        let frame = from_peer(&mut dp, &esp(SPI, n as u32 + 1, &in_tunnel(&inner)));
        let fragments = fragments4(&frame, 9, 1480);
        let was = as_frame(&mut dp, &inner);
        send_all(&mut dp, &fragments)
            .punted("p1", PuntReason::FragmentNeeded, &was)
            .joined(fragments.len() as u64 - 1)
            .nothing_else();
    }
    // In several buffers each.
    let inner = inner(20_000);
    let frame = from_peer(&mut dp, &esp(SPI, 9, &in_tunnel(&inner)));
    let fragments = fragments4(&frame, 9, 8_000);
    let was = as_frame(&mut dp, &inner);
    send_all(&mut dp, &fragments)
        .punted("p1", PuntReason::FragmentNeeded, &was)
        .joined(2)
        .nothing_else();
}

/// The SA and policies of packets that come by IPv6.
pub fn tunnel_in6(dp: &mut WholeDp) {
    tunnel_in(
        dp,
        SaSpec {
            src: PEER6.parse().unwrap(),
            dst: OURS6.parse().unwrap(),
            ..sa(Direction::In)
        },
    );
}

#[test]
pub fn fragments_of_ip6_come_together_with_and_without_options() {
    let mut dp = with_ipsec();
    tunnel_in6(&mut dp);
    let inner = inner(1400);
    let was = as_frame(&mut dp, &inner);
    for seq in 1..4 {
        let esp = esp(SPI, seq, &in_tunnel(&inner));
        let frame = dp.frame("p1").src("02::9").ip6(PEER6, OURS6);
        let (frame, head) = match seq {
            1 => (frame.protocol(ip::ESP, &esp), (54, 20)),
            _ => {
                let options = [0, 0, 1, 4, 0, 0, 0, 0];
                let frame = frame.extension(ip::DEST_OPTIONS, &options);
                (frame.protocol(ip::ESP, &esp), (62, 54))
            }
        };
        let mut fragments = fragments6(&frame, seq, 512, head);
        if seq == 3 {
            fragments.reverse();
        }
        assert_eq!(
            Ip6::new(&fragments[0][14..]).unwrap().next_header() == ip::FRAGMENT,
            seq == 1
        );
        send_all(&mut dp, &fragments)
            .forwarded("p0", "02::aa", &was)
            .joined(fragments.len() as u64 - 1)
            .nothing_else();
    }
}

#[test]
pub fn a_fragment_that_is_all_of_a_packet_waits_for_no_other() {
    let mut dp = with_ipsec();
    tunnel_in6(&mut dp);
    let inner = inner(400);
    let was = as_frame(&mut dp, &inner);
    let frame = |dp: &mut WholeDp, seq| {
        let frame = dp.frame("p1").src("02::9").ip6(PEER6, OURS6);
        frame.protocol(ip::ESP, &esp(SPI, seq, &in_tunnel(&inner)))
    };
    let others = fragments6(&frame(&mut dp, 1), 5, 256, (54, 20));
    send_all(&mut dp, &others[..1]).held(1).nothing_else();
    // Of the same identification (RFC 6946 4).
    let whole = fragments6(&frame(&mut dp, 2), 5, 2048, (54, 20));
    assert_eq!(whole.len(), 1);
    send_all(&mut dp, &whole)
        .forwarded("p0", "02::aa", &was)
        .held(1)
        .nothing_else();
    send_all(&mut dp, &others[1..])
        .forwarded("p0", "02::aa", &was)
        .joined(1)
        .nothing_else();
}

/// The SA of a peer behind a NAT.
pub fn tunnel_in_udp(dp: &mut WholeDp) {
    let encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 4500,
    });
    tunnel_in(
        dp,
        SaSpec {
            encap,
            ..sa(Direction::In)
        },
    );
}

/// UDP of the peer's.
pub fn udp(dp: &mut WholeDp, data: &[u8], port: u16) -> Vec<u8> {
    let frame = dp.frame("p1").src("02::9").ip4(PEER, OURS);
    frame.data(data).udp(port, port)
}

#[test]
pub fn esp_in_udp_is_told_from_what_is_the_kernels_by_the_first_fragment() {
    let mut dp = with_ipsec();
    tunnel_in_udp(&mut dp);
    // Before it is decrypted, nothing but IKE is expected from the peer.
    policy(
        &mut dp,
        PolicyDirection::In,
        "203.0.113.77/32",
        "0.0.0.0/0",
        Action::Discard,
    );
    let inner = inner(1400);
    let was = as_frame(&mut dp, &inner);
    for (seq, is_reversed) in [(1, false), (2, true)] {
        let esp = udp(&mut dp, &esp(SPI, seq, &in_tunnel(&inner)), 4500);
        let mut fragments = fragments4(&esp, seq as u16, 600);
        if is_reversed {
            fragments.reverse();
        }
        send_all(&mut dp, &fragments)
            .forwarded("p0", "02::aa", &was)
            .joined(2)
            .nothing_else();
        // IKE with certificates: the later fragments are exempt from policies as the first is.
        let ike = udp(&mut dp, &[&[0; 4][..], &[9; 1400]].concat(), 4500);
        let mut fragments = fragments4(&ike, seq as u16, 600);
        if is_reversed {
            fragments.reverse();
        }
        let out = send_all(&mut dp, &fragments);
        let (events, _) = out.take_events();
        let punted: Vec<_> = events
            .into_iter()
            .map(|event| match event {
                Event::Punted { bytes, .. } => bytes,
                event => panic!("{event:?}"),
            })
            .collect();
        let sorted = |mut frames: Vec<Vec<u8>>| {
            frames.sort();
            frames
        };
        assert_eq!(sorted(punted), sorted(fragments), "as they came");
        out.nothing_else();
        let other = udp(&mut dp, &[9; 1400], 5000);
        let mut fragments = fragments4(&other, seq as u16, 600);
        if is_reversed {
            fragments.reverse();
        }
        send_all(&mut dp, &fragments)
            .dropped_n("p1", DropReason::PolicyDiscard, 3)
            .nothing_else();
    }
}

#[test]
pub fn fragments_that_are_not_of_ipsec_go_to_the_kernel_as_they_came() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let one = |dp: &mut WholeDp, frame: &[u8], reason: [PuntReason; 2]| {
        let fragments = fragments4(frame, 1, 600);
        for place in [1, 0] {
            dp.send("p1", &fragments[place])
                .punted("p1", reason[place], &fragments[place])
                .nothing_else();
        }
    };
    let ping = dp.frame("p1").src("02::9").ip4(PEER, OURS);
    let ping = ping.data(&[1; 900]).icmp(8);
    one(&mut dp, &ping, [PuntReason::Icmp; 2]);
    // No SA takes ESP in UDP.
    let other = udp(&mut dp, &[7; 900], 4500);
    let ike = udp(&mut dp, &[0; 900], 4500);
    one(&mut dp, &ike, [PuntReason::Ike, PuntReason::Local]);
    let fragments = fragments4(&other, 1, 600);
    dp.send("p1", &fragments[0])
        .dropped("p1", DropReason::IpsecNoSa)
        .nothing_else();
    // With one that does, those of another port do not wait once the first has come.
    drop(dp);
    let mut dp = with_ipsec();
    tunnel_in_udp(&mut dp);
    let other = udp(&mut dp, &[7; 900], 5000);
    let fragments = fragments4(&other, 1, 600);
    for fragment in &fragments {
        dp.send("p1", fragment)
            .punted("p1", PuntReason::Local, fragment)
            .nothing_else();
    }
}

#[test]
pub fn fragments_that_lcores_share_come_together_at_one_of_them() {
    let cpus = CpuList::allowed().0;
    let Some(two) = cpus.get(..2) else {
        println!("SKIPPED: needs two CPUs");
        return;
    };
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        lcores: two.to_vec(),
        ..Settings::default()
    });
    tunnel_in(&mut dp, sa(Direction::In));
    policy(
        &mut dp,
        PolicyDirection::Fwd,
        "0.0.0.0/0",
        "203.0.113.0/24",
        PROTECT,
    );
    let inner = inner(1400);
    let mut sends: Vec<(&str, Injected)> = Vec::new();
    for n in 0..40 {
        let esp = esp(SPI, n + 1, &in_tunnel(&inner));
        for (place, port) in ["p0", "p1", "p0"].into_iter().enumerate() {
            let frame = dp.frame(port).src("02::9").ip4(PEER, OURS);
            let frame = frame.protocol(ip::ESP, &esp);
            sends.push((port, (&fragments4(&frame, n as u16, 600)[place]).into()));
        }
    }
    let out = dp.send_all(&sends);
    let (events, drops) = out.take_events();
    assert!(drops.is_empty(), "{drops:?}");
    assert_eq!(events.len(), 40);
    for event in events {
        let Event::Sent { port, bytes } = event else {
            panic!("{event:?}")
        };
        assert_eq!((port.as_str(), &bytes[26..]), ("p0", &inner[12..]));
    }
    out.joined(80).with_handoffs().nothing_else();
}
