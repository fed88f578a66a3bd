//! What can go wrong between the kernel and us.

use std::io;
use std::path::PathBuf;

use ironlane_rib::ObjectKind;

/// A message that says what no kernel says. Counted; the message is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Bytes at the end of a datagram that are no message.
    #[error("a netlink message longer than its datagram, or shorter than its header")]
    Message,
    /// Shorter than the header of its object.
    #[error("shorter than the header of its kind")]
    ObjectHeader,
    /// Bytes at the end of a message that are no attribute.
    #[error("bytes after the last attribute")]
    AttributeHeader,
    /// An attribute that ends beyond its message, or before it begins.
    #[error("attribute {kind} has an impossible length")]
    AttributeLength {
        /// Its number.
        kind: u16,
    },
    /// A value of the wrong length, or one that the attribute cannot have.
    #[error("attribute {kind} has an impossible value")]
    AttributeValue {
        /// Its number.
        kind: u16,
    },
    /// A prefix longer than its address.
    #[error("a prefix longer than the addresses of its family")]
    PrefixLength,
    /// What every object of this kind has is not there.
    #[error("attribute {kind} is missing")]
    Missing {
        /// Its number.
        kind: u16,
    },
}

/// What keeps the mirror from following the kernel.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The network namespace cannot be entered.
    #[error("network namespace {}: {source}; it must exist (ip netns add), and entering it needs root", path.display())]
    Namespace {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket cannot be opened or set up.
    #[error("netlink socket, {step}: {source}")]
    Socket {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel refused a dump.
    #[error("the kernel refuses to list {kind:?}: {source}{}", note(said))]
    Refused {
        /// What was asked for.
        kind: ObjectKind,
        /// Its error.
        source: io::Error,
        /// Its explanation, if it gave one.
        said: String,
    },
    /// The tables changed during each of many dumps.
    #[error("the kernel's list of {kind:?} changed during {tries} dumps in a row")]
    Restless {
        /// What was asked for.
        kind: ObjectKind,
        /// How often.
        tries: u32,
    },
    /// The thread of the mirror cannot be started.
    #[error("the mirror's thread: {0}")]
    Thread(io::Error),
    /// All places for readers of the tables are taken.
    #[error("no place left among the readers of the tables; use fewer lcores")]
    Readers,
    /// The mirror is gone.
    #[error("the mirror has stopped")]
    Stopped,
}

fn note(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    }
}
