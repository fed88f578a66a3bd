//! One daemon for a run folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error(
        "another ironlane runs{}: it holds {}; stop it, or give this one a [daemon] run_dir, socket \
         and [dpdk] file_prefix of its own",
        in_brackets(*pid), path.display()
    )]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who holds it, where the file tells.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error("{}: {source}; set [daemon] run_dir to a folder that root may write", path.display())]
    System {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn in_brackets(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// The lock of a run folder. The kernel takes it back when the process ends, however it ends, so a
/// killed daemon locks nobody out; the file stays.
#[derive(Debug)]
pub struct RunLock {
    _file: Flock<File>,
}

impl RunLock {
    /// Takes the lock of `folder`, made if missing.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("ironlane.lock");
        let failed = |source| LockError::System {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0).map_err(failed)?;
                writeln!(file, "{}", std::process::id()).map_err(failed)?;
                Ok(Self { _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                Err(LockError::Held { path, pid })
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("deep/run");
        let first = RunLock::take(&run_dir).unwrap();
        let error = RunLock::take(&run_dir).unwrap_err().to_string();
        let pid = format!("(pid {})", std::process::id());
        assert!(error.contains(&pid) && error.contains("run_dir"), "{error}");
        drop(first);
        RunLock::take(&run_dir).unwrap();
    }

    #[test]
    fn what_a_killed_daemon_left_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ironlane.lock"), "999999999\nrubbish").unwrap();
        RunLock::take(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("ironlane.lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
