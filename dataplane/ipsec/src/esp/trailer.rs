//! What stands behind the payload.

use super::TRAILER_LEN_BYTES;
use crate::Reject;

/// "No next header": a dummy packet (RFC 4303 2.6).
const DUMMY: u8 = 59;

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
    let mut pad = payload[len..end].iter().zip(1u8..);
    if pad.any(|(&byte, expected)| byte != expected) {
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

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok((len, _)) = read(&bytes) {
                prop_assert!(len + TRAILER_LEN_BYTES <= bytes.len());
            }
        }
    }
}
