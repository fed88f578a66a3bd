//! What stands behind the payload.

use super::TRAILER_LEN_BYTES;
use crate::Reject;

/// "No next header": a dummy packet (RFC 4303 2.6).
const DUMMY: u8 = 59;

/// Padding that is looked at as a word, together with the two bytes behind it: as much as there is for blocks of
/// four bytes, and more.
const SHORT: u8 = 6;

/// The first bytes of padding.
const NUMBERS: u64 = 0x06_05_04_03_02_01;

/// Looks at the end of a decrypted payload, and gives its length without padding and its protocol.
///
/// # Errors
/// [`Reject::Padding`] if it is longer than the payload, or not 1, 2, 3 and so on; [`Reject::Dummy`].
#[inline]
pub(crate) fn read(payload: &[u8]) -> Result<(usize, u8), Reject> {
    let &[.., pad_len, next] = payload else {
        return Err(Reject::Padding);
    };
    let end = payload.len() - TRAILER_LEN_BYTES;
    let len = end
        .checked_sub(usize::from(pad_len))
        .ok_or(Reject::Padding)?;
    let is_padding = match payload.last_chunk() {
        Some(&last) if pad_len <= SHORT => {
            // The last byte of padding is the sixth of eight; what is before the first one does not count.
            let shift = 8 * u32::from(SHORT - pad_len);
            let (word, numbers) = (u64::from_le_bytes(last), NUMBERS << shift);
            (word ^ numbers) << 16 >> 16 >> shift == 0
        }
        _ => payload[len..end]
            .iter()
            .zip(1u8..)
            .all(|(&byte, expected)| byte == expected),
    };
    if !is_padding {
        return Err(Reject::Padding);
    }
    if next == DUMMY {
        return Err(Reject::Dummy);
    }
    Ok((len, next))
}

/// Writes padding, its length and the next header, to fill all of `trailer`.
#[inline]
pub(super) fn write(trailer: &mut [u8], next: u8) {
    let pad_len = trailer.len() - TRAILER_LEN_BYTES;
    for (byte, number) in trailer[..pad_len].iter_mut().zip(1u8..) {
        *byte = number;
    }
    trailer[pad_len..].copy_from_slice(&[pad_len as u8, next]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_is_counted_from_one() {
        let mut bytes = [0xaa; 8];
        write(&mut bytes[3..], 4);
        assert_eq!(bytes, [0xaa, 0xaa, 0xaa, 1, 2, 3, 3, 4]);
        assert_eq!(read(&bytes), Ok((3, 4)));
    }

    #[test]
    fn wrong_padding_and_dummies_are_refused() {
        for (bytes, reject) in [
            (&[][..], Reject::Padding),
            (&[4], Reject::Padding),
            (&[1, 2, 4, 4], Reject::Padding),
            (&[1, 3, 2, 4], Reject::Padding),
            (&[0, 0, 2, 4], Reject::Padding),
            (&[1, 2, 2, 59], Reject::Dummy),
        ] {
            assert_eq!(read(bytes), Err(reject), "{bytes:?}");
        }
        assert_eq!(read(&[0, 41]), Ok((0, 41)));
    }

    #[test]
    fn any_wrong_byte_of_any_padding_is_seen() {
        for pad_len in 0..40 {
            let mut bytes = vec![0xaa; pad_len + 10];
            write(&mut bytes[8..], 4);
            assert_eq!(read(&bytes), Ok((8, 4)), "{pad_len}");
            for at in 8..8 + pad_len {
                bytes[at] ^= 0x40;
                assert_eq!(read(&bytes), Err(Reject::Padding), "{at} of {pad_len}");
                bytes[at] ^= 0x40;
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok((len, _)) = read(&bytes) {
                prop_assert!(len + TRAILER_LEN_BYTES <= bytes.len());
            }
        }
    }
}
