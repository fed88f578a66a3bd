//! Logs: to journald where it listens, else to standard error; levels changeable while running.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::stat::fstat;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// Levels, from few to many lines.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Changes the log level while the daemon runs. Clones act on the same logs.
#[derive(Clone)]
pub struct LogControl {
    level: Arc<Mutex<String>>,
    reload: Option<reload::Handle<EnvFilter, Registry>>,
}

impl LogControl {
    /// Starts logging at `level` for the whole process; call once.
    ///
    /// A service of systemd whose standard error is journald's logs there with its fields,
    /// anything else to standard error.
    pub fn start(level: &str) -> Result<Self, String> {
        check_level(level)?;
        let (filter, handle) = reload::Layer::new(filter(level)?);
        let output: Box<dyn Layer<_> + Send + Sync> = match journal() {
            Some(layer) => layer.boxed(),
            None => tracing_subscriber::fmt::layer()
                .compact()
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(output)
            .try_init()
            .map_err(|e| format!("logging is already started: {e}"))?;
        Ok(Self {
            level: Arc::new(Mutex::new(level.to_owned())),
            reload: Some(handle),
        })
    }

    /// A control that remembers a level and changes no logs, for tests.
    pub fn detached(level: &str) -> Self {
        Self {
            level: Arc::new(Mutex::new(level.to_owned())),
            reload: None,
        }
    }

    /// The level in force.
    pub fn level(&self) -> String {
        self.level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets the level: one of off, error, warn, info, debug, trace, or `target=level` directives.
    pub fn set(&self, level: &str) -> Result<(), String> {
        check_level(level)?;
        let mut current = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reload) = &self.reload {
            let filter = filter(level)?;
            reload
                .reload(filter)
                .map_err(|e| format!("logs cannot be changed: {e}"))?;
        }
        level.clone_into(&mut current);
        Ok(())
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|e| format!("\"{level}\" is not a log level: {e}"))
}

fn journal() -> Option<tracing_journald::Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    is_stream(&stream, std::io::stderr())
        .then(|| tracing_journald::layer().ok())
        .flatten()
}

/// Whether `JOURNAL_STREAM` (device and inode, see systemd.exec(5)) is about this file. A process
/// that a service starts inherits the variable, though its standard error may lead elsewhere.
fn is_stream(stream: &str, file: impl AsFd) -> bool {
    let wanted = stream
        .split_once(':')
        .and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    fstat(file).is_ok_and(|found| wanted == Some((found.st_dev, found.st_ino)))
}

/// Checks a level or a list of `target=level`, since a mistyped level would silently be taken
/// for the name of a target.
pub fn check_level(level: &str) -> Result<(), String> {
    for directive in level.split(',') {
        let (target, word) = match directive.rsplit_once('=') {
            Some((target, word)) => (Some(target), word),
            None => (None, directive),
        };
        let known = LEVELS.contains(&word.trim().to_lowercase().as_str());
        if !known || target.is_some_and(|t| t.trim().is_empty()) {
            return Err(format!(
                "\"{}\" is not a log level; write one of {} or a list of target=level",
                directive.trim(),
                LEVELS.join(", ")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::{LogControl, check_level, is_stream};

    #[test]
    fn only_the_stream_that_journald_gave_is_journalds() {
        let file = tempfile::tempfile().unwrap();
        let there = file.metadata().unwrap();
        let (device, inode) = (there.dev(), there.ino());
        assert!(is_stream(&format!("{device}:{inode}"), &file));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            inode.to_string(),
            String::new(),
        ] {
            assert!(!is_stream(&other, &file), "{other:?}");
        }
    }

    #[test]
    fn levels_and_directives_are_told_from_typing_errors() {
        for good in [
            "info",
            "DEBUG",
            "warn,ironlane_control::netlink=trace",
            "off",
        ] {
            check_level(good).unwrap();
        }
        for bad in [
            "",
            "infoo",
            "info,",
            "=debug",
            "ironlane_control=loud",
            "netlink",
        ] {
            assert!(check_level(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wrong_level_leaves_the_old_one() {
        let log = LogControl::detached("info");
        assert!(log.set("loud").is_err());
        assert_eq!(log.level(), "info");
        log.set("debug").unwrap();
        assert_eq!(log.clone().level(), "debug");
    }
}
