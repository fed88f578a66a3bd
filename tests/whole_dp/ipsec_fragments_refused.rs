//! Fragments that are not what they say, too many, or too late.

use std::time::Duration;

use ironlane_dataplane::dataplane::DataplaneConfig;
use ironlane_dataplane::eal::MbufBatch;
use ironlane_dataplane::ipsec::FragmentLimits;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::Direction;
use ironlane_packet::ip4::MF;
use ironlane_packet::proto::ip;
use ironlane_tests::{Settings, WholeDp};

use crate::ipsec::{
    OURS, PEER, SPI, esp, from_peer, in_tunnel, sa, tunnel_in, with_ipsec, with_ipsec_by,
};
use crate::ipsec_fragments::{
    OURS6, PEER6, fragments4, fragments6, inner, send_all, tunnel_in_udp, tunnel_in6, udp,
};

/// One fragment of ESP, of the packet `id`, which begins at `at`.
fn piece(dp: &mut WholeDp, id: u16, at: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let word = (at / 8) as u16 | if more { MF } else { 0 };
    let frame = dp.frame("p1").src("02::9").ip4(PEER, OURS);
    let mut frame = frame.fragment_word(word).protocol(ip::ESP, body);
    frame[18..20].copy_from_slice(&id.to_be_bytes());
    frame[24..26].fill(0);
    let sum = ironlane_packet::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
pub fn fragments_that_overlap_lose_all_of_their_packet() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let overlap = DropReason::IpsecFragmentOverlap;
    let start = [&SPI.to_be_bytes()[..], &[0; 60]].concat();
    let cases = [
        // The second rewrites the end of the first; comes before it; is inside it.
        [(0, true, &start[..64]), (56, true, &[1; 64][..])],
        [(56, true, &[1; 64]), (0, true, &start[..64])],
        [(0, true, &start[..64]), (8, false, &[1; 8])],
        // Other bytes of the same place.
        [
            (0, true, &start[..64]),
            (0, true, &[&SPI.to_be_bytes()[..], &[1; 60]].concat()),
        ],
        // Two ends; bytes behind the end.
        [(64, false, &[1; 8]), (96, false, &[1; 8])],
        [(96, true, &[1; 8]), (64, false, &[1; 8])],
        [(64, false, &[1; 8]), (96, true, &[1; 8])],
    ];
    for (id, [first, second]) in cases.into_iter().enumerate() {
        let id = id as u16;
        let (at, more, body) = first;
        let first = piece(&mut dp, id, at, more, body);
        send_all(&mut dp, &[first]).held(1).nothing_else();
        let (at, more, body) = second;
        let second = piece(&mut dp, id, at, more, body);
        send_all(&mut dp, &[second])
            .dropped_n("p1", overlap, 2)
            .nothing_else();
        // Those that come later, too, though they are right.
        let third = piece(&mut dp, id, 200, true, &[1; 8]);
        send_all(&mut dp, &[third])
            .dropped("p1", overlap)
            .nothing_else();
    }
    drop(dp);
    let mut dp = with_ipsec();
    tunnel_in6(&mut dp);
    let frame = dp.frame("p1").src("02::9").ip6(PEER6, OURS6);
    let frame = frame.protocol(ip::ESP, &esp(SPI, 1, &in_tunnel(&inner(900))));
    let fragments = fragments6(&frame, 1, 512, (54, 20));
    let others = fragments6(&frame, 1, 504, (54, 20));
    send_all(&mut dp, &[fragments[0].clone(), others[1].clone()])
        .dropped_n("p1", overlap, 2)
        .nothing_else();
}

#[test]
pub fn a_copy_is_lost_alone() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(1400))));
    let fragments = fragments4(&frame, 1, 512);
    for (place, copies, held) in [(1, 0, 1), (0, 0, 2), (1, 1, 2), (0, 1, 2)] {
        send_all(&mut dp, &fragments[place..=place])
            .dropped_n("p1", DropReason::IpsecFragmentTwice, copies)
            .held(held)
            .nothing_else();
    }
    let out = send_all(&mut dp, &fragments[2..]);
    let (events, drops) = out.take_events();
    assert_eq!((events.len(), drops.len()), (1, 0));
    out.joined(2).nothing_else();
}

