//! The router under test: the real lcores between ports, the routes of a scene, and the rule that
//! a rate only counts if each packet met its fate.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, IdleConfig, PortConfig};
use ironlane_dataplane::eal::crypto::CryptoDevice;
use ironlane_dataplane::eal::{Clock, Eal, EalConfig, MbufBatch, Memory};
use ironlane_dataplane::ipsec::{FragmentLimits, Ipsec, IpsecSetup, IpsecWriter};
use ironlane_dataplane::lcore::{CounterSnapshot, ExceptionChannel};
use ironlane_dataplane::reason::{DropReason, PuntPriority, PuntReason, StageId};
use ironlane_fib::{
    Adjacency, AdjacencyKind, Nexthop, NexthopIndex, PortId, Tables, VrfId, Writer,
};
use ironlane_rcu::Domain;
use serde::Serialize;

use crate::noise::Noise;
use crate::oracle::{Fates, SINK_MAC, nexthop_mac};
use crate::table::Route;

type Failure = Box<dyn std::error::Error>;

/// Why the bad frames of scenes are dropped.
const BAD_FRAMES: [DropReason; 3] = [
    DropReason::Ip4BadChecksum,
    DropReason::Ip6Truncated,
    DropReason::EthUnknownVlan,
];
/// Why packets for Linux may be: a scene has more of them than it takes. Any reason but these and
/// [`BAD_FRAMES`] fails a measurement.
const PUNTS_TOO_MANY: [DropReason; 2] = [DropReason::PuntPoliced, DropReason::PuntRingFull];

/// What the router is made of.
pub struct Setup {
    /// A CPU for each lcore.
    pub cpus: Vec<usize>,
    /// Device strings of the ports that packets come from.
    pub sources: Vec<String>,
    /// Device string of the port that they leave by.
    pub sink: String,
    /// Frames that the sources hold for themselves.
    pub held: usize,
    /// Where packet memory comes from.
    pub memory: Memory,
    /// Tables beside that of the traffic, each with these routes.
    pub other_vrfs: u16,
    /// The routes.
    pub routes: Vec<Route>,
}

/// Adds SAs and policies.
type Install<'a> = Box<dyn Fn(&mut IpsecWriter) -> Result<(), Failure> + 'a>;

/// What IPsec is to do.
pub struct Protection<'a> {
    /// An address of the router's own.
    pub own: IpAddr,
    /// Adds SAs and policies.
    pub install: Install<'a>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Millions of packets a second that came in and met their fate.
    pub mpps: f64,
    /// Packets that were counted.
    pub packets: u64,
    /// Of them: left by the sink.
    pub forwarded: u64,
    /// Went to Linux, or would have but for the policer.
    pub punted: u64,
    /// Were lost, as they should.
    pub dropped: u64,
    /// Measured seconds.
    pub seconds: f64,
    /// Percent of the time that the host took from the lcore's CPU.
    pub steal_pct: f64,
    /// Percent of the time that the lcore waited for its CPU.
    pub wait_pct: f64,
    /// Frequency of the time stamp counter.
    pub tsc_mhz: f64,
    /// Ticks a packet in each stage, as the lcore counts them; stages that met none are left out.
    pub stages: Vec<(&'static str, f64)>,
}

