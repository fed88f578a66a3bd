//! Start and stop, many times in one process, and what is refused.

mod rig;

use std::sync::Arc;

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, DataplaneError, PortConfig};
use ironlane_dataplane::eal::{CpuList, Eal, EalConfig, EalError, LinkState};
use ironlane_dataplane::reason::{DropReason, StageId};
use ironlane_fib::{PortId, Tables};
use ironlane_rcu::Domain;
use rig::{Rig, cpus, eal, wait_for};

#[test]
fn frames_pass_and_every_buffer_comes_back_each_time() {
    for _ in 0..3 {
        let mut rig = Rig::start(1, &[("l0", 1, 1, 255), ("l1", 1, 1, 255)], |_| {});
        let frames: Vec<_> = (0..100).map(|n| rig.frame(0, 1, n)).collect();
        rig.send(0, 0, &frames);
        let mut out = Vec::new();
        wait_for("100 frames", || {
            out.extend(rig.sent(1));
            out.len() == 100
        });
        for (n, frame) in out.iter().enumerate() {
            assert_eq!(frame[..6], rig::NEIGHBOUR.0);
            assert_eq!(frame[6..12], rig.dataplane.ports()[1].mac.0);
            assert_eq!((rig::number(frame), frame[22]), (n as u32, 63));
        }
        let counters = rig.dataplane.counters().snapshot();
        let (p0, p1) = (counters.port(rig.id(0)), counters.port(rig.id(1)));
        assert_eq!((p0.rx_packets, p0.rx_bytes), (100, 6000));
        assert_eq!((p1.tx_packets, p1.tx_bytes), (100, 6000));
        assert_eq!(counters.stage(StageId::Rx).packets, 100);
        assert_eq!(counters.ports().drops.iter().sum::<u64>(), 0);
        assert!(counters.lcores[0].identity().holds() && counters.lcores[0].exact);
        rig.stop();
    }
}

#[test]
fn buffers_in_flight_at_the_stop_come_back() {
    let mut rig = Rig::start(2, &[("f0", 2, 1, 1023), ("f1", 1, 1, 31)], |_| {});
    for _ in 0..20 {
        // The ring behind port 1 is too small and nobody empties it.
        let frames: Vec<_> = (0..64).map(|n| rig.frame(0, 1, n)).collect();
        rig.send(0, 0, &frames);
        rig.send(0, 1, &frames);
    }
    let (counters, id) = (rig.dataplane.counters(), rig.id(1));
    wait_for("a full transmit queue", || {
        counters.snapshot().port(id).drops[DropReason::TxQueueFull.index()] > 0
    });
    rig.stop();
}

#[test]
fn an_lcore_that_panics_is_noticed_and_holds_up_nothing() {
    let mut rig = Rig::start(2, &[("b0", 2, 1, 255), ("b1", 1, 1, 255)], |_| {});
    assert!(rig.dataplane.is_running());
    rig.dataplane.break_lcore(1);
    wait_for("the end of an lcore", || !rig.dataplane.is_running());
    // The other lcore goes on, and counters are read though one does not answer.
    let frames: Vec<_> = (0..50).map(|n| rig.frame(0, 1, n)).collect();
    rig.send(0, 0, &frames);
    let (counters, p1) = (rig.dataplane.counters(), rig.id(1));
    wait_for("50 packets to go somewhere", || {
        let port = counters.snapshot().port(p1);
        port.tx_packets + port.handoff_out == 50
    });
    let now = counters.snapshot();
    assert_eq!([0, 1].map(|i| now.lcores[i].running), [true, false]);
    rig.writer.synchronize();
    let (report, rings, pool) = (rig.dataplane.stop(), rig.rings, rig.pool);
    drop(rings);
    let [failure] = &report.failed[..] else {
        panic!("{:?}", report.failed);
    };
    assert!(
        failure.contains("lcore-1") && failure.contains("broken on purpose"),
        "{failure}"
    );
    assert!(!report.is_clean());
    assert_eq!((report.leaked(), pool.in_use()), (0, 0));
}

