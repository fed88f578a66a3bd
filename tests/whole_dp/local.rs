//! Packets for the router itself, and the punt reason of each protocol.

use ironlane_dataplane::reason::PuntReason;
use ironlane_packet::ip4::MF;

use crate::{HOST4, HOST6, US4, US6, all_punted, router};

#[test]
pub fn each_protocol_to_the_router_has_its_reason_in_both_families() {
    let mut dp = router();
    let protocols = [
        (46, PuntReason::Rsvp),
        (50, PuntReason::Ipsec),
        (51, PuntReason::Ipsec),
        (88, PuntReason::Eigrp),
        (89, PuntReason::Ospf),
        (103, PuntReason::Pim),
        (112, PuntReason::Vrrp),
        (47, PuntReason::Local),
        (132, PuntReason::Local),
        (255, PuntReason::Local),
    ];
    let mut cases = Vec::new();
    for (protocol, reason) in protocols {
        let payload = [0; 24];
        cases.push((
            "IPv4",
            dp.frame("p0")
                .ip4(HOST4, US4)
                .ttl(255)
                .protocol(protocol, &payload),
            reason,
        ));
        // AH needs a header of its own to have anything behind it.
        let reason6 = if protocol == 51 {
            PuntReason::Local
        } else {
            reason
        };
        cases.push((
            "IPv6",
            dp.frame("p0")
                .ip6(HOST6, US6)
                .ttl(255)
                .protocol(protocol, &payload),
            reason6,
        ));
    }
    let udp = [
        (3784, PuntReason::Bfd),
        (3785, PuntReason::Bfd),
        (4784, PuntReason::Bfd),
        (6784, PuntReason::Bfd),
        (7784, PuntReason::Bfd),
        (646, PuntReason::Ldp),
        (520, PuntReason::Rip),
        (521, PuntReason::Rip),
        (6696, PuntReason::Babel),
        (500, PuntReason::Ike),
        (4500, PuntReason::Ike),
        (67, PuntReason::Dhcp),
        (68, PuntReason::Dhcp),
        (546, PuntReason::Dhcp),
        (547, PuntReason::Dhcp),
        (53, PuntReason::Local),
        (33434, PuntReason::Local),
    ];
    for (port, reason) in udp {
        cases.push((
            "UDP",
            dp.frame("p0").ip4(HOST4, US4).ttl(255).udp(40000, port),
            reason,
        ));
        cases.push((
            "UDP",
            dp.frame("p0").ip6(HOST6, US6).ttl(255).udp(40000, port),
            reason,
        ));
    }
    for (src, dst, reason) in [
        (40000, 179, PuntReason::Bgp),
        (179, 40000, PuntReason::Bgp),
        (40000, 646, PuntReason::Ldp),
        (646, 40000, PuntReason::Ldp),
        (40000, 22, PuntReason::Local),
    ] {
        cases.push(("TCP", dp.frame("p0").ip4(HOST4, US4).tcp(src, dst), reason));
        cases.push(("TCP", dp.frame("p0").ip6(HOST6, US6).tcp(src, dst), reason));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn a_packet_for_us_is_recognised_before_its_ttl_is_judged() {
    let mut dp = router();
    let mut cases = Vec::new();
    for ttl in [0, 1, 2, 255] {
        let frame = dp.frame("p0").ip4(HOST4, US4).ttl(ttl).tcp(40000, 179);
        cases.push(("eBGP", frame, PuntReason::Bgp));
        let frame = dp.frame("p0").ip6(HOST6, US6).ttl(ttl).tcp(40000, 179);
        cases.push(("eBGP", frame, PuntReason::Bgp));
    }
    let other_side = dp.frame("p0").ip4(HOST4, "198.51.100.1").ttl(1).icmp(8);
    cases.push(("another port's address", other_side, PuntReason::Icmp));
    let options = dp
        .frame("p0")
        .ip4(HOST4, US4)
        .options(&[7, 7, 4, 0, 0, 0, 0])
        .udp(1, 2);
    cases.push(("with options", options, PuntReason::Local));
    all_punted(&mut dp, cases);
}

#[test]
pub fn what_a_router_passed_on_has_no_part_in_protocols_of_the_link() {
    let mut dp = router();
    let mut cases = Vec::new();
    for ttl in [1, 64, 254] {
        for kind in 133..=137 {
            let frame = dp.frame("p0").ip6(HOST6, US6).ttl(ttl).icmp(kind);
            cases.push(("neighbour discovery", frame, PuntReason::Icmp));
        }
        let mut ip4 = |name, protocol, payload: &[u8], reason| {
            let frame = dp.frame("p0").ip4(HOST4, US4).ttl(ttl);
            cases.push((name, frame.protocol(protocol, payload), reason));
            let frame = dp.frame("p0").ip6(HOST6, US6).ttl(ttl);
            cases.push((name, frame.protocol(protocol, payload), reason));
        };
        ip4("VRRP", 112, &[0; 24], PuntReason::Local);
        let bfd = |port: u16| {
            let [high, low] = port.to_be_bytes();
            [0xc0, 0, high, low, 0, 32, 0, 0].to_vec()
        };
        ip4("BFD, single hop", 17, &bfd(3784), PuntReason::Local);
        ip4("BFD on a LAG", 17, &bfd(6784), PuntReason::Local);
        ip4("BFD, multihop", 17, &bfd(4784), PuntReason::Bfd);
        let group = dp
            .frame("p0")
            .dst("01:00:5e:00:00:12")
            .ip4(HOST4, "224.0.0.18")
            .ttl(ttl)
            .protocol(112, &[0; 24]);
        cases.push(("VRRP to its group", group, PuntReason::LinkMulticast));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn icmp_of_every_type_for_the_router_goes_to_it() {
    let mut dp = router();
    let mut cases = Vec::new();
    for kind in [0, 3, 8, 11, 13] {
        cases.push((
            "ICMP",
            dp.frame("p0").ip4(HOST4, US4).icmp(kind),
            PuntReason::Icmp,
        ));
    }
    for (kind, reason) in [
        (1, PuntReason::Icmp),
        (2, PuntReason::Icmp),
        (128, PuntReason::Icmp),
        (129, PuntReason::Icmp),
        (130, PuntReason::Mld),
        (133, PuntReason::Nd),
        (135, PuntReason::Nd),
        (136, PuntReason::Nd),
        (137, PuntReason::Nd),
        (143, PuntReason::Mld),
    ] {
        cases.push((
            "ICMPv6",
            dp.frame("p0").ip6(HOST6, US6).ttl(255).icmp(kind),
            reason,
        ));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn fragments_for_the_router_go_to_it_without_a_guess_at_their_ports() {
    let mut dp = router();
    let first = dp
        .frame("p0")
        .ip4(HOST4, US4)
        .fragment_word(MF)
        .tcp(40000, 179);
    let later = dp
        .frame("p0")
        .ip4(HOST4, US4)
        .fragment_word(185)
        .tcp(40000, 179);
    let ospf = dp
        .frame("p0")
        .ip4(HOST4, US4)
        .fragment_word(185)
        .protocol(89, &[0; 8]);
    let first6 = [0, 0, 0, 1, 0, 0, 0, 9];
    let later6 = [0, 0, 0, 8, 0, 0, 0, 9];
    let first6 = dp
        .frame("p0")
        .ip6(HOST6, US6)
        .extension(44, &first6)
        .tcp(40000, 179);
    let later6 = dp
        .frame("p0")
        .ip6(HOST6, US6)
        .extension(44, &later6)
        .tcp(40000, 179);
    all_punted(
        &mut dp,
        vec![
            ("first", first, PuntReason::Bgp),
            ("later", later, PuntReason::Local),
            ("later, but its protocol is known", ospf, PuntReason::Ospf),
            ("first", first6, PuntReason::Bgp),
            ("later", later6, PuntReason::Local),
        ],
    );
}

#[test]
pub fn protocols_are_found_behind_extension_headers_within_a_budget() {
    let mut dp = router();
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let chain = |dp: &mut ironlane_tests::WholeDp, n| {
        let mut frame = dp.frame("p0").ip6(HOST6, US6);
        for _ in 0..n {
            frame = frame.extension(60, &options);
        }
        frame.tcp(40000, 179)
    };
    let cases = vec![
        ("one", chain(&mut dp, 1), PuntReason::Bgp),
        ("four", chain(&mut dp, 4), PuntReason::Bgp),
        ("forty", chain(&mut dp, 40), PuntReason::Local),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn link_local_unicast_and_anycast_go_to_the_kernel() {
    let mut dp = router();
    let cases = vec![
        (
            "ping",
            dp.frame("p0").ip6("fe80::9", "fe80::1").icmp(128),
            PuntReason::Icmp,
        ),
        (
            "BGP",
            dp.frame("p0").ip6("fe80::9", "fe80::1").tcp(40000, 179),
            PuntReason::Bgp,
        ),
        (
            "other",
            dp.frame("p0").ip6("fe80::9", "fe80::77").udp(1, 2),
            PuntReason::Local,
        ),
        (
            "subnet-router anycast",
            dp.frame("p0").ip6(HOST6, "2001:db8:0:1::").udp(1, 2),
            PuntReason::Local,
        ),
        (
            "link-local source to us",
            dp.frame("p0").ip6("fe80::9", US6).udp(1, 2),
            PuntReason::Local,
        ),
    ];
    all_punted(&mut dp, cases);
}
