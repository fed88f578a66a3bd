//! A data plane on ring ports, for the tests beside: tables with a few routes, frames in and out.

#![allow(dead_code)] // each test file uses a part of it

pub mod netns;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::eal::{CpuList, Eal, EalConfig, Mbuf, MbufBatch, Mempool, RingPort};
use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop, PortId, Tables, VrfId, Writer};
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::Ip4Fields;
use ironlane_rcu::Domain;

/// The neighbour behind every port.
pub const NEIGHBOUR: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

/// EAL, the same in all tests of a process.
pub fn eal() -> Eal {
    Eal::start(&EalConfig::without_hugepages(192)).expect("EAL without hugepages")
}

/// `n` CPUs; the same one several times if there are fewer.
pub fn cpus(n: usize) -> Vec<usize> {
    CpuList::allowed().0.into_iter().cycle().take(n).collect()
}

/// Ports on rings and a data plane over them.
pub struct Rig {
    pub dataplane: Dataplane,
    pub rings: Vec<RingPort>,
    /// The packets of the test.
    pub pool: Mempool,
    pub writer: Writer,
    pub tables: Arc<Tables>,
    pub domain: Arc<Domain>,
}

/// How a ring port is made: name, receive queues, transmit queues, ring size.
pub type RingSpec<'a> = (&'a str, u16, u16, u32);

impl Rig {
    /// Starts a data plane on `lcores` lcores. Port `i` gets a route 10.`i`.0.0/16.
    pub fn start(
        lcores: usize,
        ports: &[RingSpec<'_>],
        change: impl FnOnce(&mut DataplaneConfig),
    ) -> Self {
        let eal = eal();
        let pool = Mempool::create(eal, "test", 8191, 2048, -1).expect("a pool");
        let rings: Vec<RingPort> = ports
            .iter()
            .map(|&(name, rx, tx, size)| {
                RingPort::create(eal, name, rx, tx, size, std::slice::from_ref(&pool))
                    .expect("a ring port")
            })
            .collect();
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let mut config = DataplaneConfig {
            lcores: cpus(lcores),
            // Packets come from the test's own pool.
            mbufs: Some(1023),
            exception_mbufs: 1023,
            ..DataplaneConfig::default()
        };
        config.ports = ports
            .iter()
            .zip(&rings)
            .enumerate()
            .map(|(i, (spec, ring))| PortConfig {
                mac: Some([2, 0, 0, 0, 0xff, i as u8]),
                ..PortConfig::new(spec.0, ring.device())
            })
            .collect();
        change(&mut config);
        let dataplane =
            Dataplane::start(eal, &config, Arc::clone(&tables), &domain).expect("start");
        for (i, port) in dataplane.ports().iter().enumerate() {
            let adjacency = Adjacency::forward(port.id, port.mtu, NEIGHBOUR.0, port.mac.0);
            let nexthop = writer.add_nexthop(Nexthop::Adjacency(adjacency)).unwrap();
            let prefix = format!("10.{i}.0.0/16").parse().unwrap();
            writer.insert(VrfId::DEFAULT, prefix, nexthop).unwrap();
        }
        Self {
            dataplane,
            rings,
            pool,
            writer,
            tables,
            domain,
        }
    }

    /// Number of a port by its place.
    pub fn id(&self, place: usize) -> PortId {
        self.dataplane.ports()[place].id
    }

    /// A route to the router itself.
    pub fn local(&mut self, prefix: &str) {
        let local = Adjacency::simple(AdjacencyKind::Local);
        let nexthop = self.writer.add_nexthop(Nexthop::Adjacency(local)).unwrap();
        self.writer
            .insert(VrfId::DEFAULT, prefix.parse().unwrap(), nexthop)
            .unwrap();
    }

    /// A UDP packet that arrives at port `place`, to 10.`to`.0.1, with a number as payload.
    pub fn frame(&self, place: usize, to: u8, number: u32) -> Vec<u8> {
        frame(self.dataplane.ports()[place].mac, to, number, 18)
    }

    /// Puts frames on the ring of a receive queue; waits for room.
    pub fn send(&mut self, place: usize, queue: usize, frames: &[Vec<u8>]) {
        for frames in frames.chunks(32) {
            let mut batch = MbufBatch::new();
            wait_for("packet buffers", || {
                self.pool.alloc(&mut batch, frames.len())
            });
            for (mbuf, frame) in batch.as_mut_slice().iter_mut().zip(frames) {
                mbuf.append(frame.len())
                    .expect("room")
                    .copy_from_slice(frame);
            }
            let ring = &mut self.rings[place].to_port[queue];
            wait_for("room in the ring", || {
                ring.enqueue(&mut batch);
                batch.is_empty()
            });
        }
    }

    /// Takes what port `place` sent, without waiting.
    pub fn sent(&mut self, place: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for ring in &mut self.rings[place].from_port {
            let mut batch = MbufBatch::new();
            while ring.dequeue(&mut batch) > 0 {
                frames.extend(batch.as_slice().iter().map(bytes));
                batch.free();
            }
        }
        frames
    }

    /// Stops and checks that nothing was lost: buffers, counters, lcores.
    pub fn stop(self) {
        let report = self.dataplane.stop();
        drop(self.rings);
        assert!(report.is_clean(), "{:?} {:?}", report.pools, report.failed);
        assert_eq!(self.pool.in_use(), 0, "packets of the test");
    }
}

/// A UDP packet over IPv4 for 10.`to`.0.1 with `len` bytes of payload that start with a number.
pub fn frame(dst: Mac, to: u8, number: u32, len: usize) -> Vec<u8> {
    let mut payload = vec![0x5a; len.max(4)];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    let udp_len = 8 + payload.len() as u16;
    let header = Ip4Fields {
        src: 0xc000_0207,
        dst: 0x0a00_0001 | u32::from(to) << 16,
        protocol: 17,
        ttl: 64,
        ..Ip4Fields::default()
    };
    let mut frame = Vec::from(dst.0);
    frame.extend([2, 0, 0, 0, 0, 7, 8, 0]);
    frame.extend(header.to_bytes(udp_len));
    frame.extend(4000u16.to_be_bytes());
    frame.extend(4001u16.to_be_bytes());
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]); // no checksum: allowed over IPv4
    frame.extend(payload);
    frame
}

/// The number in a frame of [`frame`].
pub fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[42..46].try_into().unwrap())
}

/// All bytes of a packet, whatever its segments.
pub fn bytes(mbuf: &Mbuf) -> Vec<u8> {
    mbuf.segments().flatten().copied().collect()
}

/// Waits until `done`, at most ten seconds.
#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_micros(200));
    }
}
