//! The exception thread between real lcores and real taps: ring ports on one side, the kernel's
//! stack on the other. Needs root.

mod frames;
mod rig;

use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ironlane_control::exception::{InjectDrop, TapDrop};
use ironlane_dataplane::dataplane::PolicerConfig;
use ironlane_dataplane::reason::{DropReason, PuntPriority, PuntReason};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, recv, setsockopt, socket};
use nix::sys::socket::{MsgFlags, sockopt};

use frames::{arp_request, echo_request, ip4, is_arp};
use rig::{Rig, run, wait_for};

/// Frames lie in the lcores' mempools, and CPUs are few: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 0xee, 9];
const MTU: u16 = 9000;

#[test]
fn the_kernel_answers_arp_and_ping_by_the_port() {
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex1") else {
        return;
    };
    rig.arrive(&arp_request());
    let reply = rig.left_one("an ARP reply", |frame| is_arp(frame, 2));
    assert_eq!((&reply[..6], &reply[22..28]), (&HOST[..], &MAC[..]));

    // One in a chain of segments, and one near the largest that the port carries.
    for (len, segment) in [(56, 30), (8900, 2000)] {
        let request = echo_request(len);
        rig.arrive_in(&request, segment);
        let reply = rig.left_one("an echo reply", |f| f[12..14] == [8, 0] && f[23] == 1);
        assert_eq!(reply[34], 0, "echo reply");
        assert_eq!(reply[42..], request[42..], "with the same data");
    }
    let counts = rig.stats.counters().total();
    assert_eq!(counts.delivered[PuntPriority::Medium.index()], 3);
    assert_eq!(counts.dropped, [0; TapDrop::COUNT]);
    assert!(counts.injected >= 3);
    rig.stop();
}

#[test]
fn a_tap_that_is_down_or_deleted_loses_frames_with_a_reason() {
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex2") else {
        return;
    };
    let stats = rig.stats.clone();
    let dropped = |reason: TapDrop| stats.counters().total().dropped[reason.index()];
    let tap = rig.links.find("p0").unwrap().unwrap();
    rig.links.set_admin(&tap, false).unwrap();
    rig.arrive(&arp_request());
    wait_for("tap_down", || dropped(TapDrop::TapDown) == 1);

    rig.links.set_admin(&tap, true).unwrap();
    rig.arrive(&arp_request());
    rig.left_one("an ARP reply", |frame| is_arp(frame, 2));

    run(&format!("ip -n {} link del p0", rig.netns));
    rig.arrive(&arp_request());
    wait_for("tap_missing", || dropped(TapDrop::TapMissing) == 1);
    rig.stop();
}

#[test]
fn frames_beyond_the_ports_mtu_are_dropped_and_counted() {
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex3") else {
        return;
    };
    let port = rig.dataplane.as_ref().unwrap().ports()[0].id;
    rig.arrive(&arp_request());
    rig.left_one("an ARP reply", |frame| is_arp(frame, 2));
    rig.stats.set_mtu(port, 1500);
    rig.arrive(&echo_request(1473));
    let stats = rig.stats.clone();
    wait_for("inject_too_big", || {
        stats.counters().total().inject_dropped[InjectDrop::InjectTooBig.index()] == 1
    });
    rig.arrive(&echo_request(1472));
    let reply = rig.left_one("a reply of 1500 bytes", |f| {
        f[12..14] == [8, 0] && f[23] == 1
    });
    assert_eq!(reply.len(), 1514);
    rig.stop();
}

