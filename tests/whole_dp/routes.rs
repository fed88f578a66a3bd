//! Which route a packet takes, and what changes of the tables do to packets.

use ironlane_dataplane::reason::PuntReason;
use ironlane_tests::{Event, Injected, Settings, WholeDp};

use crate::{HOST4, HOST6, router, router_on};

#[test]
pub fn the_most_specific_route_wins_whatever_the_order_they_came_in() {
    let mut dp = router();
    let mut neighbours = Vec::new();
    for i in 0..5 {
        neighbours.push(format!("198.51.100.3{i}"));
        dp.neighbour(&format!("198.51.100.3{i} dev p1 lladdr 02::3{i}"));
    }
    for (i, prefix) in [
        (2, "10.1.0.0/16"),
        (0, "0.0.0.0/0"),
        (4, "10.1.2.3/32"),
        (1, "10.0.0.0/8"),
        (3, "10.1.2.0/24"),
    ] {
        dp.route(&format!("{prefix} via {}", neighbours[i]));
    }
    for (dst, i) in [
        ("8.8.8.8", 0),
        ("10.9.0.1", 1),
        ("10.1.9.1", 2),
        ("10.1.2.4", 3),
        ("10.1.2.3", 4),
        ("10.1.2.2", 3),
        ("10.1.3.0", 2),
        ("10.255.255.255", 1),
        ("11.0.0.0", 0),
    ] {
        let frame = dp.frame("p0").ip4(HOST4, dst).udp(1, 2);
        dp.send("p0", &frame)
            .forwarded("p1", &format!("02::3{i}"), &frame)
            .nothing_else();
    }
    for (prefix, i) in [
        ("10.1.2.3/32", 3),
        ("10.1.2.0/24", 2),
        ("10.1.0.0/16", 1),
        ("10.0.0.0/8", 0),
    ] {
        dp.no_route(prefix);
        let frame = dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(1, 2);
        dp.send("p0", &frame)
            .forwarded("p1", &format!("02::3{i}"), &frame)
            .nothing_else();
    }
    dp.no_route("0.0.0.0/0");
    let frame = dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(1, 2);
    dp.send("p0", &frame)
        .punted("p0", PuntReason::NoRoute, &frame)
        .nothing_else();
}

#[test]
pub fn ipv6_routes_of_every_length_are_told_apart() {
    let mut dp = router();
    let lens = [
        0u32, 1, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128,
    ];
    let address = u128::from(
        "2001:db8:1234:5678:9abc:def0:1234:5679"
            .parse::<std::net::Ipv6Addr>()
            .unwrap(),
    );
    for (i, len) in lens.iter().enumerate() {
        dp.neighbour(&format!(
            "2001:db8:0:2::{:x} dev p1 lladdr 02::{:x}",
            i + 0x40,
            i + 0x40
        ));
        let net = ipnet_of(address, *len);
        dp.route(&format!("{net}/{len} via 2001:db8:0:2::{:x}", i + 0x40));
    }
    for (i, len) in lens.iter().enumerate() {
        // The address itself for the longest; else one that leaves right after this prefix.
        let dst = match lens.get(i + 1) {
            None => address,
            Some(next) => address ^ 1 << (128 - next),
        };
        let dst = std::net::Ipv6Addr::from(dst).to_string();
        let frame = dp.frame("p0").ip6(HOST6, &dst).udp(1, 2);
        println!("/{len}: {dst}");
        dp.send("p0", &frame)
            .forwarded("p1", &format!("02::{:x}", i + 0x40), &frame)
            .nothing_else();
    }
}

fn ipnet_of(address: u128, len: u32) -> std::net::Ipv6Addr {
    let mask = if len == 0 {
        0
    } else {
        u128::MAX << (128 - len)
    };
    std::net::Ipv6Addr::from(address & mask)
}

#[test]
pub fn vrfs_do_not_see_each_others_routes() {
    let mut dp = WholeDp::new()
        .port("p0", "192.0.2.1/24")
        .port("p1", "198.51.100.1/24")
        .port("red", "10.0.0.1/24")
        .vrf(7);
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9");
    let inside = dp.frame("p0").ip4(HOST4, "203.0.113.9").udp(1, 2);
    dp.send("p0", &inside)
        .forwarded("p1", "02::9", &inside)
        .nothing_else();
    let outside = dp.frame("red").ip4("10.0.0.9", "203.0.113.9").udp(1, 2);
    dp.send("red", &outside)
        .punted("red", PuntReason::NoRoute, &outside)
        .nothing_else();
    // Each has its own addresses.
    let local = dp.frame("red").ip4("10.0.0.9", "10.0.0.1").icmp(8);
    dp.send("red", &local)
        .punted("red", PuntReason::Icmp, &local)
        .nothing_else();
    let stranger = dp.frame("p0").ip4(HOST4, "10.0.0.1").icmp(8);
    dp.send("p0", &stranger)
        .punted("p0", PuntReason::NoRoute, &stranger)
        .nothing_else();
    let foreign = dp.frame("red").ip4("10.0.0.9", "192.0.2.1").icmp(8);
    dp.send("red", &foreign)
        .punted("red", PuntReason::NoRoute, &foreign)
        .nothing_else();
}

