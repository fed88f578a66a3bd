//! What leaves by an SA, whoever sends it and whatever the routes say.

use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{Direction, PolicyDirection};
use ironlane_packet::ip4::{Ip4, Ip4Mut};
use ironlane_packet::proto::ip;
use ironlane_tests::{Event as Seen, Settings};

use crate::HOST4;
use crate::ipsec::{
    OURS, PEER, PROTECT, THERE, in_tunnel, policy, sa, transport_out, tunnel_out, unesp,
    with_ipsec, with_ipsec_by,
};

#[test]
pub fn what_a_policy_protects_needs_no_route_of_its_own() {
    let mut dp = with_ipsec();
    let rule = policy(
        &mut dp,
        PolicyDirection::Out,
        "0.0.0.0/0",
        "10.9.0.0/16",
        PROTECT,
    );
    let frame = dp.frame("p0").ip4(HOST4, "10.9.0.1").udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::PolicyNoSa)
        .nothing_else();
    let id = dp.ipsec().add_sa(sa(Direction::Out)).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    let out = dp.send("p0", &frame);
    let (events, _) = out.take_events();
    let [Seen::Sent { port, bytes }] = &events[..] else {
        panic!("{events:?}")
    };
    let mut inner = frame[14..].to_vec();
    Ip4Mut::new(&mut inner).unwrap().lower_ttl();
    assert_eq!(
        (port.as_str(), unesp(&bytes[34..]).2),
        ("p1", in_tunnel(&inner))
    );
    out.nothing_else();
    // Nor does it mind one that goes nowhere, which is what holds the packet without the policy.
    dp.route("10.9.0.0/16 blackhole");
    let out = dp.send("p0", &frame);
    let (events, _) = out.take_events();
    let [Seen::Sent { bytes, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(unesp(&bytes[34..]).2, in_tunnel(&inner));
    out.nothing_else();
    dp.ipsec().del_policy(rule).unwrap();
    dp.send("p0", &frame)
        .dropped("p0", DropReason::Ip4Blackhole)
        .nothing_else();
    // Others still hear from the kernel that there is none.
    let frame = dp.frame("p0").ip4(HOST4, "10.8.0.1").udp(1, 2);
    dp.send("p0", &frame)
        .punted("p0", PuntReason::NoRoute, &frame)
        .nothing_else();
}

#[test]
pub fn what_the_kernel_sends_is_protected_too() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = dp.frame("p1").dst("02::9").ip4(OURS, THERE).udp(1, 2);
    let out = dp.inject(&[("p1", &frame)]);
    let (events, _) = out.take_events();
    let [Seen::Sent { port, bytes }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(port, "p1");
    assert_eq!(Ip4::new(&bytes[14..]).unwrap().ttl(), 64);
    assert_eq!(
        unesp(&bytes[34..]).2,
        in_tunnel(&frame[14..]),
        "no hop less"
    );
    out.nothing_else();
}

#[test]
pub fn an_sa_belongs_to_one_lcore_whoever_meets_its_packets() {
    let cpus = CpuList::allowed().0;
    let Some(two) = cpus.get(..2) else {
        println!("SKIPPED: needs two CPUs");
        return;
    };
    let lcores = two.to_vec();
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        lcores,
        ..Settings::default()
    });
    tunnel_out(&mut dp, sa(Direction::Out));
    let mut numbers = Vec::new();
    for n in 0..40 {
        let frame = dp.frame("p0").ip4(HOST4, THERE).udp(n, 5000);
        let own = dp.frame("p1").dst("02::9").ip4(OURS, THERE).udp(n, 5000);
        for out in [dp.send("p0", &frame), dp.inject(&[("p1", &own)])] {
            let (events, drops) = out.take_events();
            let [Seen::Sent { bytes, .. }] = &events[..] else {
                panic!("{events:?} {drops:?}")
            };
            numbers.push(unesp(&bytes[34..]).1);
            out.with_handoffs().nothing_else();
        }
    }
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
}

#[test]
pub fn transport_mode_keeps_the_header_and_the_neighbour_of_the_kernel() {
    let mut dp = with_ipsec();
    transport_out(&mut dp);
    let frame = dp
        .frame("p1")
        .dst("02::42")
        .ip4(OURS, PEER)
        .ttl(1)
        .udp(1, 2);
    let out = dp.inject(&[("p1", &frame)]);
    let (events, _) = out.take_events();
    let [Seen::Sent { bytes, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(bytes[..14], frame[..14]);
    let outer = Ip4::new(&bytes[14..]).unwrap();
    assert_eq!((outer.ttl(), outer.protocol()), (1, ip::ESP));
    let (_, _, payload) = unesp(&bytes[34..]);
    assert_eq!(
        (&payload[..8], payload.last()),
        (&frame[34..42], Some(&ip::UDP))
    );
    out.nothing_else();
}
