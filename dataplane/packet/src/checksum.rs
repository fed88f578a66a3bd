//! The Internet checksum: whole (RFC 1071) and incremental (RFC 1624).
//!
//! Sums are kept as `u32` of 16-bit words in network order and folded at the end; a packet of
//! 64 KiB cannot overflow one.

/// Adds the 16-bit words of `bytes` to `sum`; an odd last byte counts as if a zero followed, so
/// only the last part of a sum may have an odd length.
#[inline]
pub fn add(sum: u32, bytes: &[u8]) -> u32 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let sum = pairs.iter().fold(u64::from(sum), |sum, pair| {
        sum + u64::from(u16::from_be_bytes(*pair))
    });
    let sum = sum + odd.first().map_or(0, |&byte| u64::from(byte) << 8);
    // Two folds make a 64-bit sum fit again, whatever the length of `bytes`.
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    (sum & 0xffff) as u32 + (sum >> 16) as u32
}

/// Folds a sum of words into one, with the carries added in.
#[inline]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The checksum to write over `bytes` whose checksum field is zero.
///
/// ```
/// // The example of RFC 1071 3.
/// let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
/// assert_eq!(ironlane_packet::checksum::of(&bytes), !0xddf2);
/// ```
#[inline]
pub fn of(bytes: &[u8]) -> u16 {
    !fold(add(0, bytes))
}

/// True if `bytes`, their checksum field included, add up.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    fold(add(0, bytes)) == 0xffff
}

/// True if the 20 bytes of an IPv4 header without options add up: five wide additions.
#[inline]
pub fn is_valid_ip4(header: &[u8; 20]) -> bool {
    // RFC 1071 2(B): the sum is the same in any byte order, so native words do.
    let (words, _) = header.as_chunks::<4>();
    let sum = words
        .iter()
        .fold(0u64, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// The checksum after one covered word changed from `old` to `new`: equation 3 of RFC 1624,
/// which has no corner where the result is wrong.
///
/// ```
/// // The example of RFC 1624 4.
/// assert_eq!(ironlane_packet::checksum::update(0xdd2f, 0x5555, 0x3285), 0x0000);
/// ```
#[inline]
pub const fn update(check: u16, old: u16, new: u16) -> u16 {
    !fold((!check) as u32 + (!old) as u32 + new as u32)
}

/// Sum of the pseudo header of IPv4 (RFC 768), to go on with [`add`]. Addresses in host order.
pub fn pseudo4(src: u32, dst: u32, protocol: u8, len_bytes: u16) -> u32 {
    let sum = add(0, &src.to_be_bytes());
    let sum = add(sum, &dst.to_be_bytes());
    sum + u32::from(protocol) + u32::from(len_bytes)
}

/// Sum of the pseudo header of IPv6 (RFC 8200 8.1), to go on with [`add`].
pub fn pseudo6(src: u128, dst: u128, protocol: u8, len_bytes: u32) -> u32 {
    let sum = add(0, &src.to_be_bytes());
    let sum = add(sum, &dst.to_be_bytes());
    let sum = add(sum, &len_bytes.to_be_bytes());
    sum + u32::from(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lowering_any_ttl_gives_the_sum_of_the_new_header() {
        // Every TTL with every checksum: what differs between headers is only their sum.
        for ttl in 1..=255u8 {
            for rest in (0..=0xffffu32).step_by(if ttl % 16 == 0 { 1 } else { 97 }) {
                let old = u16::from_be_bytes([ttl, 17]);
                let new = u16::from_be_bytes([ttl - 1, 17]);
                let check = !fold(rest + u32::from(old));
                let updated = update(check, old, new);
                assert_eq!(fold(rest + u32::from(new) + u32::from(updated)), 0xffff);
            }
        }
    }

    #[test]
    fn both_zeros_are_valid_and_stay_valid() {
        // A header whose other words add up to 0xffff may carry 0x0000 or 0xffff.
        for check in [0x0000, 0xffff] {
            let updated = update(check, 0x4011, 0x3f11);
            assert_eq!(fold(0xffff - 0x4011 + 0x3f11 + u32::from(updated)), 0xffff);
        }
    }

    proptest! {
        #[test]
        fn the_wide_header_check_equals_the_plain_one(mut header: [u8; 20], fix: bool) {
            if fix {
                header[10..12].fill(0);
                let check = of(&header).to_be_bytes();
                header[10..12].copy_from_slice(&check);
                prop_assert!(is_valid_ip4(&header));
            }
            prop_assert_eq!(is_valid_ip4(&header), is_valid(&header));
        }

        #[test]
        fn a_sum_may_be_taken_in_even_parts(bytes: Vec<u8>, cut: usize) {
            let cut = (cut % (bytes.len() + 1)) & !1;
            prop_assert_eq!(
                fold(add(add(0, &bytes[..cut]), &bytes[cut..])),
                fold(add(0, &bytes))
            );
        }

        #[test]
        fn an_update_equals_a_new_sum(mut bytes: [u8; 40], at in 1usize..19, new: u16) {
            bytes[0] = 0x45; // no IP header is all zeros, the one sum with two notations
            bytes[38..].fill(0);
            let before = of(&bytes);
            let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
            bytes[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
            let updated = update(before, old, new);
            prop_assert_eq!(fold(add(u32::from(updated), &bytes)), 0xffff);
        }
    }
}
