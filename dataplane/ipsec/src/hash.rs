//! Hashes of addresses and numbers, for indexes.
//!
//! What they mix is chosen by peers and operators, not by senders of packets, except for what a
//! lookup mixes: that cannot make a table worse. The mixer is that of the flow hash.

use std::net::IpAddr;

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd1b5_4a32_d192_ed03;

/// Multiplies to 128 bits and folds.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Mixes a word into a hash.
#[inline]
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    fold(hash ^ word ^ K0, K1 ^ hash.rotate_left(29))
}

/// Mixes a number of 128 bits into a hash.
#[inline]
pub(crate) const fn mix_wide(hash: u64, wide: u128) -> u64 {
    mix(mix(hash, (wide >> 64) as u64), wide as u64)
}

/// The hash of an SA's key.
#[inline]
pub(crate) fn of_sa(protocol: u8, spi: u32, dst: IpAddr, vrf: u16) -> u64 {
    let numbers = u64::from(spi) << 32 | u64::from(vrf) << 8 | u64::from(protocol);
    let hash = mix(K1, numbers);
    match dst {
        IpAddr::V4(dst) => mix(hash, u64::from(dst.to_bits())),
        IpAddr::V6(dst) => mix_wide(hash, dst.to_bits()),
    }
}
