//! How far two CPUs are from each other: the time that a cache line takes between their caches.
//!
//! Packets that one CPU writes and another reads cost that time, once or more, whatever reads them. It is a
//! property of the machine (one core complex, two of them, two threads of one core), and on a virtual one of
//! where the host put its CPUs meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ironlane_dataplane::eal::ticks;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

type Failure = Box<dyn std::error::Error>;

/// Round trips of a block, and blocks. The median is that of blocks: in some of them the CPU is taken away.
const TRIPS: u64 = 200;
const BLOCKS: u64 = 101;

/// A word with a cache line (and the one that is fetched with it) of its own.
#[repr(align(128))]
struct Line(AtomicU64);

/// Keeps this thread on one CPU.
///
/// # Errors
/// If this process may not use it.
pub fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|error| format!("CPU {cpu} is not for this process: {error}").into())
}

/// Ticks that a line takes from one CPU to another: half of the median round trip.
///
/// # Errors
/// If this process may not use the CPUs.
pub fn one_way_ticks(here: usize, far: usize) -> Result<f64, Failure> {
    let (there, back) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let wait_for = |line: &Line, number| {
        while line.0.load(Ordering::Acquire) != number {
            std::hint::spin_loop();
        }
    };
    let mut blocks = thread::scope(|scope| {
        let echo = scope.spawn(|| {
            // The other side waits for answers, so they come even if the CPU is not to be had.
            let pinned = pin(far).map_err(|error| error.to_string());
            for number in 1..=TRIPS * BLOCKS {
                wait_for(&there, number);
                back.0.store(number, Ordering::Release);
            }
            pinned
        });
        let ask = scope.spawn(|| {
            let pinned = pin(here).map_err(|error| error.to_string());
            let mut blocks = Vec::new();
            for block in 0..BLOCKS {
                let begin = ticks();
                for number in block * TRIPS + 1..=(block + 1) * TRIPS {
                    there.0.store(number, Ordering::Release);
                    wait_for(&back, number);
                }
                blocks.push(ticks() - begin);
            }
            pinned.map(|()| blocks)
        });
        let blocks = ask.join().expect("it only waits");
        echo.join().expect("it only waits").and(blocks)
    })?;
    blocks.sort_unstable();
    Ok(blocks[blocks.len() / 2] as f64 / (2 * TRIPS) as f64)
}

/// Ticks that a cache line takes from one CPU to another.
#[derive(clap::Args)]
pub struct LineArgs {
    /// One CPU.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
    /// The other.
    #[arg(long, default_value_t = 0)]
    generator_cpu: usize,
}

impl LineArgs {
    /// Does it.
    ///
    /// # Errors
    /// If this process may not use the CPUs.
    pub fn run(&self) -> Result<(), Failure> {
        let line_ticks = one_way_ticks(self.cpu, self.generator_cpu)?;
        println!("{}", serde_json::json!({ "line_ticks": line_ticks }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = one_way_ticks(1000, 0).unwrap_err().to_string();
        assert!(error.contains("CPU 1000"), "{error}");
    }
}
