//! IPv4 check: the header rules of RFC 1812 5.2.2, and martian addresses (5.3.7).
//!
//! Runs for every IPv4 packet. What is legal but not plain forwarding is noted in the packet's
//! flags, not decided here: whether a packet is for the router is known only after the lookup, and
//! such a packet may have TTL 1. A source that is one of our own addresses is not looked for:
//! no RFC asks a router to, it would cost a second lookup a packet, and the kernel refuses such
//! packets where they matter, at the router itself.
//!
//! The checksum is summed here unless the NIC vouches for it or condemns it.

use ironlane_packet::checksum;
use ironlane_packet::ip4::{HEADER_LEN_BYTES, Ip4};

use super::{Stage, TablesView};
use crate::burst::{Burst, Info, Lane, Packet, Verdict};
use crate::eal::RxChecksum;
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip4Check;

impl Stage for Ip4Check {
    const ID: StageId = StageId::Ip4Check;
    const INPUT: Lane = Lane::Ip4;
    const NEXT: Option<Lane> = Some(Lane::Ip4Lookup);
    const LANES: &'static [Lane] = &[Lane::Ip4Lookup, Lane::Ip4Local];
    const DROPS: &'static [DropReason] = &[
        DropReason::Ip4Truncated,
        DropReason::Ip4BadVersion,
        DropReason::Ip4BadIhl,
        DropReason::Ip4BadLength,
        DropReason::Ip4BadChecksum,
        DropReason::Ip4MartianSource,
        DropReason::Ip4MartianDestination,
    ];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, _: &TablesView<'q>) {
        burst.decide(Self::INPUT, Lane::Ip4Lookup, |packet| {
            let (nic, len) = (packet.mbuf.ip_checksum(), packet.l3_len());
            let words = packet.l3().first_chunk().map(Words::of);
            match words {
                Some(words) if words.are_usual(len) => {
                    packet.info.ip_len = words.total_len();
                    packet.info.dst4 = words.dst;
                    match words.are_trusted(nic) {
                        true => Verdict::Next,
                        false => Verdict::Drop(DropReason::Ip4BadChecksum),
                    }
                }
                _ => match check(packet.l3(), len, nic) {
                    Ok(header) => accept(packet, header),
                    Err(reason) => Verdict::Drop(reason),
                },
            }
        });
    }
}

/// What the check learned from a header that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    total_len: u16,
    dst: u32,
    flags: u8,
    /// Multicast or limited broadcast.
    group: bool,
}

#[inline]
fn accept(packet: &mut Packet<'_>, header: Header) -> Verdict {
    packet.info.flags |= header.flags;
    packet.info.ip_len = u32::from(header.total_len);
    packet.info.dst4 = header.dst;
    match header.group {
        true => Verdict::Lane(Lane::Ip4Local),
        false => Verdict::Next,
    }
}

/// A header without options, as two words of eight bytes and one of four: words of four alone
/// would be gathered and turned round in vector registers, which costs more than all the rest.
///
/// The usual header breaks no rule and needs nothing special; it is judged here, any other by
/// [`check`], rule by rule. The two agree, which a test holds for every header.
#[derive(Clone, Copy)]
struct Words {
    /// Version to fragment offset.
    front: u64,
    /// TTL to source.
    back: u64,
    /// Destination.
    dst: u32,
}

impl Words {
    #[inline]
    fn of(header: &[u8; HEADER_LEN_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, dst @ ..] = *header;
        Self {
            front: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            back: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            dst: u32::from_be_bytes(dst),
        }
    }

    #[inline]
    fn total_len(self) -> u32 {
        (self.front >> 32) as u32 & 0xffff
    }

    /// No options, a length that fits, hops left, ordinary unicast addresses.
    #[inline]
    fn are_usual(self, len: usize) -> bool {
        let total_len = self.total_len() as usize;
        self.front >> 56 == 0x45
            && total_len >= HEADER_LEN_BYTES
            && total_len <= len
            && self.back >> 57 != 0
            && is_ordinary(self.back as u32)
            && is_ordinary(self.dst)
    }

    /// The checksum is right, by the NIC's word or by our own sum.
    #[inline]
    fn are_trusted(self, nic: RxChecksum) -> bool {
        const LOW: u64 = 0xffff_ffff;
        match nic {
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
            RxChecksum::Unknown => {
                let sum = (self.front >> 32)
                    + (self.front & LOW)
                    + (self.back >> 32)
                    + (self.back & LOW)
                    + u64::from(self.dst);
                let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
                checksum::fold(sum as u32) == 0xffff
            }
        }
    }
}

