//! Algorithms as a device is told of them.

use std::fmt;

use dpdk_sys as c;
use ironlane_ipsec::{Algorithm, Auth, Cipher};

use super::CryptoError;

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Encrypt, and make the ICV.
    Seal,
    /// Verify the ICV, and decrypt.
    Open,
}

/// What a session is to do. Keys are without salts, and borrowed: the device keeps what it makes of
/// them in locked memory.
#[derive(Clone, Copy)]
pub struct Transform<'a> {
    /// Cipher and authenticator.
    pub algorithm: Algorithm,
    /// Key of the cipher, or of GMAC in ESP; empty without a cipher.
    pub cipher_key: &'a [u8],
    /// Key of the authenticator; empty without one.
    pub auth_key: &'a [u8],
    /// Which way.
    pub way: Way,
    /// Bytes of additional data of a cipher that authenticates: 8, or 12 with extended sequence
    /// numbers. Others have none.
    pub aad_len: u16,
}

impl fmt::Debug for Transform<'_> {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {}, keys of {} and {} bytes",
            self.way,
            self.algorithm,
            self.cipher_key.len(),
            self.auth_key.len()
        )
    }
}

/// An algorithm with the lengths of its keys in bytes, without salts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Cipher and authenticator.
    pub algorithm: Algorithm,
    /// Length of the key of the cipher, or of GMAC in ESP.
    pub cipher_key_bytes: u16,
    /// Length of the key of the authenticator.
    pub auth_key_bytes: u16,
}

const fn variant(
    cipher: Cipher,
    cipher_key_bytes: u16,
    auth: Auth,
    auth_key_bytes: u16,
) -> Variant {
    Variant {
        algorithm: Algorithm { cipher, auth },
        cipher_key_bytes,
        auth_key_bytes,
    }
}

/// What IPsec may ask for, part by part: ciphers that authenticate, plain ones, authenticators. Any of
/// the second goes with any HMAC.
pub const KNOWN: &[Variant] = &[
    variant(Cipher::AesGcm { icv: 16 }, 16, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 16 }, 24, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 16 }, 32, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 12 }, 16, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 12 }, 24, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 12 }, 32, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 8 }, 16, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 8 }, 24, Auth::None, 0),
    variant(Cipher::AesGcm { icv: 8 }, 32, Auth::None, 0),
    variant(Cipher::ChaCha20Poly1305, 32, Auth::None, 0),
    variant(Cipher::AesGmac, 16, Auth::None, 0),
    variant(Cipher::AesGmac, 24, Auth::None, 0),
    variant(Cipher::AesGmac, 32, Auth::None, 0),
    variant(Cipher::AesCbc, 16, Auth::HmacSha256_128, 32),
    variant(Cipher::AesCbc, 24, Auth::HmacSha256_128, 32),
    variant(Cipher::AesCbc, 32, Auth::HmacSha256_128, 32),
    variant(Cipher::AesCtr, 16, Auth::HmacSha256_128, 32),
    variant(Cipher::AesCtr, 24, Auth::HmacSha256_128, 32),
    variant(Cipher::AesCtr, 32, Auth::HmacSha256_128, 32),
    variant(Cipher::Null, 0, Auth::HmacSha1_96, 20),
    variant(Cipher::Null, 0, Auth::HmacSha256_128, 32),
    variant(Cipher::Null, 0, Auth::HmacSha384_192, 48),
    variant(Cipher::Null, 0, Auth::HmacSha512_256, 64),
    variant(Cipher::Null, 0, Auth::AesGmac, 16),
    variant(Cipher::Null, 0, Auth::AesGmac, 24),
    variant(Cipher::Null, 0, Auth::AesGmac, 32),
];

impl fmt::Display for Variant {
    /// The algorithm's name and the bits of its cipher's key, as in `aes-gcm-16 (256)`; that of a HMAC
    /// only where it is not as long as usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm.fmt(f)?;
        let (Auth::None | Auth::AesGmac) = self.algorithm.auth else {
            let usual = self.algorithm.auth.key_lens_bytes();
            if !usual.contains(&self.auth_key_bytes.into()) {
                write!(f, " with a key of {} bytes", self.auth_key_bytes)?;
            }
            return match self.cipher_key_bytes {
                0 => Ok(()),
                bytes => write!(f, " ({})", bytes * 8),
            };
        };
        // One of the two has none.
        write!(
            f,
            " ({})",
            (self.cipher_key_bytes + self.auth_key_bytes) * 8
        )
    }
}

