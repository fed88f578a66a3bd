//! The rig: a pcap source, the real lcores, a sink, and as many routes as asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, IdleConfig, PortConfig};
use ironlane_dataplane::eal::{Clock, Eal, EalConfig, Memory};
use ironlane_dataplane::lcore::{CounterSet, CounterSnapshot};
use ironlane_dataplane::reason::StageId;
use ironlane_dataplane::stage::PipelineConfig;
use ironlane_fib::{Adjacency, Nexthop, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use serde::Serialize;

use crate::traffic::{PREFIX4, PREFIX6};

/// MAC address of the n-th nexthop behind the sink.
pub const fn nexthop_mac(index: u16) -> [u8; 6] {
    let [high, low] = index.to_be_bytes();
    [0x02, 0, 0, 1, high, low]
}

/// Which of `nexthops` the destination of a frame of [`traffic`](crate::traffic) is routed to: each has
/// one longer prefix or more, one after the other.
pub fn nexthop_of(frame: &[u8], nexthops: u16) -> u16 {
    let bits = nexthops.next_power_of_two().ilog2();
    let after_prefix = match frame[12..14] {
        [0x86, 0xdd] => &frame[38 + 6..][..2],
        _ => &frame[30 + 2..][..2],
    };
    let host = u32::from(u16::from_be_bytes([after_prefix[0], after_prefix[1]]));
    // No truncation: below the number of nexthops.
    ((host << bits >> 16) % u32::from(nexthops)) as u16
}

/// A mistake in the routes, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// One prefix has no route.
    MissingRoute,
    /// One prefix leads to another nexthop.
    WrongNexthop,
}

/// What is routed, and how.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Setup {
    /// The CPU of the lcore.
    #[arg(long, default_value_t = 1)]
    pub cpu: usize,
    /// Nexthops that the destinations are spread over.
    #[arg(long, default_value_t = 1)]
    pub nexthops: u16,
    /// A mistake to make, which must end in an error.
    #[arg(long, value_enum)]
    pub fault: Option<Fault>,
    /// Carry plain packets, too, through one stage after the other.
    #[arg(long)]
    pub stages_only: bool,
}

/// Source MAC address of what leaves by the sink.
pub const SINK_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 1];

/// Where the packets come from, and where they go.
pub struct Rig {
    dataplane: Dataplane,
    sink: PortId,
    tsc_mhz: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Rate {
    /// Who was measured.
    pub name: &'static str,
    /// Millions of packets a second that left by the sink.
    pub mpps: f64,
    /// Packets that were counted.
    pub packets: u64,
    /// Packets that arrived and did not leave by the sink.
    pub lost: u64,
    /// Measured seconds.
    pub seconds: f64,
    /// Nanoseconds that the lcore ran for each packet: what others took of its CPU does not count.
    pub ns_per_packet: f64,
    /// Ticks of the time stamp counter in a microsecond.
    pub tsc_mhz: f64,
    /// Ticks that each stage says it took for each packet that left.
    pub stages: BTreeMap<&'static str, f64>,
}

type Failure = Box<dyn std::error::Error>;

impl Rig {
    /// Starts one lcore with the two devices, and routes the benchmark prefixes to neighbours behind
    /// the sink.
    ///
    /// # Errors
    /// What EAL, the ports or the tables answer.
    pub fn start(setup: Setup, source: &str, sink: &str) -> Result<Self, Failure> {
        let eal = Eal::start(&EalConfig {
            memory: Memory::Hugepages { mib: None },
            log_level: Some("error".into()),
            ..EalConfig::default()
        })?;
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let config = DataplaneConfig {
            lcores: vec![setup.cpu],
            ports: vec![
                PortConfig::new("source", source),
                PortConfig::new("sink", sink),
            ],
            idle: IdleConfig::busy(),
            pipeline: PipelineConfig {
                stages_only: setup.stages_only,
                ..PipelineConfig::default()
            },
            ..DataplaneConfig::default()
        };
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        // The first packets arrive with the lcores: the route has to be there before, so it
        // leads to the number that the sink will have, the second one.
        let sink = PortId(1);
        route(&mut writer, sink, setup.nexthops, setup.fault)?;
        let dataplane = Dataplane::start(eal, &config, tables, &domain)?;
        let given = dataplane.ports()[1].id;
        if given != sink {
            return Err(format!("the sink became port {}, not {}", given.0, sink.0).into());
        }
        let tsc_mhz = Clock::start(eal).hz() as f64 / 1e6;
        Ok(Self {
            dataplane,
            sink,
            tsc_mhz,
        })
    }

