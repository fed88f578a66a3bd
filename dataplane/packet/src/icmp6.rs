//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and listener discovery (RFC 2710, 3810).

use crate::checksum;

/// Destination unreachable.
pub const UNREACHABLE: u8 = 1;
/// Packet too big.
pub const TOO_BIG: u8 = 2;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 3;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Listener query.
pub const LISTENER_QUERY: u8 = 130;
/// Listener report, version 1.
pub const LISTENER_REPORT: u8 = 131;
/// Listener done.
pub const LISTENER_DONE: u8 = 132;
/// Router solicitation.
pub const ROUTER_SOLICIT: u8 = 133;
/// Router advertisement.
pub const ROUTER_ADVERT: u8 = 134;
/// Neighbour solicitation.
pub const NEIGHBOUR_SOLICIT: u8 = 135;
/// Neighbour advertisement.
pub const NEIGHBOUR_ADVERT: u8 = 136;
/// Redirect.
pub const REDIRECT: u8 = 137;
/// Listener report, version 2.
pub const LISTENER_REPORT_2: u8 = 143;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp6Kind {
    /// An error report.
    Error,
    /// Neighbour discovery, redirects included.
    NeighbourDiscovery,
    /// Multicast listener discovery.
    ListenerDiscovery,
    /// Anything else: echo above all.
    Other,
}

/// The kind of a message by its type.
///
/// ```
/// use ironlane_packet::icmp6::{self, Icmp6Kind};
/// assert_eq!(icmp6::kind(icmp6::NEIGHBOUR_SOLICIT), Icmp6Kind::NeighbourDiscovery);
/// assert_eq!(icmp6::kind(icmp6::ECHO_REQUEST), Icmp6Kind::Other);
/// ```
pub const fn kind(message: u8) -> Icmp6Kind {
    match message {
        0..=127 => Icmp6Kind::Error,
        ROUTER_SOLICIT..=REDIRECT => Icmp6Kind::NeighbourDiscovery,
        LISTENER_QUERY..=LISTENER_DONE | LISTENER_REPORT_2 => Icmp6Kind::ListenerDiscovery,
        _ => Icmp6Kind::Other,
    }
}

/// True if no ICMPv6 error may answer a message of this type: errors and redirects
/// (RFC 4443 2.4 e.1, e.2).
#[inline]
pub const fn forbids_error(message: u8) -> bool {
    message < 128 || message == REDIRECT
}

/// A whole message: type, code, checksum and `body`, between these addresses.
///
/// ```
/// use ironlane_packet::icmp6;
/// let message = icmp6::message(icmp6::ECHO_REQUEST, 0, &[0, 7, 0, 1], 1, 2);
/// assert_eq!(message[..2], [128, 0]);
/// assert!(icmp6::is_checksum_valid(&message, 1, 2));
/// ```
pub fn message(kind: u8, code: u8, body: &[u8], src: u128, dst: u128) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(body);
    let sum = checksum::pseudo6(src, dst, crate::proto::ip::ICMP6, bytes.len() as u32);
    let check = !checksum::fold(checksum::add(sum, &bytes));
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    bytes
}

/// True if the checksum of a whole message is right.
pub fn is_checksum_valid(message: &[u8], src: u128, dst: u128) -> bool {
    let sum = checksum::pseudo6(src, dst, crate::proto::ip::ICMP6, message.len() as u32);
    checksum::fold(checksum::add(sum, message)) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_kind() {
        for t in 0..=255 {
            let expected = match t {
                0..=127 => Icmp6Kind::Error,
                133..=137 => Icmp6Kind::NeighbourDiscovery,
                130..=132 | 143 => Icmp6Kind::ListenerDiscovery,
                _ => Icmp6Kind::Other,
            };
            assert_eq!(kind(t), expected, "type {t}");
            assert_eq!(forbids_error(t), t < 128 || t == 137, "type {t}");
        }
    }
}
