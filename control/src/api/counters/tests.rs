//! Answers from counters made by hand.

use std::time::{Duration, Instant, SystemTime};

use ironlane_dataplane::dataplane::{PolicerConfig, PortInfo};
use ironlane_dataplane::lcore::{
    CounterSnapshot, LcoreSnapshot, LoopCounts, PortCounts, RingCounts, StageCounts,
};
use ironlane_dataplane::reason::{DropReason, PuntReason, StageId};
use ironlane_fib::{PortId, VrfId};
use ironlane_packet::eth::Mac;

use super::super::sample::{Activity, Sample};
use super::*;
use crate::exception::{ExceptionCounts, TapDrop};

fn ports() -> Vec<PortInfo> {
    let port = |id: u16| PortInfo {
        id: PortId(id),
        name: format!("p{id}"),
        device: format!("net_null{id}"),
        driver: "net_null".into(),
        bus: "vdev".into(),
        mac: Mac([2, 0, 0, 0, 0, 0]),
        mtu: 1500,
        lists_groups: false,
        socket: -1,
        vrf: VrfId::DEFAULT,
        rx_queues: vec![0],
        tx_queues: vec![0],
        interface: None,
    };
    vec![port(0), port(1)]
}

/// One lcore that received `rx` at p0: one lost, one punted, the others sent by p1.
fn sample(rx: u64) -> Sample {
    let mut p0 = PortCounts {
        rx_packets: rx,
        rx_bytes: rx * 100,
        ..PortCounts::default()
    };
    p0.drops[DropReason::Ip4BadChecksum.index()] = 1;
    p0.punts[PuntReason::Ospf.index()] = 1;
    let p1 = PortCounts {
        tx_packets: rx - 2,
        tx_bytes: (rx - 2) * 100,
        ..PortCounts::default()
    };
    let mut turns = LoopCounts {
        busy_cycles: 300,
        idle_cycles: 100,
        sleep_ns: 500_000_000,
        ..LoopCounts::default()
    };
    turns.policed[PuntReason::TtlExpired.index()] = 9;
    let mut stages = vec![StageCounts::default(); StageId::COUNT];
    stages[StageId::Ip4Check.index()] = StageCounts {
        packets: 8,
        bursts: 2,
        cycles: 80,
    };
    let mut tap = ExceptionCounts {
        delivered: [1, 0, 0],
        ..ExceptionCounts::default()
    };
    tap.dropped[TapDrop::TapDown.index()] = 2;
    let lcore = LcoreSnapshot {
        cpu: 1,
        running: true,
        exact: true,
        ports: vec![p0, p1],
        stages,
        turns,
        held: 0,
        held_before: 0,
    };
    Sample {
        at: Instant::now(),
        lcores: CounterSnapshot {
            at: SystemTime::now(),
            lcores: vec![lcore],
            rings: RingCounts::default(),
        },
        exception: vec![tap, ExceptionCounts::default()],
    }
}

#[test]
fn drops_have_port_stage_and_meaning_and_zero_rows_hide() {
    let activity = Activity::default();
    let drops = drops(&sample(10), &ports(), &activity, false);
    let seen: Vec<_> = drops
        .iter()
        .map(|d| (&*d.port, &*d.reason, &*d.stage, d.packets))
        .collect();
    assert_eq!(
        seen,
        [
            ("p0", "ip4_bad_checksum", "ip4_check", 1),
            ("p0", "tap_down", "exception", 2)
        ]
    );
    assert!(drops[0].meaning.starts_with("Header checksum wrong"));
    let all = super::drops(&sample(10), &ports(), &activity, true);
    assert!(
        all.len() > 2 * DropReason::COUNT,
        "each reason at each port, taps too"
    );
}

#[test]
fn when_a_drop_was_last_seen_is_when_its_count_last_moved() {
    let mut activity = Activity::default();
    let second = Duration::from_secs(1);
    let mut first = sample(10);
    first.at -= 7 * second;
    activity.note(&first, &ports());
    let mut later = sample(10);
    later.at -= 3 * second;
    activity.note(&later, &ports());
    let age = drops(&later, &ports(), &activity, false)[0]
        .last_seen_ms
        .unwrap();
    assert!((7_000..8_000).contains(&age), "{age}");
    later.lcores.lcores[0].ports[0].drops[DropReason::Ip4BadChecksum.index()] = 2;
    activity.note(&later, &ports());
    let age = drops(&later, &ports(), &activity, false)[0]
        .last_seen_ms
        .unwrap();
    assert!((3_000..4_000).contains(&age), "{age}");
    let never = super::drops(&later, &ports(), &activity, true);
    assert_eq!(
        never.iter().find(|d| d.packets == 0).unwrap().last_seen_ms,
        None
    );
}