/// A running router.
pub struct Router {
    eal: Eal,
    dataplane: Dataplane,
    sources: Vec<PortId>,
    sink: PortId,
    writer: Option<Writer>,
    /// Keeps SAs and policies.
    _ipsec: Option<IpsecWriter>,
    linux: Option<thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Router {
    /// Starts EAL if need be. The same memory must be asked for each time.
    ///
    /// # Errors
    /// What EAL answers.
    pub fn eal(memory: Memory) -> Result<Eal, Failure> {
        Ok(Eal::start(&EalConfig {
            memory,
            log_level: Some("error".into()),
            ..EalConfig::default()
        })?)
    }

    /// Installs the routes, then starts the lcores.
    ///
    /// # Errors
    /// What EAL, the ports or the tables answer.
    pub fn start(setup: &Setup) -> Result<Self, Failure> {
        Self::start_protected(setup, None)
    }

    /// The same, with IPsec.
    ///
    /// # Errors
    /// What EAL, the ports, the tables or the crypto device answer.
    pub fn start_protected(
        setup: &Setup,
        protection: Option<&Protection<'_>>,
    ) -> Result<Self, Failure> {
        let eal = Self::eal(setup.memory)?;
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let sources: Vec<_> = (0..setup.sources.len() as u16).map(PortId).collect();
        // The first packets arrive with the lcores: the routes have to be there before, so they
        // lead to the number that the sink will have, the last one.
        let sink = PortId(setup.sources.len() as u16);
        install(&mut writer, sink, setup)?;
        let (mut ipsec, mut ipsec_writer) = (None, None);
        if let Some(protection) = protection {
            let own = writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())?;
            writer.insert(VrfId::DEFAULT, protection.own.into(), own)?;
            let engines = setup.cpus.len() as u16;
            let device = CryptoDevice::open(eal, CryptoDevice::default_string(), engines, -1)?;
            let made = IpsecSetup {
                ipsec: Arc::new(Ipsec::new(&domain)),
                device,
                fragments: FragmentLimits::default(),
            };
            (protection.install)(ipsec_writer.insert(made.writer()))?;
            ipsec = Some(made);
        }
        let mut ports = Vec::new();
        for (index, device) in setup.sources.iter().enumerate() {
            let mut port = PortConfig::new(format!("source{index}"), device);
            port.rx_queues = Some(1);
            ports.push(port);
        }
        ports.push(PortConfig::new("sink", &setup.sink));
        let config = DataplaneConfig {
            lcores: setup.cpus.clone(),
            ports,
            mbufs: Some((setup.held + 24 * 1024) as u32),
            idle: IdleConfig::busy(),
            ipsec,
            ..DataplaneConfig::default()
        };
        let mut dataplane = Dataplane::start(eal, &config, tables, &domain)?;
        let given = dataplane.ports().last().map(|port| port.id);
        if given != Some(sink) {
            return Err(format!("the sink became port {given:?}, not {}", sink.0).into());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let linux = dataplane.take_exception().map(|channel| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || drain(channel, &stop))
        });
        Ok(Self {
            eal,
            dataplane,
            sources,
            sink,
            writer: Some(writer),
            _ipsec: ipsec_writer,
            linux,
            stop,
        })
    }

    /// The writer of the tables, for changes while packets are forwarded. The first caller gets it.
    pub fn take_writer(&mut self) -> Option<Writer> {
        self.writer.take()
    }

    /// MAC address of a port, by its place.
    pub fn mac(&self, port: usize) -> [u8; 6] {
        self.dataplane.ports()[port].mac.0
    }

    /// All counters.
    pub fn counters(&self) -> CounterSnapshot {
        self.dataplane.counters().snapshot()
    }

    /// Counts for so long. The scene repeats frames that should meet `fates`.
    ///
    /// # Errors
    /// If packets met another fate.
    pub fn measure(
        &self,
        warm_up: Duration,
        time: Duration,
        fates: Fates,
    ) -> Result<Measured, Failure> {
        let counters = self.dataplane.counters();
        thread::sleep(warm_up);
        let noise = Noise::begin(self.dataplane.lcores()[0].cpu);
        let (before, start) = (counters.snapshot(), Instant::now());
        thread::sleep(time);
        let (after, seconds) = (counters.snapshot(), start.elapsed().as_secs_f64());
        let taken = noise.end();
        let moved = after.since(&before);
        let (packets, met) = self.fates(&moved)?;
        if packets == 0 {
            return Err("no packet came in".into());
        }
        let cycle = fates.forwarded + fates.punted + fates.dropped;
        for (what, got, of) in [
            ("forwarded", met.forwarded, fates.forwarded),
            ("punted", met.punted, fates.punted),
            ("dropped", met.dropped, fates.dropped),
        ] {
            // The frames go round: at each end of the window a round is under way, on each port.
            let want = (u128::from(packets) * u128::from(of) / u128::from(cycle)) as u64;
            if got.abs_diff(want) > 2 * of.min(cycle - of) * self.sources.len() as u64 {
                return Err(format!("of {packets} packets {got} were {what}, not {want}").into());
            }
        }
        Ok(Measured {
            mpps: packets as f64 / seconds / 1e6,
            packets,
            forwarded: met.forwarded,
            punted: met.punted,
            dropped: met.dropped,
            seconds,
            steal_pct: taken.steal_pct,
            wait_pct: taken.wait_pct,
            tsc_mhz: Clock::start(self.eal).hz() as f64 / 1e6,
            stages: stages(&moved, packets),
        })
    }

    /// How many packets came in and how many left by the sink in so long, which was so many seconds.
    pub fn passed(&self, warm_up: Duration, time: Duration) -> (u64, u64, f64) {
        thread::sleep(warm_up);
        let (before, start) = (self.counters(), Instant::now());
        thread::sleep(time);
        let (moved, seconds) = (self.counters().since(&before), start.elapsed());
        let received = self.sources.iter().map(|&port| moved.port(port).rx_packets);
        let sent = moved.port(self.sink).tx_packets;
        (received.sum(), sent, seconds.as_secs_f64())
    }

    /// Packets that came in, and what they met, by the counters.
    fn fates(&self, moved: &CounterSnapshot) -> Result<(u64, Fates), Failure> {
        let all = moved.ports();
        let received = self.sources.iter().map(|&port| moved.port(port).rx_packets);
        let received: u64 = received.sum();
        for &reason in DropReason::ALL {
            let count = all.drops[reason.index()];
            let wanted = BAD_FRAMES.contains(&reason) || PUNTS_TOO_MANY.contains(&reason);
            if count > 0 && !wanted {
                return Err(format!("{count} packets of {received} were dropped: {reason}").into());
            }
        }
        for &reason in PuntReason::ALL {
            let count = all.punts[reason.index()];
            if count > 0 && reason != PuntReason::TtlExpired {
                return Err(format!("{count} packets of {received} were punted: {reason}").into());
            }
        }
        let dropped = BAD_FRAMES
            .iter()
            .map(|reason| all.drops[reason.index()])
            .sum();
        let lost: u64 = all.drops.iter().sum();
        let fates = Fates {
            forwarded: moved.port(self.sink).tx_packets,
            punted: all.punts.iter().sum::<u64>() + lost - dropped,
            dropped,
        };
        Ok((received, fates))
    }

    /// Waits until the frames have met their fates, then stops.
    ///
    /// # Errors
    /// If they did not within ten seconds, or a mempool is not whole after the stop.
    pub fn finish(self, fates: Fates) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_secs(10);
        let done = fates.forwarded + fates.punted + fates.dropped;
        let mut met = (0, Fates::default());
        while met.0 < done && Instant::now() < until {
            met = self.fates(&self.counters())?;
            thread::sleep(Duration::from_millis(5));
        }
        if met != (done, fates) {
            return Err(format!("wanted {fates:?}, got {met:?}").into());
        }
        self.stop()
    }

    /// Stops the lcores.
    ///
    /// # Errors
    /// If a mempool is not whole after it.
    pub fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(linux) = self.linux {
            linux.join().map_err(|_| "the exception thread panicked")?;
        }
        let report = self.dataplane.stop();
        if report.is_clean() {
            return Ok(());
        }
        Err(format!("{report:?}").into())
    }
}

