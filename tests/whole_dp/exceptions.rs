//! Packets that are not for the router and cannot just be forwarded: to the kernel, unchanged, or
//! lost where no ICMP error may answer.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::WholeDp;

use crate::{FAR4, FAR6, HOST4, HOST6, all_dropped, all_punted, router};

#[test]
pub fn expired_ttl_goes_to_linux_and_nowhere_else() {
    let mut dp = router();
    let mut cases = Vec::new();
    for ttl in [0, 1] {
        let frame = |dp: &mut WholeDp| dp.frame("p0").ip4(HOST4, FAR4).ttl(ttl);
        cases.push((
            "UDP",
            frame(&mut dp).udp(4000, 33434),
            PuntReason::TtlExpired,
        ));
        cases.push(("ping", frame(&mut dp).icmp(8), PuntReason::TtlExpired));
        cases.push((
            "first fragment",
            frame(&mut dp).fragment_word(0x2000).udp(1, 2),
            PuntReason::TtlExpired,
        ));
        cases.push((
            "padding options",
            frame(&mut dp).options(&[1]).udp(1, 2),
            PuntReason::TtlExpired,
        ));
        let frame = |dp: &mut WholeDp| dp.frame("p0").ip6(HOST6, FAR6).ttl(ttl);
        cases.push((
            "UDP",
            frame(&mut dp).udp(4000, 33434),
            PuntReason::TtlExpired,
        ));
        cases.push(("ping", frame(&mut dp).icmp(128), PuntReason::TtlExpired));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn an_expired_ttl_that_no_error_may_answer_is_dropped() {
    let mut dp = router();
    let expired4 = |dp: &mut WholeDp| dp.frame("p0").ip4(HOST4, FAR4).ttl(1);
    let expired6 = |dp: &mut WholeDp| dp.frame("p0").ip6(HOST6, FAR6).ttl(1);
    let cases = vec![
        (
            "an error",
            expired4(&mut dp).icmp(11),
            DropReason::Ip4TtlExpired,
        ),
        (
            "a redirect",
            expired4(&mut dp).icmp(5),
            DropReason::Ip4TtlExpired,
        ),
        (
            "ICMP without a type",
            expired4(&mut dp).protocol(1, &[]),
            DropReason::Ip4TtlExpired,
        ),
        (
            "a later fragment",
            expired4(&mut dp).fragment_word(185).udp(1, 2),
            DropReason::Ip4TtlExpired,
        ),
        (
            "an error",
            expired6(&mut dp).icmp(3),
            DropReason::Ip6HopLimitExpired,
        ),
        (
            "a redirect",
            expired6(&mut dp).icmp(137),
            DropReason::Ip6HopLimitExpired,
        ),
        (
            "ICMPv6 without a type",
            expired6(&mut dp).protocol(58, &[]),
            DropReason::Ip6HopLimitExpired,
        ),
    ];
    all_dropped(&mut dp, cases);
}

/// A router whose way to the far networks takes packets of 1280 bytes, and arrival up to 9000.
fn narrow() -> WholeDp {
    let mut dp = WholeDp::new()
        .port_with("p0", "192.0.2.1/24 2001:db8:0:1::1/64", 9000, (1, 1))
        .port_with("p1", "198.51.100.1/24 2001:db8:0:2::1/64", 1280, (1, 1));
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    dp
}

#[test]
pub fn what_is_larger_than_the_mtu_goes_to_linux() {
    let mut dp = narrow();
    let mut cases = Vec::new();
    for len in [1280 - 28 + 1, 1500, 2500, 8000] {
        let frame = dp.frame("p0").ip4(HOST4, FAR4).data_len(len).df().udp(1, 2);
        cases.push(("don't fragment", frame, PuntReason::TooBig));
        let frame = dp.frame("p0").ip4(HOST4, FAR4).data_len(len).udp(1, 2);
        cases.push(("may be fragmented", frame, PuntReason::FragmentNeeded));
        let frame = dp.frame("p0").ip6(HOST6, FAR6).data_len(len).udp(1, 2);
        cases.push(("IPv6", frame, PuntReason::TooBig));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn the_mtu_itself_still_fits_and_padding_does_not_count() {
    let mut dp = narrow();
    let cases = vec![
        (
            "IPv4",
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .data_len(1280 - 28)
                .df()
                .udp(1, 2),
        ),
        (
            "IPv6",
            dp.frame("p0")
                .ip6(HOST6, FAR6)
                .data_len(1280 - 48)
                .udp(1, 2),
        ),
        (
            "padded",
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .data_len(1280 - 28)
                .df()
                .padding(99)
                .udp(1, 2),
        ),
    ];
    crate::all_forwarded(&mut dp, cases);
}

#[test]
pub fn a_packet_too_big_that_no_error_may_answer_is_dropped() {
    let mut dp = narrow();
    let big = [3; 2000];
    let cases = vec![
        (
            "an error",
            dp.frame("p0").ip4(HOST4, FAR4).df().protocol(1, &big),
            DropReason::Ip4TooBig,
        ),
        (
            "a later fragment",
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .fragment_word(0x4001)
                .protocol(17, &big),
            DropReason::Ip4TooBig,
        ),
        (
            "an error",
            dp.frame("p0").ip6(HOST6, FAR6).protocol(58, &big),
            DropReason::Ip6TooBig,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn options_go_to_linux() {
    let mut dp = router();
    let mut cases = Vec::new();
    for (name, options) in [
        ("record route", &[7, 7, 4, 0, 0, 0, 0][..]),
        ("timestamp", &[68, 8, 5, 0, 0, 0, 0, 0]),
        ("loose source route", &[131, 7, 4, 10, 0, 0, 1]),
        ("strict source route", &[137, 7, 4, 10, 0, 0, 1]),
        ("unknown", &[0x9e, 4, 0, 0]),
        ("length 0", &[7, 0, 0, 0]),
        ("length beyond the header", &[7, 40, 4, 0]),
        ("alert of another value", &[148, 4, 0, 1]),
    ] {
        for ttl in [64, 1] {
            let frame = dp
                .frame("p0")
                .ip4(HOST4, FAR4)
                .options(options)
                .ttl(ttl)
                .udp(1, 2);
            cases.push((name, frame, PuntReason::Ip4Options));
        }
    }
    for ttl in [64, 1] {
        let frame = dp
            .frame("p0")
            .ip4(HOST4, FAR4)
            .options(&[148, 4, 0, 0])
            .ttl(ttl)
            .protocol(46, &[0; 8]);
        cases.push(("router alert", frame, PuntReason::RouterAlert));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn hop_by_hop_options_go_to_linux() {
    let mut dp = router();
    let mut cases = Vec::new();
    for (name, header) in [
        ("skip if unknown", &[0, 0, 0x1e, 4, 0, 0, 0, 0][..]),
        ("discard if unknown", &[0, 0, 0x5e, 4, 0, 0, 0, 0]),
        ("answer if unknown", &[0, 0, 0x9e, 4, 0, 0, 0, 0]),
        ("jumbo payload", &[0, 0, 0xc2, 4, 0, 1, 0, 0]),
        ("option beyond the header", &[0, 0, 1, 9, 0, 0, 0, 0]),
        ("header beyond the packet", &[0, 200, 1, 4, 0, 0, 0, 0]),
    ] {
        let frame = dp
            .frame("p0")
            .ip6(HOST6, FAR6)
            .extension(0, header)
            .udp(1, 2);
        cases.push((name, frame, PuntReason::Ip6HopByHop));
    }
    for ttl in [64, 1] {
        let alert = [0, 0, 5, 2, 0, 1, 1, 0];
        let frame = dp
            .frame("p0")
            .ip6(HOST6, FAR6)
            .ttl(ttl)
            .extension(0, &alert)
            .protocol(46, &[0; 8]);
        cases.push(("router alert", frame, PuntReason::RouterAlert));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn routes_that_lead_nowhere_are_answered_by_linux() {
    let mut dp = router();
    dp.route("10.1.0.0/16 unreachable")
        .route("10.2.0.0/16 prohibit")
        .route("10.3.0.0/16 kernel")
        .route("2001:db8:a1::/48 unreachable")
        .route("2001:db8:a2::/48 prohibit")
        .route("2001:db8:a3::/48 kernel");
    let to4 = |dp: &mut WholeDp, dst: &str| dp.frame("p0").ip4(HOST4, dst).udp(1, 2);
    let to6 = |dp: &mut WholeDp, dst: &str| dp.frame("p0").ip6(HOST6, dst).udp(1, 2);
    let cases = vec![
        ("no route", to4(&mut dp, "8.8.8.8"), PuntReason::NoRoute),
        (
            "unreachable",
            to4(&mut dp, "10.1.2.3"),
            PuntReason::Unreachable,
        ),
        ("prohibit", to4(&mut dp, "10.2.2.3"), PuntReason::Prohibit),
        (
            "not by a port",
            to4(&mut dp, "10.3.2.3"),
            PuntReason::KernelRoute,
        ),
        (
            "no route",
            to6(&mut dp, "2001:dead::1"),
            PuntReason::NoRoute,
        ),
        (
            "unreachable",
            to6(&mut dp, "2001:db8:a1::1"),
            PuntReason::Unreachable,
        ),
        (
            "prohibit",
            to6(&mut dp, "2001:db8:a2::1"),
            PuntReason::Prohibit,
        ),
        (
            "not by a port",
            to6(&mut dp, "2001:db8:a3::1"),
            PuntReason::KernelRoute,
        ),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn routes_that_lead_nowhere_are_silent_to_errors() {
    let mut dp = router();
    dp.route("10.1.0.0/16 unreachable")
        .route("10.2.0.0/16 prohibit")
        .route("2001:db8:a1::/48 unreachable")
        .route("2001:db8:a2::/48 prohibit");
    let to4 = |dp: &mut WholeDp, dst: &str| dp.frame("p0").ip4(HOST4, dst).icmp(3);
    let to6 = |dp: &mut WholeDp, dst: &str| dp.frame("p0").ip6(HOST6, dst).icmp(1);
    let cases = vec![
        ("no route", to4(&mut dp, "8.8.8.8"), DropReason::Ip4NoRoute),
        (
            "unreachable",
            to4(&mut dp, "10.1.2.3"),
            DropReason::Ip4Unreachable,
        ),
        (
            "prohibit",
            to4(&mut dp, "10.2.2.3"),
            DropReason::Ip4Prohibit,
        ),
        (
            "no route",
            to6(&mut dp, "2001:dead::1"),
            DropReason::Ip6NoRoute,
        ),
        (
            "unreachable",
            to6(&mut dp, "2001:db8:a1::1"),
            DropReason::Ip6Unreachable,
        ),
        (
            "prohibit",
            to6(&mut dp, "2001:db8:a2::1"),
            DropReason::Ip6Prohibit,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn blackholes_swallow_whatever_the_packet_is() {
    let mut dp = router();
    dp.route("10.1.0.0/16 blackhole")
        .route("10.2.0.0/16 drop")
        .route("2001:db8:a1::/48 blackhole")
        .route("2001:db8:a2::/48 drop");
    let mut cases = Vec::new();
    for ttl in [64, 1] {
        let mut to4 = |dst: &str, reason| {
            cases.push((
                "IPv4",
                dp.frame("p0").ip4(HOST4, dst).ttl(ttl).udp(1, 2),
                reason,
            ));
        };
        to4("10.1.2.3", DropReason::Ip4Blackhole);
        to4("10.2.2.3", DropReason::Ip4AdjacencyDrop);
        let mut to6 = |dst: &str, reason| {
            cases.push((
                "IPv6",
                dp.frame("p0").ip6(HOST6, dst).ttl(ttl).udp(1, 2),
                reason,
            ));
        };
        to6("2001:db8:a1::1", DropReason::Ip6Blackhole);
        to6("2001:db8:a2::1", DropReason::Ip6AdjacencyDrop);
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn what_linux_forwards_itself_is_still_told_by_its_exception() {
    let mut dp = router();
    dp.route("10.3.0.0/16 kernel");
    let expired = dp.frame("p0").ip4(HOST4, "10.3.0.1").ttl(1).udp(1, 2);
    let options = dp
        .frame("p0")
        .ip4(HOST4, "10.3.0.1")
        .options(&[7, 7, 4])
        .udp(1, 2);
    let gleaned = dp.frame("p0").ip4(HOST4, "198.51.100.77").ttl(1).udp(1, 2);
    all_punted(
        &mut dp,
        vec![
            ("TTL", expired, PuntReason::TtlExpired),
            ("options", options, PuntReason::Ip4Options),
            (
                "TTL to an unresolved neighbour",
                gleaned,
                PuntReason::TtlExpired,
            ),
        ],
    );
}

#[test]
pub fn nobody_answers_the_broadcast_address_of_a_subnet() {
    let mut dp = router();
    dp.route("10.2.0.0/16 unreachable")
        .route("10.3.0.0/16 kernel");
    let mut cases = Vec::new();
    for src in ["192.0.2.255", "198.51.100.255"] {
        let from = |dp: &mut ironlane_tests::WholeDp, dst| dp.frame("p0").ip4(src, dst);
        for (name, frame) in [
            ("TTL", from(&mut dp, FAR4).ttl(1).udp(1, 2)),
            ("size", from(&mut dp, FAR4).data_len(1600).df().udp(1, 2)),
            ("no route", from(&mut dp, "8.8.8.8").udp(1, 2)),
            ("unreachable", from(&mut dp, "10.2.0.1").udp(1, 2)),
            (
                "options",
                from(&mut dp, FAR4).options(&[7, 3, 4, 0]).udp(1, 2),
            ),
            ("the kernel's", from(&mut dp, "10.3.0.1").udp(1, 2)),
        ] {
            cases.push((name, frame, DropReason::Ip4BroadcastSource));
        }
    }
    all_dropped(&mut dp, cases);
    let frame = dp.frame("p0").ip4("192.0.2.254", FAR4).ttl(1).udp(1, 2);
    dp.send("p0", &frame)
        .punted("p0", PuntReason::TtlExpired, &frame)
        .nothing_else();
}

#[test]
pub fn a_packet_that_turns_back_is_shown_to_linux_once_a_second() {
    let mut dp = router();
    dp.route("10.9.0.0/16 via 192.0.2.77")
        .route("2001:db8:9::/48 via 2001:db8:0:1::77")
        .neighbour("192.0.2.77 dev p0 lladdr 02::7")
        .neighbour("2001:db8:0:1::77 dev p0 lladdr 02::7");
    let from4 = |dp: &mut WholeDp| dp.frame("p0").ip4(HOST4, "10.9.0.1");
    let from6 = |dp: &mut WholeDp| dp.frame("p0").ip6(HOST6, "2001:db8:9::1");
    // Where no error may answer, none may be redirected.
    for error in [
        from4(&mut dp).icmp(11),
        from6(&mut dp).icmp(3),
        from6(&mut dp).icmp(137),
    ] {
        dp.send("p0", &error)
            .forwarded("p0", "02::7", &error)
            .nothing_else();
    }
    let back4: Vec<_> = (0..20).map(|i| from4(&mut dp).udp(i, 2)).collect();
    let back6: Vec<_> = (0..20).map(|i| from6(&mut dp).udp(i, 2)).collect();
    for back in [back4, back6] {
        let burst: Vec<_> = back.iter().map(|frame| ("p0", frame.into())).collect();
        let out = dp.send_all(&burst);
        out.punted("p0", PuntReason::Redirect, &back[0]);
        for frame in &back[1..] {
            out.forwarded("p0", "02::7", frame);
        }
        out.nothing_else();
    }
    // From another port there is nothing to redirect.
    for other in [
        dp.frame("p1").ip4("198.51.100.9", "10.9.0.1").udp(1, 2),
        dp.frame("p1")
            .ip6("2001:db8:0:2::9", "2001:db8:9::1")
            .udp(1, 2),
    ] {
        dp.send("p1", &other)
            .forwarded("p0", "02::7", &other)
            .nothing_else();
    }
}
