//! What IPsec refuses.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{Action, Direction, Event, Limits, PolicyDirection, Reject, SaSpec, Selector};
use ironlane_packet::ip4::{Ip4Fields, MF};
use ironlane_packet::proto::ip;
use ironlane_tests::WholeDp;

use crate::ipsec::{
    OURS, PEER, PROTECT, REQID, SPI, THERE, esp, from_peer, in_tunnel, inner_packet, packet,
    policy, sa, transport_out, tunnel_in, tunnel_out, with_ipsec, with_ipsec_on,
};
use crate::{FAR4, HOST4};

/// The frame from the peer is lost for this reason.
fn refused(dp: &mut WholeDp, frame: &[u8], reason: DropReason) {
    println!("{reason}");
    dp.send("p1", frame).dropped("p1", reason).nothing_else();
}

#[test]
pub fn packets_that_an_sa_refuses_are_dropped_by_name() {
    let mut dp = with_ipsec();
    let selectors = vec![Selector::between(
        "10.2.0.0/16".parse().unwrap(),
        "192.0.2.0/24".parse().unwrap(),
    )];
    let id = tunnel_in(
        &mut dp,
        SaSpec {
            selectors,
            ..sa(Direction::In)
        },
    );
    let inner = inner_packet();
    let good = in_tunnel(&inner);
    let frame = from_peer(&mut dp, &esp(SPI, 10, &good));
    let out = dp.send("p1", &frame);
    assert_eq!(out.take_events().0.len(), 1);
    out.nothing_else();
    refused(&mut dp, &frame, DropReason::IpsecReplay);
    let zero = from_peer(&mut dp, &esp(SPI, 0, &good));
    refused(&mut dp, &zero, DropReason::IpsecReplay);

    let mut flipped = esp(SPI, 11, &good);
    for at in [4, 8, 16, flipped.len() - 1] {
        flipped[at] ^= 1;
        let frame = from_peer(&mut dp, &flipped);
        // A number that was changed is a number too old, or one that was not authentic.
        refused(&mut dp, &frame, DropReason::IpsecIntegrity);
        flipped[at] ^= 1;
    }
    for len in 4..34 {
        let frame = from_peer(&mut dp, &esp(SPI, 11, &good)[..len]);
        refused(&mut dp, &frame, DropReason::IpsecMalformed);
    }
    let with_end = |end: &[u8]| [&inner[..], end].concat();
    let other = packet(THERE, FAR4, Ip4Fields::default(), &[0; 8]);
    let not_ect = |ecn: u8| {
        let fields = Ip4Fields {
            tos: ecn,
            ..Ip4Fields::default()
        };
        packet(THERE, HOST4, fields, &[0; 8])
    };
    let cases = [
        (with_end(&[9, 9, 2, 4]), DropReason::IpsecPadding),
        (with_end(&[1, 2, 2, 59]), DropReason::IpsecDummy),
        (with_end(&[1, 2, 2, 17]), DropReason::IpsecMode),
        (in_tunnel(&inner[..16]), DropReason::IpsecInner),
        (in_tunnel(&other), DropReason::IpsecSelector),
    ];
    for (n, (payload, reason)) in cases.into_iter().enumerate() {
        let frame = from_peer(&mut dp, &esp(SPI, 20 + n as u32, &payload));
        refused(&mut dp, &frame, reason);
    }
    let marked = dp.frame("p1").src("02::9").ip4(PEER, OURS).tos(3);
    let frame = marked.protocol(ip::ESP, &esp(SPI, 30, &in_tunnel(&not_ect(0))));
    refused(&mut dp, &frame, DropReason::IpsecEcn);
    let stats = dp.ipsec().sa(id).unwrap().stats();
    assert_eq!(
        (
            stats.rejected(Reject::Replay),
            stats.rejected(Reject::Integrity)
        ),
        (2, 4)
    );
    assert_eq!(stats.packets, 1, "{stats:?}");
}

#[test]
pub fn transport_mode_takes_no_fragments() {
    let mut dp = with_ipsec();
    transport_out(&mut dp);
    // RFC 4301 7: a host protects before it fragments.
    let frame = dp.frame("p1").dst("02::9").ip4(OURS, PEER);
    let frame = frame.fragment_word(MF).data(&[0; 24]).udp(1, 2);
    dp.inject(&[("p1", &frame)])
        .dropped("p1", DropReason::IpsecFragment)
        .nothing_else();
}