#[test]
pub fn a_route_that_is_replaced_takes_effect_for_the_next_burst() {
    let mut dp = router();
    dp.neighbour("198.51.100.31 dev p1 lladdr 02::31")
        .neighbour("198.51.100.32 dev p1 lladdr 02::32");
    let frame = dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(1, 2);
    for round in 0..20 {
        let last = 31 + round % 2;
        dp.route(&format!("10.1.0.0/16 via 198.51.100.{last}"));
        dp.send("p0", &frame)
            .forwarded("p1", &format!("02::{last}"), &frame)
            .nothing_else();
    }
}

/// The neighbour that each frame was sent to, by the last byte of its MAC; `None` for punts.
fn ways(out: &ironlane_tests::Outcome) -> Vec<Option<u8>> {
    let (events, drops) = out.take_events();
    assert!(drops.is_empty(), "{drops:?}");
    let way = |event: &Event| match event {
        Event::Sent { bytes, .. } => Some(bytes[5]),
        Event::Punted { reason, .. } => {
            assert_eq!(*reason, PuntReason::Glean);
            None
        }
    };
    events.iter().map(way).collect()
}

/// Enough frames that the tables change many times while they pass.
fn stream(dp: &mut WholeDp, dst: &str) -> Vec<(&'static str, Injected)> {
    (0..900)
        .map(|i| ("p0", dp.frame("p0").ip4(HOST4, dst).udp(i, 7).into()))
        .collect()
}

#[test]
pub fn a_packet_sees_a_route_before_or_after_its_change_and_nothing_between() {
    let mut dp = router();
    dp.neighbour("198.51.100.31 dev p1 lladdr 02::31")
        .neighbour("198.51.100.32 dev p1 lladdr 02::32")
        .route("10.0.0.0/8 via 198.51.100.31")
        .route("10.1.0.0/16 via 198.51.100.31");
    let frames = stream(&mut dp, "10.1.2.3");
    let out = dp.send_while(&frames, |dp, step| {
        // Above, at and below what the packets match; the covering route is always there.
        for round in 0..20 {
            let last = 31 + (step + round) % 2;
            dp.route(&format!("10.1.0.0/16 via 198.51.100.{last}"));
            dp.route(&format!("10.1.2.0/24 via 198.51.100.{last}"));
            dp.no_route("10.1.0.0/16").no_route("10.1.2.0/24");
        }
        dp.writer().reclaim();
    });
    let ways = ways(&out);
    assert_eq!(ways.len(), 900);
    assert!(
        ways.iter().all(|way| matches!(way, Some(0x31 | 0x32))),
        "{ways:?}"
    );
    out.nothing_else();
}

#[test]
pub fn a_packet_sees_a_neighbour_before_or_after_its_change_and_nothing_between() {
    // On a busy machine all frames may pass while the neighbour is lost: none is one too many.
    let settings = Settings {
        adjust: |config| config.pipeline.glean.burst = 900,
        ..Settings::default()
    };
    let mut dp = router_on(WholeDp::with(settings));
    dp.route("10.1.0.0/16 via 198.51.100.31 via 198.51.100.32")
        .neighbour("198.51.100.31 dev p1 lladdr 02::31")
        .neighbour("198.51.100.32 dev p1 lladdr 02::32");
    let frames = stream(&mut dp, "10.1.2.3");
    let out = dp.send_while(&frames, |dp, step| {
        for round in 0..20 {
            match (step + round) % 4 {
                0 => dp.neighbour("198.51.100.31 dev p1 failed"),
                1 => dp.neighbour("198.51.100.31 dev p1 lladdr 02::41"),
                2 => dp.neighbour("198.51.100.31 dev p1 lladdr 02::31"),
                _ => dp.neighbour("198.51.100.32 dev p1 lladdr 02::32"),
            };
        }
        dp.writer().reclaim();
    });
    let ways = ways(&out);
    assert_eq!(ways.len(), 900);
    assert!(
        ways.iter()
            .all(|way| matches!(way, None | Some(0x31 | 0x32 | 0x41))),
        "{ways:?}"
    );
    out.nothing_else();
}