/// In the place of Linux: takes punted packets and frees them.
fn drain(mut channel: ExceptionChannel, stop: &AtomicBool) {
    let mut batch = MbufBatch::new();
    loop {
        // Read first, so that what was punted before the stop is taken, too.
        let last = stop.load(Ordering::Relaxed);
        for priority in PuntPriority::ALL {
            while channel.punted(*priority, &mut batch) > 0 {
                batch.free();
            }
        }
        if last {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn install(writer: &mut Writer, sink: PortId, setup: &Setup) -> Result<(), Failure> {
    let mut slots: Vec<Option<NexthopIndex>> = Vec::new();
    for vrf in (0..=setup.other_vrfs).map(VrfId) {
        writer.add_vrf(vrf);
        for route in &setup.routes {
            let place = route.nexthop as usize;
            slots.resize(slots.len().max(place + 1), None);
            let slot = match slots[place] {
                Some(slot) => slot,
                None => {
                    let mac = nexthop_mac(route.nexthop);
                    let adjacency = Adjacency::forward(sink, 1500, mac, SINK_MAC);
                    *slots[place].insert(writer.add_nexthop(Nexthop::Adjacency(adjacency))?)
                }
            };
            writer.insert(vrf, route.prefix.net(), slot)?;
        }
    }
    Ok(())
}

fn stages(moved: &CounterSnapshot, packets: u64) -> Vec<(&'static str, f64)> {
    let each = |stage: &StageId| (*stage, moved.stage(*stage));
    let stages = StageId::ALL.iter().map(each);
    stages
        .filter(|(_, counts)| counts.packets > 0)
        .map(|(stage, counts)| (stage.name(), counts.cycles as f64 / packets as f64))
        .collect()
}
