//! The commands on ring ports: `latency`, `search`, `bursts`.

use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use ironlane_dataplane::eal::{Eal, Memory};
use serde::Serialize;

use crate::frames;
use crate::generator::{Bare, Generator, RingPorts, Trial, addressed};
use crate::noise::Noise;
use crate::oracle::Oracle;
use crate::play::Which;
use crate::router::{Router, Setup};

type Failure = Box<dyn std::error::Error>;

/// Where the rates of a search begin: what no generator on one core makes.
const CEILING_PPS: f64 = 60e6;

/// What the commands have in common.
#[derive(Args)]
pub struct Rings {
    #[command(flatten)]
    which: Which,
    /// CPU of the lcore; the generator takes another one.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
    /// CPU of the generator.
    #[arg(long, default_value_t = 0)]
    generator_cpu: usize,
    /// Frames that the generator sends at once.
    #[arg(long, default_value_t = 8)]
    burst: usize,
    /// Length of one trial.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Packets that a trial may lose and still count, in percent (RFC 2544: none).
    #[arg(long, default_value_t = 0.0)]
    loss_pct: f64,
    /// Trials of a rate before it has failed: on a shared machine the host takes the CPU away, which
    /// is no loss of the router's.
    #[arg(long, default_value_t = 3)]
    attempts: usize,
    /// Ordinary memory instead of hugepages: so many MiB.
    #[arg(long)]
    no_huge: Option<u32>,
}

/// Times through the box at shares of the highest rate without loss.
#[derive(Args)]
pub struct LatencyArgs {
    #[command(flatten)]
    rings: Rings,
    /// Shares of that rate, in percent.
    #[arg(long, value_delimiter = ',', default_value = "10,50,90")]
    loads: Vec<f64>,
}

/// The highest rate without loss, by the binary search of RFC 2544.
#[derive(Args)]
pub struct SearchArgs {
    #[command(flatten)]
    rings: Rings,
}

/// What packets cost the lcore in bursts of a size.
#[derive(Args)]
pub struct BurstsArgs {
    #[command(flatten)]
    rings: Rings,
    /// The sizes.
    #[arg(long, value_delimiter = ',', default_value = "4,16,32")]
    sizes: Vec<usize>,
}

#[derive(Serialize)]
struct Times {
    who: &'static str,
    load_pct: f64,
    mpps: f64,
    loss_pct: f64,
    mean_ns: f64,
    /// Percentile and nanoseconds.
    percentiles: Vec<(f64, u64)>,
    steal_pct: f64,
    wait_pct: f64,
}

#[derive(Serialize)]
struct Latency<'a> {
    scene: &'a str,
    frame: usize,
    throughput_mpps: f64,
    tsc_mhz: f64,
    times: Vec<Times>,
}

#[derive(Serialize)]
struct Found<'a> {
    scene: &'a str,
    frame: usize,
    mpps: f64,
    /// On a wire, with preamble, FCS and the gap between frames.
    wire_gbps: f64,
    trials: usize,
    loss_pct: f64,
}

#[derive(Serialize)]
struct Burst<'a> {
    scene: &'a str,
    burst: usize,
    /// Packets of a turn that the lcore really met.
    met: f64,
    mpps: f64,
    /// Ticks a packet in turns that moved any, less the time that the core was taken away.
    cycles: f64,
    wait_pct: f64,
}