/// Unicast, on the wire by right, and not link-local.
#[inline]
const fn is_ordinary(address: u32) -> bool {
    let net = address >> 24;
    net.wrapping_sub(1) < 223 && net != 127 && address >> 16 != 0xa9fe
}

/// Judges a header rule by rule. `bytes` are those of the first segment, `len` counts the whole frame behind
/// the Ethernet header.
#[inline(never)]
fn check(bytes: &[u8], len: usize, nic: RxChecksum) -> Result<Header, DropReason> {
    let ip = Ip4::new(bytes).ok_or(DropReason::Ip4Truncated)?;
    let (header_len, total_len) = (ip.header_len_bytes(), ip.total_len_bytes());
    let mut flags = 0;
    // RFC 1812 5.2.2 (3), (4): version and header length in one compare for the usual header.
    if bytes[0] != 0x45 {
        if ip.version() != 4 {
            return Err(DropReason::Ip4BadVersion);
        }
        if header_len < HEADER_LEN_BYTES {
            return Err(DropReason::Ip4BadIhl);
        }
        flags |= Info::OPTIONS;
    }
    // (5) and (1): the datagram holds its header, and the frame holds the datagram.
    if usize::from(total_len) < header_len {
        return Err(DropReason::Ip4BadLength);
    }
    if usize::from(total_len) > len {
        return Err(DropReason::Ip4Truncated);
    }
    // Within the first segment, since it is within the frame and has at most 60 bytes.
    let header = bytes.get(..header_len).ok_or(DropReason::Ip4Truncated)?;
    // (2)
    let valid = match nic {
        RxChecksum::Good => true,
        RxChecksum::Bad => false,
        RxChecksum::Unknown if flags == 0 => ip.is_checksum_valid(),
        RxChecksum::Unknown => checksum::is_valid(header),
    };
    if !valid {
        return Err(DropReason::Ip4BadChecksum);
    }
    if ip.ttl() <= 1 {
        flags |= Info::TTL;
    }
    let (src, dst) = (ip.src(), ip.dst());
    if is_link_local(src) || is_link_local(dst) {
        flags |= Info::LINK_LOCAL;
    }
    let group = addresses(src, dst)?;
    Ok(Header {
        total_len,
        dst,
        flags,
        group,
    })
}

/// RFC 1812 5.3.7: addresses that must not be on the wire. True if the destination is a group.
#[inline]
fn addresses(src: u32, dst: u32) -> Result<bool, DropReason> {
    let group = (dst >> 28) == 0xe || dst == u32::MAX;
    if !group && is_martian(dst) {
        return Err(DropReason::Ip4MartianDestination);
    }
    // A host without an address may speak to a group: DHCP, IGMP (RFC 1122 3.2.1.3).
    if is_martian(src) && !(src == 0 && group) {
        return Err(DropReason::Ip4MartianSource);
    }
    Ok(group)
}

/// 0/8, 127/8, and all from 224/4 up.
#[inline]
const fn is_martian(address: u32) -> bool {
    let net = address >> 24;
    net == 0 || net == 127 || net >= 224
}

