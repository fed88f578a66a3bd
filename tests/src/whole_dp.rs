//! The data plane under test.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{
    Dataplane, DataplaneConfig, IdleConfig, PolicerConfig, PortConfig,
};
use ironlane_dataplane::eal::{DATA_ROOM, Eal, EalConfig, Mbuf, MbufBatch, Mempool, RingPort};
use ironlane_dataplane::lcore::{CounterSnapshot, ExceptionChannel};
use ironlane_dataplane::reason::{PuntPriority, PuntReason};
use ironlane_fib::{PortId, Tables, VrfId, Writer};
use ironlane_packet::eth::Mac;
use ironlane_rcu::Domain;

use crate::operator::{Operator, PortFacts};
use crate::outcome::{Event, Outcome, Sent};
use crate::{FrameBuilder, Injected};

/// Memory of the one EAL, in MiB.
const MEMORY_MIB: u32 = 256;

/// How long frames may take through an idle data plane on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Slots in the rings that ports are made of.
const RING: u32 = 1024;

/// What differs from the usual set-up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// CPUs of the lcores.
    pub lcores: Vec<usize>,
    /// Policers that differ from "let everything through".
    pub policers: Vec<PolicerConfig>,
    /// Changes to the configuration of the data plane, ports apart.
    pub adjust: fn(&mut DataplaneConfig),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lcores: vec![0],
            policers: Vec::new(),
            adjust: |_| {},
        }
    }
}

struct PortSpec {
    name: String,
    addresses: String,
    mtu: u16,
    queues: (u16, u16),
    vrf: VrfId,
    ring: u32,
}

/// A data plane with its ports, tables and counters. One lives at a time in a process; a second
/// waits for the end of the first. When it goes it is stopped, and every packet buffer must
/// have come back.
pub struct WholeDp {
    specs: Vec<PortSpec>,
    settings: Settings,
    running: Option<Running>,
    _turn: MutexGuard<'static, ()>,
}

struct Running {
    dataplane: Option<Dataplane>,
    exception: Option<ExceptionChannel>,
    operator: Operator,
    ports: Vec<PortFacts>,
    rings: Vec<RingPort>,
    pool: Mempool,
    base: CounterSnapshot,
}

static TURN: Mutex<()> = Mutex::new(());

impl Default for WholeDp {
    fn default() -> Self {
        Self::new()
    }
}

impl WholeDp {
    /// A data plane without ports, on one lcore, with policers that let everything through.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// One with other settings.
    pub fn with(settings: Settings) -> Self {
        Self {
            specs: Vec::new(),
            settings,
            running: None,
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A port with these addresses and prefix lengths, MTU 1500, one queue each way. Its MAC is
    /// `02:00:00:00:NN:01` where NN counts ports from 0.
    pub fn port(self, name: &str, addresses: &str) -> Self {
        self.port_with(name, addresses, 1500, (1, 1))
    }

    /// A port with another MTU and numbers of receive and transmit queues.
    pub fn port_with(mut self, name: &str, addresses: &str, mtu: u16, queues: (u16, u16)) -> Self {
        assert!(
            self.running.is_none(),
            "ports come before routes and frames"
        );
        self.specs.push(PortSpec {
            name: name.to_owned(),
            addresses: addresses.to_owned(),
            mtu,
            queues,
            vrf: VrfId::DEFAULT,
            ring: RING,
        });
        self
    }

    /// The last port belongs to this VRF.
    pub fn vrf(mut self, vrf: u16) -> Self {
        self.specs.last_mut().expect("a port").vrf = VrfId(vrf);
        self
    }

    /// Rings of the last port hold this many packets (a power of two; one slot stays empty).
    pub fn ring_size(mut self, size: u32) -> Self {
        self.specs.last_mut().expect("a port").ring = size;
        self
    }

    /// `PREFIX via GATEWAY`, `PREFIX via A weight 2 via B`, `PREFIX unreachable` and so on;
    /// `default` and `default6` are the shortest prefixes.
    pub fn route(&mut self, text: &str) -> &mut Self {
        self.running().operator.route(text);
        self
    }

    /// Takes the route to a prefix away.
    pub fn no_route(&mut self, prefix: &str) -> &mut Self {
        self.running().operator.no_route(prefix);
        self
    }

    /// `ADDRESS dev PORT lladdr MAC`, or `ADDRESS dev PORT failed`.
    pub fn neighbour(&mut self, text: &str) -> &mut Self {
        self.running().operator.neighbour(text);
        self
    }

    /// The writer of the tables, for what the words above cannot say.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.running().operator.writer
    }

    /// The running data plane.
    pub fn dataplane(&mut self) -> &mut Dataplane {
        self.running().dataplane.as_mut().expect("it runs")
    }

    /// A frame to be received by a port, from a host on its link.
    pub fn frame(&mut self, port: &str) -> FrameBuilder {
        FrameBuilder::to(self.mac(port))
    }

    /// The MAC of a port.
    pub fn mac(&mut self, port: &str) -> Mac {
        let running = self.running();
        running.ports[running.place(port)].mac
    }

    /// DPDK's number of a port.
    pub fn port_id(&mut self, port: &str) -> PortId {
        let running = self.running();
        running.ports[running.place(port)].id
    }

    /// Receives one frame and waits until it has gone somewhere.
    pub fn send(&mut self, port: &str, frame: impl Into<Injected>) -> Outcome {
        self.send_all(&[(port, frame.into())])
    }

    /// Receives frames in this order, and waits until all have gone somewhere. At most as many
    /// as the rings hold.
    pub fn send_all(&mut self, frames: &[(&str, Injected)]) -> Outcome {
        let running = self.running();
        let mut batch = MbufBatch::new();
        let mut received = Vec::new();
        for (port, frame) in frames {
            let place = running.place(port);
            received.push((place, frame.bytes.len()));
            if batch.push(running.mbuf(frame)).is_err() {
                unreachable!("a batch of one");
            }
            let ring = &mut running.rings[place].to_port[0];
            assert_eq!(ring.enqueue(&mut batch), 1, "the ring of {port} is full");
        }
        running.settle(&received, &[])
    }

    /// Hands frames to the data plane as the exception thread does, each to leave by its port.
    pub fn inject(&mut self, frames: &[(&str, &[u8])]) -> Outcome {
        let running = self.running();
        let mut batch = MbufBatch::new();
        let mut injected = Vec::new();
        for (port, frame) in frames {
            let place = running.place(port);
            let id = running.ports[place].id;
            injected.push((place, frame.len()));
            let exception = running.exception.as_mut().expect("taken at the start");
            let mbuf = exception
                .packet(frame)
                .expect("the exception pool has buffers");
            if batch.push(mbuf).is_err() {
                unreachable!("a batch of one");
            }
            assert_eq!(
                exception.inject(id, &mut batch),
                1,
                "the inject ring is full"
            );
        }
        running.settle(&[], &injected)
    }

    fn running(&mut self) -> &mut Running {
        let Self {
            specs,
            settings,
            running,
            ..
        } = self;
        running.get_or_insert_with(|| Running::start(specs, settings))
    }

    /// Stops the data plane; all buffers must have come back.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.exception = None;
        let report = running.dataplane.take().expect("it runs").stop();
        drop(running.rings);
        if !std::thread::panicking() {
            assert!(report.is_clean(), "{report:?}");
            assert_eq!(
                running.pool.in_use(),
                0,
                "frames of the test that did not come back"
            );
        }
    }
}

