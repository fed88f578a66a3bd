//! A data plane that runs, with the test's ends of its ports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{
    Dataplane, DataplaneConfig, IdleConfig, PolicerConfig, PortConfig,
};
use ironlane_dataplane::eal::crypto::CryptoDevice;
use ironlane_dataplane::eal::{DATA_ROOM, Eal, EalConfig, Mbuf, MbufBatch, Mempool, RingPort};
use ironlane_dataplane::ipsec::{FragmentLimits, Ipsec, IpsecSetup, IpsecWriter};
use ironlane_dataplane::lcore::{CounterSnapshot, ExceptionChannel};
use ironlane_dataplane::reason::{PuntPriority, PuntReason};
use ironlane_fib::{Tables, VrfId, Writer};
use ironlane_rcu::Domain;

use crate::operator::{Operator, PortFacts};
use crate::outcome::{Event, Outcome, Sent};
use crate::{Injected, Settings};

/// Memory of the one EAL, in MiB.
const MEMORY_MIB: u32 = 256;

/// How long frames may take through an idle data plane on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Slots in the rings that ports are made of.
pub(crate) const RING: u32 = 1023;

/// A port as a test describes it.
pub(crate) struct PortSpec {
    pub(crate) name: String,
    pub(crate) addresses: String,
    pub(crate) mtu: u16,
    pub(crate) queues: (u16, u16),
    pub(crate) vrf: VrfId,
    pub(crate) ring: u32,
}

/// Everything that lives while the data plane runs.
pub(crate) struct Running {
    pub(crate) dataplane: Option<Dataplane>,
    pub(crate) exception: Option<ExceptionChannel>,
    pub(crate) ipsec: Option<IpsecWriter>,
    pub(crate) operator: Operator,
    pub(crate) ports: Vec<PortFacts>,
    pub(crate) rings: Vec<RingPort>,
    pub(crate) pool: Mempool,
    pub(crate) base: CounterSnapshot,
}

fn eal() -> Eal {
    Eal::start(&EalConfig::without_hugepages(MEMORY_MIB)).unwrap_or_else(|e| panic!("EAL: {e}"))
}

fn ipsec(eal: Eal, domain: &Arc<Domain>, lcores: usize) -> IpsecSetup {
    let engines = lcores.try_into().expect("few lcores");
    let device = CryptoDevice::open(eal, CryptoDevice::default_string(), engines, -1);
    IpsecSetup {
        ipsec: Arc::new(Ipsec::with_room(domain, 1024, 1024)),
        device: device.unwrap_or_else(|e| panic!("crypto: {e}")),
        fragments: FragmentLimits::default(),
    }
}

impl Running {
    pub(crate) fn start(specs: &[PortSpec], settings: &Settings) -> Self {
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
        if settings.ipsec {
            config.ipsec = Some(ipsec(eal, &domain, settings.lcores.len()));
        }
        (settings.adjust)(&mut config);
        let ipsec = config.ipsec.as_ref().map(IpsecSetup::writer);
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
        for info in dataplane.ports().iter().skip(specs.len()) {
            let facts = PortFacts {
                name: info.name.clone(),
                id: info.id,
                mac: info.mac,
                mtu: info.mtu,
                vrf: info.vrf,
                addresses: Vec::new(),
            };
            operator.add_port(facts.clone());
            ports.push(facts);
        }
        let exception = dataplane.take_exception();
        let base = dataplane.counters().snapshot();
        Self {
            dataplane: Some(dataplane),
            exception,
            ipsec,
            operator,
            ports,
            rings,
            pool,
            base,
        }
    }

    pub(crate) fn place(&self, port: &str) -> usize {
        let place = self.ports.iter().position(|p| p.name == port);
        place.unwrap_or_else(|| panic!("no port is called {port}"))
    }

    /// Puts frames where their ports find them, and notes where and how long they are.
    pub(crate) fn receive(
        &mut self,
        frames: &[(&str, Injected)],
        received: &mut Vec<(usize, usize)>,
    ) {
        let mut batch = MbufBatch::new();
        for (port, frame) in frames {
            let place = self.place(port);
            received.push((place, frame.bytes.len()));
            if batch.push(self.mbuf(frame)).is_err() {
                unreachable!("a batch of one");
            }
            let ring = &mut self.rings[place].to_port[0];
            assert_eq!(ring.enqueue(&mut batch), 1, "the ring of {port} is full");
        }
    }

    /// The frame in buffers, as a NIC would have left it.
    pub(crate) fn mbuf(&self, frame: &Injected) -> Mbuf {
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
        mbuf.set_stripped_tag(frame.stripped_tag);
        if let Some(hash) = frame.rss_hash {
            mbuf.set_rss_hash(hash);
        }
        mbuf
    }

    /// Waits until all packets have gone somewhere, and gathers where.
    pub(crate) fn settle(
        &mut self,
        received: &[(usize, usize)],
        injected: &[(usize, usize)],
    ) -> Outcome {
        let counters = self.dataplane.as_ref().expect("it runs").counters();
        let start = Instant::now();
        loop {
            let now = counters.snapshot();
            let moved = now.clone().since(&self.base);
            let sum = moved.ports();
            let taken = sum.rx_packets as usize == received.len()
                && sum.injected_packets as usize == injected.len();
            if taken && moved.handed_off() == 0 && now.lcores.iter().all(|lcore| lcore.exact) {
                break;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "after {PATIENCE:?}: {} of {} received, {} of {} injected, {} held",
                sum.rx_packets,
                received.len(),
                sum.injected_packets,
                injected.len(),
                moved.handed_off()
            );
            std::thread::sleep(Duration::from_micros(50));
        }
        // What the rings hold now, punts for one, must be what the counters say.
        let now = counters.snapshot_at_rest();
        assert!(now.rings.exact, "packets move, all of which went somewhere");
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
