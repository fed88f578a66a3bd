//! Why the data plane cannot be started or changed.

use ironlane_fib::PortId;

use crate::eal::EalError;
use crate::eal::crypto::CryptoError;

/// An error of the data plane, with the next step.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// DPDK, a device or the host.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// What encrypts.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// No lcore to run on.
    #[error("no lcores: name at least one CPU")]
    NoLcores,
    /// A setting of a port that cannot be.
    #[error("port {port}: {what}")]
    Port {
        /// The port by its configured name.
        port: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// Two ports with the same name or device.
    #[error("two ports have the {what} {value}")]
    PortTwice {
        /// `name` or `device`.
        what: &'static str,
        /// The name or device.
        value: String,
    },
    /// A port that does not exist.
    #[error("there is no port {0}")]
    NoSuchPort(PortId),
    /// Fewer packet buffers than queues and caches can take.
    #[error(
        "mbufs = {mbufs} is too few: receive queues and caches alone can take {fewest}; leave it \
         out to have it counted, or lower rx_descriptors"
    )]
    TooFewMbufs {
        /// Configured.
        mbufs: u32,
        /// Needed at least.
        fewest: u32,
    },
    /// The domain of the tables has no place for more readers.
    #[error("{lcores} lcores, but the tables take no more readers (RCU domain full)")]
    TooManyReaders {
        /// Lcores asked for.
        lcores: usize,
    },
}
