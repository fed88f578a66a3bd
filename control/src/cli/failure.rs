//! How a command fails.

use std::io;

use crate::config::ConfigErrors;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The output could not be written.
    #[error("output: {0}")]
    Io(#[from] io::Error),
    /// The configuration is faulty.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// Everything else, in words for the user.
    #[error("{0}")]
    Other(String),
    /// Whoever read the output has gone.
    #[error("")]
    Quiet,
}
