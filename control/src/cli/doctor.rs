//! `doctor`: what would keep the daemon from running well.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::client;
use super::failure::Failure;
use crate::api::proto::GetStatusRequest;
use crate::config::{Config, machine};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ironlane doctor                         the running daemon, or this machine for a plain one\n  \
    ironlane doctor --config router.toml    does this machine have what the file asks for")]
pub struct Args {
    /// Configuration that is to run here
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// Prints what is wrong, one line each with its cure; fails if there is anything.
pub async fn run(args: Args, socket: &Path) -> Result<(), Failure> {
    let mut out = super::stdout();
    let problems = match (args.config, client::connect(socket).await) {
        (Some(file), _) => machine::check(&Config::load(&file)?),
        (None, Ok(mut daemon)) => {
            writeln!(out, "a daemon answers on {}", socket.display())?;
            let status = daemon.get_status(GetStatusRequest {}).await?.into_inner();
            for note in &status.notes {
                writeln!(out, "note: {note}")?;
            }
            status.warnings
        }
        (None, Err(failure)) => {
            writeln!(out, "{failure}")?;
            machine::check(
                &Config::parse("plain", "lcores.cpus = 0")
                    .unwrap_or_else(|e| unreachable!("the smallest configuration is faulty: {e}")),
            )
        }
    };
    for problem in &problems {
        writeln!(out, "- {problem}")?;
    }
    if problems.is_empty() {
        writeln!(out, "nothing is wrong here")?;
    }
    out.flush()?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Printed)
    }
}
