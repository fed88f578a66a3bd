//! Tables and update streams of `shared/data/rib`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use ipnet::IpNet;

use super::Failure;

/// A line of a table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The destination.
    pub prefix: IpNet,
    /// Number of its nexthop.
    pub nexthop: u16,
}

/// A line of an update stream.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The destination.
    pub prefix: IpNet,
    /// Number of its new nexthop; none to withdraw it.
    pub nexthop: Option<u16>,
}

/// Reads a table.
///
/// # Errors
/// A file that is not there, or a line that is none.
pub fn table(path: &Path) -> Result<Vec<Route>, Failure> {
    lines(path, |words| {
        Some(Route {
            prefix: words.first()?.parse().ok()?,
            nexthop: words.get(1)?.parse().ok()?,
        })
    })
}

/// Reads an update stream.
///
/// # Errors
/// A file that is not there, or a line that is none.
pub fn updates(path: &Path) -> Result<Vec<Update>, Failure> {
    lines(path, |words| {
        let nexthop = match *words.get(1)? {
            "A" => Some(words.get(3)?.parse().ok()?),
            _ => None,
        };
        let prefix = words.get(2)?.parse().ok()?;
        Some(Update { prefix, nexthop })
    })
}

fn lines<T>(path: &Path, parse: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>, Failure> {
    let packed = path.extension().is_some_and(|extension| extension == "xz");
    let program = if packed { "xz" } else { "cat" };
    let mut command = Command::new(program);
    if packed {
        command.arg("-dc");
    }
    let mut child = command.arg(path).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut all = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let item = parse(&words).ok_or_else(|| format!("{}: {line}", path.display()))?;
        all.push(item);
    }
    match child.wait()?.success() && !all.is_empty() {
        true => Ok(all),
        false => Err(format!("cannot read {}", path.display()).into()),
    }
}
