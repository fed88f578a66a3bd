//! The exception thread between real lcores and real taps: ring ports on one side, the kernel's
//! stack on the other. Needs root.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ironlane_control::exception::{
    ExceptionHandle, ExceptionThread, InjectDrop, Links, Namespace, PortTap, Tap, TapDrop, TapSpec,
};
use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PolicerConfig, PortConfig};
use ironlane_dataplane::eal::{CpuList, Eal, EalConfig, Mbuf, MbufBatch, Mempool, RingPort};
use ironlane_dataplane::reason::{DropReason, PuntPriority, PuntReason};
use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, recv, setsockopt, socket};
use nix::sys::socket::{MsgFlags, sockopt};

/// Frames lie in the lcores' mempools, and CPUs are few: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 0xee, 9];
const MTU: u16 = 9000;

/// One ring port with its tap `p0` (192.0.2.1/24) in a namespace of its own, and what is between.
struct Rig {
    dataplane: Option<Dataplane>,
    thread: Option<ExceptionThread>,
    stats: ExceptionHandle,
    ring: RingPort,
    pool: Mempool,
    _writer: Writer,
    namespace: Namespace,
    links: Links,
    netns: String,
}

impl Rig {
    fn start(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
            println!("SKIP exception/{name}: needs root and /dev/net/tun");
            return None;
        }
        let netns = format!("il{name}{}", std::process::id());
        run(&format!(
            "ip netns add {netns} && ip -n {netns} link set lo up"
        ));
        let namespace = Namespace::named(&netns);
        let eal = Eal::start(&EalConfig::without_hugepages(192)).unwrap();
        let pool = Mempool::create(eal, "test", 8191, 2048, -1).unwrap();
        let pools = std::slice::from_ref(&pool);
        let ring = RingPort::create(eal, name, 1, 1, 1023, pools).unwrap();
        let domain = Domain::new();
        let tables = std::sync::Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(tables.clone(), domain.clone());
        let config = DataplaneConfig {
            lcores: CpuList::allowed().0.into_iter().take(1).collect(),
            ports: vec![PortConfig {
                mac: Some(MAC),
                mtu: MTU,
                ..PortConfig::new("p0", ring.device())
            }],
            ..DataplaneConfig::default()
        };
        let mut dataplane = Dataplane::start(eal, &config, tables, &domain).unwrap();
        let port = dataplane.ports()[0].id;
        let mut route = |prefix: &str, adjacency| {
            let index = writer.add_nexthop(Nexthop::Adjacency(adjacency)).unwrap();
            writer
                .insert(VrfId::DEFAULT, prefix.parse().unwrap(), index)
                .unwrap();
        };
        route("192.0.2.1/32", Adjacency::simple(AdjacencyKind::Local));
        route("198.51.100.0/24", Adjacency::forward(port, MTU, HOST, MAC));
        route("203.0.113.0/24", Adjacency::glean(port, MTU));
        let links = Links::open(&namespace).unwrap();
        let spec = TapSpec {
            name: "p0".to_owned(),
            mac: Some(MAC),
            mtu: MTU,
            addresses: vec!["192.0.2.1/24".parse().unwrap()],
            carrier: true,
        };
        let tap = Tap::create(&namespace, &links, &spec).unwrap();
        let channel = dataplane.take_exception().unwrap();
        let thread = ExceptionThread::start(
            channel,
            vec![PortTap {
                port,
                mtu: MTU,
                tap,
            }],
        )
        .unwrap();
        let stats = thread.handle();
        Some(Self {
            dataplane: Some(dataplane),
            thread: Some(thread),
            stats,
            ring,
            pool,
            _writer: writer,
            namespace,
            links,
            netns,
        })
    }

    /// Lets a frame arrive at the port, in segments of `segment` bytes; waits for room.
    fn arrive_in(&mut self, frame: &[u8], segment: usize) {
        let mut whole: Option<Mbuf> = None;
        for part in frame.chunks(segment) {
            let mut batch = MbufBatch::new();
            wait_for("packet buffers", || self.pool.alloc(&mut batch, 1));
            let mut mbuf = batch.pop().unwrap();
            mbuf.append(part.len()).unwrap().copy_from_slice(part);
            match &mut whole {
                Some(head) => head.chain(mbuf),
                None => whole = Some(mbuf),
            }
        }
        let mut batch = MbufBatch::new();
        batch.push(whole.unwrap()).unwrap();
        wait_for("room in the ring", || {
            self.ring.to_port[0].enqueue(&mut batch);
            batch.is_empty()
        });
    }

    fn arrive(&mut self, frame: &[u8]) {
        self.arrive_in(frame, 2000);
    }

    /// What left by the port since the last call.
    fn left(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut batch = MbufBatch::new();
        while self.ring.from_port[0].dequeue(&mut batch) > 0 {
            let bytes = |mbuf: &Mbuf| mbuf.segments().flatten().copied().collect();
            frames.extend(batch.as_slice().iter().map(bytes));
            batch.free();
        }
        frames
    }

    /// Waits for a frame that leaves by the port and fulfils `wanted`.
    fn left_one(&mut self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut found = None;
        wait_for(what, || {
            found = self.left().into_iter().find(|frame| wanted(frame));
            found.is_some()
        });
        found.unwrap()
    }

    /// Stops all in the daemon's order and checks that no buffer and no count is missing.
    fn stop(mut self) {
        self.thread.take().unwrap().stop();
        self.left();
        let report = self.dataplane.take().unwrap().stop();
        self.left();
        assert!(report.is_clean(), "{:?} {:?}", report.pools, report.failed);
        let total = self.stats.counters().total();
        let counted = report.counters.ports();
        assert_eq!(
            total.punted(),
            counted.punts.iter().sum::<u64>(),
            "each punt has its fate"
        );
        assert_eq!(total.injected, counted.injected_packets);
        assert!(total.inject_identity_holds());
        assert!(self.links.find("p0").unwrap().is_none(), "the tap is gone");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.netns])
            .status();
    }
}

fn run(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn sum(bytes: &[u8]) -> u16 {
    ironlane_packet::checksum::of(bytes)
}

/// An IPv4 frame from the host 192.0.2.9.
fn ip4(dst: [u8; 4], ttl: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut header = vec![
        0x45,
        0,
        (len >> 8) as u8,
        len as u8,
        0,
        0,
        0x40,
        0,
        ttl,
        protocol,
        0,
        0,
    ];
    header.extend([192, 0, 2, 9]);
    header.extend(dst);
    let check = sum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&check);
    let mut frame = [&MAC[..], &HOST, &[8, 0]].concat();
    frame.extend(header);
    frame.extend(payload);
    frame
}

fn echo_request(len: usize) -> Vec<u8> {
    let mut icmp = vec![8, 0, 0, 0, 0, 7, 0, 1];
    icmp.extend((0..len).map(|i| i as u8));
    let check = sum(&icmp).to_be_bytes();
    icmp[2..4].copy_from_slice(&check);
    ip4([192, 0, 2, 1], 64, 1, &icmp)
}

/// Who has 192.0.2.1? Tell 192.0.2.9.
fn arp_request() -> Vec<u8> {
    let mut frame = [
        &[0xff; 6][..],
        &HOST,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &HOST,
    ]
    .concat();
    frame.extend([192, 0, 2, 9]);
    frame.extend([0; 6]);
    frame.extend([192, 0, 2, 1]);
    frame
}

fn is_arp(frame: &[u8], operation: u8) -> bool {
    frame[12..14] == [8, 6] && frame[21] == operation
}

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
