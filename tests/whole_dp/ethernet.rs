//! Ethernet headers: what is lost before anybody looks at a network header.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::Injected;

use crate::{FAR4, FAR6, HOST4, HOST6, US6, all_dropped, router};

#[test]
pub fn runts_end_inside_their_header() {
    let mut dp = router();
    let whole = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    let mut cases = Vec::new();
    for len in 0..14 {
        cases.push(("runt", whole[..len].to_vec(), DropReason::EthTruncated));
    }
    let tagged = dp.frame("p0").vlan(100).ip4(HOST4, FAR4).udp(1, 2);
    for len in 14..18 {
        cases.push(("cut tag", tagged[..len].to_vec(), DropReason::EthTruncated));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn frames_for_other_stations_are_not_forwarded() {
    let mut dp = router();
    let mut cases = Vec::new();
    for dst in ["02::99", "00:00:00:00:00:00", "02:00:00:00:01:01"] {
        let frame = dp.frame("p0").dst(dst).ip4(HOST4, FAR4).udp(1, 2);
        cases.push(("other station", frame, DropReason::EthNotForUs));
    }
    let frame = dp.frame("p0").dst("02::99").ether(0x0806, &[0; 46]);
    cases.push(("ARP to another", frame, DropReason::EthNotForUs));
    all_dropped(&mut dp, cases);
}

#[test]
pub fn senders_that_cannot_be_are_not_believed() {
    let mut dp = router();
    let cases = vec![
        (
            "multicast source",
            dp.frame("p0")
                .src("01:00:5e:00:00:05")
                .ip4(HOST4, FAR4)
                .udp(1, 2),
            DropReason::EthGroupSource,
        ),
        (
            "broadcast source",
            dp.frame("p0")
                .src("ff:ff:ff:ff:ff:ff")
                .ip6(HOST6, FAR6)
                .udp(1, 2),
            DropReason::EthGroupSource,
        ),
        (
            "our own source",
            dp.frame("p0")
                .src("02:00:00:00:00:01")
                .ip4(HOST4, FAR4)
                .udp(1, 2),
            DropReason::EthOwnSource,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn another_port_of_ours_may_be_the_sender() {
    // Two ports on one link: what p1 sends by itself, p0 may have to receive.
    let mut dp = router();
    let frame = dp
        .frame("p0")
        .src("02:00:00:00:01:01")
        .ip4(HOST4, FAR4)
        .udp(1, 2);
    dp.send("p0", &frame)
        .forwarded("p1", "02::9", &frame)
        .nothing_else();
}

#[test]
pub fn pause_frames_end_at_the_port() {
    let mut dp = router();
    let pause = dp
        .frame("p0")
        .dst("01:80:c2:00:00:01")
        .ether(0x8808, &[0, 1, 0xff, 0xff]);
    all_dropped(&mut dp, vec![("pause", pause, DropReason::EthMacControl)]);
}

#[test]
pub fn tags_of_vlans_that_are_not_configured_are_dropped() {
    let mut dp = router();
    let cases = vec![
        (
            "VLAN 100",
            dp.frame("p0").vlan(100).ip4(HOST4, FAR4).udp(1, 2),
            DropReason::EthUnknownVlan,
        ),
        (
            "QinQ",
            dp.frame("p0")
                .vlan(100)
                .vlan(200)
                .ip4(HOST4, FAR4)
                .udp(1, 2),
            DropReason::EthUnknownVlan,
        ),
        (
            "service tag",
            dp.frame("p0").ether(0x88a8, &[0, 7, 8, 0, 0x45, 0]),
            DropReason::EthUnknownVlan,
        ),
        (
            "two priority tags",
            dp.frame("p0").vlan(0).vlan(0).ip4(HOST4, FAR4).udp(1, 2),
            DropReason::EthUnknownVlan,
        ),
        (
            "VLAN 4095",
            dp.frame("p0").vlan(4095).ip4(HOST4, FAR4).udp(1, 2),
            DropReason::EthReservedVlan,
        ),
    ];
    all_dropped(&mut dp, cases);
}

#[test]
pub fn a_tag_that_the_nic_took_off_counts_as_if_it_were_there() {
    let mut dp = router();
    let far = dp.frame("p0").ip4(HOST4, FAR4).ttl(64).udp(1, 2);
    for (tag, reason) in [
        (100, DropReason::EthUnknownVlan),
        (0xe001, DropReason::EthUnknownVlan),
        (4095, DropReason::EthReservedVlan),
    ] {
        for cut in [&[][..], &[5], &[14, 20]] {
            let frame = Injected::from(&far).segments(cut).stripped_tag(tag);
            dp.send("p0", frame).dropped("p0", reason).nothing_else();
        }
    }
    // A priority tag is of the untagged network; what is punted has it as it was on the wire.
    let priority = Injected::from(&far).stripped_tag(0xe000);
    dp.send("p0", priority)
        .forwarded("p1", "02::9", &far)
        .nothing_else();
    let (arp, reason) = ([0, 1, 8, 0, 6, 4, 0, 1], PuntReason::Arp);
    let arp = [&arp[..], &[2, 0, 0, 0, 0, 9, 192, 0, 2, 9], &[0; 10]].concat();
    let bare = dp.frame("p0").ether(0x0806, &arp);
    let tagged = dp.frame("p0").vlan(0).ether(0x0806, &arp);
    let out = dp.send_all(&[
        ("p0", Injected::from(&bare).stripped_tag(0)),
        ("p0", (&bare).into()),
    ]);
    out.punted("p0", reason, &tagged)
        .punted("p0", reason, &bare)
        .nothing_else();
}

#[test]
pub fn types_that_nothing_handles_are_dropped() {
    let mut dp = router();
    let mut cases = Vec::new();
    for ethertype in [
        0x0600, 0x0801, 0x8035, 0x8847, 0x8848, 0x8863, 0x9000, 0xffff,
    ] {
        let frame = dp.frame("p0").ether(ethertype, &[0; 46]);
        cases.push(("unknown type", frame, DropReason::EthUnknownType));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn lengths_beyond_the_frame_are_dropped() {
    let mut dp = router();
    let mut cases = Vec::new();
    for length in [47, 1500, 1501, 1535] {
        let frame = dp.frame("p0").ether(length, &[0; 46]);
        cases.push(("length", frame, DropReason::EthBadLength));
    }
    all_dropped(&mut dp, cases);
}

#[test]
pub fn headers_are_joined_also_where_the_first_buffer_has_no_room_behind_them() {
    let mut dp = router();
    let far = dp.frame("p0").ip4(HOST4, FAR4).data_len(300).udp(1, 2);
    let us = dp.frame("p0").ip6(HOST6, US6).data_len(300).tcp(40000, 179);
    for cut in [&[20][..], &[1, 1, 1], &[127], &[60, 5]] {
        let scattered = |frame: &Vec<u8>| {
            let mut scattered = Injected::from(frame).segments(cut);
            scattered.full_first_segment = true;
            scattered
        };
        dp.send_all(&[("p0", scattered(&far)), ("p0", scattered(&us))])
            .forwarded("p1", "02::9", &far)
            .punted("p0", PuntReason::Bgp, &us)
            .nothing_else();
    }
}
