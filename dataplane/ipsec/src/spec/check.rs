//! Which SAs make sense.

use std::net::IpAddr;

use super::{Direction, Dscp, Mode, Protocol, SaSpec};
use crate::{Algorithm, Auth, Cipher, IpsecError};

/// The largest anti-replay window, in packets.
pub const MAX_REPLAY_WINDOW: u32 = 4096;

impl SaSpec {
    /// Whether an SA can be made of this; [`Writer::add_sa`](crate::Writer::add_sa) asks.
    ///
    /// # Errors
    /// [`IpsecError::BadSa`] says what is wrong, [`IpsecError::BadKey`] which key is.
    pub fn check(&self) -> Result<(), IpsecError> {
        self.algorithm.check(self.protocol)?;
        let Algorithm { cipher, auth } = self.algorithm;
        check_key(
            cipher,
            self.enc_key.len_bytes(),
            cipher.key_lens_bytes(),
            cipher.salt_len_bytes(),
        )?;
        check_key(
            auth,
            self.auth_key.len_bytes(),
            auth.key_lens_bytes(),
            auth.salt_len_bytes(),
        )?;
        let bad = |what: &str| Err(IpsecError::BadSa(what.to_string()));
        if self.spi == 0 {
            return bad("SPI 0 is never on the wire (RFC 4303 2.1); take another one");
        }
        if self.src.is_ipv4() != self.dst.is_ipv4() {
            return bad("source and destination are of different address families");
        }
        if self.replay_window > MAX_REPLAY_WINDOW {
            return bad("the replay window is larger than 4096 packets");
        }
        if self.direction == Direction::In {
            if self.replay_window > 0 && !self.algorithm.has_integrity() {
                return bad("anti-replay needs an authenticator (RFC 4303 3.4.3); set window 0");
            }
            if self.replay_window == 0 && self.esn {
                return bad("extended sequence numbers need a replay window (RFC 4303 A2)");
            }
        }
        if self.encap.is_some() && self.protocol == Protocol::Ah {
            return bad("AH cannot be encapsulated in UDP (RFC 3948); use ESP");
        }
        if matches!(self.dscp, Dscp::Set(64..)) {
            return bad("a DSCP has 6 bits");
        }
        if self.mode == Mode::Beet {
            if self.protocol == Protocol::Ah {
                return bad("BEET mode is for ESP only");
            }
            if self.beet_addresses().is_none() {
                return bad("BEET mode needs one selector, of two single addresses");
            }
        }
        if self.tfc_pad > 0 && (self.mode != Mode::Tunnel || self.protocol == Protocol::Ah) {
            return bad("TFC padding needs ESP in tunnel mode (RFC 4303 2.7)");
        }
        if self.last_seq > self.last_possible_seq() {
            return bad("the last sequence number is larger than the SA can count");
        }
        Ok(())
    }

    /// The largest sequence number.
    pub(crate) fn last_possible_seq(&self) -> u64 {
        if self.esn {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        }
    }

    /// The inner addresses of a BEET SA.
    pub(crate) fn beet_addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let [selector] = &self.selectors[..] else {
            return None;
        };
        let single = |net: ipnet::IpNet| net.prefix_len() == net.max_prefix_len();
        (single(selector.src) && single(selector.dst))
            .then(|| (selector.src.addr(), selector.dst.addr()))
    }
}

impl Algorithm {
    /// Whether cipher and authenticator go together in packets of `protocol`.
    ///
    /// # Errors
    /// [`IpsecError::BadSa`] says why not.
    pub fn check(self, protocol: Protocol) -> Result<(), IpsecError> {
        let bad = |what: &str| Err(IpsecError::BadSa(format!("{self}: {what}")));
        match (protocol, self.cipher, self.auth) {
            (_, Cipher::AesGcm { icv }, _) if !matches!(icv, 8 | 12 | 16) => {
                bad("an ICV of GCM has 8, 12 or 16 bytes")
            }
            (Protocol::Ah, Cipher::Null, Auth::None) => bad("AH needs an authenticator"),
            (Protocol::Ah, Cipher::Null, _) => Ok(()),
            (Protocol::Ah, ..) => bad("AH does not encrypt; use ESP, or no cipher"),
            (Protocol::Esp, _, Auth::AesGmac) => {
                bad("this GMAC is for AH; in ESP it is the cipher null-aes-gmac")
            }
            (Protocol::Esp, cipher, Auth::None) if cipher.is_aead() => Ok(()),
            (Protocol::Esp, cipher, _) if cipher.is_aead() => {
                bad("the cipher authenticates; leave the authenticator out")
            }
            (Protocol::Esp, Cipher::Null, Auth::None) => {
                bad("neither cipher nor authenticator (RFC 4303 3.2)")
            }
            (Protocol::Esp, Cipher::AesCtr, Auth::None) => {
                bad("counter mode needs an authenticator (RFC 3686 section 3)")
            }
            _ => Ok(()),
        }
    }
}

fn check_key(
    of: impl std::fmt::Display,
    len: usize,
    lens: &'static [usize],
    salt: usize,
) -> Result<(), IpsecError> {
    if lens.iter().any(|good| good + salt == len) {
        return Ok(());
    }
    Err(IpsecError::BadKey {
        algorithm: of.to_string(),
        len_bytes: len,
        lens_bytes: lens,
        salt_len_bytes: salt,
    })
}
