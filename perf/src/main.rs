//! `ironlane-perf`: what one lcore forwards, and whether it forwards it right.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ironlane_perf::updates::{self, UpdatesCommand};
use ironlane_perf::{
    bursts, check, churn, compare, cost, latency, lookup, play, rig, scene, traffic,
};

/// Measures the data plane on the rig: pcap source, one lcore, null sink.
#[derive(Parser)]
#[command(after_help = "Example:
  ironlane-perf traffic --out /tmp/t.pcap
  ironlane-perf forward --pcap /tmp/t.pcap --seconds 3
  ironlane-perf verify  --pcap /tmp/t.pcap")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists the scenes.
    Scenes,
    /// Writes the frames of a scene to a pcap file.
    Frames(play::FramesArgs),
    /// Writes a route table: made up, or the first routes of a file.
    Table(play::TableArgs),
    /// Plays frames of a scene through one lcore and prints what it did, as JSON.
    Play(play::PlayArgs),
    /// Compares what another process has forwarded with what it should have made of a scene.
    Compare(compare::CompareArgs),
    /// The hot loops, for callgrind to count their instructions (perf/cost.py).
    Cost(cost::CostArgs),
    /// Filling and changing tables, alone and under traffic, as JSON lines.
    Routes(churn::RoutesArgs),
    /// Times through the box at shares of the highest rate without loss, as JSON.
    Latency(latency::LatencyArgs),
    /// The highest rate without loss, by the binary search of RFC 2544, as JSON.
    Search(latency::SearchArgs),
    /// What packets cost the lcore in bursts of a size, as JSON lines.
    Bursts(bursts::BurstsArgs),
    /// Writes a pcap file of 64-byte UDP frames to random addresses of the benchmark prefix.
    Traffic {
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// How many frames.
        #[arg(long, default_value_t = 4096)]
        packets: usize,
        /// IPv6 instead of IPv4.
        #[arg(long)]
        v6: bool,
    },
    /// Plays a file in a loop and prints the rate of what left by the sink, as JSON.
    Forward {
        /// The file to play.
        #[arg(long)]
        pcap: PathBuf,
        /// For so long.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        #[command(flatten)]
        setup: rig::Setup,
    },
    /// Looks addresses up in real tables, by each path, and beside DPDK's libraries if built with
    /// `--features baselines`; prints a line of JSON for each.
    Lookup {
        /// The folder with the tables, `rib/v4-20260511.txt.xz` and so on.
        #[arg(long, env = "IRONLANE_SHARED", default_value = "../shared")]
        shared: PathBuf,
        /// How often each is measured, taking turns.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
        /// Fewer addresses and rounds, and no rte_lpm with the full table, which takes minutes
        /// to load.
        #[arg(long)]
        quick: bool,
        /// One family only.
        #[arg(long, value_parser = ["4", "6"])]
        family: Option<String>,
    },
    /// Plays a file once and compares each frame that came out.
    Verify {
        /// The file to play.
        #[arg(long)]
        pcap: PathBuf,
        #[command(flatten)]
        setup: rig::Setup,
    },
    /// Routes at speed: the writer of the tables, and lookups while it writes.
    #[command(subcommand)]
    Updates(UpdatesCommand),
}

fn run(what: What) -> Result<(), Box<dyn std::error::Error>> {
    match what {
        What::Scenes => {
            for scene in scene::all()? {
                println!("{:<12} {}", scene.name, scene.what);
            }
        }
        What::Frames(args) => args.run()?,
        What::Table(args) => args.run()?,
        What::Play(args) => args.run()?,
        What::Compare(args) => args.run()?,
        What::Cost(args) => args.run()?,
        What::Routes(args) => args.run()?,
        What::Latency(args) => args.run()?,
        What::Search(args) => args.run()?,
        What::Bursts(args) => args.run()?,
        What::Traffic { out, packets, v6 } => traffic::write_pcap(&out, packets, v6)?,
        What::Forward {
            pcap,
            seconds,
            setup,
        } => {
            let source = rig::source(&pcap, true);
            let rig = rig::Rig::start(setup, &source, "net_null1,no-rx=1")?;
            let warm_up = Duration::from_millis(700);
            let rate = rig.measure(warm_up, Duration::from_secs_f64(seconds))?;
            println!("{}", serde_json::to_string(&rate)?);
            rig.stop()?;
        }
        What::Lookup {
            shared,
            rounds,
            quick,
            family,
        } => {
            let wanted = |name| family.as_deref().is_none_or(|family| family == name);
            lookup::run(&shared, rounds, quick, [wanted("4"), wanted("6")])?;
        }
        What::Verify { pcap, setup } => {
            let out = pcap.with_extension("out.pcap");
            let sink = format!("net_pcap1,tx_pcap={}", out.display());
            let frames = check::frames(&pcap)?.len();
            let source = rig::source(&pcap, false);
            rig::Rig::start(setup, &source, &sink)?.finish(frames as u64)?;
            let compared = check::compare(&pcap, &out, setup.nexthops)?;
            std::fs::remove_file(&out)?;
            println!("{compared} frames, all right");
        }
        What::Updates(command) => updates::run(command)?,
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(Args::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