#[test]
fn punts_say_by_which_ports_and_what_was_too_much() {
    let policer = |reason| PolicerConfig {
        reason,
        rate_pps: 77,
        burst: None,
    };
    let punts = punts(&sample(10), &ports(), &Activity::default(), policer, false);
    let [ospf, ttl] = punts.as_slice() else {
        panic!("{punts:?}")
    };
    assert_eq!(
        (&*ospf.reason, &*ospf.priority, ospf.packets),
        ("ospf", "high", 1)
    );
    assert_eq!((&*ospf.ports[0].port, ospf.ports.len()), ("p0", 1));
    assert_eq!(
        (&*ttl.reason, ttl.packets, ttl.policed, ttl.rate_pps),
        ("ttl_expired", 0, 9, 77)
    );
}

#[test]
fn busy_and_asleep_are_shares_of_the_time() {
    let info = LcoreInfo {
        index: 0,
        cpu: 1,
        socket: 0,
        rx_queues: vec![(PortId(1), 0), (PortId(9), 2)],
        waking_queues: vec![(PortId(1), 0)],
        longest_sleep: Some(Duration::from_micros(500)),
        tx_queues: Vec::new(),
    };
    let lcores = lcores(&sample(10), &[info], &ports(), Duration::from_secs(1));
    assert_eq!(lcores[0].rx_queues, ["p1:0", "port9:2"]);
    assert_eq!(
        (lcores[0].sleep_percent, lcores[0].busy_percent),
        (50.0, 37.5)
    );
    assert_eq!(
        (&*lcores[0].idle_mode, lcores[0].longest_sleep_us),
        ("sleep", Some(500))
    );
    assert_eq!(lcores[0].waking_queues, ["p1:0"]);
}

#[test]
fn totals_keep_the_identity_after_a_clear() {
    let base = sample(10);
    let stats = stats(&sample(25).since(&base), Duration::from_secs(3));
    assert!(stats.identity_holds);
    assert_eq!(
        (stats.rx_packets, stats.tx_packets, stats.dropped_packets),
        (15, 15, 0)
    );
    assert_eq!(
        (stats.rx_bytes, stats.held_packets, stats.since_s),
        (1500, 0, 3)
    );
    assert_eq!(stats.tap_delivered_packets, 0);

    let waiting = |held: u64, rx: u64| {
        let mut sample = sample(rx);
        let lcore = &mut sample.lcores.lcores[0];
        // They came, and are in nothing that left.
        lcore.ports[1].tx_packets -= held;
        lcore.ports[1].made = 4;
        lcore.ports[1].tx_packets += 3;
        lcore.ports[1].joined = 1;
        lcore.held = held;
        sample
    };
    let with_fragments = super::stats(&waiting(5, 25), Duration::ZERO);
    assert!(with_fragments.identity_holds);
    assert_eq!(
        (with_fragments.made_packets, with_fragments.joined_packets),
        (4, 1)
    );
    assert_eq!(with_fragments.held_packets, 5);
    let since = super::stats(&waiting(2, 25).since(&waiting(5, 10)), Duration::ZERO);
    assert!(since.identity_holds, "three of them left since");

    let mut broken = sample(10);
    broken.lcores.lcores[0].ports[1].tx_packets -= 1;
    assert!(
        !super::stats(&broken, Duration::ZERO).identity_holds,
        "a packet is missing"
    );

    let mut late = broken.clone();
    late.lcores.lcores[0].exact = false;
    assert!(
        super::stats(&late, Duration::ZERO).identity_holds,
        "nothing is known of an lcore that did not answer"
    );
    let since_late = sample(25).since(&late);
    assert!(
        super::stats(&since_late, Duration::ZERO).identity_holds,
        "nor of the time since then"
    );
}

#[test]
fn stages_have_means_over_bursts_and_packets() {
    let stages = stages(&sample(10));
    assert_eq!(stages.len(), StageId::COUNT);
    let check = stages.iter().find(|s| s.name == "ip4_check").unwrap();
    assert_eq!(
        (check.packets_per_burst, check.cycles_per_packet),
        (4.0, 10.0)
    );
    assert_eq!(
        stages[0].cycles_per_packet, 0.0,
        "nothing is divided by zero"
    );
}
