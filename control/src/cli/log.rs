//! `log level`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output;
use crate::api::proto::{GetLogLevelRequest, SetLogLevelRequest};

/// Arguments of `log`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the daemon's log level, or set it until the daemon ends
    #[command(after_help = "Examples:\n  \
        ironlane log level\n  \
        ironlane log level debug\n  \
        ironlane log level info,ironlane_control::netlink=trace")]
    Level {
        /// off, error, warn, info, debug or trace, or a list of target=level
        #[arg(value_parser = level)]
        level: Option<String>,
        /// Print JSON with the field names of the API
        #[arg(long)]
        json: bool,
    },
}

/// A level that the daemon will take.
pub(super) fn level(text: &str) -> Result<String, String> {
    crate::log::check_level(text).map(|()| text.to_owned())
}

/// Shows or sets the level.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Level { level, json } = args.verb;
    let level = match level {
        Some(level) => client.set_log_level(SetLogLevelRequest { level }).await?,
        None => client.get_log_level(GetLogLevelRequest {}).await?,
    };
    let level = level.into_inner();
    let mut out = super::stdout();
    if json {
        output::json(&mut out, &level)?;
    } else {
        writeln!(out, "{}", level.level)?;
    }
    Ok(out.flush()?)
}
