//! IPv4 header rules and addresses that must not be on the wire.

use ironlane_dataplane::eal::RxChecksum;
use ironlane_dataplane::reason::DropReason;
use ironlane_packet::checksum;
use ironlane_tests::Injected;

use crate::{FAR4, HOST4, US4, all_dropped, all_forwarded, router};

/// The frame with one byte of its IPv4 header changed and the checksum mended.
fn with(mut frame: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    frame[14 + at] = value;
    frame[24..26].fill(0);
    let len = (usize::from(frame[14] & 15) * 4).clamp(20, frame.len() - 14);
    let check = checksum::of(&frame[14..14 + len]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame
}

#[test]
pub fn headers_that_break_a_rule_are_dropped_by_name() {
    let mut dp = router();
    let good = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let mut cases = Vec::new();
    for version in [0, 1, 3, 5, 6, 15] {
        let frame = with(good.clone(), 0, version << 4 | 5);
        cases.push(("version", frame, DropReason::Ip4BadVersion));
    }
    for ihl in 0..5 {
        cases.push((
            "header length",
            with(good.clone(), 0, 0x40 | ihl),
            DropReason::Ip4BadIhl,
        ));
    }
    for total in [0, 1, 19] {
        cases.push((
            "total length",
            with(good.clone(), 3, total),
            DropReason::Ip4BadLength,
        ));
    }
    let beyond_total = with(with(good.clone(), 0, 0x46), 3, 23);
    cases.push((
        "header beyond total length",
        beyond_total,
        DropReason::Ip4BadLength,
    ));
    for total in [55, 100, 255] {
        cases.push((
            "beyond the frame",
            with(good.clone(), 3, total),
            DropReason::Ip4Truncated,
        ));
    }
    for len in 14..34 {
        cases.push(("cut header", good[..len].to_vec(), DropReason::Ip4Truncated));
    }
    cases.push((
        "cut payload",
        good[..good.len() - 1].to_vec(),
        DropReason::Ip4Truncated,
    ));
    all_dropped(&mut dp, cases);
}

#[test]
pub fn any_wrong_bit_of_a_header_is_seen_in_its_checksum() {
    let mut dp = router();
    let good = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let mut cases = Vec::new();
    for bit in 0..160 {
        let mut frame = good.clone();
        frame[14 + bit / 8] ^= 1 << (bit % 8);
        let reason = match bit / 8 {
            // Judged before the sum: version and header length.
            0 => match bit {
                4..8 => DropReason::Ip4BadVersion,
                _ if frame[14] & 15 < 5 => DropReason::Ip4BadIhl,
                _ => DropReason::Ip4BadChecksum,
            },
            2 => DropReason::Ip4Truncated,
            3 if frame[17] > good[17] => DropReason::Ip4Truncated,
            _ => DropReason::Ip4BadChecksum,
        };
        cases.push(("one bit", frame, reason));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn checksums_are_judged_over_options_and_by_the_nic() {
    let mut dp = router();
    let mut options = dp
        .frame("p0")
        .ip4(HOST4, FAR4)
        .options(&[1, 1, 1, 0])
        .udp(1, 2);
    options[35] ^= 1;
    all_dropped(
        &mut dp,
        vec![("in options", options, DropReason::Ip4BadChecksum)],
    );
    let good = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let condemned = Injected::from(&good).checksum(RxChecksum::Bad);
    dp.send("p0", condemned)
        .dropped("p0", DropReason::Ip4BadChecksum)
        .nothing_else();
    let to_us = dp.frame("p0").ip4(HOST4, US4).udp(1, 2);
    let condemned = Injected::from(&to_us).checksum(RxChecksum::Bad);
    dp.send("p0", condemned)
        .dropped("p0", DropReason::Ip4BadChecksum)
        .nothing_else();
}

#[test]
pub fn sources_that_no_host_can_have_are_martians() {
    let mut dp = router();
    let mut cases = Vec::new();
    for src in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        for dst in [FAR4, US4] {
            let frame = dp.frame("p0").ip4(src, dst).udp(1, 2);
            cases.push((src, frame, DropReason::Ip4MartianSource));
        }
    }
    for dst in ["255.255.255.255", "224.0.0.5"] {
        let frame = dp.frame("p0").ip4("127.0.0.1", dst).udp(1, 2);
        cases.push(("loopback to a group", frame, DropReason::Ip4MartianSource));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn destinations_that_no_host_can_have_are_martians_although_a_default_route_covers_them() {
    let mut dp = router();
    dp.route("default via 198.51.100.9");
    let mut cases = Vec::new();
    for dst in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.1.2.3",
        "240.0.0.1",
        "255.255.255.254",
    ] {
        let frame = dp.frame("p0").ip4(HOST4, dst).udp(1, 2);
        cases.push((dst, frame, DropReason::Ip4MartianDestination));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn addresses_that_are_merely_special_are_forwarded() {
    let mut dp = router();
    let mut cases = Vec::new();
    for src in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.88.99.1",
        "1.0.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "223.255.255.255",
    ] {
        cases.push((src, dp.frame("p0").ip4(src, FAR4).udp(1, 2)));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn link_local_addresses_are_not_forwarded() {
    let mut dp = router();
    dp.route("default via 198.51.100.9")
        .route("169.254.0.0/16 via 198.51.100.9");
    let cases = vec![
        (
            "source",
            dp.frame("p0").ip4("169.254.1.1", FAR4).udp(1, 2),
            DropReason::Ip4LinkLocal,
        ),
        (
            "destination",
            dp.frame("p0").ip4(HOST4, "169.254.1.1").udp(1, 2),
            DropReason::Ip4LinkLocal,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn unicast_in_frames_to_groups_is_never_forwarded() {
    let mut dp = router();
    let mut cases = Vec::new();
    for dst in [
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
        "33:33:00:00:00:01",
    ] {
        for to in [FAR4, US4, "8.8.8.8", "198.51.100.77"] {
            for ttl in [64, 1] {
                let frame = dp.frame("p0").dst(dst).ip4(HOST4, to).ttl(ttl).udp(1, 2);
                cases.push((dst, frame, DropReason::Ip4GroupFrame));
            }
        }
    }
    all_dropped(&mut dp, cases);
}
