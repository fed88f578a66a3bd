//! ESP (RFC 4303): where things are in a packet.
//!
//! ```text
//!  at      +4        +8    +8+IV                                end-2     end     end+ICV
//!  | SPI   | number  | IV  | inner packet | TFC | 1, 2, 3, ... | len | nh | ICV   |
//!                          '---------------- encrypted ------------------'
//! ```

pub(crate) mod nonce;
mod open;
mod seal;
pub(crate) mod trailer;

/// SPI and sequence number.
pub(crate) const HEADER_LEN_BYTES: usize = 8;

/// Pad length and next header.
pub(crate) const TRAILER_LEN_BYTES: usize = 2;

/// Bytes of padding before pad length and next header, for a payload of `len` bytes. `align` is a power of two: a
/// division would be a tenth of what a short packet costs.
#[inline]
pub(crate) const fn pad_len(len: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    (len + TRAILER_LEN_BYTES).wrapping_neg() & (align - 1)
}
