//! Any bytes: no panic, each packet decided exactly once, punts unchanged, counters exact.

use ironlane_tests::{Capture, Event, Injected, WholeDp, data};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{FAR4, FAR6, HOST4, HOST6, US4, router};

/// Sends a burst and checks all that holds for any frames.
fn check(dp: &mut WholeDp, burst: &[Injected]) {
    let input: Vec<_> = burst.iter().map(|frame| ("p0", frame.clone())).collect();
    let out = dp.send_all(&input);
    let (events, drops) = out.take_events();
    let lost: u64 = drops.iter().map(|(_, _, n)| n).sum();
    for (port, reason, n) in &drops {
        out.dropped_n(port, *reason, *n);
    }
    assert_eq!(events.len() + lost as usize, burst.len());
    for event in &events {
        match event {
            Event::Punted { bytes, .. } => {
                assert!(
                    burst.iter().any(|f| f.bytes == *bytes),
                    "changed before it was punted"
                );
            }
            Event::Sent { bytes, .. } => assert!(bytes.len() >= 34, "shorter than its headers"),
        }
    }
    out.nothing_else();
}

fn any_cut() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        3 => Just(Vec::new()),
        1 => proptest::collection::vec(0usize..200, 1..6),
    ]
}

#[test]
pub fn random_bytes_are_decided_once() {
    let mut dp = router();
    let header = prop_oneof![
        Just(Vec::new()),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9]),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45]),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60]),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x81, 0, 0, 0]),
        Just(vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0]),
        Just(vec![1, 0x80, 0xc2, 0, 0, 0x14, 2, 0, 0, 0, 0, 9, 0, 40]),
    ];
    let frame = (
        header,
        proptest::collection::vec(any::<u8>(), 0..300),
        any_cut(),
    )
        .prop_map(|(header, rest, cut)| Injected::from([header, rest].concat()).segments(&cut));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let bursts = proptest::collection::vec(frame, 1..64);
    let dp = std::cell::RefCell::new(&mut dp);
    runner
        .run(&bursts, |burst| {
            check(&mut dp.borrow_mut(), &burst);
            Ok(())
        })
        .unwrap();
}

/// Frames to change at random: one of each kind that the stages tell apart.
fn seeds(dp: &mut WholeDp) -> Vec<Vec<u8>> {
    let mut seeds = vec![
        dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2),
        dp.frame("p0").ip6(HOST6, FAR6).udp(1, 2),
        dp.frame("p0").vlan(0).ip4(HOST4, FAR4).udp(1, 2),
        dp.frame("p0")
            .ip4(HOST4, FAR4)
            .options(&[7, 7, 4, 0, 0, 0, 0])
            .udp(1, 2),
        dp.frame("p0").ip4(HOST4, US4).tcp(40000, 179),
        dp.frame("p0")
            .ip6(HOST6, FAR6)
            .extension(0, &[0, 0, 5, 2, 0, 0, 1, 0])
            .udp(1, 2),
        dp.frame("p0")
            .ip6(HOST6, FAR6)
            .extension(43, &[0; 24])
            .extension(44, &[0; 8])
            .udp(1, 2),
        dp.frame("p0").ip4(HOST4, "198.51.100.77").udp(1, 2),
        dp.frame("p0").llc(&[0xfe, 0xfe, 3, 0x83, 0, 0]),
    ];
    for file in [
        "own-arp-ndp.pcap",
        "own-control.pcap",
        "own-fragments.pcap",
        "malformed.pcap",
    ] {
        seeds.extend(Capture::open(&data::own().join(file)).unwrap().frames);
    }
    seeds
}

#[test]
pub fn mutated_frames_are_decided_once() {
    let mut dp = router();
    dp.route("default via 198.51.100.9")
        .route("default6 via 2001:db8:0:2::9");
    let seeds = seeds(&mut dp);
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0u8..4);
    let frame = (
        prop::sample::select(seeds),
        proptest::collection::vec(change, 0..4),
        any_cut(),
        any::<bool>(),
    )
        .prop_map(|(mut bytes, changes, cut, mend)| {
            for (at, value, kind) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = value,
                    1 => bytes[at] ^= 1 << (value % 8),
                    2 => bytes.truncate(at),
                    _ => bytes.insert(at, value),
                }
            }
            // Else nearly every change ends in a wrong checksum.
            if mend && bytes.len() >= 34 && bytes[12..14] == [8, 0] {
                bytes[24..26].fill(0);
                let len = (usize::from(bytes[14] & 15) * 4).clamp(20, bytes.len() - 14);
                let check = ironlane_packet::checksum::of(&bytes[14..14 + len]);
                bytes[24..26].copy_from_slice(&check.to_be_bytes());
            }
            Injected::from(bytes).segments(&cut)
        });
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let bursts = proptest::collection::vec(frame, 1..64);
    let dp = std::cell::RefCell::new(&mut dp);
    runner
        .run(&bursts, |burst| {
            check(&mut dp.borrow_mut(), &burst);
            Ok(())
        })
        .unwrap();
}
