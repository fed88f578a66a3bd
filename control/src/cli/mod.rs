//! The command line: object first, then verb.
//!
//! One file an object, with its arguments, its call and how its answer looks. Everything but
//! `run`, `config`, `doctor` and `completion` is a client of the daemon's API.

mod adjacency;
mod args;
mod client;
mod completion;
mod config;
mod doctor;
mod drops;
mod failure;
mod ipsec;
mod latency;
mod lcore;
mod log;
mod neighbour;
mod nexthop;
mod output;
mod port;
mod punt;
mod route;
mod run;
mod stage;
mod stats;
mod status;
mod table;
mod verify;

use std::io::{BufWriter, StdoutLock};
use std::process::ExitCode;

use clap::Parser;

pub use args::Cli;
use args::Command;
use failure::Failure;

/// Standard output, locked and buffered.
type Out = BufWriter<StdoutLock<'static>>;

fn stdout() -> Out {
    BufWriter::new(std::io::stdout().lock())
}

/// Runs the command line of this process and says how it ended: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors; clap knows which stream each goes to.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(Failure::Printed) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let command = match cli.command {
        Command::Run(args) => return run::run(args),
        Command::Completion(args) => return completion::run(args),
        other => other,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connect = || client::connect(&cli.socket);
        match command {
            Command::Config(args) => config::run(args, connect).await,
            Command::Doctor(args) => doctor::run(args, &cli.socket).await,
            Command::Status(args) => status::run(args, connect().await?).await,
            Command::Verify(args) => verify::run(args, connect().await?).await,
            Command::Port(args) => port::run(args, connect().await?).await,
            Command::Route(args) => route::run(args, connect().await?).await,
            Command::Nexthop(args) => nexthop::run(args, connect().await?).await,
            Command::Adjacency(args) => adjacency::run(args, connect().await?).await,
            Command::Neighbour(args) => neighbour::run(args, connect().await?).await,
            Command::Ipsec(args) => ipsec::run(args, connect().await?).await,
            Command::Punt(args) => punt::run(args, connect().await?).await,
            Command::Drop(args) => drops::run(args, connect().await?).await,
            Command::Lcore(args) => lcore::run(args, connect().await?).await,
            Command::Stage(args) => stage::run(args, connect().await?).await,
            Command::Stats(args) => stats::run(args, connect().await?).await,
            Command::Latency(args) => latency::run(args, connect().await?).await,
            Command::Log(args) => log::run(args, connect().await?).await,
            Command::Run(_) | Command::Completion(_) => Ok(()),
        }
    })
}
