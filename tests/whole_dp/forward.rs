//! Plain forwarding of both families.

use ironlane_dataplane::eal::RxChecksum;
use ironlane_dataplane::reason::PuntReason;
use ironlane_packet::ip4::{DF, MF};
use ironlane_tests::{Injected, WholeDp};

use crate::{FAR4, FAR6, HOST4, HOST6, all_forwarded, router, router_on};

#[test]
pub fn packets_of_any_size_go_to_the_neighbour_of_their_route() {
    let mut dp = router();
    let mut cases = Vec::new();
    for len in [0, 1, 2, 17, 18, 26, 100, 511, 1024, 1471, 1472] {
        cases.push((
            "IPv4",
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .data_len(len)
                .udp(4000, 5000),
        ));
    }
    for len in [0, 1, 7, 100, 1451, 1452] {
        cases.push((
            "IPv6",
            dp.frame("p0")
                .ip6(HOST6, FAR6)
                .data_len(len)
                .udp(4000, 5000),
        ));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn whatever_is_above_ip_passes_unread() {
    let mut dp = router();
    let mut cases = Vec::new();
    for protocol in 0..=255 {
        // 0 is hop-by-hop options for IPv6, which is another matter.
        cases.push((
            "IPv4",
            dp.frame("p0").ip4(HOST4, FAR4).protocol(protocol, b"abc"),
        ));
        if protocol != 0 {
            cases.push((
                "IPv6",
                dp.frame("p0").ip6(HOST6, FAR6).protocol(protocol, b"abc"),
            ));
        }
    }
    cases.push(("empty", dp.frame("p0").ip4(HOST4, FAR4).protocol(6, &[])));
    cases.push(("empty", dp.frame("p0").ip6(HOST6, FAR6).protocol(59, &[])));
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn the_ttl_is_lowered_and_the_checksum_stays_right_for_every_ttl() {
    let mut dp = router();
    for ttl in 2..=255 {
        let frame4 = dp.frame("p0").ip4(HOST4, FAR4).ttl(ttl).udp(ttl.into(), 1);
        let frame6 = dp.frame("p0").ip6(HOST6, FAR6).ttl(ttl).udp(ttl.into(), 1);
        let out = dp.send_all(&[("p0", (&frame4).into()), ("p0", (&frame6).into())]);
        out.forwarded("p1", "02::9", &frame4)
            .forwarded("p1", "02::9", &frame6)
            .nothing_else();
    }
}

#[test]
pub fn fragments_and_flags_pass_unchanged() {
    let mut dp = router();
    let mut cases = Vec::new();
    for word in [DF, MF, DF | MF, MF | 1, 185, 0x8000, 0x1fff] {
        let frame = dp
            .frame("p0")
            .ip4(HOST4, FAR4)
            .fragment_word(word)
            .udp(1, 2);
        cases.push(("fragment", frame));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn padding_of_the_arriving_frame_is_not_sent_on() {
    let mut dp = router();
    let mut cases = Vec::new();
    for padding in [1, 12, 26, 300] {
        cases.push((
            "IPv4",
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .padding(padding)
                .protocol(17, &[]),
        ));
        cases.push((
            "IPv6",
            dp.frame("p0")
                .ip6(HOST6, FAR6)
                .padding(padding)
                .protocol(59, &[]),
        ));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn a_priority_tag_belongs_to_the_untagged_interface_and_is_not_sent_on() {
    let mut dp = router();
    let cases = vec![
        ("IPv4", dp.frame("p0").vlan(0).ip4(HOST4, FAR4).udp(1, 2)),
        ("IPv6", dp.frame("p0").vlan(0).ip6(HOST6, FAR6).udp(1, 2)),
        (
            "padded",
            dp.frame("p0").vlan(0).ip4(HOST4, FAR4).padding(6).udp(1, 2),
        ),
    ];
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn options_that_are_only_padding_do_not_leave_the_fast_path() {
    let mut dp = router();
    let mut cases = Vec::new();
    for options in [&[0][..], &[1, 1, 1, 1], &[1, 0, 0xff, 0xff], &[1; 40]] {
        cases.push((
            "options",
            dp.frame("p0").ip4(HOST4, FAR4).options(options).udp(1, 2),
        ));
    }
    let padding = [0, 0, 1, 4, 0, 0, 0, 0];
    cases.push((
        "hop-by-hop",
        dp.frame("p0")
            .ip6(HOST6, FAR6)
            .extension(0, &padding)
            .udp(1, 2),
    ));
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn extension_headers_are_for_the_destination() {
    let mut dp = router();
    let mut cases = Vec::new();
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let routing = [
        0, 2, 0, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5,
    ];
    let fragment = [0, 0, 0, 1, 0, 0, 0, 9];
    for chain in [
        &[(60u8, &options[..])][..],
        &[(43, &routing)],
        &[(44, &fragment)],
        &[(60, &options[..]); 12],
    ] {
        let mut frame = dp.frame("p0").ip6(HOST6, FAR6);
        for (kind, bytes) in chain {
            frame = frame.extension(*kind, bytes);
        }
        cases.push(("extension", frame.udp(1, 2)));
    }
    all_forwarded(&mut dp, cases);
}

#[test]
pub fn the_nics_word_on_the_checksum_saves_the_sum() {
    let mut dp = router();
    let mut frame = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let good = Injected::from(&frame).checksum(RxChecksum::Good);
    dp.send("p0", good)
        .forwarded("p1", "02::9", &frame)
        .nothing_else();
    // A wrong sum that the NIC calls good is passed on as wrong as it was.
    frame[24] ^= 0x55;
    let vouched = Injected::from(&frame).checksum(RxChecksum::Good);
    let out = dp.send("p0", vouched);
    let (events, drops) = out.take_events();
    assert!(events.len() == 1 && drops.is_empty());
    out.nothing_else();
}

#[test]
pub fn a_burst_of_all_kinds_is_sorted_and_keeps_its_order() {
    let mut dp = router();
    let mut frames = Vec::new();
    for i in 0..60u16 {
        let frame = dp.frame("p0");
        frames.push(match i % 4 {
            0 => frame.ip4(HOST4, FAR4).udp(i, 1),
            1 => frame.ip6(HOST6, FAR6).udp(i, 1),
            2 => frame.ip4(HOST4, FAR4).options(&[1]).udp(i, 1),
            _ => frame.vlan(0).ip4(HOST4, FAR4).udp(i, 1),
        });
    }
    let burst: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&burst);
    for frame in &frames {
        out.forwarded("p1", "02::9", frame);
    }
    out.nothing_else();
}

#[test]
pub fn more_than_one_burst_at_once_is_forwarded_in_order() {
    let mut dp = router();
    let frames: Vec<_> = (0..700u16)
        .map(|i| dp.frame("p0").ip4(HOST4, FAR4).udp(i, 7))
        .collect();
    let burst: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&burst);
    for frame in &frames {
        out.forwarded("p1", "02::9", frame);
    }
    out.nothing_else();
}

#[test]
pub fn a_packet_may_leave_by_the_port_that_it_came_by() {
    let mut dp = router();
    dp.route("10.9.0.0/16 via 192.0.2.77")
        .neighbour("192.0.2.77 dev p0 lladdr 02::77");
    // The first one is Linux's, which may want to redirect (see exceptions.rs).
    let frame = dp.frame("p0").ip4(HOST4, "10.9.1.1").udp(1, 2);
    dp.send_all(&[("p0", (&frame).into()), ("p0", (&frame).into())])
        .punted("p0", PuntReason::Redirect, &frame)
        .forwarded("p0", "02::77", &frame)
        .nothing_else();
}

#[test]
pub fn many_ports_forward_to_each_other() {
    let mut dp = WholeDp::new();
    let names: Vec<_> = (0..8).map(|i| format!("p{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        dp = dp.port(name, &format!("10.0.{i}.1/24"));
    }
    for (i, name) in names.iter().enumerate() {
        dp.neighbour(&format!("10.0.{i}.9 dev {name} lladdr 02::{i}9"));
    }
    let mut burst = Vec::new();
    for (from, name) in names.iter().enumerate() {
        for to in (0..8).filter(|&to| to != from) {
            let (src, dst) = (format!("10.0.{from}.9"), format!("10.0.{to}.9"));
            let frame = dp.frame(name).ip4(&src, &dst).udp(from as u16, to as u16);
            burst.push((from, to, frame));
        }
    }
    let input: Vec<_> = burst
        .iter()
        .map(|(from, _, f)| (&names[*from][..], f.into()))
        .collect();
    let out = dp.send_all(&input);
    let (mut events, drops) = out.take_events();
    assert!(drops.is_empty(), "{drops:?}");
    for (_, to, frame) in &burst {
        let src = ironlane_packet::eth::Mac([2, 0, 0, 0, *to as u8, 1]);
        let dst = ironlane_tests::mac(&format!("02::{to}9"));
        let bytes = ironlane_tests::expect_forwarded(frame, dst, src);
        let sent = ironlane_tests::Event::Sent {
            port: names[*to].clone(),
            bytes,
        };
        let found = events.iter().position(|event| *event == sent);
        events.remove(found.expect("each frame leaves by its port"));
    }
    assert!(events.is_empty());
    out.nothing_else();
}

#[test]
pub fn traffic_marks_its_adjacency_as_used() {
    let mut dp = router_on(WholeDp::new());
    let used = |dp: &mut WholeDp| {
        let tables = std::sync::Arc::clone(dp.writer().tables());
        let mut reader = ironlane_rcu::Domain::register(tables.domain()).unwrap();
        let guard = reader.read();
        let nexthop = tables
            .ip4(&guard, ironlane_fib::VrfId::DEFAULT)
            .lookup(&guard, 0xcb00_7109);
        tables.nexthops().of_burst(&guard).take_used(nexthop)
    };
    assert!(!used(&mut dp));
    let frame = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    dp.send("p0", &frame)
        .forwarded("p1", "02::9", &frame)
        .nothing_else();
    assert!(used(&mut dp) && !used(&mut dp));
}