impl Rings {
    fn memory(&self) -> Memory {
        self.no_huge
            .map_or(Memory::Hugepages { mib: None }, |mib| Memory::NoHuge {
                mib,
            })
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Starts the router on ring ports, compares every frame, then does `work` on the CPU of the
    /// generator.
    fn with_router<R>(
        &self,
        work: impl FnOnce(&mut Generator<'_>, &Router, &[Vec<u8>]) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let (scene, tables) = self.which.load()?;
        let routes = scene.routes(&tables)?;
        let oracle = Oracle::new(&routes);
        let eal = Router::eal(self.memory())?;
        let mut ports = RingPorts::create(eal)?;
        let router = Router::start(&Setup {
            cpus: vec![self.cpu],
            sources: vec![ports.source().to_owned()],
            sink: ports.sink().to_owned(),
            held: 0,
            memory: self.memory(),
            other_vrfs: 0,
            routes,
        })?;
        pin(self.generator_cpu)?;
        let frames = addressed(frames::make(&scene, &tables, 0)?, &router);
        let mut generator = ports.generator(frames.clone());
        generator.verify(&oracle)?;
        let result = work(&mut generator, &router, &frames);
        router.stop()?;
        result
    }

    /// The highest rate without loss, and how many trials it took.
    fn search(&self, generator: &mut Generator<'_>) -> (f64, usize) {
        let mut trials = 0;
        let mut trial = |pps: f64| {
            trials += 1;
            generator.trial(pps, self.burst, self.time())
        };
        // What comes back of too much bounds the search from above.
        let (mut low, mut high) = (0.0, trial(CEILING_PPS).mpps() * 1.1e6);
        while high - low > 0.01 * high && high > 1000.0 {
            let middle = f64::midpoint(low, high);
            if (0..self.attempts).any(|_| trial(middle).loss() * 100.0 <= self.loss_pct) {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low, trials)
    }
}

impl LatencyArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a frame comes out wrong, or no rate is without loss.
    pub fn run(&self) -> Result<(), Failure> {
        let rings = &self.rings;
        let (pps, mut times, frames) = rings.with_router(|generator, _, frames| {
            let (pps, _) = rings.search(generator);
            if pps == 0.0 {
                return Err("no rate is without loss: allow some by --loss-pct".into());
            }
            let times = self.at_loads("ironlane", generator, pps);
            Ok((pps, times, frames.to_vec()))
        })?;
        let eal: Eal = Router::eal(rings.memory())?;
        let mut bare = Bare::create(eal)?;
        let frame = frames[0].len();
        times.extend(self.at_loads("no router", &mut bare.generator(frames), pps));
        let line = Latency {
            scene: &rings.which.scene,
            frame,
            throughput_mpps: pps / 1e6,
            tsc_mhz: ironlane_dataplane::eal::Clock::start(eal).hz() as f64 / 1e6,
            times,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }

    fn at_loads(&self, who: &'static str, generator: &mut Generator<'_>, pps: f64) -> Vec<Times> {
        let at = |load: &f64| {
            let noise = Noise::begin(self.rings.cpu);
            let rate = pps * load / 100.0;
            // One by one where the load leaves time for it: bursts would wait for each other.
            let burst = if *load < 60.0 { 1 } else { self.rings.burst };
            let trial = generator.trial(rate, burst, self.rings.time());
            let taken = noise.end();
            Times {
                who,
                load_pct: *load,
                mpps: trial.mpps(),
                loss_pct: 100.0 * trial.loss(),
                mean_ns: trial.times.mean(),
                percentiles: percentiles(&trial),
                steal_pct: taken.steal_pct,
                wait_pct: taken.wait_pct,
            }
        };
        self.loads.iter().map(at).collect()
    }
}

fn percentiles(trial: &Trial) -> Vec<(f64, u64)> {
    let times: &Histogram<u64> = &trial.times;
    [
        0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0,
    ]
    .map(|percent| (percent, times.value_at_percentile(percent)))
    .to_vec()
}

impl SearchArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a frame comes out wrong.
    pub fn run(&self) -> Result<(), Failure> {
        let rings = &self.rings;
        let (pps, trials, frame) = rings.with_router(|generator, _, frames| {
            let (pps, trials) = rings.search(generator);
            Ok((pps, trials, frames[0].len()))
        })?;
        let line = Found {
            scene: &rings.which.scene,
            frame,
            mpps: pps / 1e6,
            wire_gbps: pps * (frame + 24) as f64 * 8.0 / 1e9,
            trials,
            loss_pct: rings.loss_pct,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }
}

impl BurstsArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a frame comes out wrong.
    pub fn run(&self) -> Result<(), Failure> {
        let rings = &self.rings;
        rings.with_router(|generator, router, _| {
            for &burst in &self.sizes {
                let (before, noise) = (router.counters(), Noise::begin(rings.cpu));
                let (packets, seconds) = generator.one_burst_at_a_time(burst, rings.time());
                let (moved, taken) = (router.counters().since(&before), noise.end());
                let turns = moved.turns();
                let there = 1.0 - (taken.steal_pct + taken.wait_pct).min(95.0) / 100.0;
                let line = Burst {
                    scene: &rings.which.scene,
                    burst,
                    met: packets as f64 / turns.busy_iterations.max(1) as f64,
                    mpps: packets as f64 / seconds / 1e6,
                    cycles: turns.busy_cycles as f64 * there / packets.max(1) as f64,
                    wait_pct: taken.wait_pct,
                };
                println!("{}", serde_json::to_string(&line)?);
            }
            Ok(())
        })
    }
}

/// Keeps this thread on one CPU.
fn pin(cpu: usize) -> Result<(), Failure> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?)
}
