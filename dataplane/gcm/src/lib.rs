//! AES-GCM (NIST SP 800-38D) of packets that lie in memory whole, with AVX-512, VAES and VPCLMULQDQ.
//!
//! It is for what IPsec asks (RFC 4106): a nonce of 12 bytes, additional data of at most 12, texts of some
//! hundred bytes to some thousand, packet after packet. Text is encrypted where it lies. A text's blocks are
//! encrypted 32 at a time while those before them are multiplied, and nothing in it waits for the end of a packet
//! before the next one begins, so that a CPU that looks far ahead works on several packets at once.
//!
//! Its time depends on lengths alone: no table is looked up by a secret, and nothing branches on one.
//!
//! There is one entrance, [`Wide::find`], which says whether this CPU has the instructions; whoever gets `None`
//! uses another implementation.
// Vector instructions, and memory that they read and write.
#![allow(unsafe_code)]

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(target_arch = "x86_64")]
mod ghash;
#[cfg(target_arch = "x86_64")]
mod key;
#[cfg(target_arch = "x86_64")]
mod text;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(not(target_arch = "x86_64"))]
pub use absent::{Key, KeySize, Wide};
#[cfg(target_arch = "x86_64")]
pub use key::{Key, KeySize};
#[cfg(target_arch = "x86_64")]
pub use wide::Wide;

/// A nonce: the salt of the SA and the IV of the packet (RFC 4106, section 4).
pub type Nonce = [u8; 12];

/// An ICV before it is shortened.
pub type Tag = [u8; 16];

/// The longest additional data.
pub const AAD_MAX: usize = 12;
