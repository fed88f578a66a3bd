//! `net_tap` ports: link state wherever the kernel end goes, and sleep that ends with a frame.
//!
//! Everything is in network namespaces without a name, which go with the test's threads. It
//! needs root and /dev/net/tun; without them the test says so and is skipped.

mod rig;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::eal::{LinkState, MbufBatch};
use ironlane_dataplane::reason::{PuntPriority, PuntReason};
use ironlane_fib::Tables;
use ironlane_rcu::Domain;
use rig::netns::{Netns, can_make_taps, run};
use rig::{cpus, eal, wait_for};

#[test]
fn a_tap_in_another_namespace_has_its_true_link_state() {
    if !can_make_taps("a_tap_in_another_namespace_has_its_true_link_state") {
        return;
    }
    let there = Netns::new();
    // EAL's threads, and so the tap, start in the namespace of this thread.
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let config = DataplaneConfig {
        lcores: cpus(1),
        ports: vec![PortConfig::new("t0", "net_tap0,iface=iltest0")],
        ..DataplaneConfig::default()
    };
    let mut dataplane = Dataplane::start(eal(), &config, tables, &domain).unwrap();
    let id = dataplane.ports()[0].id;
    let link = || dataplane.port_link(id).unwrap().state;
    wait_for("carrier", || link() == LinkState::Up);
    let (taps, signal) = taps_that_signal();
    assert!(taps > 0 && signal == 0, "{signal} of {taps} files");

    run(&format!("ip link set iltest0 netns {}", there.tid));
    assert_eq!(link(), LinkState::Down, "moving sets it down");
    there.run("ip link set iltest0 address 02:00:00:00:07:07 up");
    assert_eq!(link(), LinkState::Up, "set up where it is now");
    there.run("ip link set iltest0 down");
    assert_eq!(link(), LinkState::Down, "set down there");
    there.run("ip link set iltest0 up");
    assert_eq!(link(), LinkState::Up);

    // Our side down takes the carrier away, as a physical port would.
    dataplane.port_set_admin(id, false).unwrap();
    wait_for("no carrier", || link() == LinkState::Down);
    dataplane.port_set_admin(id, true).unwrap();
    wait_for("carrier again", || link() == LinkState::Up);

    // A frame wakes the lcore, which otherwise looks at its port every tenth of a second only.
    let mut channel = dataplane.take_exception().unwrap();
    let (counters, waker) = (dataplane.counters(), Arc::clone(channel.waker()));
    there.run("ip address add 192.0.2.2/24 dev iltest0");
    let sleeps = || counters.snapshot().turns().sleeps;
    let (mut took, mut batch) = (Vec::new(), MbufBatch::new());
    for host in 11..16 {
        let before = sleeps();
        wait_for("sleep", || sleeps() > before);
        while PuntPriority::ALL
            .iter()
            .any(|p| channel.punted(*p, &mut batch) > 0)
        {
            batch.free();
        }
        waker.prepare();
        let start = Instant::now();
        // The kernel asks for the neighbour at once.
        there.run(&format!("ip neigh add 192.0.2.{host} dev iltest0 nud none"));
        there.run(&format!(
            "ip neigh change 192.0.2.{host} dev iltest0 use managed"
        ));
        waker.wait_ms(5_000);
        took.push(start.elapsed());
        waker.awake();
        wait_for("a punt", || channel.has_punted());
    }
    assert!(counters.snapshot().port(id).punts[PuntReason::Arp.index()] >= 5);
    took.sort();
    assert!(took[2] < Duration::from_millis(50), "{took:?}");
    while PuntPriority::ALL
        .iter()
        .any(|p| channel.punted(*p, &mut batch) > 0)
    {
        batch.free();
    }
    drop(channel);
    let report = dataplane.stop();
    assert!(report.is_clean(), "{:?}", report.pools);
}

/// How many files of taps this process has, and for how many of them the kernel is to send signals.
fn taps_that_signal() -> (usize, usize) {
    let (mut taps, mut signal) = (0, 0);
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if !fs::read_link(entry.path()).is_ok_and(|path| path.ends_with("net/tun")) {
            continue;
        }
        let number = entry.file_name().into_string().unwrap();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        taps += 1;
        signal += usize::from(flags & libc::O_ASYNC != 0);
    }
    (taps, signal)
}
