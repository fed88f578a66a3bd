//! How the mirror is told to work.

use std::path::PathBuf;
use std::time::Duration;

use ironlane_fib::VrfId;

/// How the mirror works; the defaults are those of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorOptions {
    /// The network namespace to mirror; that of the caller if none.
    pub netns: Option<PathBuf>,
    /// The tables to write.
    pub vrf: VrfId,
    /// Receive buffer of the socket that hears events, in bytes. Too small a one overflows in a
    /// burst, which costs a new dump of everything.
    pub receive_buffer_bytes: usize,
    /// Time between two full comparisons with the kernel.
    pub audit_interval: Option<Duration>,
    /// Quiet that is awaited, after changes with which the kernel may have changed more without
    /// saying so, before the tables are compared.
    pub audit_delay: Duration,
    /// Time between two looks at which neighbours carry traffic.
    pub refresh_interval: Option<Duration>,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            netns: None,
            vrf: VrfId::DEFAULT,
            receive_buffer_bytes: 128 << 20,
            audit_interval: Some(Duration::from_secs(300)),
            audit_delay: Duration::from_millis(500),
            refresh_interval: Some(Duration::from_secs(5)),
        }
    }
}
