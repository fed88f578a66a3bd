//! What a crypto engine is told about one packet.

/// A part of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Where it begins, in bytes from the start of the buffer.
    pub at: u32,
    /// How long it is, in bytes.
    pub len: u32,
}

impl Span {
    /// From `at` to before `end`, which must not be less.
    #[inline]
    pub(crate) const fn between(at: usize, end: usize) -> Self {
        debug_assert!(at <= end);
        Self {
            at: at as u32,
            len: (end - at) as u32,
        }
    }

    /// The place behind it.
    #[inline]
    pub const fn end(self) -> usize {
        self.at as usize + self.len as usize
    }

    /// As a range, to index with.
    #[inline]
    pub const fn range(self) -> std::ops::Range<usize> {
        self.at as usize..self.end()
    }

    /// Whether it is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Where cipher and authenticator work on a packet, and with what nonce.
///
/// | algorithm | `cipher` | `auth` | `nonce` | `aad` |
/// | --- | --- | --- | --- | --- |
/// | GCM, ChaCha20-Poly1305 | ciphertext | empty | salt, IV: 12 bytes | 8, with ESN 12 |
/// | GMAC in ESP | empty | ESP header to next header | salt, IV: 12 bytes | none |
/// | GMAC in AH | empty | the packet | salt, IV: 12 bytes | none |
/// | CBC and HMAC, to open | ciphertext | ESP header to ciphertext | IV: 16 bytes | none |
/// | CBC and HMAC, to seal | IV and payload | ESP header to ciphertext | zeros: 16 bytes | none |
/// | CTR and HMAC | ciphertext | ESP header to ciphertext | salt, IV, 1: 16 bytes | none |
/// | NULL and HMAC | empty | ESP header to payload | none | none |
/// | HMAC in AH | empty | the packet | none | none |
///
/// With extended sequence numbers, `auth` has the upper half of the number in it, where RFC 4303
/// 2.2.1 and RFC 4543 3.3 want it; it was put in the buffer for the engine and is taken out later.
/// To open, the engine compares the ICV at `icv` with what it computes; to seal, it writes it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// What is to be decrypted or encrypted in place; empty if there is no cipher.
    pub cipher: Span,
    /// What the authenticator covers; empty if the cipher authenticates, or nothing does.
    pub auth: Span,
    /// The ICV; empty if there is none.
    pub icv: Span,
    /// The nonce or IV, as the cipher takes it.
    pub nonce: [u8; 16],
    /// Additional data of an AEAD.
    pub aad: [u8; 12],
    /// How much of `aad` counts.
    pub aad_len: u8,
    /// The full sequence number.
    pub seq: u64,
    /// Where the ESP or AH header is in the buffer.
    pub(crate) header_at: u32,
    /// Where the packet on the wire begins in the buffer.
    pub(crate) wire_at: u32,
    /// Length of the packet on the wire.
    pub(crate) wire_len: u32,
    /// What was before the ESP header, where GMAC with ESN needed the place.
    pub(crate) saved: [u8; 4],
}

impl Layout {
    /// Where the packet on the wire is.
    #[inline]
    pub(crate) const fn wire(&self) -> Span {
        Span {
            at: self.wire_at,
            len: self.wire_len,
        }
    }

    /// Additional data of an AEAD, to be authenticated with the ciphertext.
    #[inline]
    pub fn aad(&self) -> &[u8] {
        &self.aad[..usize::from(self.aad_len)]
    }
}
