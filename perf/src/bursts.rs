//! `bursts`: what packets cost the lcore in bursts of a size, on ring ports.

use clap::Args;
use serde::Serialize;

use crate::noise::Noise;
use crate::rings::Rings;
use crate::transfer::one_way_ticks;

type Failure = Box<dyn std::error::Error>;

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
struct Burst<'a> {
    scene: &'a str,
    burst: usize,
    /// Packets of a turn that the lcore really met.
    met: f64,
    mpps: f64,
    /// Ticks a packet in turns that moved any, less the time that the core was taken away.
    cycles: f64,
    wait_pct: f64,
    /// Ticks that a cache line takes from the generator's CPU to the lcore's.
    line_ticks: f64,
}

impl BurstsArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a frame comes out wrong.
    pub fn run(&self) -> Result<(), Failure> {
        let rings = &self.rings;
        let line_ticks = one_way_ticks(rings.cpu, rings.generator_cpu)?;
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
                    line_ticks,
                };
                println!("{}", serde_json::to_string(&line)?);
            }
            Ok(())
        })
    }
}