#[test]
pub fn fragments_that_cannot_be_are_dropped() {
    let mut dp = with_ipsec();
    tunnel_in_udp(&mut dp);
    let bad = DropReason::IpsecFragmentBad;
    let cases = [
        // Empty; not of whole words; beyond what IP can say.
        (8, true, &[][..]),
        (8, false, &[]),
        (8, true, &[1; 15]),
        (65_528, false, &[1; 8]),
        (65_520, true, &[1; 32]),
    ];
    for (at, more, body) in cases {
        let frame = piece(&mut dp, 1, at, more, body);
        dp.send("p1", &frame).dropped("p1", bad).nothing_else();
    }
    // The header that names the SA is cut, and a later fragment would have the rest of it: those of
    // its packet that come later are lost as well.
    for (protocol, start) in [
        (ip::AH, [4; 8]),
        (ip::UDP, [0x11, 0x94, 0x11, 0x94, 4, 0, 0, 0]),
    ] {
        let frame = dp
            .frame("p1")
            .src("02::9")
            .ip4(PEER, OURS)
            .fragment_word(MF);
        let frame = frame.protocol(protocol, &start);
        dp.send("p1", &frame).dropped("p1", bad).nothing_else();
        let later = dp.frame("p1").src("02::9").ip4(PEER, OURS).fragment_word(1);
        let later = later.protocol(protocol, &[0; 64]);
        dp.send("p1", &later).dropped("p1", bad).nothing_else();
    }
    // Congestion met one fragment, and the other knows none (RFC 3168 5.3).
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(1000))));
    let mut fragments = fragments4(&frame, 5, 600);
    fragments[1][15] |= 3;
    fragments[1][24..26].fill(0);
    let sum = ironlane_packet::checksum::of(&fragments[1][14..34]);
    fragments[1][24..26].copy_from_slice(&sum.to_be_bytes());
    send_all(&mut dp, &fragments)
        .dropped_n("p1", bad, 2)
        .nothing_else();
}

#[test]
pub fn fragments_of_packets_for_no_sa_do_not_wait() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let none = DropReason::IpsecNoSa;
    let frame = from_peer(&mut dp, &esp(SPI + 1, 1, &in_tunnel(&inner(1400))));
    let fragments = fragments4(&frame, 1, 512);
    send_all(&mut dp, &fragments[1..]).held(2).nothing_else();
    send_all(&mut dp, &fragments[..1])
        .dropped_n("p1", none, 3)
        .nothing_else();
    let frame = from_peer(&mut dp, &esp(SPI + 1, 1, &in_tunnel(&inner(1400))));
    for fragment in fragments4(&frame, 2, 512) {
        dp.send("p1", &fragment).dropped("p1", none).nothing_else();
    }
}

/// A data plane whose fragments wait for `ms`, so many of them.
fn impatient(adjust: fn(&mut DataplaneConfig)) -> WholeDp {
    with_ipsec_by(Settings {
        ipsec: true,
        adjust,
        ..Settings::default()
    })
}

fn short(config: &mut DataplaneConfig) {
    let ipsec = config.ipsec.as_mut().expect("asked for");
    ipsec.fragments.timeout_ns = 200_000_000;
}

fn few(config: &mut DataplaneConfig) {
    let ipsec = config.ipsec.as_mut().expect("asked for");
    ipsec.fragments.held = *FragmentLimits::HELD.start();
}

