//! Punt and inject: what the exception thread gets and gives, policers, sleep and wake.

mod rig;

use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{IdleConfig, PolicerConfig};
use ironlane_dataplane::eal::{Mbuf, MbufBatch};
use ironlane_dataplane::lcore::{CounterSet, ExceptionChannel};
use ironlane_dataplane::reason::{DropReason, PuntPriority, PuntReason};
use rig::{Rig, bytes, wait_for};

fn punted(channel: &mut ExceptionChannel) -> Vec<(u16, PuntReason, Vec<u8>)> {
    let mut out = Vec::new();
    let mut batch = MbufBatch::new();
    for &priority in PuntPriority::ALL {
        while channel.punted(priority, &mut batch) > 0 {
            for mbuf in batch.as_slice() {
                let reason = PuntReason::from_index(mbuf.user() as usize).unwrap();
                assert_eq!(reason.priority(), priority);
                out.push((mbuf.port(), reason, bytes(mbuf)));
            }
            batch.free();
        }
    }
    out
}

#[test]
fn a_packet_for_us_is_punted_as_it_arrived_and_the_answer_leaves() {
    let mut rig = Rig::start(1, &[("e0", 1, 1, 255), ("e1", 1, 1, 255)], |_| {});
    rig.local("10.9.0.1/32");
    let mut channel = rig.dataplane.take_exception().unwrap();
    assert!(rig.dataplane.take_exception().is_none());

    let frame = rig.frame(1, 9, 7);
    rig.send(1, 0, std::slice::from_ref(&frame));
    wait_for("a punt", || channel.has_punted());
    assert_eq!(
        punted(&mut channel),
        [(rig.id(1).0, PuntReason::Local, frame)]
    );

    // The kernel's answers, one of them longer than a buffer.
    let long = vec![0x42; 5000];
    let mut batch = MbufBatch::new();
    for answer in [&[0x41; 60][..], &long] {
        batch.push(channel.packet(answer).unwrap()).unwrap();
    }
    assert_eq!(batch.as_slice()[1].nb_segs(), 3);
    assert_eq!(channel.inject(rig.id(0), &mut batch), 2);
    let mut out = Vec::new();
    wait_for("two frames", || {
        out.extend(rig.sent(0));
        out.len() == 2
    });
    assert_eq!(out, [vec![0x41; 60], long]);

    let counters = rig.dataplane.counters().snapshot();
    assert_eq!(counters.port(rig.id(0)).injected_packets, 2);
    assert_eq!(counters.port(rig.id(1)).punts[PuntReason::Local.index()], 1);
    assert!(counters.lcores[0].identity().holds());
    drop(channel);
    rig.stop();
}

#[test]
fn a_flood_meets_its_policer_and_then_its_ring() {
    let local = PuntReason::Local;
    let mut rig = Rig::start(1, &[("q0", 1, 1, 1023)], |config| {
        config.rings.punt = [63, 31, 63];
        let (rate_pps, burst) = (1, Some(100));
        config.policers.push(PolicerConfig {
            reason: local,
            rate_pps,
            burst,
        });
    });
    rig.local("10.9.0.1/32");
    let mut channel = rig.dataplane.take_exception().unwrap();
    let frames: Vec<_> = (0..500).map(|n| rig.frame(0, 9, n)).collect();
    rig.send(0, 0, &frames);
    let counters = rig.dataplane.counters();
    wait_for("all counted", || {
        counters.snapshot().ports().rx_packets == 500
    });

    let snapshot = counters.snapshot();
    let port = snapshot.port(rig.id(0));
    assert_eq!(port.punts[local.index()], 31);
    let full = port.drops[DropReason::PuntRingFull.index()];
    let policed = port.drops[DropReason::PuntPoliced.index()];
    // The bucket gets one token a second while the test runs.
    assert!(
        (69..=79).contains(&full) && full + policed == 469,
        "{full} {policed}"
    );
    assert_eq!(snapshot.turns().policed[local.index()], policed);
    assert_eq!(snapshot.turns().ring_full[local.index()], full);
    // What got through are the first ones, in order.
    let got: Vec<_> = punted(&mut channel)
        .iter()
        .map(|punt| rig::number(&punt.2))
        .collect();
    assert_eq!(got, (0..31).collect::<Vec<_>>());
    drop(channel);
    rig.stop();
}

