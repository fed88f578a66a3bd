//! What the commands on ring ports have in common: the router between two rings, the generator at their other
//! ends, and the search for the highest rate.

use std::time::Duration;

use clap::Args;
use ironlane_dataplane::eal::Memory;

use crate::frames;
use crate::generator::{Generator, RingPorts, addressed};
use crate::noise::{Noise, Taken};
use crate::oracle::Oracle;
use crate::play::Which;
use crate::router::{Router, Setup};
use crate::transfer::pin;
use crate::trial::Trial;

type Failure = Box<dyn std::error::Error>;

/// Where the rates of a search begin: what no generator on one core makes.
const CEILING_PPS: f64 = 60e6;

/// What the commands have in common.
#[derive(Args)]
pub struct Rings {
    #[command(flatten)]
    pub(crate) which: Which,
    /// CPU of the lcore; the generator takes another one.
    #[arg(long, default_value_t = 1)]
    pub(crate) cpu: usize,
    /// CPU of the generator.
    #[arg(long, default_value_t = 0)]
    pub(crate) generator_cpu: usize,
    /// Frames that the generator sends at once.
    #[arg(long, default_value_t = 8)]
    pub(crate) burst: usize,
    /// Length of one trial.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Packets that a trial may lose and still count, in percent (RFC 2544: none).
    #[arg(long, default_value_t = 0.0)]
    pub(crate) loss_pct: f64,
    /// Trials of a rate before it has failed, and readings for one that nothing disturbed: on a shared
    /// machine the host takes the CPU of the lcore away, which is no loss of the router's.
    #[arg(long, default_value_t = 3)]
    pub(crate) attempts: usize,
    /// Ordinary memory instead of hugepages: so many MiB.
    #[arg(long)]
    no_huge: Option<u32>,
}

/// What a search for the highest rate found.
pub(crate) struct Search {
    /// The rate, in packets a second; 0 if none was good enough.
    pub pps: f64,
    /// Trials that it took.
    pub trials: usize,
    /// Of these: the generator or the lcore was kept from its CPU for a twentieth of the time.
    pub disturbed: usize,
}

impl Rings {
    pub(crate) fn memory(&self) -> Memory {
        self.no_huge
            .map_or(Memory::Hugepages { mib: None }, |mib| Memory::NoHuge {
                mib,
            })
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Starts the router on ring ports, compares every frame, then does `work` on the CPU of the
    /// generator.
    pub(crate) fn with_router<R>(
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

    /// One trial, and what others took of the lcore's CPU meanwhile.
    fn trial(&self, generator: &mut Generator<'_>, pps: f64, burst: usize) -> (Trial, Taken) {
        let noise = Noise::begin(self.cpu);
        let trial = generator.trial(pps, burst, self.time());
        (trial, noise.end())
    }

    /// The first of some trials that nothing disturbed, else the one that was disturbed least; and how many
    /// others there were.
    pub(crate) fn quietest(
        &self,
        generator: &mut Generator<'_>,
        pps: f64,
        burst: usize,
    ) -> (Trial, Taken, usize) {
        let mut best = self.trial(generator, pps, burst);
        let mut others = 0;
        while others + 1 < self.attempts && is_disturbed(&best.0, best.1) {
            let next = self.trial(generator, pps, burst);
            others += 1;
            if disturbance(&next.0, next.1) < disturbance(&best.0, best.1) {
                best = next;
            }
        }
        (best.0, best.1, others)
    }

    /// The highest rate without loss.
    pub(crate) fn search(&self, generator: &mut Generator<'_>) -> Search {
        let (mut trials, mut disturbed) = (0, 0);
        let mut trial = |pps: f64| {
            let (trial, taken) = self.trial(generator, pps, self.burst);
            trials += 1;
            disturbed += usize::from(is_disturbed(&trial, taken));
            trial
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
        Search {
            pps: low,
            trials,
            disturbed,
        }
    }
}

/// Share of a trial in which the generator or the lcore was kept from its CPU, in percent.
fn disturbance(trial: &Trial, taken: Taken) -> f64 {
    let stalled = trial.stalls.seconds / (trial.seconds + trial.stalls.seconds);
    100.0 * stalled + taken.steal_pct + taken.wait_pct
}

/// Whether either was kept from it for more than a twentieth of the time. A stall here and there, which the
/// timer of any kernel makes, does no harm: it is left out.
fn is_disturbed(trial: &Trial, taken: Taken) -> bool {
    disturbance(trial, taken) > 5.0
}