/// Waits until nothing is held, for 20 s at most.
fn until_late(dp: &mut WholeDp) {
    let counters = dp.dataplane().counters();
    for _ in 0..2000 {
        if counters.snapshot().fragments_held() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("fragments wait for ever");
}

#[test]
pub fn what_waits_too_long_is_lost_or_the_kernels() {
    let mut dp = impatient(short);
    tunnel_in_udp(&mut dp);
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(1400))));
    let fragments = fragments4(&frame, 1, 512);
    send_all(&mut dp, &fragments[..2]).held(2).nothing_else();
    until_late(&mut dp);
    dp.send_all(&[])
        .dropped_n("p1", DropReason::IpsecFragmentLate, 2)
        .nothing_else();
    // The last one comes after that, and waits for others in vain.
    send_all(&mut dp, &fragments[2..]).held(1).nothing_else();
    until_late(&mut dp);
    dp.send_all(&[])
        .dropped("p1", DropReason::IpsecFragmentLate)
        .nothing_else();
    // What may be another's: the kernel waits longer.
    let other = udp(&mut dp, &[1; 1400], 5000);
    let fragments = fragments4(&other, 1, 800);
    send_all(&mut dp, &fragments[1..]).held(1).nothing_else();
    until_late(&mut dp);
    dp.send_all(&[])
        .punted("p1", PuntReason::Local, &fragments[1])
        .nothing_else();
    // Not what has shown that it is for an SA.
    let esp = udp(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(1400))), 4500);
    send_all(&mut dp, &fragments4(&esp, 2, 800)[..1])
        .held(1)
        .nothing_else();
    until_late(&mut dp);
    dp.send_all(&[])
        .dropped("p1", DropReason::IpsecFragmentLate)
        .nothing_else();
}

#[test]
pub fn who_sends_fragments_without_end_loses_its_own() {
    let mut dp = impatient(few);
    tunnel_in(&mut dp, sa(Direction::In));
    let mine = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(1400))));
    let mine = fragments4(&mine, 1, 800);
    send_all(&mut dp, &mine[1..]).held(1).nothing_else();
    let flood: Vec<_> = (0..200u16)
        .map(|id| {
            let frame = dp.frame("p1").src("02::9").ip4("203.0.113.66", OURS);
            let frame = frame.protocol(ip::ESP, &[7; 24]);
            fragments4(&frame, id, 16).remove(1)
        })
        .collect();
    // A quarter of what is held, in which each counts with its packet.
    let kept = u64::from(*FragmentLimits::HELD.start()) / 8;
    send_all(&mut dp, &flood)
        .dropped_n("p1", DropReason::IpsecFragmentCrowded, 200 - kept)
        .held(1 + kept)
        .nothing_else();
    let out = send_all(&mut dp, &mine[..1]);
    assert_eq!(
        out.take_events().0.len(),
        1,
        "another source is not in the way"
    );
    out.joined(1).held(kept).nothing_else();
}

#[test]
pub fn packets_of_too_many_fragments_or_bytes_are_lost() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let long = DropReason::IpsecFragmentTooLong;
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(65 * 16))));
    let fragments = fragments4(&frame, 1, 16);
    assert!(fragments.len() > 65);
    send_all(&mut dp, &fragments)
        .dropped_n("p1", long, fragments.len() as u64)
        .nothing_else();
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(65_300))));
    let fragments = fragments4(&frame, 2, 1480);
    send_all(&mut dp, &fragments)
        .dropped_n("p1", long, fragments.len() as u64)
        .nothing_else();
}

#[test]
pub fn without_a_buffer_fragments_do_not_come_together() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let pools = dp.dataplane().pools().to_vec();
    let pool = pools.iter().find(|pool| pool.name() == "long");
    let pool = pool.expect("for long packets");
    let mut taken = MbufBatch::new();
    while pool.alloc(&mut taken, 1) {}
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner(4000))));
    let fragments = fragments4(&frame, 1, 1480);
    send_all(&mut dp, &fragments)
        .dropped_n("p1", DropReason::IpsecNoBuffer, 3)
        .nothing_else();
    taken.free();
    let out = send_all(&mut dp, &fragments);
    assert_eq!(out.take_events().0.len(), 1);
    out.joined(2).nothing_else();
    drop(pools);
}
