//! `latency` and `search`: times through the box, and the highest rate without loss, on ring ports.

use clap::Args;
use hdrhistogram::Histogram;
use ironlane_dataplane::eal::{Clock, Eal};
use serde::Serialize;

use crate::generator::{Bare, Generator};
use crate::rings::Rings;
use crate::router::Router;
use crate::trial::Trial;

type Failure = Box<dyn std::error::Error>;

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
    #[serde(flatten)]
    stalls: StallsLine,
    /// Readings that were thrown away, because they were disturbed so.
    thrown_away: usize,
}

/// Stalls of the generator, which are left out of what is said beside them.
#[derive(Serialize)]
struct StallsLine {
    stalls: u64,
    stalled_us: f64,
    longest_stall_us: f64,
    /// Packets that were on the way, and those of them that never came back.
    set_aside: u64,
    set_aside_lost: u64,
}

#[derive(Serialize)]
struct Latency<'a> {
    scene: &'a str,
    frame: usize,
    throughput_mpps: f64,
    tsc_mhz: f64,
    trials: usize,
    /// Of these: the generator or the lcore was kept from its CPU for a twentieth of the time.
    disturbed: usize,
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
    /// Of these: the generator or the lcore was kept from its CPU for a twentieth of the time.
    disturbed: usize,
    loss_pct: f64,
}

impl LatencyArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a frame comes out wrong, or no rate is without loss.
    pub fn run(&self) -> Result<(), Failure> {
        let rings = &self.rings;
        let (found, mut times, frames) = rings.with_router(|generator, _, frames| {
            let found = rings.search(generator);
            if found.pps == 0.0 {
                return Err("no rate is without loss: allow some by --loss-pct".into());
            }
            let times = self.at_loads("ironlane", generator, found.pps);
            Ok((found, times, frames.to_vec()))
        })?;
        let eal: Eal = Router::eal(rings.memory())?;
        let mut bare = Bare::create(eal)?;
        let frame = frames[0].len();
        times.extend(self.at_loads("no router", &mut bare.generator(frames), found.pps));
        let line = Latency {
            scene: &rings.which.scene,
            frame,
            throughput_mpps: found.pps / 1e6,
            tsc_mhz: Clock::start(eal).hz() as f64 / 1e6,
            trials: found.trials,
            disturbed: found.disturbed,
            times,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }

    fn at_loads(&self, who: &'static str, generator: &mut Generator<'_>, pps: f64) -> Vec<Times> {
        let at = |load: &f64| {
            let rate = pps * load / 100.0;
            // In the bursts of the search: one by one, packets cost several times as much, and half of
            // the highest rate would be too many.
            let burst = self.rings.burst;
            let (trial, taken, thrown_away) = self.rings.quietest(generator, rate, burst);
            Times {
                who,
                load_pct: *load,
                mpps: trial.mpps(),
                loss_pct: 100.0 * trial.loss(),
                mean_ns: trial.times.mean(),
                percentiles: percentiles(&trial),
                steal_pct: taken.steal_pct,
                wait_pct: taken.wait_pct,
                stalls: StallsLine {
                    stalls: trial.stalls.count,
                    stalled_us: trial.stalls.seconds * 1e6,
                    longest_stall_us: trial.stalls.longest_s * 1e6,
                    set_aside: trial.stalls.packets,
                    set_aside_lost: trial.stalls.lost,
                },
                thrown_away,
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
        let (found, frame) = rings
            .with_router(|generator, _, frames| Ok((rings.search(generator), frames[0].len())))?;
        let line = Found {
            scene: &rings.which.scene,
            frame,
            mpps: found.pps / 1e6,
            wire_gbps: found.pps * (frame + 24) as f64 * 8.0 / 1e9,
            trials: found.trials,
            disturbed: found.disturbed,
            loss_pct: rings.loss_pct,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }
}
