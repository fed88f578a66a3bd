//! `config check|show|example`.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::client::Client;
use super::failure::Failure;
use super::output;
use crate::api::proto::GetConfigRequest;
use crate::config::{self, Config, ConfigError, ConfigErrors};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say everything that is wrong with a file, with line and column
    #[command(after_help = "Examples:\n  \
        ironlane config check router.toml\n  \
        ironlane config check configs/*/*.toml\n  \
        ironlane config check router.toml --json\n\n\
        Whether this machine has what the file asks for: ironlane doctor --config FILE")]
    Check {
        /// Files to check
        #[arg(required = true, value_hint = clap::ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a file, or what the daemon runs with, with every default written out
    #[command(after_help = "Examples:\n  \
        ironlane config show                 what the daemon runs with\n  \
        ironlane config show router.toml --json")]
    Show {
        /// File to show; the running daemon's configuration if not given
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration to begin with: every key, with what it does
    #[command(after_help = "Examples:\n  ironlane config example > router.toml")]
    Example,
}

/// Runs `config`; `connect` reaches the daemon where that is needed.
pub async fn run(
    args: Args,
    connect: impl AsyncFnOnce() -> Result<Client, Failure>,
) -> Result<(), Failure> {
    let mut out = super::stdout();
    match args.verb {
        Verb::Check { files, json: true } => check_for_programs(&mut out, &files)?,
        Verb::Check { files, .. } => check(&mut out, &files)?,
        Verb::Example => out.write_all(config::example().as_bytes())?,
        Verb::Show { file, json } => {
            let config = match file {
                Some(file) => Config::load(&file)?,
                None => {
                    let mut client = connect().await?;
                    let text = client.get_config(GetConfigRequest {}).await?.into_inner();
                    Config::parse(&text.file, &text.toml)?
                }
            };
            if json {
                output::json(&mut out, &config)?;
            } else {
                out.write_all(config.to_toml().as_bytes())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn check(out: &mut impl Write, files: &[PathBuf]) -> Result<(), Failure> {
    let mut faults = Vec::new();
    for file in files {
        match Config::load(file) {
            Ok(config) => {
                let (ports, lcores) = (config.ports.len(), config.lcores.cpus.len());
                let name = file.display();
                writeln!(
                    out,
                    "{name}: good: {} on {}",
                    count(ports, "port"),
                    count(lcores, "lcore")
                )?;
            }
            Err(errors) => faults.extend(errors.0),
        }
    }
    out.flush()?;
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(faults).into())
    }
}

/// What `config check --json` says of a file.
#[derive(Serialize)]
struct Checked {
    file: String,
    ports: usize,
    lcores: usize,
    faults: Vec<Fault>,
}

/// A fault, and where it is, unless the whole file is meant.
#[derive(Serialize)]
struct Fault {
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

fn check_for_programs(out: &mut impl Write, files: &[PathBuf]) -> Result<(), Failure> {
    let checked: Vec<_> = files
        .iter()
        .map(|file| {
            let loaded = Config::load(file);
            let (ports, lcores) = loaded
                .as_ref()
                .map_or((0, 0), |c| (c.ports.len(), c.lcores.cpus.len()));
            let faults = loaded.err().map(|errors| errors.0).unwrap_or_default();
            let fault = |fault: ConfigError| Fault {
                line: fault.position.map(|(line, _)| line),
                column: fault.position.map(|(_, column)| column),
                message: fault.message,
            };
            Checked {
                file: file.display().to_string(),
                ports,
                lcores,
                faults: faults.into_iter().map(fault).collect(),
            }
        })
        .collect();
    output::json_list(out, &checked)?;
    match checked.iter().all(|file| file.faults.is_empty()) {
        true => Ok(()),
        false => Err(Failure::Printed),
    }
}

/// `1 port`, `2 ports`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
