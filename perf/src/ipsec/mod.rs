//! `ipsec`: what one lcore opens and seals on the rig, and whether it does it right.
//!
//! A file of frames is played for ever, as for plain forwarding. Frames that arrive protected are the same ones
//! each time, so SAs have no replay window here, as those of DPDK's ipsec-secgw have none by default.

mod check;
mod esp;
mod load;
mod secgw;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use ironlane_dataplane::eal::Memory;
use serde::Serialize;

pub use check::{Whose, check};
pub use load::{Load, Size, Way};

use crate::frames;
use crate::noise::Noise;
use crate::oracle::Fates;
use crate::play::source;
use crate::router::{Measured, Protection, Router, Setup};

type Failure = Box<dyn std::error::Error>;

/// What one lcore opens and seals.
#[derive(Args)]
pub struct IpsecArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes the frames that the router receives to a pcap file.
    Frames {
        #[command(flatten)]
        load: Load,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// Number of the `net_pcap` port that will play them.
        #[arg(long, default_value_t = 0)]
        port: u8,
    },
    /// Writes the same tunnels as a configuration of DPDK's ipsec-secgw.
    Secgw {
        #[command(flatten)]
        load: Load,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Plays frames through the router and prints what it did, as JSON.
    Play(PlayArgs),
    /// Compares the frames that another program made of them.
    Compare {
        #[command(flatten)]
        load: Load,
        /// What it sent.
        #[arg(long)]
        got: PathBuf,
    },
}

/// Plays frames through the router and prints what it did, as JSON.
#[derive(Args)]
struct PlayArgs {
    #[command(flatten)]
    load: Load,
    /// The file of its frames (`ironlane-perf ipsec frames`); several for several ports.
    #[arg(long, required = true)]
    pcap: Vec<PathBuf>,
    /// For so long.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// CPUs of the lcores.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    cpu: Vec<usize>,
    /// Plays the frames once instead, and compares each one that comes out.
    #[arg(long)]
    verify: bool,
    /// Only counts what comes in and what leaves: for lcores that are given more than they can do.
    #[arg(long, conflicts_with = "verify")]
    any_loss: bool,
    /// Ordinary memory instead of hugepages: so many MiB.
    #[arg(long)]
    no_huge: Option<u32>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    #[serde(flatten)]
    measured: Measured,
}

/// What came in and what left where not all does.
#[derive(Serialize)]
struct Loss {
    /// Millions of packets received a second.
    mpps: f64,
    /// Millions of packets a second that left protected.
    sealed_mpps: f64,
    wait_pct: f64,
}

impl IpsecArgs {
    /// Does it.
    ///
    /// # Errors
    /// If anything but what should be happens to a packet.
    pub fn run(&self) -> Result<(), Failure> {
        match &self.what {
            What::Frames { load, out, port } => frames::write(out, &load.frames(*port)?)?,
            What::Secgw { load, out } => std::fs::write(out, secgw::config(load)?)?,
            What::Play(args) if args.verify => {
                let count = verify(&args.load, &args.pcap[0], args.cpu[0], args.memory())?;
                println!("{count} frames: all right");
            }
            What::Play(args) => args.measure()?,
            What::Compare { load, got } => {
                let count = check(load, Whose::Peers, frames::read(got)?)?;
                println!("{count} frames: all right");
            }
        }
        Ok(())
    }
}

impl PlayArgs {
    fn memory(&self) -> Memory {
        self.no_huge
            .map_or(Memory::Hugepages { mib: None }, |mib| Memory::NoHuge {
                mib,
            })
    }

    fn measure(&self) -> Result<(), Failure> {
        let mut count = 0;
        for pcap in &self.pcap {
            count += frames::read(pcap)?.len();
        }
        let sources = (0..).zip(&self.pcap);
        let setup = Setup {
            cpus: self.cpu.clone(),
            sources: sources.map(|(n, pcap)| source(n, pcap, true)).collect(),
            sink: "net_null99,no-rx=1".into(),
            held: count,
            memory: self.memory(),
            other_vrfs: 0,
            routes: self.load.routes(),
        };
        let router = Router::start_protected(&setup, Some(&protection(&self.load)))?;
        let fates = forwarded(count);
        let time = Duration::from_secs_f64(self.seconds);
        if self.any_loss {
            let noise = Noise::begin(self.cpu[0]);
            let (received, sent, seconds) = router.passed(Duration::from_millis(400), time);
            let line = Loss {
                mpps: received as f64 / seconds / 1e6,
                sealed_mpps: sent as f64 / seconds / 1e6,
                wait_pct: noise.end().wait_pct,
            };
            router.stop()?;
            println!("{}", serde_json::to_string(&line)?);
            return Ok(());
        }
        let measured = router.measure(Duration::from_millis(400), time, fates)?;
        router.stop()?;
        let line = Line {
            name: "ironlane",
            measured,
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }
}

fn forwarded(count: usize) -> Fates {
    Fates {
        forwarded: count as u64,
        ..Fates::default()
    }
}

fn protection(load: &Load) -> Protection<'_> {
    Protection {
        own: load.ours(),
        install: Box::new(|writer| load.install(writer)),
    }
}

/// Plays a file of the frames of `load` once, and compares each frame that comes out. How many there were.
///
/// # Errors
/// What differs first.
pub fn verify(load: &Load, pcap: &Path, cpu: usize, memory: Memory) -> Result<usize, Failure> {
    let out = pcap.with_extension("out.pcap");
    let count = frames::read(pcap)?.len();
    let setup = Setup {
        cpus: vec![cpu],
        sources: vec![source(0, pcap, false)],
        sink: format!("net_pcap1,tx_pcap={}", out.display()),
        held: 0,
        memory,
        other_vrfs: 0,
        routes: load.routes(),
    };
    let played = Router::start_protected(&setup, Some(&protection(load)))
        .and_then(|router| router.finish(forwarded(count)));
    let got = played.and_then(|()| Ok(frames::read(&out)?));
    std::fs::remove_file(&out).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    check(load, Whose::Ours, got?)
}
