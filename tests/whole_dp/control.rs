//! Link-level control: ARP, LLDP, LACP, IS-IS in LLC, CDP; and what of that kind is dropped.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_packet::arp::{Arp, ArpOp};
use ironlane_packet::eth::Mac;

use crate::{all_dropped, all_punted, router};

fn arp() -> Arp {
    Arp {
        op: ArpOp::Request,
        sender_mac: Mac([2, 0, 0, 0, 0, 0xaa]),
        sender: 0xc000_020a,
        target_mac: Mac::default(),
        target: 0xc000_0201,
    }
}

#[test]
pub fn arp_goes_to_the_kernel() {
    let mut dp = router();
    let mut cases = Vec::new();
    let reply = Arp {
        op: ArpOp::Reply,
        ..arp()
    };
    let probe = Arp { sender: 0, ..arp() };
    let elsewhere = Arp {
        target: 0x0a00_0001,
        ..arp()
    };
    let announcement = Arp {
        target: 0xc000_020a,
        ..arp()
    };
    for (name, arp) in [
        ("request", arp()),
        ("reply", reply),
        ("probe", probe),
        ("for another", elsewhere),
        ("announcement", announcement),
    ] {
        let broadcast = dp
            .frame("p0")
            .dst("ff:ff:ff:ff:ff:ff")
            .ether(0x0806, &arp.to_bytes());
        cases.push((name, broadcast, PuntReason::Arp));
        let padded = dp.frame("p0").padding(18).ether(0x0806, &arp.to_bytes());
        cases.push((name, padded, PuntReason::Arp));
    }
    let tagged = dp.frame("p0").vlan(0).ether(0x0806, &arp().to_bytes());
    cases.push(("priority tagged", tagged, PuntReason::Arp));
    all_punted(&mut dp, cases);
}

#[test]
pub fn arp_that_cannot_be_meant_is_dropped() {
    let mut dp = router();
    let mut cases = Vec::new();
    let mut case = |name, at: usize, value: u8, reason| {
        let mut bytes = arp().to_bytes();
        bytes[at] = value;
        let frame = dp
            .frame("p0")
            .dst("ff:ff:ff:ff:ff:ff")
            .ether(0x0806, &bytes);
        cases.push((name, frame, reason));
    };
    case("token ring", 1, 6, DropReason::ArpBadType);
    case("IPv6", 2, 0x86, DropReason::ArpBadType);
    case("hardware address of none", 4, 0, DropReason::ArpBadLength);
    case("protocol address of 16", 5, 16, DropReason::ArpBadLength);
    case("operation 0", 7, 0, DropReason::ArpBadOp);
    case("reverse request", 7, 3, DropReason::ArpBadOp);
    case("group sender", 8, 1, DropReason::ArpBadSender);
    case("multicast sender", 14, 224, DropReason::ArpBadSender);
    case("loopback sender", 14, 127, DropReason::ArpBadSender);
    for len in [0, 7, 8, 20, 27] {
        let frame = dp.frame("p0").ether(0x0806, &arp().to_bytes()[..len]);
        cases.push(("cut", frame, DropReason::ArpTruncated));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn discovery_and_aggregation_go_to_the_kernel() {
    let mut dp = router();
    let lldp = [
        2, 7, 4, 2, 0, 0, 0, 0, 0xaa, 4, 3, 7, b'e', b'1', 6, 2, 0, 120, 0, 0,
    ];
    let cdp = [0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 180, 0, 0];
    let cases = vec![
        (
            "LLDP",
            dp.frame("p0").dst("01:80:c2:00:00:0e").ether(0x88cc, &lldp),
            PuntReason::Lldp,
        ),
        (
            "LACP",
            dp.frame("p0")
                .dst("01:80:c2:00:00:02")
                .ether(0x8809, &[1, 1]),
            PuntReason::Lacp,
        ),
        (
            "marker",
            dp.frame("p0").dst("01:80:c2:00:00:02").ether(0x8809, &[2]),
            PuntReason::Lacp,
        ),
        (
            "CDP",
            dp.frame("p0").dst("01:00:0c:cc:cc:cc").llc(&cdp),
            PuntReason::Cdp,
        ),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn isis_goes_to_the_kernel_in_llc_frames_and_in_jumbo_ones() {
    let mut dp = router();
    let hello = [0xfe, 0xfe, 3, 0x83, 27, 1, 0, 15, 1, 0, 0];
    let mut long = hello.to_vec();
    long.resize(1497, 0);
    let cases = vec![
        (
            "level 1",
            dp.frame("p0").dst("01:80:c2:00:00:14").llc(&hello),
            PuntReason::Isis,
        ),
        (
            "level 2",
            dp.frame("p0").dst("01:80:c2:00:00:15").llc(&hello),
            PuntReason::Isis,
        ),
        (
            "point to point",
            dp.frame("p0").dst("09:00:2b:00:00:05").llc(&hello),
            PuntReason::Isis,
        ),
        ("unicast", dp.frame("p0").llc(&hello), PuntReason::Isis),
        (
            "padded",
            dp.frame("p0")
                .dst("01:80:c2:00:00:14")
                .padding(35)
                .llc(&hello),
            PuntReason::Isis,
        ),
        (
            "hello filled to the MTU",
            dp.frame("p0").dst("01:80:c2:00:00:14").llc(&long),
            PuntReason::Isis,
        ),
        (
            "jumbo type",
            dp.frame("p0").dst("01:80:c2:00:00:14").ether(0x8870, &long),
            PuntReason::Isis,
        ),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn other_llc_is_dropped_by_name() {
    let mut dp = router();
    let bpdu = [0x42, 0x42, 3, 0, 0, 0, 0, 0];
    let ip_in_snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45, 0, 0, 20];
    let cases = vec![
        (
            "BPDU",
            dp.frame("p0").dst("01:80:c2:00:00:00").llc(&bpdu),
            DropReason::EthBpdu,
        ),
        (
            "IPv4 in SNAP",
            dp.frame("p0").llc(&ip_in_snap),
            DropReason::EthUnknownLlc,
        ),
        (
            "NetBEUI",
            dp.frame("p0").llc(&[0xf0, 0xf0, 3]),
            DropReason::EthUnknownLlc,
        ),
        (
            "IPX",
            dp.frame("p0").llc(&[0xff, 0xff, 0, 34]),
            DropReason::EthUnknownLlc,
        ),
        (
            "cut",
            dp.frame("p0").padding(46).llc(&[0xfe, 0xfe]),
            DropReason::EthUnknownLlc,
        ),
    ];
    all_dropped(&mut dp, cases);
}
