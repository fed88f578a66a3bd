//! Algorithms by the names of Linux's crypto API, with their keys.

use ironlane_ipsec::{Algorithm, Auth, Cipher, Secret};

use super::wire::{Fixed, attribute};
use crate::ipsec::model::Refusal;
use crate::netlink::Malformed;
use crate::netlink::attr::Attribute;

/// Bytes of a name, filled up with zeros.
const NAME_LEN: usize = 64;

/// An algorithm of an SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name, as `ip xfrm state` prints it.
    pub name: String,
    /// Bits of the ICV; 0 where the message does not say.
    pub icv_bits: u32,
    /// Its key, with the salt behind it.
    pub key: Secret,
}

/// The algorithms of an SA.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Algorithms {
    /// What encrypts and authenticates.
    pub aead: Option<Named>,
    /// What encrypts.
    pub cipher: Option<Named>,
    /// What authenticates.
    pub auth: Option<Named>,
    /// Whether packets are compressed.
    pub compression: bool,
}

impl Algorithms {
    /// Whether there is none: a larval SA, which is but a reserved SPI.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes an attribute, if it is an algorithm.
    pub(super) fn take(&mut self, attr: &Attribute<'_>) -> Result<(), Malformed> {
        match attr.kind {
            attribute::ALG_AEAD => self.aead = Some(named(attr, true)?),
            attribute::ALG_CRYPT => self.cipher = Some(named(attr, false)?),
            attribute::ALG_AUTH_TRUNC => self.auth = Some(named(attr, true)?),
            // The kernel tells both; this one does not say how much of the ICV is sent.
            attribute::ALG_AUTH => {
                let auth = named(attr, false)?;
                self.auth.get_or_insert(auth);
            }
            attribute::ALG_COMP => self.compression = true,
            _ => {}
        }
        Ok(())
    }

    /// The algorithm as lcores know it, with the key of cipher and authenticator.
    ///
    /// # Errors
    /// [`Refusal::NotSupported`] names what lcores do not have.
    pub fn known(&self) -> Result<(Algorithm, Secret, Secret), Refusal> {
        if self.compression {
            return unsupported("compression (IPComp)");
        }
        let key = |of: &Option<Named>| of.as_ref().map_or(Secret::EMPTY, |named| named.key.clone());
        let cipher = match (&self.aead, &self.cipher) {
            (Some(aead), _) => aead_cipher(aead)?,
            (None, Some(cipher)) => plain_cipher(cipher)?,
            (None, None) => Cipher::Null,
        };
        let auth = self.auth.as_ref().map_or(Ok(Auth::None), authenticator)?;
        let enc = key(&self.aead);
        let enc = if enc.is_empty() {
            key(&self.cipher)
        } else {
            enc
        };
        let auth_key = key(&self.auth);
        for key in [&enc, &auth_key] {
            if !key.is_empty() && key.expose().iter().all(|byte| *byte == 0) {
                return unsupported(
                    "a key of zeros: the kernel hides keys (lockdown=confidentiality), or it is a bad one",
                );
            }
        }
        Ok((Algorithm { cipher, auth }, enc, auth_key))
    }
}

/// Name, length of the key in bits, of the ICV if `has_icv`, and the key.
fn named(attr: &Attribute<'_>, has_icv: bool) -> Result<Named, Malformed> {
    let head = NAME_LEN + if has_icv { 8 } else { 4 };
    let fixed = Fixed::in_attribute(attr, head)?;
    let malformed = Malformed::AttributeValue { kind: attr.kind };
    let name = Attribute {
        kind: attr.kind,
        value: &attr.value[..NAME_LEN],
    };
    let len = (fixed.u32(NAME_LEN) as usize).div_ceil(8);
    let key = attr.value.get(head..head.saturating_add(len));
    Ok(Named {
        name: name.text(),
        icv_bits: if has_icv { fixed.u32(NAME_LEN + 4) } else { 0 },
        // Longer than any: none that could be used.
        key: Secret::new(key.ok_or(malformed)?).map_err(|_| malformed)?,
    })
}

fn aead_cipher(of: &Named) -> Result<Cipher, Refusal> {
    match (of.name.as_str(), of.icv_bits) {
        ("rfc4106(gcm(aes))", 64) => Ok(Cipher::AesGcm { icv: 8 }),
        ("rfc4106(gcm(aes))", 96) => Ok(Cipher::AesGcm { icv: 12 }),
        ("rfc4106(gcm(aes))", 128) => Ok(Cipher::AesGcm { icv: 16 }),
        ("rfc4543(gcm(aes))", 128) => Ok(Cipher::AesGmac),
        ("rfc7539esp(chacha20,poly1305)", 128) => Ok(Cipher::ChaCha20Poly1305),
        (name, bits) => unsupported(format!("{name} with an ICV of {bits} bits")),
    }
}

fn plain_cipher(of: &Named) -> Result<Cipher, Refusal> {
    match of.name.as_str() {
        "ecb(cipher_null)" | "cipher_null" => Ok(Cipher::Null),
        "cbc(aes)" => Ok(Cipher::AesCbc),
        "rfc3686(ctr(aes))" => Ok(Cipher::AesCtr),
        name => unsupported(format!(
            "encryption by {name}; there are AES-CBC, -CTR, -GCM, -GMAC, ChaCha20-Poly1305 and none"
        )),
    }
}

fn authenticator(of: &Named) -> Result<Auth, Refusal> {
    match (of.name.as_str(), of.icv_bits) {
        ("digest_null", _) => Ok(Auth::None),
        ("hmac(sha1)", 0 | 96) => Ok(Auth::HmacSha1_96),
        ("hmac(sha256)", 128) => Ok(Auth::HmacSha256_128),
        ("hmac(sha384)", 0 | 192) => Ok(Auth::HmacSha384_192),
        ("hmac(sha512)", 0 | 256) => Ok(Auth::HmacSha512_256),
        // What Linux takes unless told otherwise, from a draft of RFC 4868.
        ("hmac(sha256)", 0 | 96) => unsupported(
            "hmac(sha256) cut to 96 bits, of a draft; use auth-trunc 'hmac(sha256)' KEY 128",
        ),
        (name, bits) => unsupported(format!(
            "authentication by {name} with {bits} bits; there are HMAC with SHA-1, SHA-256, SHA-384 and SHA-512"
        )),
    }
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotSupported(what.into()))
}
