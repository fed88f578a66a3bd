//! What a writer cannot do.

use std::net::IpAddr;

use ironlane_fib::VrfId;

use crate::{PolicyId, SaId};

/// Why a change was refused; SAs and policies are as they were.
///
/// ```
/// use ironlane_ipsec::{IpsecError, SaId};
///
/// let error = IpsecError::NoSuchSa(SaId::from_raw(3));
/// assert_eq!(error.to_string(), "there is no SA 3.0; it was deleted, or never added");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpsecError {
    /// The SA makes no sense.
    #[error("the SA is refused: {0}")]
    BadSa(String),
    /// A key has a wrong length.
    #[error(
        "the key of {algorithm} has {len_bytes} bytes; it needs one of {lens_bytes:?}, and \
         {salt_len_bytes} of salt"
    )]
    BadKey {
        /// What the key is for.
        algorithm: String,
        /// Length that was given, salt included.
        len_bytes: usize,
        /// Lengths that it may have, salt not included.
        lens_bytes: &'static [usize],
        /// Length of the salt.
        salt_len_bytes: usize,
    },
    /// The policy makes no sense.
    #[error("the policy is refused: {0}")]
    BadPolicy(String),
    /// Another SA has this protocol, SPI, destination and VRF.
    #[error("SA {id} has SPI {spi:#010x} to {dst} in VRF {vrf} already; delete or update it")]
    SaExists {
        /// The other SA.
        id: SaId,
        /// SPI of both.
        spi: u32,
        /// Destination of both.
        dst: IpAddr,
        /// VRF of both.
        vrf: VrfId,
    },
    /// Another policy has this selector, direction, priority, interface, mark and VRF.
    #[error("policy {0} has this selector and priority already; delete it, or change that one")]
    PolicyExists(PolicyId),
    /// The SA is not there.
    #[error("there is no SA {0}; it was deleted, or never added")]
    NoSuchSa(SaId),
    /// The policy is not there.
    #[error("there is no policy {0}; it was deleted, or never added")]
    NoSuchPolicy(PolicyId),
    /// No more room.
    #[error("all {0} places for SAs are taken, counting those deleted a moment ago")]
    SasExhausted(usize),
    /// No more room.
    #[error("all {0} places for policies are taken, counting those deleted a moment ago")]
    PoliciesExhausted(usize),
    /// The crypto device made no session.
    #[error("the crypto device refuses {algorithm}: {why}")]
    Device {
        /// What it was asked for.
        algorithm: String,
        /// What it said.
        why: String,
    },
}
