//! Captures of malformed packets from tcpdump's own tests, each frame with the verdict that its RFC
//! asks for. They were made to break parsers: lengths that lie, options without an end, headers
//! cut in two. As captured, unicast frames are for other stations and end there; so each is sent
//! again with its destination MAC changed to ours.

use ironlane_dataplane::reason::{DropReason as D, PuntReason as P};
use ironlane_tests::{Capture, data};

use crate::captures::for_us;
use crate::malformed::{Done, context, replay};

use Done::{Dropped, Forwarded, Punted};

fn check(file: &str, expected: &[Done]) {
    let own = data::own().join(file);
    let path = match data::shared() {
        _ if own.exists() => own,
        Some(shared) => shared.join("data/pcaps").join(file),
        None => {
            println!("SKIP whole_dp/shared_captures: no ../shared and no $IRONLANE_SHARED");
            return;
        }
    };
    let capture = Capture::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(capture.link_type, 1);
    let mut dp = context();
    assert_eq!(capture.frames.len(), expected.len());
    for (frame, expected) in capture.frames.into_iter().zip(expected) {
        let is_unicast = frame[0] & 1 == 0;
        let as_captured = if is_unicast {
            Dropped(D::EthNotForUs)
        } else {
            *expected
        };
        assert_eq!(replay(&mut dp, &frame), as_captured, "as captured");
        assert_eq!(replay(&mut dp, &for_us(frame)), *expected);
    }
}

macro_rules! captures {
    ($($(#[$doc:meta])* $name:ident: $file:literal => [$($done:expr),+ $(,)?];)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                check($file, &[$($done),+]);
            }
        )*
    };
}

captures! {
    /// IEEE 802.1Q: a tag (0x88a8) of a VLAN that the port is not in, whatever the ARP behind it.
    arp_too_long_tha: "tcpdump-arp-too-long-tha.pcap" => [Dropped(D::EthUnknownVlan)];
    /// RFC 1812 5.2.2: 32 bytes of a total length of 70. Its checksum and source are wrong, too.
    esp_truncated: "tcpdump-esp_truncated.pcap" => [Dropped(D::Ip4Truncated)];
    /// RFC 1812 5.2.2: 34 bytes of a total length of 12,336.
    heapoverflow_in_checksum: "tcpdump-heapoverflow-in_checksum.pcap" => [Dropped(D::Ip4Truncated)];
    /// RFC 8200 4: a router does not look into an ICMPv6 error in transit; the packet with the broken
    /// chain of headers is in its payload.
    icmpv6_rfc7112: "tcpdump-icmpv6-rfc7112.pcap" => [Forwarded];
    /// RFC 8200 3: 6 bytes of a payload length of 27,136.
    ip6_frag_asan: "tcpdump-ip6_frag_asan.pcap" => [Dropped(D::Ip6Truncated)];
    /// IEEE 802.3 3.2.3: a source MAC must not be a group's. The options behind end nowhere.
    ip_printroute_asan: "tcpdump-ip_printroute_asan.pcap" => [Dropped(D::EthGroupSource)];
    /// RFC 1812 5.2.2: 36 bytes, all of them header, of a total length of 65,319.
    ip_ts_opts_asan: "tcpdump-ip_ts_opts_asan.pcap" => [Dropped(D::Ip4Truncated)];
    /// RFC 1812 5.2.2 (4): a header of 16 bytes.
    ipv4_invalid_hdr_length: "tcpdump-ipv4_invalid_hdr_length.pcap" => [Dropped(D::Ip4BadIhl)];
    /// RFC 1812 5.2.2 (1): 19 bytes are no header.
    ipv4_invalid_length: "tcpdump-ipv4_invalid_length.pcap" => [Dropped(D::Ip4Truncated)];
    /// RFC 1812 5.2.2: one byte less than the total length.
    ipv4_invalid_total_length: "tcpdump-ipv4_invalid_total_length.pcap" => [Dropped(D::Ip4Truncated)];
    /// RFC 1812 5.2.2 (5): a total length of 19.
    ipv4_invalid_total_length_2: "tcpdump-ipv4_invalid_total_length_2.pcap" => [Dropped(D::Ip4BadLength)];
    /// RFC 8200 3: version 0 in the answers to two neighbour solicitations that are right.
    ipv6_bad_version: "tcpdump-ipv6-bad-version.pcap" => [
        Punted(P::Nd),
        Dropped(D::Ip6BadVersion),
        Punted(P::Nd),
        Dropped(D::Ip6BadVersion),
    ];
    /// RFC 2464 7: a unicast destination in a frame to a group; it is never forwarded, and nobody is
    /// told. Beyond that its hop limit is 0 and it has two jumbo options, both wrong (RFC 2675 3).
    ipv6_too_long_jumbo: "tcpdump-ipv6-too-long-jumbo.pcap" => [Dropped(D::Ip6GroupFrame)];
    /// RFC 8200 3: 25 bytes are no header.
    ipv6_39_byte_header: "tcpdump-ipv6_39_byte_header.pcap" => [Dropped(D::Ip6Truncated)];
    /// RFC 8200 4, RFC 7045 2.1: no fragment header fits a payload of 0 bytes, but that is for the
    /// destination to find: a router does not look at it. What follows the header is padding.
    ipv6_frag6_negative_len: "tcpdump-ipv6_frag6_negative_len.pcap" => [Forwarded];
    /// RFC 8200 3: 39 bytes are no header.
    ipv6_invalid_length: "tcpdump-ipv6_invalid_length.pcap" => [Dropped(D::Ip6Truncated)];
    /// RFC 8200 3: one byte less than the payload length.
    ipv6_invalid_length_2: "tcpdump-ipv6_invalid_length_2.pcap" => [Dropped(D::Ip6Truncated)];
    /// RFC 2675 3: a right jumbogram; hop-by-hop options are the kernel's, which says that it is too
    /// big for the link beyond.
    ipv6_jumbogram_1: "tcpdump-ipv6_jumbogram_1.pcap" => [Punted(P::Ip6HopByHop)];
    /// RFC 3031 3.18: labels on a port that speaks no MPLS.
    mpls_label_heapoverflow: "tcpdump-mpls-label-heapoverflow.pcap" => [Dropped(D::EthUnknownType)];
    /// IEEE 802.1AB: the TLVs are for the LLDP agent to judge.
    lldp_8021_linkagg: "tcpdump-lldp_8021_linkagg.pcap" => [Punted(P::Lldp), Punted(P::Lldp)];
}
