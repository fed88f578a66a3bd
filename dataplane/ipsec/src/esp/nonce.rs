//! Nonces, additional data, and IVs.
//!
//! An IV of a counter mode (GCM, GMAC, ChaCha20-Poly1305, CTR) must never repeat under a key: it is
//! the sequence number, which an SA never uses twice (RFC 4106 3.1). An IV of CBC must be
//! unpredictable: it is the encryption, under the SA's own key, of a block that holds the sequence
//! number and the SPI, as NIST SP 800-38A appendix C has it. No random numbers are needed, and the
//! engine does it by the way: that block is put where the IV goes and encrypted as the first block
//! with an IV of zeros; what comes out is the IV of the blocks behind it, and is sent.

use crate::Cipher;

/// Bytes of the largest IV.
const BLOCK: usize = 16;

/// What to write where the IV goes in a packet to seal; the first
/// [`Cipher::iv_len_bytes`] of it.
#[inline]
pub(crate) fn iv_to_seal(spi: u32, seq: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..8].copy_from_slice(&seq.to_be_bytes());
    block[8..12].copy_from_slice(&spi.to_be_bytes());
    block
}

/// The nonce of a packet with this IV, as long as the cipher has one; the rest is zeros.
#[inline]
pub(crate) fn nonce(cipher: Cipher, salt: [u8; 4], iv: &[u8]) -> [u8; BLOCK] {
    let mut nonce = [0; BLOCK];
    match cipher {
        Cipher::Null => {}
        Cipher::AesCbc => nonce.copy_from_slice(&iv[..BLOCK]),
        // RFC 3686 section 4: the block counter begins at 1.
        Cipher::AesCtr => {
            nonce[..4].copy_from_slice(&salt);
            nonce[4..12].copy_from_slice(&iv[..8]);
            nonce[15] = 1;
        }
        Cipher::AesGcm { .. } | Cipher::AesGmac | Cipher::ChaCha20Poly1305 => {
            nonce[..4].copy_from_slice(&salt);
            nonce[4..12].copy_from_slice(&iv[..8]);
        }
    }
    nonce
}

/// Additional data of GCM and ChaCha20-Poly1305, and how long it is (RFC 4106 section 5,
/// RFC 7634 2.1): the ESP header, with all 64 bits of an extended sequence number.
#[inline]
pub(crate) fn aad(spi: u32, seq: u64, esn: bool) -> ([u8; 12], u8) {
    let mut aad = [0; 12];
    aad[..4].copy_from_slice(&spi.to_be_bytes());
    if esn {
        aad[4..].copy_from_slice(&seq.to_be_bytes());
        (aad, 12)
    } else {
        aad[4..8].copy_from_slice(&(seq as u32).to_be_bytes());
        (aad, 8)
    }
}
