//! The straight path decides as the stages do, packet by packet and byte by byte, and hands out in
//! the same order, whatever a burst is mixed of: what is sent, and what is not.

mod alike;
mod guarded;
#[path = "../rig/mod.rs"]
mod rig;
mod world;

use ironlane_dataplane::eal::{BURST_MAX, RxChecksum};
use ironlane_dataplane::reason::{DropReason, StageId};
use ironlane_fib::{Adjacency, PortId};
use ironlane_packet::checksum;
use world::{End, Frame, Numbers, World, any, dst4, dst6, plain4, plain6};

#[test]
fn the_straight_path_and_the_stages_agree_on_any_burst() {
    let (mut world, mut numbers, mut now_ns) = (World::new("any"), Numbers(7), 0);
    let (mut sent, mut packets, mut left) = (0, 0, 0);
    for _ in 0..2_000 {
        let count = 1 + numbers.below(BURST_MAX);
        let frames: Vec<_> = (0..count).map(|_| any(&mut numbers)).collect();
        let (ends, met) = world.compare(&frames, &mut now_ns);
        let is_sent = |end: &&End| matches!(end, End::Send(..));
        sent += ends.all.iter().filter(is_sent).count();
        packets += count;
        left += met.0[StageId::Classify.index()];
    }
    // The traffic has both kinds, or it would show nothing.
    assert!(sent * 10 > packets && left as usize * 10 > packets);
}

#[test]
fn each_byte_of_a_plain_frame_matters_to_both_alike() {
    let (mut world, mut now_ns) = (World::new("bytes"), 0);
    for plain in [plain4(dst4(0, 1), 12, 14), plain6(dst6(0, 1), 0, 4)] {
        for at in 0..54 {
            let frames: Vec<_> = (0..=255u8)
                .map(|value| {
                    let mut frame = Frame::of(plain.clone());
                    frame.bytes[at] = value;
                    frame.nic = RxChecksum::Good;
                    frame
                })
                .collect();
            for burst in frames.chunks(BURST_MAX) {
                world.compare(burst, &mut now_ns);
            }
        }
        for len in 0..plain.len() {
            let frame = Frame::of(plain[..len].to_vec());
            world.compare(&[frame], &mut now_ns);
        }
    }
}

#[test]
fn every_checksum_of_a_header_is_lowered_as_the_stages_do() {
    let (mut world, mut now_ns) = (World::new("sums"), 0);
    let mut frames = Vec::new();
    for id in 0..=u16::MAX {
        let mut bytes = plain4(dst4(0, 1), 12, 0);
        bytes[18..20].copy_from_slice(&id.to_be_bytes());
        bytes[24..26].fill(0);
        let sum = checksum::of(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        frames.push(Frame::of(bytes));
    }
    for burst in frames.chunks(BURST_MAX) {
        let (ends, _) = world.compare(burst, &mut now_ns);
        assert_eq!(ends.whole, 1);
    }
}

#[test]
fn a_plain_burst_for_one_port_leaves_as_one_and_meets_no_other_stage() {
    let (mut world, mut now_ns) = (World::new("one"), 0);
    for count in 1..=BURST_MAX {
        let frames: Vec<_> = (0..count)
            .map(|n| match n % 2 {
                0 => Frame::of(plain4(dst4(0, n), 26, 0)),
                _ => Frame::of(plain6(dst6(0, n), 6, 0)),
            })
            .collect();
        let (ends, met) = world.compare(&frames, &mut now_ns);
        assert_eq!(ends.whole, 1);
        let mut stages = vec![0; StageId::COUNT];
        stages[StageId::Straight.index()] = count as u64;
        assert_eq!(met.0, stages);
    }
    // Two ports: one by one, in order, and still no other stage.
    let frames: Vec<_> = (0..64)
        .map(|n| Frame::of(plain4(dst4(n / 3 % 2, n), 26, 0)))
        .collect();
    let (ends, met) = world.compare(&frames, &mut now_ns);
    assert_eq!((ends.whole, met.0[StageId::Classify.index()]), (0, 0));
}

#[test]
fn a_flow_keeps_its_order_though_some_of_its_packets_go_through_the_stages() {
    let (mut world, mut now_ns) = (World::new("order"), 0);
    // Every third packet has a priority tag, every fifth lies in two buffers; both are forwarded.
    let frames: Vec<_> = (0..64u8)
        .map(|n| {
            let mut bytes = plain4(dst4(0, 1), 26, 0);
            bytes[59] = n;
            if n % 3 == 0 {
                bytes.splice(12..12, [0x81, 0, 0, 0]);
            }
            let mut frame = Frame::of(bytes);
            if n % 5 == 0 {
                frame.first = 20;
            }
            frame
        })
        .collect();
    let (ends, met) = world.compare(&frames, &mut now_ns);
    assert_eq!(met.0[StageId::Classify.index()], 30);
    for (n, end) in ends.all.iter().enumerate() {
        let End::Send(PortId(1), bytes) = end else {
            panic!("{end:?}");
        };
        assert_eq!(usize::from(bytes[59]), n);
    }
}

#[test]
fn one_bad_frame_in_a_hundred_takes_no_other_off_the_straight_path() {
    let (mut world, mut now_ns) = (World::new("bad"), 0);
    let frames: Vec<_> = (0..6_400)
        .map(|n| {
            let mut bytes = plain4(dst4(0, n), 26, 0);
            if n % 100 == 50 {
                bytes[25] ^= 1;
            }
            Frame::of(bytes)
        })
        .collect();
    let (mut left, mut dropped) = (0, 0);
    for burst in frames.chunks(BURST_MAX) {
        let (ends, met) = world.compare(burst, &mut now_ns);
        assert_eq!(ends.whole, 1, "the others leave as one");
        left += met.0[StageId::Classify.index()];
        let bad = |end: &&End| matches!(end, End::Drop(DropReason::Ip4BadChecksum, _));
        dropped += ends.all.iter().filter(bad).count();
    }
    assert_eq!((left, dropped), (64, 64));
}

#[test]
fn each_packet_goes_to_its_own_of_512_nexthops() {
    let (mut world, mut numbers, mut now_ns) = (World::new("many"), Numbers(3), 0);
    let mac = |n: usize| [2, 0, 0, 2, (n >> 8) as u8, n as u8];
    for n in 0..512 {
        let adjacency = Adjacency::forward(PortId(1), 1500, mac(n), [2, 0, 0, 0, 1, 1]);
        let slot = world.slot(adjacency);
        world.route(&format!("198.18.{}.{}/25", n >> 1, (n & 1) << 7), slot);
        world.route(&format!("2001:2:0:{n:x}::/64"), slot);
    }
    for _ in 0..200 {
        let (mut frames, mut macs) = (Vec::new(), Vec::new());
        for _ in 0..BURST_MAX {
            let n = numbers.below(512);
            macs.push(mac(n));
            frames.push(Frame::of(match numbers.below(2) {
                0 => plain4(0xc612_0000 | (n as u32) << 7 | 5, 26, 0),
                _ => plain6(0x2001_0002 << 96 | (n as u128) << 64 | 5, 6, 0),
            }));
        }
        let (ends, _) = world.compare(&frames, &mut now_ns);
        assert_eq!(ends.whole, 1);
        for (end, mac) in ends.all.iter().zip(macs) {
            assert!(matches!(end, End::Send(PortId(1), bytes) if bytes[..6] == mac));
        }
    }
}
