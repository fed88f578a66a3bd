//! A ring port with its tap, and what is between.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ironlane_control::exception::{
    ExceptionHandle, ExceptionThread, Links, Namespace, PortTap, Tap, TapSpec,
};
use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::eal::{CpuList, Eal, EalConfig, Mbuf, MbufBatch, Mempool, RingPort};
use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

use super::{HOST, MAC, MTU};
/// One ring port with its tap `p0` (192.0.2.1/24) in a namespace of its own, and what is between.
pub struct Rig {
    pub dataplane: Option<Dataplane>,
    pub thread: Option<ExceptionThread>,
    pub stats: ExceptionHandle,
    ring: RingPort,
    pool: Mempool,
    _writer: Writer,
    pub namespace: Namespace,
    pub links: Links,
    pub netns: String,
}

impl Rig {
    pub fn start(name: &str) -> Option<Self> {
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
            None,
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
    pub fn arrive_in(&mut self, frame: &[u8], segment: usize) {
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

    pub fn arrive(&mut self, frame: &[u8]) {
        self.arrive_in(frame, 2000);
    }

    /// What left by the port since the last call.
    pub fn left(&mut self) -> Vec<Vec<u8>> {
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
    pub fn left_one(&mut self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut found = None;
        wait_for(what, || {
            found = self.left().into_iter().find(|frame| wanted(frame));
            found.is_some()
        });
        found.unwrap()
    }

    /// Stops all in the daemon's order and checks that no buffer and no count is missing.
    pub fn stop(mut self) {
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

pub fn run(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}
