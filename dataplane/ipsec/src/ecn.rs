//! Explicit congestion notification through tunnels (RFC 6040).

use crate::Reject;

/// The two bits of ECN in a traffic class.
pub(crate) const MASK: u8 = 0b11;
pub(crate) const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
pub(crate) const CE: u8 = 0b11;

/// The ECN of the outer header for an inner traffic class: the same in normal mode, "not capable"
/// in compatibility mode (RFC 6040 4.1, 4.3).
#[inline]
pub(crate) const fn encapsulate(inner: u8, carry: bool) -> u8 {
    if carry { inner & MASK } else { NOT_ECT }
}

/// The inner traffic class after an outer one is taken off (RFC 6040 4.2, figure 4).
///
/// # Errors
/// [`Reject::Ecn`] for congestion on the way of a packet that cannot carry the news: dropping it
/// is the news.
#[inline]
pub(crate) const fn decapsulate(inner: u8, outer: u8) -> Result<u8, Reject> {
    let ecn = match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => return Err(Reject::Ecn),
        (NOT_ECT, _) => NOT_ECT,
        (CE, _) | (_, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (same, _) => same,
    };
    Ok(inner & !MASK | ecn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_4_of_rfc_6040() {
        // Rows: inner; columns: outer Not-ECT, ECT(0), ECT(1), CE.
        let outers = [NOT_ECT, ECT_0, ECT_1, CE];
        for (inner, row) in [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ] {
            for (outer, expected) in outers.into_iter().zip(row) {
                let dscp = 0xb8;
                let expected = expected.map(|ecn| dscp | ecn).ok_or(Reject::Ecn);
                assert_eq!(
                    decapsulate(dscp | inner, 0x28 | outer),
                    expected,
                    "{inner:02b} in {outer:02b}"
                );
            }
        }
    }

    #[test]
    fn outer_headers_carry_it_in_normal_mode_only() {
        for ecn in [NOT_ECT, ECT_0, ECT_1, CE] {
            assert_eq!(encapsulate(0xb8 | ecn, true), ecn);
            assert_eq!(encapsulate(0xb8 | ecn, false), NOT_ECT);
        }
    }
}
