//! `ironlane-perf`: what one lcore forwards, and whether it forwards it right.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ironlane_perf::{
    bursts, compare, cost, crypto, ipsec, latency, lookup, play, routes, scene, transfer,
};

/// Measures the data plane on the rig: pcap source, one lcore, null sink.
#[derive(Parser)]
#[command(after_help = "Example:
  ironlane-perf frames --scene ipv4 --out /tmp/t.pcap
  ironlane-perf play   --scene ipv4 --pcap /tmp/t.pcap --seconds 3
  ironlane-perf play   --scene ipv4 --pcap /tmp/t.pcap --verify")]
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
    /// Encryption on one lcore, by the engine's ways and, if built with `--features baselines`, by
    /// others; a line of JSON for each.
    Crypto(crypto::CryptoArgs),
    /// What one lcore opens and seals, beside DPDK's ipsec-secgw on the same frames.
    Ipsec(ipsec::IpsecArgs),
    /// Filling and changing tables, alone and under traffic, as JSON lines.
    Routes(routes::RoutesArgs),
    /// Times through the box at shares of the highest rate without loss, as JSON.
    Latency(latency::LatencyArgs),
    /// The highest rate without loss, by the binary search of RFC 2544, as JSON.
    Search(latency::SearchArgs),
    /// What packets cost the lcore in bursts of a size, as JSON lines.
    Bursts(bursts::BurstsArgs),
    /// Ticks of the time stamp counter that a cache line takes from one CPU to another, as JSON.
    Line(transfer::LineArgs),
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
        What::Crypto(args) => args.run()?,
        What::Ipsec(args) => args.run()?,
        What::Routes(args) => args.run()?,
        What::Latency(args) => args.run()?,
        What::Search(args) => args.run()?,
        What::Bursts(args) => args.run()?,
        What::Line(args) => args.run()?,
        What::Lookup {
            shared,
            rounds,
            quick,
            family,
        } => {
            let wanted = |name| family.as_deref().is_none_or(|family| family == name);
            lookup::run(&shared, rounds, quick, [wanted("4"), wanted("6")])?;
        }
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