/// For two seconds TTL-expired and gleans come as fast as the lcore takes them, with a segment of
/// a BGP session among them ten times a second. Every segment must reach the tap.
#[test]
fn a_flood_does_not_cost_one_bgp_keepalive() {
    const KEEPALIVES: u32 = 20;
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex4") else {
        return;
    };
    let capture = rig
        .namespace
        .run(|| {
            let all = SockProtocol::EthAll;
            let kind = SockType::Raw;
            socket(AddressFamily::Packet, kind, SockFlag::SOCK_NONBLOCK, all).unwrap()
        })
        .unwrap();
    setsockopt(&capture, sockopt::RcvBufForce, &(64 << 20)).unwrap();

    let expired = ip4([198, 51, 100, 7], 1, 17, &[0; 26]);
    let glean = ip4([203, 0, 113, 7], 64, 17, &[0; 26]);
    let keepalive = |n: u32| {
        // TCP 179 -> 40000, ACK and PSH, the number in place of the sequence number.
        let mut tcp = vec![0, 179, 0x9c, 0x40];
        tcp.extend(n.to_be_bytes());
        tcp.extend([0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
        tcp.extend([0xff; 19]);
        ip4([192, 0, 2, 1], 1, 6, &tcp)
    };
    let start = Instant::now();
    let mut flood = 0_u64;
    let mut sent = 0;
    while sent < KEEPALIVES {
        if start.elapsed() >= Duration::from_millis(u64::from(sent) * 100) {
            rig.arrive(&keepalive(sent));
            sent += 1;
        }
        for _ in 0..16 {
            rig.arrive(&expired);
            rig.arrive(&glean);
        }
        flood += 32;
        rig.left();
    }
    let stats = rig.stats.clone();
    let bgp = || stats.counters().total().delivered[PuntPriority::High.index()];
    wait_for("all keepalives", || bgp() == u64::from(KEEPALIVES));
    assert_eq!(stats.counters().total().dropped, [0; TapDrop::COUNT]);

    let mut seen = Vec::new();
    let mut frame = [0; 2048];
    while let Ok(len) = recv(capture.as_raw_fd(), &mut frame, MsgFlags::empty()) {
        if len > 42 && frame[..6] == MAC && frame[23] == 6 && frame[34..36] == [0, 179] {
            seen.push(u32::from_be_bytes(frame[38..42].try_into().unwrap()));
        }
    }
    assert_eq!(
        seen,
        (0..KEEPALIVES).collect::<Vec<_>>(),
        "on the tap, in order"
    );

    let counters = rig
        .dataplane
        .as_ref()
        .unwrap()
        .counters()
        .snapshot()
        .ports();
    let policed = counters.drops[DropReason::PuntPoliced.index()]
        + counters.drops[DropReason::GleanPoliced.index()]
        + counters.drops[DropReason::PuntRingFull.index()];
    let low = counters.punts[PuntReason::TtlExpired.index()];
    eprintln!(
        "{flood} frames in {:?}, {policed} policed, {low} TTL expired",
        start.elapsed()
    );
    assert!(
        policed > flood / 2,
        "the flood was one: {policed} of {flood} policed"
    );
    rig.stop();
}

/// Lcores run on when the thread is to stop, and punt faster than taps take frames.
#[test]
fn a_flood_does_not_keep_the_thread_from_stopping() {
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex5") else {
        return;
    };
    let (reason, rate_pps) = (PuntReason::TtlExpired, 50_000_000);
    rig.dataplane.as_ref().unwrap().set_policer(PolicerConfig {
        reason,
        rate_pps,
        burst: None,
    });
    let expired = ip4([198, 51, 100, 7], 1, 17, &[0; 26]);
    let thread = rig.thread.take().unwrap();
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            let start = Instant::now();
            thread.stop();
            // Relaxed: tells to end, and guards nothing.
            stopped.store(true, Ordering::Relaxed);
            start.elapsed()
        });
        while !stopped.load(Ordering::Relaxed) {
            for _ in 0..64 {
                rig.arrive(&expired);
            }
            rig.left();
        }
        let took = stopper.join().unwrap();
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
    let report = rig.dataplane.take().unwrap().stop();
    assert!(report.is_clean(), "{:?} {:?}", report.pools, report.failed);
    assert!(rig.links.find("p0").unwrap().is_none(), "the tap is gone");
}

/// Linux holds all of a burst of long packets while it resolves the neighbour, and sends them in
/// order once it knows it.
#[test]
fn a_burst_to_a_neighbour_that_is_not_resolved_arrives_whole() {
    const BURST: u16 = 200;
    let _guard = ONE_AT_A_TIME.lock();
    let Some(mut rig) = Rig::start("ex6") else {
        return;
    };
    let netns = &rig.netns;
    for setting in [
        "ip_forward=1",
        "conf.p0.send_redirects=0",
        "conf.all.send_redirects=0",
    ] {
        run(&format!(
            "ip netns exec {netns} sysctl -qw net.ipv4.{setting}"
        ));
    }
    run(&format!(
        "ip -n {netns} route add 203.0.113.0/24 via 192.0.2.9"
    ));
    let payload = |n: u16| [&n.to_be_bytes()[..], &[7; 1470]].concat();
    for n in 0..BURST {
        rig.arrive(&ip4([203, 0, 113, 7], 64, 17, &payload(n)));
    }
    let stats = rig.stats.clone();
    let low = PuntPriority::Low.index();
    wait_for("the burst at the tap", || {
        stats.counters().total().delivered[low] == u64::from(BURST)
    });
    rig.left_one("an ARP request", |frame| is_arp(frame, 1));
    let mut reply = arp_request();
    reply[..6].copy_from_slice(&MAC);
    reply[21] = 2;
    reply[32..38].copy_from_slice(&MAC);
    rig.arrive(&reply);

    let mut arrived = Vec::new();
    wait_for("the burst", || {
        let sent = rig.left().into_iter();
        let burst = sent.filter(|frame| frame[12..14] == [8, 0] && frame[23] == 17);
        arrived.extend(burst.map(|frame| u16::from_be_bytes([frame[34], frame[35]])));
        arrived.len() >= usize::from(BURST)
    });
    assert_eq!(arrived, (0..BURST).collect::<Vec<_>>());
    rig.stop();
}