impl Variant {
    /// As C is told of it, with keys still missing.
    pub(super) fn spec(self, aad_len: u16, way: Way) -> Result<c::il_crypto_spec, CryptoError> {
        let Algorithm { cipher, auth } = self.algorithm;
        // The nonce of a cipher that authenticates, or the first block of the others.
        let (cipher_number, iv_len) = match cipher {
            Cipher::AesCbc => (c::IL_CIPHER_AES_CBC, 16),
            Cipher::AesCtr => (c::IL_CIPHER_AES_CTR, 16),
            Cipher::AesGcm { .. } => (c::IL_CIPHER_AES_GCM, 12),
            Cipher::ChaCha20Poly1305 => (c::IL_CIPHER_CHACHA20_POLY1305, 12),
            Cipher::AesGmac => (c::IL_CIPHER_NONE, 12),
            Cipher::Null if auth == Auth::AesGmac => (c::IL_CIPHER_NONE, 12),
            Cipher::Null => (c::IL_CIPHER_NONE, 0),
        };
        let (auth_number, icv_len) = match (cipher, auth) {
            (Cipher::AesGcm { icv }, Auth::None) => (c::IL_AUTH_NONE, icv),
            (Cipher::ChaCha20Poly1305, Auth::None) => (c::IL_AUTH_NONE, 16),
            (Cipher::AesGmac, Auth::None) | (Cipher::Null, Auth::AesGmac) => {
                (c::IL_AUTH_AES_GMAC, 16)
            }
            (Cipher::Null | Cipher::AesCbc | Cipher::AesCtr, Auth::HmacSha1_96) => {
                (c::IL_AUTH_HMAC_SHA1, 12)
            }
            (Cipher::Null | Cipher::AesCbc | Cipher::AesCtr, Auth::HmacSha256_128) => {
                (c::IL_AUTH_HMAC_SHA256, 16)
            }
            (Cipher::Null | Cipher::AesCbc | Cipher::AesCtr, Auth::HmacSha384_192) => {
                (c::IL_AUTH_HMAC_SHA384, 24)
            }
            (Cipher::Null | Cipher::AesCbc | Cipher::AesCtr, Auth::HmacSha512_256) => {
                (c::IL_AUTH_HMAC_SHA512, 32)
            }
            _ => return Err(CryptoError::Combination(self.algorithm.to_string())),
        };
        let gmac_in_esp = cipher == Cipher::AesGmac;
        Ok(c::il_crypto_spec {
            cipher_key_len: if gmac_in_esp {
                0
            } else {
                self.cipher_key_bytes
            },
            auth_key_len: if gmac_in_esp {
                self.cipher_key_bytes
            } else {
                self.auth_key_bytes
            },
            aad_len: if cipher.is_aead() && !gmac_in_esp {
                aad_len
            } else {
                0
            },
            // No truncation: the enums of C are small numbers.
            cipher: cipher_number as u8,
            auth: auth_number as u8,
            iv_len,
            icv_len,
            seal: u8::from(way == Way::Seal),
            ..c::il_crypto_spec::default()
        })
    }
}

impl Transform<'_> {
    /// The algorithm with the lengths of these keys, if it takes them.
    ///
    /// HMACs take keys of any length but none: what IPsec prescribes is for the SA to check.
    pub(super) fn variant(&self) -> Result<Variant, CryptoError> {
        let Algorithm { cipher, auth } = self.algorithm;
        let wrong = |what, key: &[u8]| CryptoError::Key {
            algorithm: self.algorithm.to_string(),
            what,
            len: key.len(),
        };
        if !cipher.key_lens_bytes().contains(&self.cipher_key.len()) {
            return Err(wrong("cipher key", self.cipher_key));
        }
        let fits = match auth {
            Auth::None | Auth::AesGmac => auth.key_lens_bytes().contains(&self.auth_key.len()),
            _ => (1..=1024).contains(&self.auth_key.len()),
        };
        if !fits {
            return Err(wrong("authentication key", self.auth_key));
        }
        // No truncation: at most 1024.
        Ok(variant(
            cipher,
            self.cipher_key.len() as u16,
            auth,
            self.auth_key.len() as u16,
        ))
    }

    /// As C is told of it. The pointers are those of the borrowed keys.
    pub(super) fn spec(&self) -> Result<c::il_crypto_spec, CryptoError> {
        let spec = self.variant()?.spec(self.aad_len, self.way)?;
        let gmac_in_esp = self.algorithm.cipher == Cipher::AesGmac;
        Ok(c::il_crypto_spec {
            cipher_key: self.cipher_key.as_ptr(),
            auth_key: if gmac_in_esp {
                self.cipher_key
            } else {
                self.auth_key
            }
            .as_ptr(),
            ..spec
        })
    }
}
