//! Multicast and broadcast: control of the link to the kernel, data without a route nowhere.

use std::net::Ipv4Addr;

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_packet::eth::Mac;
use ironlane_tests::WholeDp;

use crate::{HOST4, HOST6, US6, all_dropped, all_punted, router};

#[test]
pub fn control_groups_of_the_link_go_to_the_kernel() {
    let mut dp = router();
    let mut cases = Vec::new();
    let mut ip4 = |mac: &str, group: &str, protocol, reason| {
        let ttl = if protocol == 112 { 255 } else { 1 };
        let frame = dp.frame("p0").dst(mac).ip4(HOST4, group).ttl(ttl);
        cases.push(("IPv4 group", frame.protocol(protocol, &[0; 24]), reason));
    };
    ip4("01:00:5e:00:00:05", "224.0.0.5", 89, PuntReason::Ospf);
    ip4("01:00:5e:00:00:06", "224.0.0.6", 89, PuntReason::Ospf);
    ip4("01:00:5e:00:00:12", "224.0.0.18", 112, PuntReason::Vrrp);
    ip4("01:00:5e:00:00:0d", "224.0.0.13", 103, PuntReason::Pim);
    ip4("01:00:5e:00:00:0a", "224.0.0.10", 88, PuntReason::Eigrp);
    ip4("01:00:5e:00:00:16", "224.0.0.22", 2, PuntReason::Igmp);
    ip4("01:00:5e:7f:01:01", "239.255.1.1", 2, PuntReason::Igmp);
    ip4("01:00:5e:00:00:01", "224.0.0.1", 1, PuntReason::Icmp);
    ip4(
        "01:00:5e:00:00:fb",
        "224.0.0.251",
        17,
        PuntReason::LinkMulticast,
    );
    // Broadcast is what hosts without multicast fall back to; unicast is how NBMA links do it.
    ip4("ff:ff:ff:ff:ff:ff", "224.0.0.5", 89, PuntReason::Ospf);
    ip4("02:00:00:00:00:01", "224.0.0.5", 89, PuntReason::Ospf);
    for (group, port, reason) in [
        ("224.0.0.9", 520, PuntReason::Rip),
        ("224.0.0.2", 646, PuntReason::Ldp),
        ("224.0.0.111", 6696, PuntReason::Babel),
    ] {
        let mac = Mac::of_ip4_group(u32::from(group.parse::<Ipv4Addr>().unwrap()));
        let frame = dp
            .frame("p0")
            .dst(&mac.to_string())
            .ip4(HOST4, group)
            .udp(port, port);
        cases.push((group, frame, reason));
    }
    let mut ip6 = |group: &str, protocol, reason| {
        let ttl = if protocol == 112 { 255 } else { 1 };
        let frame = dp
            .frame("p0")
            .dst("33:33:00:00:00:05")
            .ip6("fe80::9", group)
            .ttl(ttl);
        cases.push(("IPv6 group", frame.protocol(protocol, &[0; 24]), reason));
    };
    ip6("ff02::5", 89, PuntReason::Ospf);
    ip6("ff02::12", 112, PuntReason::Vrrp);
    ip6("ff02::d", 103, PuntReason::Pim);
    ip6("ff02::a", 88, PuntReason::Eigrp);
    ip6("ff02::fb", 17, PuntReason::LinkMulticast);
    for (group, port, reason) in [
        ("ff02::9", 521, PuntReason::Rip),
        ("ff02::2", 646, PuntReason::Ldp),
        ("ff02::1:6", 6696, PuntReason::Babel),
        ("ff02::1:2", 547, PuntReason::Dhcp),
    ] {
        let frame = dp
            .frame("p0")
            .dst("33:33:00:00:00:09")
            .ip6("fe80::9", group)
            .udp(port, port);
        cases.push((group, frame, reason));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn neighbour_and_listener_discovery_go_to_the_kernel() {
    let mut dp = router();
    let mut cases = Vec::new();
    for (src, dst, kind, reason) in [
        ("fe80::9", "ff02::1:ff00:1", 135, PuntReason::Nd),
        ("::", "ff02::1:ff00:1", 135, PuntReason::Nd),
        (HOST6, US6, 135, PuntReason::Nd),
        (HOST6, "fe80::1", 136, PuntReason::Nd),
        ("fe80::9", "ff02::1", 134, PuntReason::Nd),
        ("fe80::9", "ff02::2", 133, PuntReason::Nd),
    ] {
        let mac = if dst.starts_with("ff") {
            "33:33:ff:00:00:01"
        } else {
            "02::1"
        };
        let frame = dp.frame("p0").dst(mac).ip6(src, dst).ttl(255).icmp(kind);
        cases.push((dst, frame, reason));
    }
    // Reports go to the group itself, whatever its scope, behind a router alert.
    let alert = [0, 0, 5, 2, 0, 0, 1, 0];
    for (dst, kind) in [
        ("ff02::16", 143),
        ("ff05::1:3", 131),
        ("ff02::2", 132),
        ("ff02::1", 130),
    ] {
        let frame = dp
            .frame("p0")
            .dst("33:33:00:00:00:16")
            .ip6("fe80::9", dst)
            .ttl(1);
        cases.push((dst, frame.extension(0, &alert).icmp(kind), PuntReason::Mld));
    }
    all_punted(&mut dp, cases);
}

#[test]
pub fn broadcasts_of_the_arrival_link_go_to_the_kernel() {
    let mut dp = router();
    let all = "ff:ff:ff:ff:ff:ff";
    let cases = vec![
        (
            "limited",
            dp.frame("p0")
                .dst(all)
                .ip4(HOST4, "255.255.255.255")
                .udp(1, 9),
            PuntReason::Broadcast,
        ),
        (
            "by unicast",
            dp.frame("p0").ip4(HOST4, "255.255.255.255").udp(1, 9),
            PuntReason::Broadcast,
        ),
        (
            "DHCP",
            dp.frame("p0")
                .dst(all)
                .ip4("0.0.0.0", "255.255.255.255")
                .udp(68, 67),
            PuntReason::Dhcp,
        ),
        (
            "of the subnet",
            dp.frame("p0").dst(all).ip4(HOST4, "192.0.2.255").udp(1, 9),
            PuntReason::Broadcast,
        ),
        (
            "RIPv1",
            dp.frame("p0")
                .dst(all)
                .ip4(HOST4, "192.0.2.255")
                .udp(520, 520),
            PuntReason::Rip,
        ),
        (
            "TTL 1",
            dp.frame("p0")
                .dst(all)
                .ip4(HOST4, "192.0.2.255")
                .ttl(1)
                .udp(1, 9),
            PuntReason::Broadcast,
        ),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn directed_broadcasts_are_neither_forwarded_nor_exploded() {
    let mut dp = router();
    let all = "ff:ff:ff:ff:ff:ff";
    let cases = vec![
        (
            "unicast frame",
            dp.frame("p0").ip4(HOST4, "198.51.100.255").udp(1, 9),
            DropReason::Ip4DirectedBroadcast,
        ),
        (
            "broadcast frame",
            dp.frame("p0")
                .dst(all)
                .ip4(HOST4, "198.51.100.255")
                .udp(1, 9),
            DropReason::Ip4DirectedBroadcast,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn multicast_data_without_a_route_is_dropped() {
    let mut dp = router();
    dp.route("default via 198.51.100.9")
        .route("default6 via 2001:db8:0:2::9");
    let cases = vec![
        (
            "IPv4",
            dp.frame("p0")
                .dst("01:00:5e:01:02:03")
                .ip4(HOST4, "239.1.2.3")
                .udp(1, 2),
            DropReason::Ip4MulticastNoRoute,
        ),
        (
            "IPv4 beyond the link block",
            dp.frame("p0")
                .dst("01:00:5e:00:01:01")
                .ip4(HOST4, "224.0.1.1")
                .udp(1, 2),
            DropReason::Ip4MulticastNoRoute,
        ),
        (
            "unicast MAC",
            dp.frame("p0").ip4(HOST4, "239.1.2.3").udp(1, 2),
            DropReason::Ip4MulticastNoRoute,
        ),
        (
            "wrong MAC",
            dp.frame("p0")
                .dst("01:00:5e:01:02:04")
                .ip4(HOST4, "239.1.2.3")
                .udp(1, 2),
            DropReason::Ip4MulticastBadMac,
        ),
        (
            "wrong MAC, control",
            dp.frame("p0")
                .dst("01:00:5e:00:00:06")
                .ip4(HOST4, "224.0.0.5")
                .protocol(89, &[0; 24]),
            DropReason::Ip4MulticastBadMac,
        ),
        (
            "site",
            dp.frame("p0")
                .dst("33:33:00:00:00:02")
                .ip6(HOST6, "ff05::2")
                .udp(1, 2),
            DropReason::Ip6MulticastNoRoute,
        ),
        (
            "global",
            dp.frame("p0")
                .dst("33:33:00:00:00:02")
                .ip6(HOST6, "ff0e::2")
                .udp(1, 2),
            DropReason::Ip6MulticastNoRoute,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn wide_groups_that_the_tap_has_joined_go_to_the_kernel_from_that_port() {
    let mut dp = router();
    let p0 = dp.port_id("p0");
    let (ntp, dhcp) = ("01:00:5e:00:01:01", "33:33:00:01:00:03");
    let groups = [ironlane_tests::mac(ntp), ironlane_tests::mac(dhcp)];
    let ip4 = |dp: &mut WholeDp, port| {
        let frame = dp.frame(port).dst(ntp);
        frame.ip4(HOST4, "224.0.1.1").udp(123, 123)
    };
    let ip6 = |dp: &mut WholeDp, port, udp| {
        let frame = dp.frame(port).dst(dhcp);
        frame.ip6(HOST6, "ff05::1:3").udp(546, udp)
    };
    let joined = vec![
        ("NTP", ip4(&mut dp, "p0"), PuntReason::LinkMulticast),
        ("DHCPv6", ip6(&mut dp, "p0", 547), PuntReason::Dhcp),
        ("other", ip6(&mut dp, "p0", 9), PuntReason::LinkMulticast),
    ];
    dp.dataplane().port_set_groups(p0, &groups).unwrap();
    all_punted(&mut dp, joined);
    for (frame, reason) in [
        (ip4(&mut dp, "p1"), DropReason::Ip4MulticastNoRoute),
        (ip6(&mut dp, "p1", 547), DropReason::Ip6MulticastNoRoute),
    ] {
        dp.send("p1", &frame).dropped("p1", reason).nothing_else();
    }
    dp.dataplane().port_set_groups(p0, &[]).unwrap();
    let left = vec![
        ("NTP", ip4(&mut dp, "p0"), DropReason::Ip4MulticastNoRoute),
        (
            "DHCPv6",
            ip6(&mut dp, "p0", 547),
            DropReason::Ip6MulticastNoRoute,
        ),
    ];
    all_dropped(&mut dp, left);
}
