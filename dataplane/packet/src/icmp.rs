//! ICMP (RFC 792).

/// Echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Source quench, deprecated by RFC 6633.
pub const SOURCE_QUENCH: u8 = 4;
/// Redirect.
pub const REDIRECT: u8 = 5;
/// Echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// True for messages that report an error; no error may answer them (RFC 1812 4.3.2.7).
///
/// ```
/// use ironlane_packet::icmp;
/// assert!(icmp::is_error(icmp::TIME_EXCEEDED) && !icmp::is_error(icmp::ECHO_REQUEST));
/// ```
#[inline]
pub const fn is_error(kind: u8) -> bool {
    matches!(
        kind,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

/// The bytes of an echo request or reply, with its checksum, before `data`.
///
/// ```
/// use ironlane_packet::{checksum, icmp};
/// let header = icmp::echo(icmp::ECHO_REQUEST, 7, 1, b"data");
/// let message = [&header[..], b"data"].concat();
/// assert!(checksum::is_valid(&message));
/// ```
pub fn echo(kind: u8, id: u16, sequence: u16, data: &[u8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0] = kind;
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    bytes[6..].copy_from_slice(&sequence.to_be_bytes());
    let sum = crate::checksum::add(crate::checksum::add(0, &bytes), data);
    let check = !crate::checksum::fold(sum);
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    bytes
}
