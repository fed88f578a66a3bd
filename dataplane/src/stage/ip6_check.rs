//! IPv6 check: the header rules of RFC 8200 3, and addresses that must not be on the wire.
//!
//! Runs for every IPv6 packet. Groups and link-local destinations need no lookup: they go to the
//! local stage. Extension headers are left alone but for hop-by-hop options, which are flagged.
//! A jumbogram (RFC 2675) is a packet with hop-by-hop options and length 0: if it is not for
//! the router it goes to the kernel for those.

use ironlane_packet::ip6::{self, HEADER_LEN_BYTES, Ip6};
use ironlane_packet::proto::ip;

use super::{Stage, TablesView};
use crate::burst::{Burst, Info, Lane, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip6Check;

impl Stage for Ip6Check {
    const ID: StageId = StageId::Ip6Check;
    const INPUT: Lane = Lane::Ip6;
    const NEXT: Option<Lane> = Some(Lane::Ip6Lookup);
    const LANES: &'static [Lane] = &[Lane::Ip6Lookup, Lane::Ip6Local, Lane::Ip6Exception];
    const DROPS: &'static [DropReason] = &[
        DropReason::Ip6Truncated,
        DropReason::Ip6BadVersion,
        DropReason::Ip6MartianSource,
        DropReason::Ip6MartianDestination,
        DropReason::Ip6MulticastScope,
    ];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, _: &TablesView<'q>) {
        burst.decide(Self::INPUT, Lane::Ip6Lookup, |packet| {
            match check(packet.l3(), packet.l3_len()) {
                Ok(header) => {
                    packet.info.flags |= header.flags;
                    packet.info.ip_len = header.len;
                    match header.to {
                        To::Any => Verdict::Next,
                        // Unicast in a group's frame is dropped there, as for other addresses.
                        To::LinkLocal if packet.has(Info::GROUP_FRAME) => {
                            Verdict::Lane(Lane::Ip6Exception)
                        }
                        To::LinkLocal | To::Group => Verdict::Lane(Lane::Ip6Local),
                    }
                }
                Err(reason) => Verdict::Drop(reason),
            }
        });
    }
}

/// What the check learned from a header that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    len: u32,
    flags: u8,
    to: To,
}

/// Kinds of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// To be looked up.
    Any,
    /// Multicast of any scope.
    Group,
    /// A link-local unicast address.
    LinkLocal,
}

/// Judges a header. `bytes` are those of the first segment, `len` counts the whole frame behind
/// the Ethernet header.
#[inline]
fn check(bytes: &[u8], len: usize) -> Result<Header, DropReason> {
    let header = Ip6::new(bytes).ok_or(DropReason::Ip6Truncated)?;
    if header.version() != 6 {
        return Err(DropReason::Ip6BadVersion);
    }
    let ip_len = HEADER_LEN_BYTES + usize::from(header.payload_len_bytes());
    if ip_len > len {
        return Err(DropReason::Ip6Truncated);
    }
    let mut flags = 0;
    if header.hop_limit() <= 1 {
        flags |= Info::TTL;
    }
    if header.next_header() == ip::HOP_BY_HOP {
        flags |= Info::OPTIONS;
    }
    let (src, dst) = (header.src(), header.dst());
    let to = destination(dst)?;
    // Nearly all sources are global unicast; the compares below are for the others.
    if is_odd(src) {
        // The unspecified address may speak to groups on the link: duplicate address detection,
        // listener reports (RFC 4861 4.3, RFC 3810 5.2.13).
        let martian = match src {
            0 => to != To::Group,
            _ => ip6::is_loopback(src) || ip6::is_multicast(src) || ip6::is_ip4_mapped(src),
        };
        if martian {
            return Err(DropReason::Ip6MartianSource);
        }
        if ip6::is_link_local(src) {
            flags |= Info::LINK_LOCAL;
        }
    }
    // No truncation: a 16-bit length and the header.
    let len = ip_len as u32;
    Ok(Header { len, flags, to })
}