#[test]
fn a_port_that_is_down_drops_both_ways() {
    let mut rig = Rig::start(1, &[("d0", 1, 1, 255), ("d1", 1, 1, 255)], |_| {});
    let (p0, p1) = (rig.id(0), rig.id(1));
    assert_eq!(rig.dataplane.port_link(p0).unwrap().state, LinkState::Up);
    rig.dataplane.port_set_admin(p1, false).unwrap();
    rig.send(0, 0, &[rig.frame(0, 1, 1)]);
    rig.send(1, 0, &[rig.frame(1, 0, 2), rig.frame(1, 0, 3)]);
    let drops = |port, reason: DropReason| {
        rig.dataplane.counters().snapshot().port(port).drops[reason.index()]
    };
    wait_for("drops", || {
        drops(p1, DropReason::TxPortDown) == 1 && drops(p1, DropReason::RxPortDown) == 2
    });
    rig.dataplane.port_set_admin(p1, true).unwrap();
    rig.send(0, 0, &[rig.frame(0, 1, 4)]);
    let mut out = Vec::new();
    wait_for("a frame", || {
        out.extend(rig.sent(1));
        out.len() == 1
    });
    assert!(rig.sent(0).is_empty());
    rig.stop();
}

fn refused(change: impl FnOnce(&mut DataplaneConfig)) -> String {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut config = DataplaneConfig {
        lcores: cpus(1),
        ..DataplaneConfig::default()
    };
    change(&mut config);
    Dataplane::start(eal(), &config, tables, &domain)
        .unwrap_err()
        .to_string()
}

#[test]
fn bad_settings_are_refused_with_the_cure() {
    let port = |device: &str| vec![PortConfig::new("p0", device)];
    type Change<'a> = &'a dyn Fn(&mut DataplaneConfig);
    let cases: &[(&str, Change<'_>)] = &[
        ("no lcores: name at least one CPU", &|c| c.lcores.clear()),
        (
            "CPU 4000 is not there for this process; it may use ",
            &|c| c.lcores = vec![4000],
        ),
        ("port p0: device \"\": give a PCI address", &|c| {
            c.ports = port("")
        }),
        ("port p0: device \"net_nonsense7\": ", &|c| {
            c.ports = port("net_nonsense7")
        }),
        (
            "port p0: device \"net_pcap9,rx_pcap=/nowhere.pcap\": ",
            &|c| {
                c.ports = port("net_pcap9,rx_pcap=/nowhere.pcap");
            },
        ),
        (
            "port p0: device \"ffff:ff:1f.7\": no such PCI device; see: lspci -D",
            &|c| {
                c.ports = port("ffff:ff:1f.7");
            },
        ),
        ("two ports have the name p0", &|c| {
            c.ports = [port("net_null6"), port("net_null7")].concat()
        }),
        ("port p0: MTU 40 is not between 68 and 9000", &|c| {
            c.ports = port("net_null8");
            c.ports[0].mtu = 40;
        }),
        (
            "port p0: 9999 receive queues wanted, net_null has at most ",
            &|c| {
                c.ports = port("net_null8");
                c.ports[0].rx_queues = Some(9999);
            },
        ),
        (
            "mbufs = 500 is too few: receive queues and caches alone can take 1664; ",
            &|c| {
                c.ports = port("net_tap8,iface=ilfew");
                c.mbufs = Some(500);
            },
        ),
        (
            "mempool node0-2048: no memory for 100000000 packet buffers",
            &|c| {
                c.ports = port("net_null8");
                c.mbufs = Some(100_000_000);
            },
        ),
    ];
    for (start, change) in cases {
        let message = refused(change);
        assert!(message.starts_with(start), "{message}");
    }
    // Nothing is left behind: the device can be opened now.
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let config = DataplaneConfig {
        lcores: cpus(1),
        ports: vec![PortConfig::new("p0", "net_null8")],
        ..DataplaneConfig::default()
    };
    let dataplane = Dataplane::start(eal(), &config, tables, &domain).unwrap();
    assert!(matches!(
        dataplane.port_set_admin(PortId(77), true),
        Err(DataplaneError::NoSuchPort(PortId(77)))
    ));
    assert!(dataplane.stop().is_clean());
}

#[test]
fn eal_starts_once_and_says_so() {
    let _ = eal();
    let other = Eal::start(&EalConfig::without_hugepages(100));
    assert!(matches!(other, Err(EalError::StartedDifferently)));
}

#[test]
fn nobody_loses_a_cpu_or_a_signal_by_starting_eal() {
    let all = CpuList::allowed();
    let signals = || nix::sys::signal::SigSet::thread_get_mask().unwrap();
    let before = signals();
    let rig = Rig::start(1, &[("n0", 1, 1, 31)], |_| {});
    assert_eq!(CpuList::of_thread(), all, "the caller");
    let later = std::thread::spawn(CpuList::of_thread).join().unwrap();
    assert_eq!(later, all, "a thread started later");
    assert_eq!(signals(), before);
    rig.stop();
}