#[test]
pub fn what_arrives_must_be_protected_as_its_policy_says() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let inner = inner_packet();
    let clear = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &inner].concat();
    refused(&mut dp, &clear, DropReason::PolicyUnprotected);
    let to_us = packet(
        THERE,
        OURS,
        Ip4Fields {
            protocol: 1,
            ..Ip4Fields::default()
        },
        &[8, 0, 0, 0, 0, 0, 0, 0],
    );
    let clear = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &to_us].concat();
    refused(&mut dp, &clear, DropReason::PolicyUnprotected);

    // The inner packet is one that no policy expects.
    let from_elsewhere = packet("10.3.0.1", HOST4, Ip4Fields::default(), &[0; 8]);
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&from_elsewhere)));
    refused(&mut dp, &frame, DropReason::PolicyMissing);

    let strange = SaSpec {
        spi: SPI + 1,
        reqid: REQID + 1,
        ..sa(Direction::In)
    };
    dp.ipsec().add_sa(strange).unwrap();
    let frame = from_peer(&mut dp, &esp(SPI + 1, 1, &in_tunnel(&inner)));
    refused(&mut dp, &frame, DropReason::PolicyMismatch);

    policy(
        &mut dp,
        PolicyDirection::Fwd,
        "192.0.2.0/24",
        "203.0.113.0/24",
        Action::Discard,
    );
    let frame = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::PolicyDiscard)
        .nothing_else();
}

#[test]
pub fn an_sa_at_its_end_passes_nothing() {
    let mut dp = with_ipsec();
    let limits = Limits {
        soft_packets: 1,
        hard_packets: 2,
        ..Limits::default()
    };
    let id = tunnel_out(
        &mut dp,
        SaSpec {
            limits,
            ..sa(Direction::Out)
        },
    );
    let frame = dp.frame("p0").ip4(HOST4, THERE).udp(1, 2);
    for _ in 0..2 {
        let out = dp.send("p0", &frame);
        assert_eq!(out.take_events().0.len(), 1);
        out.nothing_else();
    }
    dp.send("p0", &frame)
        .dropped("p0", DropReason::IpsecExpired)
        .nothing_else();
    let events = dp.ipsec().ipsec().events();
    let told: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
    assert_eq!(told, [Event::Soft { sa: id }, Event::Hard { sa: id }]);

    let last = SaSpec {
        spi: SPI + 5,
        last_seq: u32::MAX.into(),
        ..sa(Direction::Out)
    };
    let id = dp.ipsec().add_sa(last).unwrap();
    let rule = dp.ipsec().policies().next().unwrap().id();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    dp.send("p0", &frame)
        .dropped("p0", DropReason::IpsecSequence)
        .nothing_else();
}

#[test]
pub fn tunnels_in_tunnels_are_opened_up_to_a_bound() {
    let mut dp = with_ipsec();
    // Packets of the tunnel from the peer itself are expected, too.
    policy(
        &mut dp,
        PolicyDirection::In,
        "203.0.113.77/32",
        "0.0.0.0/0",
        PROTECT,
    );
    tunnel_in(&mut dp, sa(Direction::In));
    let ping = packet(
        THERE,
        OURS,
        Ip4Fields {
            protocol: 1,
            ..Ip4Fields::default()
        },
        &[8, 0, 0xf7, 0xff, 0, 0, 0, 0],
    );
    let mut seq = 0;
    let mut wrapped = |times: usize| {
        let mut packet = ping.clone();
        let mut numbers: Vec<u32> = (seq..seq + times as u32).collect();
        seq += times as u32;
        numbers.reverse();
        let mut esp_packet = Vec::new();
        for number in numbers {
            esp_packet = esp(SPI, number + 1, &in_tunnel(&packet));
            let fields = Ip4Fields {
                protocol: ip::ESP,
                ..Ip4Fields::default()
            };
            packet = crate::ipsec::packet(PEER, OURS, fields, &esp_packet);
        }
        esp_packet
    };
    let thrice = from_peer(&mut dp, &wrapped(3));
    let was = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &ping].concat();
    dp.send("p1", &thrice)
        .punted("p1", PuntReason::Icmp, &was)
        .nothing_else();
    let often = from_peer(&mut dp, &wrapped(9));
    refused(&mut dp, &often, DropReason::IpsecNested);
}

#[test]
pub fn a_packet_in_several_buffers_that_one_cannot_hold_is_dropped() {
    let mut dp = with_ipsec_on(|dp| dp.port_with("jumbo", "10.9.0.1/24", 9000, (1, 1)));
    // The way to the peer takes what a buffer does not.
    dp.route("203.0.113.77/32 via 10.9.0.9")
        .neighbour("10.9.0.9 dev jumbo lladdr 02::99");
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = dp
        .frame("jumbo")
        .ip4("10.9.0.9", THERE)
        .data_len(6000)
        .udp(1, 2);
    dp.send("jumbo", &frame)
        .dropped("jumbo", DropReason::IpsecNoRoom)
        .nothing_else();
}
