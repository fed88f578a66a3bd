//! `run`: the daemon itself.

use std::path::PathBuf;

use super::failure::Failure;
use crate::config::Config;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ironlane run --config /etc/ironlane/ironlane.toml\n  \
    ironlane run --config router.toml --log debug\n  \
    ironlane config check router.toml && systemctl restart ironlane\n\n\
    Logs go to journald under systemd, else to standard error. SIGTERM, SIGINT and SIGHUP end it.")]
pub struct Args {
    /// Configuration file; `ironlane config example` prints one to begin with
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: PathBuf,
    /// Log level, in place of the file's
    #[arg(long, value_name = "LEVEL", value_parser = super::log::level)]
    log: Option<String>,
}

/// Runs the daemon until a signal ends it. Not on an async runtime: it has its own.
pub fn run(args: Args) -> Result<(), Failure> {
    let mut config = Config::load(&args.config)?;
    if let Some(level) = args.log {
        config.daemon.log = level;
    }
    crate::daemon::run(config, &args.config).map_err(|e| Failure::Other(e.to_string()))
}
