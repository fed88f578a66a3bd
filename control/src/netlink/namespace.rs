//! Moving a thread to another network namespace.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

use super::NetlinkError;

/// Moves this thread, for good, to the network namespace at a path; nowhere if there is none.
/// Sockets that it opens later, and what it sees of `/proc/sys/net`, belong to that namespace.
pub(crate) fn enter(netns: Option<&Path>) -> Result<(), NetlinkError> {
    let Some(path) = netns else { return Ok(()) };
    let refused = |source: io::Error| NetlinkError::Namespace {
        path: PathBuf::from(path),
        source,
    };
    let file = File::open(path).map_err(refused)?;
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| refused(errno.into()))
}

/// Where this thread is, held by an open file: a path may lead to another one later.
pub(super) fn here() -> Result<File, NetlinkError> {
    let path = PathBuf::from("/proc/thread-self/ns/net");
    File::open(&path).map_err(|source| NetlinkError::Namespace { path, source })
}

/// Moves this thread, for good, to a namespace that is held open.
pub(super) fn enter_held(namespace: &File) -> Result<(), NetlinkError> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| NetlinkError::Namespace {
        path: PathBuf::from("of the mirror"),
        source: errno.into(),
    })
}
