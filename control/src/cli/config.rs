//! `config check|show|example`.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Failure;
use crate::config::Config;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a file and say everything that is wrong with it
    Check {
        /// The file to check
        file: PathBuf,
    },
}

/// Runs `config`.
pub fn run(args: Args) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match args.verb {
        Verb::Check { file } => {
            let config = Config::load(&file)?;
            let ports = config.ports.len();
            writeln!(out, "{}: good, {ports} port(s)", file.display())?;
        }
    }
    Ok(())
}
