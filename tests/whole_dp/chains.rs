//! Packets in chains of buffers: any way of cutting gives the same result.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::{Injected, Settings, WholeDp};

use crate::{FAR4, FAR6, HOST4, HOST6, US4, US6, router};

/// Ways to cut a packet, from none to one byte a segment.
const CUTS: [&[usize]; 12] = [
    &[],
    &[1],
    &[13],
    &[14],
    &[15],
    &[33],
    &[34],
    &[54],
    &[0, 7],
    &[127, 1],
    &[
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ],
    &[14, 20, 8, 0, 3],
];

#[test]
pub fn a_forwarded_packet_is_the_same_however_it_was_cut() {
    let mut dp = router();
    for cut in CUTS {
        for len in [0, 26, 120, 700, 1400] {
            for padding in [0, 11] {
                let frames = [
                    dp.frame("p0")
                        .ip4(HOST4, FAR4)
                        .data_len(len)
                        .padding(padding)
                        .udp(1, 2),
                    dp.frame("p0")
                        .ip6(HOST6, FAR6)
                        .data_len(len)
                        .padding(padding)
                        .udp(1, 2),
                    dp.frame("p0")
                        .vlan(0)
                        .ip4(HOST4, FAR4)
                        .data_len(len)
                        .udp(1, 2),
                    dp.frame("p0")
                        .ip4(HOST4, FAR4)
                        .options(&[1; 40])
                        .data_len(len)
                        .udp(1, 2),
                ];
                let burst: Vec<_> = frames
                    .iter()
                    .map(|f| ("p0", Injected::from(f).segments(cut)))
                    .collect();
                let out = dp.send_all(&burst);
                for frame in &frames {
                    out.forwarded("p1", "02::9", frame);
                }
                out.nothing_else();
            }
        }
    }
}

#[test]
pub fn padding_in_segments_of_its_own_is_cut_off() {
    let mut dp = router();
    let frame = dp
        .frame("p0")
        .ip4(HOST4, FAR4)
        .data_len(0)
        .padding(300)
        .udp(1, 2);
    for cut in [&[42][..], &[42, 100, 100], &[43], &[41, 1, 1], &[300, 20]] {
        let chained = Injected::from(&frame).segments(cut);
        dp.send("p0", chained)
            .forwarded("p1", "02::9", &frame)
            .nothing_else();
    }
}

#[test]
pub fn a_punted_packet_is_what_arrived_however_it_was_cut() {
    let mut dp = router();
    let frames = [
        (
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .ttl(1)
                .data_len(600)
                .udp(1, 2),
            PuntReason::TtlExpired,
        ),
        (
            dp.frame("p0").ip4(HOST4, US4).data_len(600).tcp(40000, 179),
            PuntReason::Bgp,
        ),
        (
            dp.frame("p0").ip6(HOST6, US6).data_len(600).tcp(40000, 179),
            PuntReason::Bgp,
        ),
        (
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .options(&[148, 4, 0, 0])
                .udp(1, 2),
            PuntReason::RouterAlert,
        ),
        (dp.frame("p0").llc(&[0xfe; 1400]), PuntReason::Isis),
    ];
    for cut in CUTS {
        for (frame, reason) in &frames {
            let chained = Injected::from(frame).segments(cut);
            dp.send("p0", chained)
                .punted("p0", *reason, frame)
                .nothing_else();
        }
    }
}

#[test]
pub fn extension_headers_are_followed_through_the_whole_chain() {
    let mut dp = router();
    // 160 bytes of destination options: the upper layer starts beyond what classify joins.
    let long = [&[0, 19, 1, 154][..], &[0; 156]].concat();
    let alert = [&[0, 19, 5, 2, 0, 0, 1, 152][..], &[0; 152]].concat();
    let mut frames = vec![
        (
            dp.frame("p0")
                .ip6(HOST6, US6)
                .extension(60, &long)
                .tcp(40000, 179),
            Ok(PuntReason::Bgp),
        ),
        (
            dp.frame("p0")
                .dst("33:33:00:00:00:16")
                .ip6("fe80::9", "ff02::16")
                .extension(0, &alert)
                .icmp(143),
            Ok(PuntReason::Mld),
        ),
        (
            dp.frame("p0")
                .ip6(HOST6, FAR6)
                .extension(0, &alert)
                .udp(1, 2),
            Ok(PuntReason::RouterAlert),
        ),
    ];
    for (kind, verdict) in [
        (128, Ok(PuntReason::TtlExpired)),
        (1, Err(DropReason::Ip6HopLimitExpired)),
    ] {
        let frame = dp.frame("p0").ip6(HOST6, FAR6).ttl(1);
        frames.push((frame.extension(60, &long).icmp(kind), verdict));
    }
    for cut in CUTS.into_iter().chain([&[100][..], &[62, 64, 30]]) {
        for (frame, verdict) in &frames {
            for full in [false, true] {
                let mut chained = Injected::from(frame).segments(cut);
                chained.full_first_segment = full;
                let out = dp.send("p0", chained);
                match verdict {
                    Ok(reason) => out.punted("p0", *reason, frame),
                    Err(reason) => out.dropped("p0", *reason),
                };
                out.nothing_else();
            }
        }
    }
}

