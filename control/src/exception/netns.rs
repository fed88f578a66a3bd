//! Doing something in another network namespace.
//!
//! A socket, and a tap, belongs for good to the namespace of the thread that opened it. So a
//! short-lived thread enters the namespace, opens what is wanted and hands it back; no thread of
//! the daemon ever changes its own namespace.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// A network namespace: one by name, or that of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Namespace {
    path: Option<PathBuf>,
}

/// A namespace that cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// There is none of this name.
    #[error("there is no network namespace {}; run: ip netns add {}", path.display(), name(path))]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("network namespace {}: {source}; root may enter it", path.display())]
    Refused {
        /// The namespace.
        path: PathBuf,
        /// How it refused.
        source: io::Error,
    },
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl Namespace {
    /// That of the daemon.
    pub fn own() -> Self {
        Self::default()
    }

    /// The one at this path, or the daemon's own.
    pub fn at(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// The one called so: a name as in `ip netns`, or a path.
    pub fn named(name: &str) -> Self {
        Self {
            path: Some(Path::new("/run/netns").join(name)),
        }
    }

    /// Where it is; `None` for the daemon's own.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// An open file of the namespace; `None` for the daemon's own.
    pub fn open(&self) -> Result<Option<File>, NamespaceError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(NamespaceError::Missing { path: path.clone() })
            }
            Err(source) => Err(NamespaceError::Refused {
                path: path.clone(),
                source,
            }),
        }
    }

    /// Runs `f` in the namespace, on a thread of its own, and waits for it.
    ///
    /// A panic of `f` goes on in the caller.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        let Some(file) = self.open()? else {
            return Ok(f());
        };
        let outcome = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET)?;
                Ok(f())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        outcome.map_err(|errno: nix::Error| NamespaceError::Refused {
            path: self.path.clone().unwrap_or_default(),
            source: errno.into(),
        })
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => f.write_str(&name(path)),
            None => f.write_str("of the daemon"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_needs_no_thread() {
        let here = thread::current().id();
        assert_eq!(
            Namespace::own().run(|| thread::current().id()).unwrap(),
            here
        );
    }

    #[test]
    fn a_missing_namespace_is_named_with_the_cure() {
        let error = Namespace::named("no-such-ns")
            .run(|| ())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "there is no network namespace /run/netns/no-such-ns; run: ip netns add no-such-ns"
        );
        let path = Namespace::named("/proc/self/ns/net");
        assert_eq!(path.path(), Some(Path::new("/proc/self/ns/net")));
    }
}
