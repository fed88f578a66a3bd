//! SAs and policies with the sessions of a crypto device: what lcores and their one writer share.

use std::sync::Arc;

pub use ironlane_ipsec::fragments::FragmentLimits;
use ironlane_ipsec::{Direction, SaSpec};

use crate::eal::crypto::{CryptoDevice, CryptoError, Session, Transform, Way};

/// SAs, each with its session, and policies.
pub type Ipsec = ironlane_ipsec::Ipsec<Session>;

/// The one who changes them; on a control thread.
pub type IpsecWriter = ironlane_ipsec::Writer<Session>;

/// What a data plane needs for IPsec.
#[derive(Clone, Debug)]
pub struct IpsecSetup {
    /// The SAs and policies.
    pub ipsec: Arc<Ipsec>,
    /// What encrypts. It has an engine for each lcore.
    pub device: CryptoDevice,
    /// How many fragments of protected packets wait on each lcore, and how long.
    pub fragments: FragmentLimits,
}

impl IpsecSetup {
    /// The writer of these SAs and policies: it makes the session of each SA on the device.
    ///
    /// # Panics
    /// If there is one already.
    pub fn writer(&self) -> IpsecWriter {
        let device = self.device.clone();
        IpsecWriter::new(Arc::clone(&self.ipsec), move |spec| {
            session(&device, spec).map_err(|error| error.to_string())
        })
    }
}

/// Makes the session of an SA.
fn session(device: &CryptoDevice, spec: &SaSpec) -> Result<Session, CryptoError> {
    device.session(&Transform {
        algorithm: spec.algorithm,
        cipher_key: spec.cipher_key(),
        auth_key: spec.authenticator_key(),
        way: match spec.direction {
            Direction::In => Way::Open,
            Direction::Out => Way::Seal,
        },
        aad_len: if spec.esn { 12 } else { 8 },
    })
}