#[test]
fn punts_left_in_the_rings_come_back_at_the_stop() {
    let mut rig = Rig::start(1, &[("r0", 1, 1, 255)], |_| {});
    rig.local("10.9.0.1/32");
    let frames: Vec<_> = (0..100).map(|n| rig.frame(0, 9, n)).collect();
    rig.send(0, 0, &frames);
    let counters = rig.dataplane.counters();
    wait_for("punts", || {
        counters.snapshot().ports().punts[PuntReason::Local.index()] == 100
    });
    rig.stop();
}

/// A minute of sleep unless somebody wakes it; a test that is not over long before has waited.
fn sleeper(port: &str) -> Rig {
    Rig::start(1, &[(port, 1, 1, 255)], |config| {
        config.idle = IdleConfig {
            spin_us: 0,
            pause_us: 0,
            sleep_min_us: 60_000_000,
            sleep_max_us: 60_000_000,
        };
    })
}

/// Waits until the lcore has been asleep once more. The look at its counters wakes it, and it falls
/// asleep again at once.
fn wait_for_sleep(counters: &CounterSet) {
    let sleeps = || counters.snapshot().turns().sleeps;
    let before = sleeps();
    wait_for("sleep", || sleeps() > before);
}

#[test]
fn a_sleeping_lcore_wakes_for_the_kernel_and_for_readers() {
    let mut rig = sleeper("s0");
    let mut channel = rig.dataplane.take_exception().unwrap();
    let counters = rig.dataplane.counters();
    let mut batch = MbufBatch::new();
    for _ in 0..20 {
        wait_for_sleep(&counters);
        batch.push(channel.packet(&[1; 60]).unwrap()).unwrap();
        channel.inject(rig.id(0), &mut batch);
        wait_for("the frame", || rig.sent(0).len() == 1);
    }
    let snapshot = counters.snapshot();
    assert!(snapshot.lcores[0].exact && snapshot.lcores[0].running);
    let turns = snapshot.turns();
    assert_eq!(turns.wakes, turns.sleeps, "no sleep was over by itself");
    assert!(turns.sleeps >= 20);
    assert!(
        turns.iterations < 50 * turns.sleeps,
        "{} turns between {} sleeps",
        turns.iterations,
        turns.sleeps
    );
    drop(channel);
    // So does the stop.
    let stop = Instant::now();
    rig.stop();
    assert!(stop.elapsed() < Duration::from_secs(30));
}

#[test]
fn writers_do_not_wait_for_a_sleeping_lcore() {
    let mut rig = sleeper("t0");
    let counters = rig.dataplane.counters();
    for _ in 0..20 {
        wait_for_sleep(&counters);
        let start = Instant::now();
        rig.writer.synchronize();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
    rig.stop();
}

#[test]
fn packets_of_the_kernel_take_buffers_by_the_burst_and_every_last_one() {
    let mut rig = Rig::start(1, &[("k0", 1, 1, 255)], |config| {
        config.exception_mbufs = 511;
    });
    let mut channel = rig.dataplane.take_exception().unwrap();
    let first = channel.packet(&[1; 60]).unwrap();
    assert_eq!(channel.pool().in_use(), 32);
    channel.free_spare();
    assert_eq!(channel.pool().in_use(), 1);
    first.free();
    let mut all = Vec::new();
    while let Some(mbuf) = channel.packet(&[all.len() as u8; 60]) {
        all.push(mbuf);
    }
    assert_eq!((all.len(), channel.pool().in_use()), (511, 511));
    assert!(
        all.iter()
            .enumerate()
            .all(|(i, m)| m.data() == [i as u8; 60])
    );
    // Two segments wanted, one to be had: it goes back.
    all.pop().unwrap().free();
    assert!(channel.packet(&[1; 4000]).is_none());
    assert_eq!(channel.pool().in_use(), 510);
    all.into_iter().for_each(Mbuf::free);
    assert_eq!(channel.pool().in_use(), 0);
    // What is not given back goes with the channel.
    channel.packet(&[1; 60]).unwrap().free();
    drop(channel);
    rig.stop();
}