    /// Counts what leaves by the sink for so long.
    ///
    /// # Errors
    /// If a packet was dropped or punted, or did not leave by the sink.
    pub fn measure(&self, warm_up: Duration, time: Duration) -> Result<Rate, Failure> {
        let counters = self.dataplane.counters();
        thread::sleep(warm_up);
        let (before, start, ran) = (exact(&counters)?, Instant::now(), lcore_ns()?);
        thread::sleep(time);
        let (after, seconds) = (exact(&counters)?, start.elapsed().as_secs_f64());
        let ran_ns = lcore_ns()? - ran;
        let moved = after.since(&before);
        let packets = moved.port(self.sink).tx_packets;
        let lost = lost(&moved);
        if lost != 0 || packets == 0 {
            return Err(format!(
                "{packets} packets forwarded, {lost} not: {:?}",
                moved.ports()
            )
            .into());
        }
        let mpps = packets as f64 / seconds / 1e6;
        let each = |count: u64| count as f64 / packets as f64;
        let stages = StageId::ALL
            .iter()
            .map(|stage| (stage.name(), each(moved.stage(*stage).cycles)))
            .filter(|(_, ticks)| *ticks > 0.0)
            .collect();
        Ok(Rate {
            name: "ironlane",
            mpps,
            packets,
            lost,
            seconds,
            ns_per_packet: each(ran_ns),
            tsc_mhz: self.tsc_mhz,
            stages,
        })
    }

    /// Waits until `packets` have left by the sink, then stops.
    ///
    /// # Errors
    /// If one went elsewhere, if they did not leave within ten seconds, or if a mempool is not whole
    /// after the stop.
    pub fn finish(self, packets: u64) -> Result<(), Failure> {
        let counters = self.dataplane.counters();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let now = counters.snapshot();
            if now.port(self.sink).tx_packets >= packets {
                return self.stop();
            }
            let ports = now.ports();
            let elsewhere = ports.drops.iter().chain(&ports.punts).sum::<u64>();
            if elsewhere > 0 || Instant::now() > until {
                return Err(format!("waited for {packets} packets: {ports:?}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the lcore.
    ///
    /// # Errors
    /// If a mempool is not whole after it.
    pub fn stop(self) -> Result<(), Failure> {
        let report = self.dataplane.stop();
        if report.is_clean() {
            Ok(())
        } else {
            Err(format!("{report:?}").into())
        }
    }
}

/// Counters at the border of a burst: in the middle of one, packets would seem to be lost. An lcore
/// that others keep from its CPU may need some tries.
fn exact(counters: &CounterSet) -> Result<CounterSnapshot, Failure> {
    for _ in 0..5 {
        let snapshot = counters.snapshot();
        if snapshot.lcores.iter().all(|lcore| lcore.exact) {
            return Ok(snapshot);
        }
    }
    Err("the lcore does not get to run".into())
}

/// Nanoseconds that the thread of the only lcore has run.
fn lcore_ns() -> Result<u64, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "lcore-0" {
            let times = std::fs::read_to_string(task.join("schedstat"))?;
            let ran = times.split(' ').next().unwrap_or_default();
            return Ok(ran.parse()?);
        }
    }
    Err("no thread is called lcore-0".into())
}

/// Packets that came in and did not leave by a port.
fn lost(moved: &CounterSnapshot) -> u64 {
    let ports = moved.ports();
    ports.rx_packets.abs_diff(ports.tx_packets)
}

fn route(
    writer: &mut Writer,
    sink: PortId,
    nexthops: u16,
    fault: Option<Fault>,
) -> Result<(), Failure> {
    let prefixes: [(IpNet, u8); 2] = [
        (IpNet::new(PREFIX4.0.into(), PREFIX4.1)?, 32),
        (IpNet::new(PREFIX6.0.into(), PREFIX6.1)?, 128),
    ];
    let mut slots = Vec::new();
    // One more than there are routes to: the wrong one.
    for index in 0..=nexthops {
        let adjacency = Adjacency::forward(sink, 1500, nexthop_mac(index), SINK_MAC);
        slots.push(writer.add_nexthop(Nexthop::Adjacency(adjacency))?);
    }
    let wrong = slots.pop().ok_or("there is one more than 0")?;
    for (prefix, width) in prefixes {
        // One longer prefix for each nexthop, the next after the former.
        let bits = prefix.prefix_len() + nexthops.next_power_of_two().ilog2() as u8;
        assert!(bits <= width, "too many nexthops for {prefix}");
        let routes = prefix.subnets(bits)?.zip(slots.iter().copied().cycle());
        for (number, (subnet, slot)) in routes.enumerate() {
            // The first is as good as any: the destinations are spread evenly.
            match fault.filter(|_| number == 0) {
                None => writer.insert(VrfId::DEFAULT, subnet, slot)?,
                Some(Fault::WrongNexthop) => writer.insert(VrfId::DEFAULT, subnet, wrong)?,
                Some(Fault::MissingRoute) => continue,
            };
        }
    }
    Ok(())
}

/// DPDK's name of a source that plays a file; for ever, or once.
pub fn source(pcap: &Path, forever: bool) -> String {
    let rest = if forever { ",infinite_rx=1" } else { "" };
    format!("net_pcap0,rx_pcap={}{rest}", pcap.display())
}
