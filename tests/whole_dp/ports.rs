//! Ports, queues, rings and policers: where packets are lost although nothing is wrong with them.

use ironlane_dataplane::dataplane::PolicerConfig;
use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_fib::{Adjacency, PortId};
use ironlane_tests::{Injected, Settings, WholeDp};

use crate::{FAR4, FAR6, HOST4, HOST6, US4, router, router_on};

#[test]
pub fn a_port_that_is_down_takes_and_sends_nothing() {
    let mut dp = router();
    let frame = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let (p0, p1) = (dp.port_id("p0"), dp.port_id("p1"));
    dp.dataplane().port_set_admin(p0, false).unwrap();
    dp.send("p0", &frame)
        .dropped("p0", DropReason::RxPortDown)
        .nothing_else();
    dp.dataplane().port_set_admin(p0, true).unwrap();
    dp.dataplane().port_set_admin(p1, false).unwrap();
    // Counted at the port that it was to leave by.
    dp.send("p0", &frame)
        .dropped("p1", DropReason::TxPortDown)
        .nothing_else();
    dp.dataplane().port_set_admin(p1, true).unwrap();
    dp.send("p0", &frame)
        .forwarded("p1", "02::9", &frame)
        .nothing_else();
}

#[test]
pub fn an_adjacency_on_a_port_that_is_gone_loses_its_packets_by_name() {
    let mut dp = router();
    let far = "10.7.0.0/16".parse().unwrap();
    let adjacency = Adjacency::forward(PortId(31), 1500, [2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
    let nexthop = dp.writer().add_nexthop(adjacency.into()).unwrap();
    dp.writer()
        .insert(ironlane_fib::VrfId::DEFAULT, far, nexthop)
        .unwrap();
    let frame = dp.frame("p0").ip4(HOST4, "10.7.1.1").udp(1, 2);
    let out = dp.send("p0", &frame);
    // There is no port to count it at but in the sum over all.
    assert_eq!(
        out.counts().ports().drops[DropReason::TxPortDown.index()],
        1
    );
    out.nothing_else();
}

#[test]
pub fn a_full_transmit_queue_is_a_drop() {
    let mut dp = WholeDp::new()
        .port("p0", "192.0.2.1/24")
        .port("p1", "198.51.100.1/24")
        .ring_size(31);
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9");
    let frames: Vec<_> = (0..40)
        .map(|i| dp.frame("p0").ip4(HOST4, FAR4).udp(i, 2))
        .collect();
    let burst: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&burst);
    let (events, drops) = out.take_events();
    let lost = drops.iter().map(|(port, reason, n)| {
        assert_eq!((&port[..], *reason), ("p1", DropReason::TxQueueFull));
        *n
    });
    let lost: u64 = lost.sum();
    assert_eq!((lost, events.len()), (9, 31));
    out.dropped_n("p1", DropReason::TxQueueFull, lost)
        .nothing_else();
}

#[test]
pub fn a_policer_holds_one_reason_back_and_no_other() {
    let policers = vec![PolicerConfig {
        reason: PuntReason::TtlExpired,
        rate_pps: 1,
        burst: Some(5),
    }];
    let mut dp = router_on(WholeDp::with(Settings {
        policers,
        ..Settings::default()
    }));
    let flood: Vec<_> = (0..100)
        .map(|i| dp.frame("p0").ip4(HOST4, FAR4).ttl(1).udp(i, 2))
        .collect();
    let keepalive = dp.frame("p0").ip4(HOST4, US4).ttl(1).tcp(40000, 179);
    let mut burst: Vec<_> = flood.iter().map(|frame| ("p0", frame.into())).collect();
    burst.push(("p0", (&keepalive).into()));
    let out = dp.send_all(&burst);
    for frame in &flood[..5] {
        out.punted("p0", PuntReason::TtlExpired, frame);
    }
    out.punted("p0", PuntReason::Bgp, &keepalive)
        .policed("p0", PuntReason::TtlExpired, 95)
        .nothing_else();
}

#[test]
pub fn a_rate_of_none_lets_none_through() {
    let policers = vec![PolicerConfig {
        reason: PuntReason::Arp,
        rate_pps: 0,
        burst: None,
    }];
    let mut dp = router_on(WholeDp::with(Settings {
        policers,
        ..Settings::default()
    }));
    let arp = [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
    ];
    let frame = dp.frame("p0").ether(0x0806, &arp);
    dp.send("p0", &frame)
        .policed("p0", PuntReason::Arp, 1)
        .nothing_else();
}

#[test]
pub fn a_full_punt_ring_is_a_drop_and_leaves_the_other_priorities_alone() {
    let settings = Settings {
        adjust: |config| config.rings.punt = [64, 64, 8],
        ..Settings::default()
    };
    let mut dp = router_on(WholeDp::with(settings));
    let low: Vec<_> = (0..40)
        .map(|i| dp.frame("p0").ip4(HOST4, FAR4).ttl(1).udp(i, 2))
        .collect();
    let high: Vec<_> = (0..20)
        .map(|i| dp.frame("p0").ip4(HOST4, US4).tcp(i, 179))
        .collect();
    let burst: Vec<_> = low
        .iter()
        .chain(&high)
        .map(|frame| ("p0", frame.into()))
        .collect();
    let out = dp.send_all(&burst);
    for frame in &high {
        out.punted("p0", PuntReason::Bgp, frame);
    }
    let kept = out.counts().ports().punts[PuntReason::TtlExpired.index()] as usize;
    assert!((8..16).contains(&kept), "{kept} of 40 in a ring of about 8");
    for frame in &low[..kept] {
        out.punted("p0", PuntReason::TtlExpired, frame);
    }
    out.punt_ring_full("p0", PuntReason::TtlExpired, 40 - kept as u64)
        .nothing_else();
}

/// Two lcores, ports with one queue each: what is polled by one lcore is sent by the other.
fn two_lcores(adjust: fn(&mut ironlane_dataplane::dataplane::DataplaneConfig)) -> Option<WholeDp> {
    let lcores: Vec<_> = CpuList::allowed().0.into_iter().take(2).collect();
    if lcores.len() < 2 {
        println!("SKIP whole_dp/two_lcores: needs two CPUs");
        return None;
    }
    let settings = Settings {
        lcores,
        adjust,
        ..Settings::default()
    };
    Some(router_on(WholeDp::with(settings)))
}

#[test]
pub fn packets_for_a_port_of_another_lcore_are_handed_over_in_order() {
    let Some(mut dp) = two_lcores(|_| {}) else {
        return;
    };
    for round in 0..20u16 {
        let frames: Vec<_> = (0..200)
            .map(|i| dp.frame("p0").ip4(HOST4, FAR4).udp(round, i))
            .collect();
        let burst: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
        let out = dp.send_all(&burst);
        for frame in &frames {
            out.forwarded("p1", "02::9", frame);
        }
        let moved = out.counts().ports();
        assert_eq!((moved.handoff_out, moved.handoff_in), (200, 200));
        out.with_handoffs().nothing_else();
    }
}

#[test]
pub fn both_families_and_chains_are_handed_over_and_punts_are_not() {
    let Some(mut dp) = two_lcores(|_| {}) else {
        return;
    };
    for round in 0..10u16 {
        let (mut frames, mut burst) = (Vec::new(), Vec::new());
        for i in 0..40 {
            let to_far4 = dp.frame("p0").ip4(HOST4, FAR4).data_len(900);
            let to_far6 = dp.frame("p0").ip6(HOST6, FAR6).data_len(900);
            frames.push((to_far4.udp(round, i), None));
            frames.push((to_far6.udp(round, i), None));
            let expired = dp.frame("p0").ip6(HOST6, FAR6).ttl(1).udp(round, i);
            frames.push((expired, Some(PuntReason::TtlExpired)));
            let bgp = dp.frame("p0").ip4(HOST4, US4).tcp(round, 179);
            frames.push((bgp, Some(PuntReason::Bgp)));
        }
        for (i, (frame, _)) in frames.iter().enumerate() {
            let cuts: [&[usize]; 3] = [&[], &[60, 1, 300], &[10, 200]];
            burst.push(("p0", Injected::from(frame).segments(cuts[i % 3])));
        }
        let out = dp.send_all(&burst);
        for (frame, punt) in &frames {
            match punt {
                None => out.forwarded("p1", "02::9", frame),
                Some(reason) => out.punted("p0", *reason, frame),
            };
        }
        let moved = out.counts().ports();
        assert_eq!((moved.handoff_out, moved.handoff_in), (80, 80));
        out.with_handoffs().nothing_else();
    }
}

#[test]
pub fn a_full_hand_off_ring_is_a_drop_at_the_port_beyond() {
    let Some(mut dp) = two_lcores(|config| config.rings.handoff = 8) else {
        return;
    };
    let frames: Vec<_> = (0..640)
        .map(|i| dp.frame("p0").ip4(HOST4, FAR4).udp(i, 2))
        .collect();
    let burst: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let mut lost = 0;
    // The other lcore may be quick enough to leave room now and then.
    for _ in 0..50 {
        let out = dp.send_all(&burst);
        let (events, drops) = out.take_events();
        for (port, reason, n) in drops {
            assert_eq!((&port[..], reason), ("p1", DropReason::HandoffRingFull));
            out.dropped_n("p1", reason, n);
            lost += n;
            assert_eq!(events.len() as u64 + n, 640);
        }
        out.with_handoffs().nothing_else();
        if lost > 0 {
            return;
        }
    }
    panic!("a ring of 8 was never full under bursts of 640");
}

#[test]
pub fn a_data_plane_starts_and_stops_many_times_without_a_leak() {
    for _ in 0..5 {
        let mut dp = router();
        let frame = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
        dp.send("p0", &frame)
            .forwarded("p1", "02::9", &frame)
            .nothing_else();
        dp.stop();
    }
}
