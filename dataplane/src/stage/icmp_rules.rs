//! May an ICMP error answer this packet (RFC 1812 4.3.2.7, RFC 4443 2.4 e), may a redirect?
//!
//! Where none may, a packet that cannot be forwarded is dropped here and not punted: the kernel
//! would stay silent as well, and a storm of errors costs no more than a drop each. What is left
//! of the rules (martian sources, group frames) has been dropped by stages before.

use ironlane_fib::{AdjacencyKind, VrfId};
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::HEADER_LEN_BYTES;
use ironlane_packet::ip6::Ip6;
use ironlane_packet::ip6_ext::{Walk, walk};
use ironlane_packet::proto::ip;
use ironlane_packet::{icmp, icmp6};

use super::TablesView;
use crate::burst::{Packet, Verdict};
use crate::reason::{DropReason, PuntReason};

/// To the kernel, which answers, if an error may; else lost by that name.
#[inline]
pub(super) fn answer(may: bool, punt: PuntReason, drop: DropReason) -> Verdict {
    match may {
        true => Verdict::Punt(punt),
        false => Verdict::Drop(drop),
    }
}

/// IPv4: not a later fragment, not an ICMP error itself, nor ICMP too short to tell.
pub(crate) fn may_answer4(header: Ip4<'_>, bytes: &[u8]) -> bool {
    if header.is_later_fragment() {
        return false;
    }
    if header.protocol() != ip::ICMP {
        return true;
    }
    match bytes.get(header.header_len_bytes()) {
        Some(&kind) => !icmp::is_error(kind),
        None => false,
    }
}

/// IPv6: not an ICMPv6 error or redirect itself, nor ICMPv6 too short to tell.
pub(crate) fn may_answer6(header: Ip6<'_>, bytes: &[u8]) -> bool {
    let rest = bytes.get(HEADER_LEN_BYTES..).unwrap_or(&[]);
    match walk(header.next_header(), rest) {
        Walk::Upper {
            protocol: ip::ICMP6,
            offset_bytes,
            ..
        } => match rest.get(offset_bytes) {
            Some(&message) => !icmp6::forbids_error(message),
            None => false,
        },
        _ => true,
    }
}

/// Whether an address is the broadcast address of a subnet (RFC 1812 4.2.2.11 d), which only a lookup
/// tells. Plain packets are spared it: what an answer to all hosts costs is paid where one would be sent.
pub(crate) fn is_broadcast(view: &TablesView<'_>, vrf: VrfId, address: u32) -> bool {
    let nexthop = view.tables.ip4(view.guard, vrf).lookup(view.guard, address);
    let nexthops = view.tables.nexthops();
    nexthops.resolve(view.guard, nexthop, 0).kind() == AdjacencyKind::Broadcast
}

/// A packet a second that leaves by the port it came by, for each nexthop: Linux sends it on, and a
/// redirect to its source if one is due (RFC 1812 5.2.7.2, RFC 4861 8.2). The others are forwarded
/// here.
pub(super) fn wants_redirect(packet: &Packet<'_>, view: &TablesView<'_>) -> bool {
    const EACH_NS: u64 = 1_000_000_000;
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    packet.hop.is_some_and(|hop| {
        hop.port() == packet.arrival.turning_port()
            && nexthops.admits(hop.index, view.now_ns, EACH_NS, 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlane_packet::ip4::Ip4Fields;
    use ironlane_packet::ip6::Ip6Fields;

    fn may4(protocol: u8, fragment_word: u16, payload: &[u8]) -> bool {
        let header = Ip4Fields {
            protocol,
            fragment_word,
            ..Ip4Fields::default()
        };
        let bytes = [&header.to_bytes(payload.len() as u16)[..], payload].concat();
        may_answer4(Ip4::new(&bytes).unwrap(), &bytes)
    }

    fn may6(next_header: u8, payload: &[u8]) -> bool {
        let header = Ip6Fields {
            next_header,
            ..Ip6Fields::default()
        };
        let bytes = [&header.to_bytes(payload.len() as u16)[..], payload].concat();
        may_answer6(Ip6::new(&bytes).unwrap(), &bytes)
    }

    #[test]
    fn errors_and_later_fragments_stay_without_an_answer() {
        assert!(may4(17, 0, &[]));
        assert!(may4(1, 0, &[icmp::ECHO_REQUEST]));
        assert!(!may4(1, 0, &[icmp::TIME_EXCEEDED]));
        assert!(!may4(1, 0, &[]));
        assert!(!may4(17, 185, &[]));
        assert!(may4(17, 0x2000, &[]), "a first fragment may be answered");
    }

    #[test]
    fn icmp6_is_found_behind_extension_headers() {
        assert!(may6(17, &[]));
        assert!(may6(58, &[icmp6::ECHO_REQUEST]));
        assert!(!may6(58, &[icmp6::TOO_BIG]));
        assert!(!may6(58, &[icmp6::REDIRECT]));
        assert!(!may6(58, &[]));
        assert!(!may6(60, &[58, 0, 1, 4, 0, 0, 0, 0, icmp6::UNREACHABLE]));
        assert!(may6(60, &[58, 0, 1, 4, 0, 0, 0, 0, icmp6::ECHO_REPLY]));
    }
}
