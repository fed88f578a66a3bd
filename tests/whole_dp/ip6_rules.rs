//! IPv6 header rules, and addresses that must not be on the wire or beyond their scope.

use ironlane_dataplane::reason::{DropReason, PuntReason};

use crate::{FAR6, HOST6, US6, all_dropped, all_forwarded, all_punted, router};

#[test]
pub fn headers_that_break_a_rule_are_dropped_by_name() {
    let mut dp = router();
    let good = dp.frame("p0").ip6(HOST6, FAR6).udp(1, 2);
    let mut cases = Vec::new();
    for version in [0, 4, 5, 7, 15] {
        let mut frame = good.clone();
        frame[14] = version << 4;
        cases.push(("version", frame, DropReason::Ip6BadVersion));
    }
    for len in 14..54 {
        cases.push(("cut header", good[..len].to_vec(), DropReason::Ip6Truncated));
    }
    cases.push((
        "cut payload",
        good[..good.len() - 1].to_vec(),
        DropReason::Ip6Truncated,
    ));
    let mut beyond = good;
    beyond[18..20].fill(0xff);
    cases.push(("beyond the frame", beyond, DropReason::Ip6Truncated));
    let ip4 = dp.frame("p0").ether(0x86dd, &[0x45; 60]);
    cases.push(("IPv4 inside", ip4, DropReason::Ip6BadVersion));
    all_dropped(&mut dp, cases);
}

#[test]
pub fn impossible_addresses_are_martians() {
    let mut dp = router();
    dp.route("default6 via 2001:db8:0:2::9");
    let mut cases = Vec::new();
    for src in ["::", "::1", "ff02::1", "ff0e::1", "::ffff:192.0.2.10"] {
        for dst in [FAR6, US6] {
            let frame = dp.frame("p0").ip6(src, dst).udp(1, 2);
            cases.push((src, frame, DropReason::Ip6MartianSource));
        }
    }
    for dst in ["::", "::1", "::ffff:192.0.2.10"] {
        let frame = dp.frame("p0").ip6(HOST6, dst).udp(1, 2);
        cases.push((dst, frame, DropReason::Ip6MartianDestination));
    }
    for dst in ["ff00::1", "ff01::1", "ff0f::1", "ff1f::5"] {
        let frame = dp
            .frame("p0")
            .dst("33:33:00:00:00:01")
            .ip6(HOST6, dst)
            .udp(1, 2);
        cases.push((dst, frame, DropReason::Ip6MulticastScope));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn addresses_that_are_merely_special_are_forwarded() {
    let mut dp = router();
    let mut cases = Vec::new();
    for src in [
        "fd00::1",
        "fec0::1",
        "2002:c000:20a::1",
        "2001:0:1::1",
        "64:ff9b::1",
        "fe00::1",
    ] {
        cases.push((src, dp.frame("p0").ip6(src, FAR6).udp(1, 2)));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn link_local_sources_stay_on_their_link() {
    let mut dp = router();
    dp.route("2001:db8:dead::/48 blackhole");
    let beyond = dp.frame("p0").ip6("fe80::10", FAR6).udp(1, 2);
    let nowhere = dp.frame("p0").ip6("fe80::10", "2001:dead::1").udp(1, 2);
    all_punted(
        &mut dp,
        vec![
            ("beyond scope", beyond, PuntReason::BeyondScope),
            ("beyond scope, no route", nowhere, PuntReason::BeyondScope),
        ],
    );
    let error = dp.frame("p0").ip6("fe80::10", FAR6).icmp(1);
    let blackhole = dp.frame("p0").ip6("fe80::10", "2001:db8:dead::1").udp(1, 2);
    all_dropped(
        &mut dp,
        vec![
            (
                "an error cannot be answered",
                error,
                DropReason::Ip6LinkLocal,
            ),
            ("blackhole", blackhole, DropReason::Ip6Blackhole),
        ],
    );
}

#[test]
pub fn unicast_in_frames_to_groups_is_never_forwarded() {
    let mut dp = router();
    let mut cases = Vec::new();
    for dst in ["ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"] {
        for to in [FAR6, US6, "2001:dead::1", "fe80::1"] {
            let frame = dp.frame("p0").dst(dst).ip6(HOST6, to).udp(1, 2);
            cases.push((dst, frame, DropReason::Ip6GroupFrame));
        }
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn a_length_of_zero_means_no_payload() {
    let mut dp = router();
    let mut frame = dp.frame("p0").ip6(HOST6, FAR6).udp(1, 2);
    frame[18..20].fill(0);
    all_forwarded(&mut dp, vec![("the rest is padding", frame)]);
}