impl Drop for WholeDp {
    fn drop(&mut self) {
        self.finish();
    }
}

fn eal() -> Eal {
    Eal::start(&EalConfig::without_hugepages(MEMORY_MIB)).unwrap_or_else(|e| panic!("EAL: {e}"))
}

impl Running {
    fn start(specs: &[PortSpec], settings: &Settings) -> Self {
        let eal = eal();
        let pool = Mempool::create(eal, "test", 4095, DATA_ROOM, -1).expect("a pool for frames");
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut config = DataplaneConfig {
            lcores: settings.lcores.clone(),
            mbufs: Some(2047),
            exception_mbufs: 1023,
            idle: IdleConfig {
                spin_us: 50,
                pause_us: 50,
                sleep_min_us: 20,
                sleep_max_us: 100,
            },
            policers: all_open(&settings.policers),
            ..DataplaneConfig::default()
        };
        let mut rings = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            let (rx, tx) = spec.queues;
            let pools = [pool.clone()];
            let ring = RingPort::create(eal, &spec.name, rx, tx, spec.ring, &pools)
                .unwrap_or_else(|e| panic!("port {}: {e}", spec.name));
            config.ports.push(PortConfig {
                mtu: spec.mtu,
                rx_queues: Some(rx),
                tx_queues: Some(tx),
                mac: Some([2, 0, 0, 0, number as u8, 1]),
                vrf: spec.vrf,
                ..PortConfig::new(&spec.name, ring.device())
            });
            rings.push(ring);
        }
        (settings.adjust)(&mut config);
        let mut dataplane = Dataplane::start(eal, &config, Arc::clone(&tables), &domain)
            .unwrap_or_else(|e| panic!("data plane: {e}"));
        let mut operator = Operator::new(Writer::new(tables, Arc::clone(&domain)));
        let mut ports = Vec::new();
        for (spec, info) in specs.iter().zip(dataplane.ports()) {
            let facts = PortFacts {
                name: spec.name.clone(),
                id: info.id,
                mac: info.mac,
                mtu: spec.mtu,
                vrf: spec.vrf,
                addresses: spec
                    .addresses
                    .split_whitespace()
                    .map(|a| a.parse().unwrap_or_else(|e| panic!("{a}: {e}")))
                    .collect(),
            };
            operator.add_port(facts.clone());
            ports.push(facts);
        }
        let exception = dataplane.take_exception();
        let base = dataplane.counters().snapshot();
        Self {
            dataplane: Some(dataplane),
            exception,
            operator,
            ports,
            rings,
            pool,
            base,
        }
    }

    fn place(&self, port: &str) -> usize {
        let place = self.ports.iter().position(|p| p.name == port);
        place.unwrap_or_else(|| panic!("no port is called {port}"))
    }

    /// The frame in buffers, as a NIC would have left it.
    fn mbuf(&self, frame: &Injected) -> Mbuf {
        let mut whole: Option<Mbuf> = None;
        let mut rest = &frame.bytes[..];
        let mut lens = frame.segments.iter();
        loop {
            let mut batch = MbufBatch::new();
            assert!(
                self.pool.alloc(&mut batch, 1),
                "the pool for frames is empty"
            );
            let mut segment = batch.pop().expect("one was added");
            let wanted = lens
                .next()
                .copied()
                .unwrap_or(usize::from(DATA_ROOM))
                .min(rest.len());
            if whole.is_none() && frame.full_first_segment {
                let room = segment.tailroom() - wanted;
                assert!(segment.append(room).is_some() && segment.adj(room));
            }
            let count = wanted.min(segment.tailroom());
            segment
                .append(count)
                .expect("there is room")
                .copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            match &mut whole {
                Some(first) => first.chain(segment),
                None => whole = Some(segment),
            }
            if rest.is_empty() {
                break;
            }
        }
        let mut mbuf = whole.expect("at least one segment");
        mbuf.set_ip_checksum(frame.checksum);
        if let Some(hash) = frame.rss_hash {
            mbuf.set_rss_hash(hash);
        }
        mbuf
    }

    /// Waits until all packets have gone somewhere, and gathers where.
    fn settle(&mut self, received: &[(usize, usize)], injected: &[(usize, usize)]) -> Outcome {
        let counters = self.dataplane.as_ref().expect("it runs").counters();
        let start = Instant::now();
        let now = loop {
            let now = counters.snapshot();
            let moved = now.clone().since(&self.base);
            let sum = moved.ports();
            let taken = sum.rx_packets as usize == received.len()
                && sum.injected_packets as usize == injected.len();
            if taken && moved.held() == 0 && now.lcores.iter().all(|lcore| lcore.exact) {
                break now;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "after {PATIENCE:?}: {} of {} received, {} of {} injected, {} held",
                sum.rx_packets,
                received.len(),
                sum.injected_packets,
                injected.len(),
                moved.held()
            );
            std::thread::sleep(Duration::from_micros(50));
        };
        let mut events = self.sent_frames();
        events.extend(self.punted_frames());
        let counts = now.clone().since(&self.base);
        self.base = now;
        let names = self.ports.iter().map(|p| p.name.clone()).collect();
        let ids = self.ports.iter().map(|p| p.id).collect();
        let macs = self.ports.iter().map(|p| p.mac).collect();
        Outcome::new(
            names,
            ids,
            macs,
            Sent { received, injected },
            events,
            counts,
        )
    }

    /// What came out of the ports.
    fn sent_frames(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut batch = MbufBatch::new();
        for (place, port) in self.rings.iter_mut().enumerate() {
            for queue in &mut port.from_port {
                while queue.dequeue(&mut batch) > 0 {
                    for mbuf in batch.as_slice() {
                        let port = self.ports[place].name.clone();
                        events.push(Event::Sent {
                            port,
                            bytes: bytes_of(mbuf),
                        });
                    }
                    batch.free();
                }
            }
        }
        events
    }

    /// What went to the exception thread.
    fn punted_frames(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut batch = MbufBatch::new();
        let Some(exception) = &mut self.exception else {
            return events;
        };
        for &priority in PuntPriority::ALL {
            while exception.punted(priority, &mut batch) > 0 {
                for mbuf in batch.as_slice() {
                    let reason = PuntReason::from_index(mbuf.user() as usize);
                    let reason = reason.expect("punts carry their reason");
                    assert_eq!(reason.priority(), priority, "{reason} on a ring of another");
                    let port = self.ports.iter().find(|p| p.id.0 == mbuf.port());
                    let port = port.expect("punts carry their port").name.clone();
                    events.push(Event::Punted {
                        port,
                        reason,
                        bytes: bytes_of(mbuf),
                    });
                }
                batch.free();
            }
        }
        events
    }
}

/// All bytes of a packet.
fn bytes_of(mbuf: &Mbuf) -> Vec<u8> {
    mbuf.segments().flatten().copied().collect()
}

/// Policers that let through whatever a test sends, but for those given.
fn all_open(given: &[PolicerConfig]) -> Vec<PolicerConfig> {
    let open = |&reason: &PuntReason| PolicerConfig {
        reason,
        rate_pps: 1_000_000,
        burst: Some(1_000_000),
    };
    let others = PuntReason::ALL
        .iter()
        .filter(|r| given.iter().all(|g| g.reason != **r));
    others.map(open).chain(given.iter().copied()).collect()
}