/// The kind of a destination that may be on the wire.
#[inline]
fn destination(dst: u128) -> Result<To, DropReason> {
    if !is_odd(dst) {
        return Ok(To::Any);
    }
    if ip6::is_multicast(dst) {
        // RFC 4291 2.7: 0 and 15 are reserved, 1 is for loopback.
        return match ip6::multicast_scope(dst) {
            0 | 1 | 15 => Err(DropReason::Ip6MulticastScope),
            _ => Ok(To::Group),
        };
    }
    if ip6::is_unspecified(dst) || ip6::is_loopback(dst) || ip6::is_ip4_mapped(dst) {
        return Err(DropReason::Ip6MartianDestination);
    }
    match ip6::is_link_local(dst) {
        true => Ok(To::LinkLocal),
        false => Ok(To::Any),
    }
}

/// In `fe00::/7` or `::/64`: the only addresses with special meaning.
#[inline]
const fn is_odd(address: u128) -> bool {
    let high = (address >> 64) as u64;
    high == 0 || high >> 57 == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlane_packet::ip6::Ip6Fields;
    use std::net::Ipv6Addr;

    fn a(text: &str) -> u128 {
        text.parse::<Ipv6Addr>().unwrap().to_bits()
    }

    fn fields(src: &str, dst: &str) -> Ip6Fields {
        Ip6Fields {
            src: a(src),
            dst: a(dst),
            ..Ip6Fields::default()
        }
    }

    fn judge(src: &str, dst: &str) -> Result<Header, DropReason> {
        check(&fields(src, dst).to_bytes(0), 40)
    }

    const HOST: &str = "2001:db8:0:1::10";
    const FAR: &str = "2001:db8:f::9";

    #[test]
    fn a_plain_packet_passes_without_flags() {
        assert_eq!(
            judge(HOST, FAR),
            Ok(Header {
                len: 40,
                flags: 0,
                to: To::Any
            })
        );
    }

    #[test]
    fn lengths_and_version_are_checked() {
        let bytes = fields(HOST, FAR).to_bytes(8);
        assert_eq!(check(&bytes, 47), Err(DropReason::Ip6Truncated));
        assert!(check(&bytes, 48).is_ok());
        for len in 0..40 {
            assert_eq!(check(&bytes[..len], len), Err(DropReason::Ip6Truncated));
        }
        for version in [0, 4, 5, 7, 15] {
            let mut bytes = bytes;
            bytes[0] = version << 4;
            assert_eq!(check(&bytes, 48), Err(DropReason::Ip6BadVersion));
        }
    }

    #[test]
    fn impossible_sources_are_martians() {
        for src in ["::", "::1", "ff02::1", "ff0e::1", "::ffff:192.0.2.10"] {
            assert_eq!(judge(src, FAR), Err(DropReason::Ip6MartianSource), "{src}");
        }
        for src in [
            "fd00::1",
            "fec0::1",
            "2002:c000:20a::1",
            "2001:0:1::1",
            "::2:0:0:1",
        ] {
            assert!(judge(src, FAR).is_ok(), "{src}");
        }
        assert!(judge("::", "ff02::1:ff00:1").is_ok_and(|h| h.to == To::Group));
    }

    #[test]
    fn impossible_destinations_are_martians() {
        for dst in ["::", "::1", "::ffff:192.0.2.10"] {
            assert_eq!(
                judge(HOST, dst),
                Err(DropReason::Ip6MartianDestination),
                "{dst}"
            );
        }
        for dst in ["ff00::1", "ff01::1", "ff0f::1", "ff1f::1"] {
            assert_eq!(
                judge(HOST, dst),
                Err(DropReason::Ip6MulticastScope),
                "{dst}"
            );
        }
    }

    #[test]
    fn what_is_not_plain_is_flagged() {
        let flags = |fields: Ip6Fields| check(&fields.to_bytes(0), 40).unwrap().flags;
        let plain = fields(HOST, FAR);
        assert_eq!(
            flags(Ip6Fields {
                hop_limit: 1,
                ..plain
            }),
            Info::TTL
        );
        assert_eq!(
            flags(Ip6Fields {
                hop_limit: 0,
                ..plain
            }),
            Info::TTL
        );
        assert_eq!(
            flags(Ip6Fields {
                next_header: 0,
                ..plain
            }),
            Info::OPTIONS
        );
        assert_eq!(flags(fields("fe80::9", FAR)), Info::LINK_LOCAL);
        assert_eq!(judge(HOST, "fe80::1").unwrap().to, To::LinkLocal);
        assert_eq!(judge(HOST, "ff05::2").unwrap().to, To::Group);
    }
}
