//! `doctor`: what would keep the daemon from running well.

use std::io::Write;
use std::path::{Path, PathBuf};

use ironlane_dataplane::eal::crypto::{self, CryptoDevice};
use serde::Serialize;

use super::client;
use super::failure::Failure;
use super::output;
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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What it found.
#[derive(Default, Serialize)]
struct Findings {
    /// Of whom: the socket where a daemon answers, or the file; neither for a plain machine.
    daemon: Option<String>,
    config: Option<String>,
    notes: Vec<String>,
    problems: Vec<String>,
    crypto: Crypto,
}

/// What encrypts for IPsec on this machine where no other device is configured.
#[derive(Serialize)]
struct Crypto {
    /// Its device string.
    device: &'static str,
    /// What drives it.
    driver: String,
    /// What it has, each length of key by itself, as in `aes-gcm-16 (256)`; empty if that is not
    /// known before it is opened.
    algorithms: Vec<String>,
}

impl Default for Crypto {
    fn default() -> Self {
        let slow = || "OpenSSL: this CPU has no AES-NI, IPsec will be slow".to_owned();
        let driver = crypto::cpu_driver().unwrap_or_else(slow);
        Self {
            device: CryptoDevice::default_string(),
            driver,
            algorithms: crypto::cpu_algorithms()
                .map(|one| one.to_string())
                .collect(),
        }
    }
}

impl Crypto {
    /// In a line, without the lengths of keys.
    fn line(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for algorithm in &self.algorithms {
            let name = algorithm.split(' ').next().unwrap_or(algorithm);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let Self { device, driver, .. } = self;
        match names[..] {
            [] => format!("crypto: {device} ({driver})"),
            _ => format!("crypto: {device} ({driver}): {}", names.join(", ")),
        }
    }
}

/// Prints what is wrong, one line each with its cure; fails if there is anything.
pub async fn run(args: Args, socket: &Path) -> Result<(), Failure> {
    let mut out = super::stdout();
    let findings = match (args.config, client::connect(socket).await) {
        (Some(file), _) => Findings {
            problems: machine::check(&Config::load(&file)?),
            config: Some(file.display().to_string()),
            ..Findings::default()
        },
        (None, Ok(mut daemon)) => {
            let status = daemon.get_status(GetStatusRequest {}).await?.into_inner();
            Findings {
                daemon: Some(socket.display().to_string()),
                config: Some(status.config_file),
                notes: status.notes,
                problems: status.warnings,
                ..Findings::default()
            }
        }
        (None, Err(failure)) => {
            let plain = Config::parse("plain", "lcores.cpus = 0")
                .unwrap_or_else(|e| unreachable!("the smallest configuration is faulty: {e}"));
            Findings {
                notes: vec![failure.to_string()],
                problems: machine::check(&plain),
                ..Findings::default()
            }
        }
    };
    if args.json {
        output::json(&mut out, &findings)?;
    } else {
        show(&mut out, &findings)?;
    }
    out.flush()?;
    if findings.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Printed)
    }
}

fn show(out: &mut impl Write, findings: &Findings) -> std::io::Result<()> {
    if let Some(socket) = &findings.daemon {
        writeln!(out, "a daemon answers on {socket}")?;
    }
    writeln!(out, "{}", findings.crypto.line())?;
    for note in &findings.notes {
        writeln!(out, "note: {note}")?;
    }
    for problem in &findings.problems {
        writeln!(out, "- {problem}")?;
    }
    if findings.problems.is_empty() {
        writeln!(out, "nothing is wrong here")?;
    }
    Ok(())
}
