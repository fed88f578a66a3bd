//! How a command fails.

use std::io;

use crate::config::ConfigErrors;

/// Why a command did not do what it was asked. Every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The output could not be written.
    #[error("output: {0}")]
    Io(#[from] io::Error),
    /// The configuration is faulty.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The daemon refused or did not know.
    #[error("{}", .0.message())]
    Refused(#[from] Box<tonic::Status>),
    /// Everything else, in words for the user.
    #[error("{0}")]
    Other(String),
    /// What failed is already printed.
    #[error("")]
    Printed,
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            tonic::Code::Unavailable => {
                Failure::Other(format!("the daemon went away: {}", status.message()))
            }
            tonic::Code::Unimplemented => Failure::Other(
                "the daemon does not know this command: it is older than this program; restart it"
                    .into(),
            ),
            _ => Failure::Refused(Box::new(status)),
        }
    }
}

impl Failure {
    /// True if whoever read the output has gone, as `head` does: no fault of anybody.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}