/// 169.254/16
#[inline]
const fn is_link_local(address: u32) -> bool {
    address >> 16 == 0xa9fe
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlane_packet::ip4::Ip4Fields;

    const SRC: u32 = 0xc000_020a;
    const DST: u32 = 0xcb00_7109;

    fn fields() -> Ip4Fields {
        Ip4Fields {
            src: SRC,
            dst: DST,
            ..Ip4Fields::default()
        }
    }

    fn judge(bytes: &[u8]) -> Result<Header, DropReason> {
        both(bytes, bytes.len(), RxChecksum::Unknown)
    }

    /// The verdict, which must be the same with and without the short cut.
    fn both(bytes: &[u8], len: usize, nic: RxChecksum) -> Result<Header, DropReason> {
        let verdict = check(bytes, len, nic);
        if let Some(words) = bytes.first_chunk().map(Words::of)
            && words.are_usual(len)
        {
            let plain = Header {
                total_len: words.total_len() as u16,
                dst: words.dst,
                flags: 0,
                group: false,
            };
            let short = match words.are_trusted(nic) {
                true => Ok(plain),
                false => Err(DropReason::Ip4BadChecksum),
            };
            assert_eq!(short, verdict, "{bytes:02x?}");
        }
        verdict
    }

    fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[10..12].fill(0);
        let len = usize::from(bytes[0] & 15) * 4;
        let sum = checksum::of(&bytes[..len.min(bytes.len())]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn with(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = fields().to_bytes(8).to_vec();
        bytes.extend([0; 8]);
        bytes[at] = value;
        mended(bytes)
    }

    #[test]
    fn a_plain_packet_passes_without_flags() {
        let plain = Header {
            total_len: 28,
            dst: DST,
            flags: 0,
            group: false,
        };
        assert_eq!(judge(&with(1, 0)), Ok(plain));
    }

    #[test]
    fn each_bad_header_has_its_reason() {
        let cases = [
            (with(0, 0x55), DropReason::Ip4BadVersion),
            (with(0, 0x65), DropReason::Ip4BadVersion),
            (with(0, 0x44), DropReason::Ip4BadIhl),
            (with(0, 0x40), DropReason::Ip4BadIhl),
            (with(0, 0x4f), DropReason::Ip4BadLength),
            (with(3, 19), DropReason::Ip4BadLength),
            (with(3, 29), DropReason::Ip4Truncated),
            (with(12, 0), DropReason::Ip4MartianSource),
            (with(12, 127), DropReason::Ip4MartianSource),
            (with(12, 224), DropReason::Ip4MartianSource),
            (with(12, 255), DropReason::Ip4MartianSource),
            (with(16, 0), DropReason::Ip4MartianDestination),
            (with(16, 127), DropReason::Ip4MartianDestination),
            (with(16, 240), DropReason::Ip4MartianDestination),
        ];
        for (bytes, reason) in cases {
            assert_eq!(judge(&bytes), Err(reason), "{bytes:02x?}");
        }
        let mut sum = with(1, 0);
        sum[11] ^= 1;
        assert_eq!(judge(&sum), Err(DropReason::Ip4BadChecksum));
        for len in 0..20 {
            assert_eq!(judge(&with(1, 0)[..len]), Err(DropReason::Ip4Truncated));
        }
    }

    #[test]
    fn the_nic_is_believed_where_it_speaks() {
        let mut bytes = with(1, 0);
        assert_eq!(
            check(&bytes, 28, RxChecksum::Bad),
            Err(DropReason::Ip4BadChecksum)
        );
        bytes[11] ^= 1;
        assert!(both(&bytes, 28, RxChecksum::Good).is_ok());
    }

    #[test]
    fn what_is_not_plain_is_flagged() {
        let flags = |bytes: Vec<u8>| judge(&bytes).unwrap().flags;
        assert_eq!(flags(with(8, 1)), Info::TTL);
        assert_eq!(flags(with(8, 0)), Info::TTL);
        assert_eq!(flags(with(8, 2)), 0);
        assert_eq!(flags(with(0, 0x46)), Info::OPTIONS);
        let link_local = Ip4Fields {
            src: 0xa9fe_0001,
            ..fields()
        }
        .to_bytes(0)
        .to_vec();
        assert_eq!(flags(link_local), Info::LINK_LOCAL);
    }

    #[test]
    fn a_host_without_address_may_speak_to_groups_only() {
        let from_nobody = |dst| {
            Ip4Fields {
                src: 0,
                dst,
                ..fields()
            }
            .to_bytes(0)
        };
        assert!(judge(&from_nobody(u32::MAX)).unwrap().group);
        assert!(judge(&from_nobody(0xe000_0016)).unwrap().group);
        assert_eq!(judge(&from_nobody(DST)), Err(DropReason::Ip4MartianSource));
        let from_loopback = Ip4Fields {
            src: 0x7f00_0001,
            dst: u32::MAX,
            ..fields()
        };
        assert_eq!(
            judge(&from_loopback.to_bytes(0)),
            Err(DropReason::Ip4MartianSource)
        );
    }

    #[test]
    fn the_short_cut_agrees_with_the_rules_for_every_byte_of_a_header() {
        for at in 0..20 {
            for value in 0..=255 {
                for nic in [RxChecksum::Unknown, RxChecksum::Good, RxChecksum::Bad] {
                    let _ = both(&with(at, value), 28, nic);
                    let mut unmended = with(1, 0);
                    unmended[at] = value;
                    let _ = both(&unmended, 28, nic);
                }
            }
        }
        for net in 0..=0xffffu32 {
            let src = Ip4Fields {
                src: net << 16 | 1,
                ..fields()
            };
            let dst = Ip4Fields {
                dst: net << 16 | 1,
                ..fields()
            };
            let _ = judge(&src.to_bytes(0));
            let _ = judge(&dst.to_bytes(0));
        }
    }
}
