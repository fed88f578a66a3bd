//! Ciphers, authenticators, and the lengths that follow from them.

use std::fmt;

/// What encrypts an ESP packet; the length of the key chooses AES-128, -192 or -256.
///
/// ```
/// use ironlane_ipsec::Cipher;
///
/// assert!(Cipher::AesGcm { icv: 16 }.is_aead() && !Cipher::AesCbc.is_aead());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// None (RFC 2410); also for AH.
    Null,
    /// AES in CBC mode (RFC 3602).
    AesCbc,
    /// AES in counter mode (RFC 3686).
    AesCtr,
    /// AES in Galois/counter mode (RFC 4106).
    AesGcm {
        /// Length of the ICV in bytes: 8, 12 or 16.
        icv: u8,
    },
    /// Integrity by AES-GMAC, without encryption, in ESP (RFC 4543, `ENCR_NULL_AUTH_AES_GMAC`).
    AesGmac,
    /// ChaCha20 and Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

/// What authenticates a packet whose cipher does not.
///
/// ```
/// use ironlane_ipsec::Auth;
///
/// assert_eq!(Auth::HmacSha256_128.icv_len_bytes(), 16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Auth {
    /// None, beside a cipher that authenticates; or no integrity at all.
    None,
    /// HMAC-SHA1, 96 bits of it (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256, 128 bits of it (RFC 4868).
    HmacSha256_128,
    /// HMAC-SHA-384, 192 bits of it (RFC 4868).
    HmacSha384_192,
    /// HMAC-SHA-512, 256 bits of it (RFC 4868).
    HmacSha512_256,
    /// AES-GMAC, in AH only (RFC 4543, `AUTH_AES_*_GMAC`).
    AesGmac,
}

impl Cipher {
    /// Whether it authenticates as well, so that [`Auth`] is `None`.
    #[inline]
    pub const fn is_aead(self) -> bool {
        matches!(
            self,
            Self::AesGcm { .. } | Self::AesGmac | Self::ChaCha20Poly1305
        )
    }

    /// Lengths of keys that it takes, without the salt, in bytes.
    pub const fn key_lens_bytes(self) -> &'static [usize] {
        match self {
            Self::Null => &[0],
            Self::ChaCha20Poly1305 => &[32],
            _ => &[16, 24, 32],
        }
    }

    /// Bytes of keying material behind the key that become part of the nonce.
    #[inline]
    pub const fn salt_len_bytes(self) -> usize {
        match self {
            Self::Null | Self::AesCbc => 0,
            _ => 4,
        }
    }

    /// Length of the IV in the packet.
    #[inline]
    pub const fn iv_len_bytes(self) -> usize {
        match self {
            Self::Null => 0,
            Self::AesCbc => 16,
            _ => 8,
        }
    }

    /// What the encrypted part is a multiple of: the block, and at least 4 (RFC 4303 2.4).
    #[inline]
    pub const fn align_bytes(self) -> usize {
        match self {
            Self::AesCbc => 16,
            _ => 4,
        }
    }

    /// Length of the ICV that the cipher itself makes.
    #[inline]
    pub const fn icv_len_bytes(self) -> usize {
        match self {
            Self::AesGcm { icv } => icv as usize,
            Self::AesGmac | Self::ChaCha20Poly1305 => 16,
            _ => 0,
        }
    }
}

impl Auth {
    /// Lengths of keys that it takes, without the salt, in bytes.
    pub const fn key_lens_bytes(self) -> &'static [usize] {
        match self {
            Self::None => &[0],
            Self::HmacSha1_96 => &[20],
            Self::HmacSha256_128 => &[32],
            Self::HmacSha384_192 => &[48],
            Self::HmacSha512_256 => &[64],
            Self::AesGmac => &[16, 24, 32],
        }
    }

    /// Bytes of keying material behind the key that become part of the nonce.
    #[inline]
    pub const fn salt_len_bytes(self) -> usize {
        match self {
            Self::AesGmac => 4,
            _ => 0,
        }
    }

    /// Length of the ICV in the packet. For GMAC in AH it has the IV in front (RFC 4543 section 4).
    #[inline]
    pub const fn icv_len_bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacSha1_96 => 12,
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 | Self::AesGmac => 24,
            Self::HmacSha512_256 => 32,
        }
    }
}

/// A cipher and an authenticator that go together.
///
/// ```
/// use ironlane_ipsec::{Algorithm, Auth, Cipher};
///
/// let gcm = Algorithm { cipher: Cipher::AesGcm { icv: 16 }, auth: Auth::None };
/// assert_eq!((gcm.iv_len_bytes(), gcm.icv_len_bytes()), (8, 16));
/// assert_eq!(gcm.to_string(), "aes-gcm-16");
/// let both = Algorithm { cipher: Cipher::AesCbc, auth: Auth::HmacSha1_96 };
/// assert_eq!(both.to_string(), "aes-cbc/hmac-sha1-96");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm {
    /// What encrypts.
    pub cipher: Cipher,
    /// What authenticates, if the cipher does not.
    pub auth: Auth,
}

impl Algorithm {
    /// Length of the IV in an ESP packet.
    #[inline]
    pub const fn iv_len_bytes(self) -> usize {
        self.cipher.iv_len_bytes()
    }

    /// Length of the ICV in the packet.
    #[inline]
    pub const fn icv_len_bytes(self) -> usize {
        self.cipher.icv_len_bytes() + self.auth.icv_len_bytes()
    }

    /// What the encrypted part of an ESP packet is a multiple of.
    #[inline]
    pub const fn align_bytes(self) -> usize {
        self.cipher.align_bytes()
    }

    /// Whether packets are authenticated at all.
    #[inline]
    pub const fn has_integrity(self) -> bool {
        self.cipher.is_aead() || !matches!(self.auth, Auth::None)
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::AesCbc => f.write_str("aes-cbc"),
            Self::AesCtr => f.write_str("aes-ctr"),
            Self::AesGcm { icv } => write!(f, "aes-gcm-{icv}"),
            Self::AesGmac => f.write_str("null-aes-gmac"),
            Self::ChaCha20Poly1305 => f.write_str("chacha20-poly1305"),
        }
    }
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::HmacSha1_96 => "hmac-sha1-96",
            Self::HmacSha256_128 => "hmac-sha256-128",
            Self::HmacSha384_192 => "hmac-sha384-192",
            Self::HmacSha512_256 => "hmac-sha512-256",
            Self::AesGmac => "aes-gmac",
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.auth {
            Auth::None => self.cipher.fmt(f),
            auth => write!(f, "{}/{auth}", self.cipher),
        }
    }
}
