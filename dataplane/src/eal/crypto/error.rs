//! What can go wrong between Ironlane and crypto devices, each with the next step.

use super::super::error::said;

/// An error of a crypto device, on control threads.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The device string names no crypto device that could be opened.
    #[error("crypto device {device:?}: {reason}{}", said(log))]
    Device {
        /// The device string.
        device: String,
        /// Why, and what to do.
        reason: String,
        /// What DPDK logged about it.
        log: Vec<String>,
    },
    /// More lcores than the device has queue pairs.
    #[error(
        "crypto device {device}: {wanted} engines asked for, it has {has} queue pairs; give it \
         fewer lcores, or use the CPU's own crypto (\"cpu\")"
    )]
    Engines {
        /// The device.
        device: String,
        /// Engines that would have been under way.
        wanted: usize,
        /// Queue pairs.
        has: usize,
    },
    /// The device has not the algorithm, or not with this length of key or ICV.
    #[error("crypto device {device} has no {algorithm}; it has {has}")]
    Unsupported {
        /// The device.
        device: String,
        /// What was asked for, with the lengths of its keys.
        algorithm: String,
        /// What it has.
        has: String,
    },
    /// A key has a length that the algorithm does not take, or there is one where none is taken.
    #[error("{algorithm} takes no {what} of {len} bytes")]
    Key {
        /// The algorithm.
        algorithm: String,
        /// Which key.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A cipher that authenticates together with an authenticator, or nothing at all.
    #[error("{0} is no way to protect a packet: one authenticator is needed, and no second one")]
    Combination(String),
    /// No memory for sessions, or it cannot be locked.
    #[error(
        "crypto device {device}: no locked memory for {sessions} more sessions: {reason}; {cure}"
    )]
    Memory {
        /// The device.
        device: String,
        /// How many were to be made room for.
        sessions: u32,
        /// Error number in words.
        reason: String,
        /// What to do.
        cure: &'static str,
    },
    /// The device refused a session that it should be able to do.
    #[error(
        "crypto device {device}: session for {algorithm}: {reason}{}",
        said(log)
    )]
    Session {
        /// The device.
        device: String,
        /// The algorithm.
        algorithm: String,
        /// Error number in words.
        reason: String,
        /// What DPDK logged about it.
        log: Vec<String>,
    },
    /// A device string has a zero byte in it.
    #[error("a zero byte inside the name of a crypto device")]
    ZeroByte(#[from] std::ffi::NulError),
}

/// Why a packet cannot be a job. Nothing was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The burst has no room.
    #[error("a burst takes no more jobs")]
    Full,
    /// The session belongs to another device.
    #[error("the session belongs to another crypto device than the engine")]
    OtherDevice,
    /// The packet is a chain of buffers; make it one first.
    #[error("the packet lies in several buffers")]
    Chained,
    /// Something lies outside of the packet's buffer.
    #[error("a part lies outside of the packet's buffer")]
    Outside,
    /// Nothing is encrypted that should be, or not whole blocks, or something where there is no cipher.
    #[error("the encrypted part does not fit the cipher")]
    Cipher,
    /// Nothing is authenticated, or additional data of another length than the session's.
    #[error("the authenticated part does not fit the session")]
    Auth,
}
