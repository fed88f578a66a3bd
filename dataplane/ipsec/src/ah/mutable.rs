//! What routers change on the way, and so counts as zero (RFC 4302 3.3.3.1, appendix A).

use ironlane_packet::proto::ip;

use crate::Reject;
use crate::header::{Header, IP4_LEN, IP6_LEN};

/// Sets to zero what is mutable in the headers in front of AH, which fill all of `headers`.
///
/// # Errors
/// [`Reject::Malformed`]; [`Reject::Mode`] for source routes that are not at their end, which AH
/// would have to foresee.
pub(super) fn zero(headers: &mut [u8]) -> Result<(), Reject> {
    if !Header::are_whole(headers) {
        return Err(Reject::Malformed);
    }
    if headers[0] >> 4 == 4 {
        zero_ip4(headers)
    } else {
        zero_ip6(headers)
    }
}

fn zero_ip4(headers: &mut [u8]) -> Result<(), Reject> {
    let (fixed, options) = headers.split_at_mut(IP4_LEN);
    fixed[1] = 0; // type of service
    fixed[6..8].fill(0); // flags, fragment offset
    fixed[8] = 0; // time to live
    fixed[10..12].fill(0); // checksum
    zero_ip4_options(options)
}

/// An option that may change counts as zeros, its kind and length included (appendix A1).
fn zero_ip4_options(mut options: &mut [u8]) -> Result<(), Reject> {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    loop {
        let (kind, len) = match *options {
            [] | [END, ..] => return Ok(()),
            [NOP, ..] => (NOP, 1),
            [kind, len, ..] => (kind, usize::from(len)),
            [_] => return Err(Reject::Malformed),
        };
        if len == 0 || len > options.len() || (kind != NOP && len < 2) {
            return Err(Reject::Malformed);
        }
        let (option, rest) = std::mem::take(&mut options).split_at_mut(len);
        match kind {
            // Security (three kinds), router alert, sender directed multi-destination delivery.
            NOP | 130 | 133 | 134 | 148 | 149 => {}
            // At its end the pointer is behind the list, and the destination the last one.
            LOOSE_ROUTE | STRICT_ROUTE if len < 3 || usize::from(option[2]) <= len => {
                return Err(Reject::Mode);
            }
            _ => option.fill(0),
        }
        options = rest;
    }
}

fn zero_ip6(headers: &mut [u8]) -> Result<(), Reject> {
    // Traffic class and flow label.
    headers[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    headers[7] = 0; // hop limit
    let mut next = headers[6];
    let mut rest = &mut headers[IP6_LEN..];
    while let &mut [following, units, ..] = rest {
        let len = (usize::from(units) + 1) * 8;
        if len > rest.len() {
            return Err(Reject::Malformed);
        }
        let (header, behind) = rest.split_at_mut(len);
        match next {
            ip::HOP_BY_HOP | ip::DEST_OPTIONS => zero_ip6_options(&mut header[2..])?,
            // Segments left.
            ip::ROUTING if header[3] == 0 => {}
            _ => return Err(Reject::Mode),
        }
        (next, rest) = (following, behind);
    }
    Ok(())
}

/// The data of an option whose type says that it may change counts as zeros; type and length stay.
fn zero_ip6_options(mut options: &mut [u8]) -> Result<(), Reject> {
    const PAD_1: u8 = 0;
    const MAY_CHANGE: u8 = 0x20;
    loop {
        let (kind, len) = match *options {
            [] => return Ok(()),
            [PAD_1, ..] => (PAD_1, 1),
            [kind, len, ..] => (kind, usize::from(len) + 2),
            [_] => return Err(Reject::Malformed),
        };
        if len > options.len() {
            return Err(Reject::Malformed);
        }
        let (option, rest) = std::mem::take(&mut options).split_at_mut(len);
        if kind & MAY_CHANGE != 0 {
            option[2..].fill(0);
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip4(options: &[u8]) -> Vec<u8> {
        let mut header = vec![0xff; IP4_LEN];
        header[0] = 0x45 + (options.len() / 4) as u8;
        header.extend(options);
        header
    }

    #[test]
    fn ip4_fields_that_routers_change_are_zero() {
        let mut header = ip4(&[]);
        zero(&mut header).expect("a plain header");
        let expected = [
            0x45, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff,
        ];
        assert_eq!(header, expected);
    }

    #[test]
    fn ip4_options_are_kept_or_zero_as_a_whole() {
        // Router alert, record route, NOP, end and what follows it.
        let options = [148, 4, 0, 0, 7, 3, 4, 1, 0, 9, 9, 9];
        let mut header = ip4(&options);
        zero(&mut header).expect("whole options");
        assert_eq!(header[IP4_LEN..], [148, 4, 0, 0, 0, 0, 0, 1, 0, 9, 9, 9]);
    }

    #[test]
    fn source_routes_must_be_at_their_end() {
        let mut ended = ip4(&[131, 7, 8, 1, 2, 3, 4, 1]);
        assert_eq!(zero(&mut ended), Ok(()));
        assert_eq!(ended[IP4_LEN..], [0, 0, 0, 0, 0, 0, 0, 1]);
        let mut under_way = ip4(&[131, 7, 4, 1, 2, 3, 4, 1]);
        assert_eq!(zero(&mut under_way), Err(Reject::Mode));
    }

    #[test]
    fn ip6_fields_and_options_that_may_change_are_zero() {
        let mut header = vec![0x6f; IP6_LEN];
        header[6] = 0;
        // Hop-by-hop: router alert (fixed), an option that may change, padding; then AH.
        header.extend([51, 1, 5, 2, 7, 7, 0x3e, 3, 9, 9, 9, 0, 1, 2, 0, 0]);
        zero(&mut header).expect("whole headers");
        assert_eq!(header[..8], [0x60, 0, 0, 0, 0x6f, 0x6f, 0, 0]);
        assert_eq!(
            header[IP6_LEN..],
            [51, 1, 5, 2, 7, 7, 0x3e, 3, 0, 0, 0, 0, 1, 2, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(
            first in prop_oneof![0x40u8..0x50, Just(0x60)],
            next in prop_oneof![Just(0), Just(43), Just(60), any::<u8>()],
            mut bytes: Vec<u8>,
        ) {
            if bytes.len() > 6 {
                bytes[0] = first;
                bytes[6] = next;
            }
            let len = bytes.len();
            let _ = zero(&mut bytes);
            prop_assert_eq!(bytes.len(), len);
        }
    }
}