#[test]
pub fn lengths_are_compared_with_the_whole_chain() {
    let mut dp = router();
    let frame4 = dp.frame("p0").ip4(HOST4, FAR4).data_len(600).udp(1, 2);
    let frame6 = dp.frame("p0").ip6(HOST6, FAR6).data_len(600).udp(1, 2);
    for cut in CUTS {
        let short4 = Injected::from(&frame4[..frame4.len() - 1]).segments(cut);
        dp.send("p0", short4)
            .dropped("p0", DropReason::Ip4Truncated)
            .nothing_else();
        let short6 = Injected::from(&frame6[..frame6.len() - 1]).segments(cut);
        dp.send("p0", short6)
            .dropped("p0", DropReason::Ip6Truncated)
            .nothing_else();
    }
}

#[test]
pub fn jumbo_packets_cross_the_box() {
    let mut dp = WholeDp::new()
        .port_with("p0", "192.0.2.1/24 2001:db8:0:1::1/64", 9000, (1, 1))
        .port_with("p1", "198.51.100.1/24 2001:db8:0:2::1/64", 9000, (1, 1));
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    for len in [2000, 2048, 4096, 8951, 9000 - 48] {
        for cut in [&[][..], &[14], &[2048, 1], &[100; 60]] {
            let frame4 = dp.frame("p0").ip4(HOST4, FAR4).data_len(len).df().udp(1, 2);
            let frame6 = dp.frame("p0").ip6(HOST6, FAR6).data_len(len).udp(1, 2);
            let out = dp.send_all(&[
                ("p0", Injected::from(&frame4).segments(cut)),
                ("p0", Injected::from(&frame6).segments(cut)),
            ]);
            out.forwarded("p1", "02::9", &frame4)
                .forwarded("p1", "02::9", &frame6)
                .nothing_else();
        }
    }
    let frame = dp
        .frame("p0")
        .ip4(HOST4, FAR4)
        .data_len(8973)
        .df()
        .udp(1, 2);
    dp.send("p0", &frame)
        .punted("p0", PuntReason::TooBig, &frame)
        .nothing_else();
}

#[test]
pub fn a_port_that_sends_no_chains_gets_packets_in_one_buffer() {
    let mut dp = WholeDp::with(Settings {
        adjust: |config| config.ports[1].joins_chains = true,
        ..Settings::default()
    })
    .port_with("p0", "192.0.2.1/24 2001:db8:0:1::1/64", 9000, (1, 1))
    .port_with("p1", "198.51.100.1/24 2001:db8:0:2::1/64", 9000, (1, 1));
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    for cut in CUTS {
        for len in [0, 300, 2100] {
            let frame4 = dp.frame("p0").ip4(HOST4, FAR4).data_len(len).df().udp(1, 2);
            let frame6 = dp.frame("p0").ip6(HOST6, FAR6).data_len(len).udp(1, 2);
            let out = dp.send_all(&[
                ("p0", Injected::from(&frame4).segments(cut)),
                ("p0", Injected::from(&frame6).segments(cut)),
            ]);
            out.forwarded("p1", "02::9", &frame4)
                .forwarded("p1", "02::9", &frame6)
                .nothing_else();
        }
    }
    // The buffers of this test are too small; those that its own ports receive in are not.
    let frame = dp.frame("p0").ip4(HOST4, FAR4).data_len(2200).udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p1", DropReason::TxChained)
        .nothing_else();
    let pools = dp.dataplane().pools();
    assert!(pools.iter().any(|pool| pool.name() == "node0-9024"));
    let whole = vec![0x55; 9000];
    let sent = [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 1, 1, 8, 0][..], &whole].concat();
    dp.inject(&[("p1", &sent)]).sent("p1", &sent).nothing_else();
}
