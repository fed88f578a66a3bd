//! Modes, routing tables and packets of the router's own, beside plain tunnels.

use ironlane_dataplane::eal::MbufBatch;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_fib::VrfId;
use ironlane_ipsec::{Direction, Mode, PolicyDirection, SaSpec, Selector};
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::Ip6;
use ironlane_packet::proto::ip;
use ironlane_packet::{icmp, icmp6};
use ironlane_tests::{Event, Settings};

use crate::ipsec::{
    OURS, PEER, PROTECT, SPI, THERE, esp, from_peer, policy, protect, sa, tunnel_out, unesp,
    with_ipsec, with_ipsec_by, with_ipsec_on,
};
use crate::ipsec_too_big::{MTU, OURS6, sent, tunnel6};
use crate::{FAR4, FAR6, HOST4, HOST6, US4};

fn address(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().into()
}

#[test]
pub fn beet_sends_what_is_above_ip_and_knows_the_rest() {
    let mut dp = with_ipsec();
    let beet = |direction, src: &str, dst: &str| SaSpec {
        mode: Mode::Beet,
        selectors: vec![Selector::between(
            src.parse().unwrap(),
            dst.parse().unwrap(),
        )],
        ..sa(direction)
    };
    let (here, there) = ("192.0.2.10/32", "10.2.0.9/32");
    let (out, fwd) = (PolicyDirection::Out, PolicyDirection::Fwd);
    let rule = policy(&mut dp, out, here, there, protect(Mode::Beet));
    let id = dp
        .ipsec()
        .add_sa(beet(Direction::Out, here, there))
        .unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    let frame = dp.frame("p0").ip4(HOST4, THERE).data(b"to there").udp(1, 2);
    let out = dp.send("p0", &frame);
    let packet = sent(&out, "p1").remove(0);
    let outer = Ip4::new(&packet).unwrap();
    let ends = (outer.src(), outer.dst());
    assert_eq!(ends, (address(OURS), address(PEER)));
    assert_eq!((outer.protocol(), outer.ttl()), (ip::ESP, 63), "a hop less");
    let text = unesp(&packet[20..]).2;
    assert_eq!((&text[..16], text.last()), (&frame[34..], Some(&ip::UDP)));
    out.nothing_else();

    policy(&mut dp, fwd, there, here, protect(Mode::Beet));
    dp.ipsec().add_sa(beet(Direction::In, there, here)).unwrap();
    let answer = dp.frame("p1").ip4(THERE, HOST4).data(b"for here").udp(2, 1);
    let text = [&answer[34..], &[1, 2, 2, ip::UDP]].concat();
    let frame = from_peer(&mut dp, &esp(SPI, 1, &text));
    let out = dp.send("p1", &frame);
    let packet = sent(&out, "p0").remove(0);
    let inner = Ip4::new(&packet).unwrap();
    let ends = (inner.src(), inner.dst());
    assert_eq!(ends, (address(THERE), address(HOST4)));
    assert_eq!((inner.protocol(), &packet[20..]), (ip::UDP, &answer[34..]));
    out.nothing_else();
}

#[test]
pub fn an_error_to_a_sender_is_sealed_if_a_policy_says_so() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    // The way back to the sender is another tunnel.
    let out = PolicyDirection::Out;
    let rule = policy(&mut dp, out, "198.51.100.1/32", "192.0.2.0/24", PROTECT);
    let back = SaSpec {
        spi: SPI + 1,
        dst: "203.0.113.78".parse().unwrap(),
        ..sa(Direction::Out)
    };
    let id = dp.ipsec().add_sa(back).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    let frame = frame.data_len(MTU - 28).udp(1, 2);
    let out = dp.send("p0", &frame);
    let packet = sent(&out, "p1").remove(0);
    assert_eq!(Ip4::new(&packet).unwrap().dst(), address("203.0.113.78"));
    let (spi, _, text) = unesp(&packet[20..]);
    let answer = Ip4::new(&text).unwrap();
    assert_eq!((spi, answer.dst()), (SPI + 1, address(HOST4)));
    assert_eq!(text[20..22], [icmp::UNREACHABLE, 4]);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn senders_of_ip4_in_ip6_are_told_by_the_address_made_for_that() {
    let mut dp = with_ipsec();
    let spec = SaSpec {
        src: OURS6.parse().unwrap(),
        dst: "2001:db8:f::77".parse().unwrap(),
        ..sa(Direction::Out)
    };
    tunnel_out(&mut dp, spec);
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    let frame = frame.data_len(MTU - 28).udp(1, 2);
    let out = dp.send("p0", &frame);
    let answers = sent(&out, "p0");
    let answer = Ip4::new(&answers[0]).unwrap();
    // RFC 7600 4.8.
    let ends = (answer.src(), answer.dst());
    assert_eq!(ends, (address("192.0.0.8"), address(HOST4)));
    assert_eq!(answers[0][20..22], [icmp::UNREACHABLE, 4]);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn without_buffers_nothing_is_fragmented() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    let pool = dp.dataplane().pools()[0].clone();
    let mut taken = Vec::new();
    loop {
        let mut batch = MbufBatch::new();
        while pool.alloc(&mut batch, 1) {}
        if batch.is_empty() {
            break;
        }
        taken.push(batch);
    }
    let frame = dp.frame("p0").ip4(HOST4, THERE);
    let frame = frame.data_len(MTU - 28).udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::IpsecNoBuffer)
        .nothing_else();
    taken.iter_mut().for_each(MbufBatch::free);
    let out = dp.send("p0", &frame);
    assert_eq!(sent(&out, "p1").len(), 2);
    out.nothing_else();
}

#[test]
pub fn what_is_sealed_is_routed_where_the_sa_is() {
    let mut dp = with_ipsec_on(|dp| dp.port_with("red", "10.0.0.1/24", 1400, (1, 1)).vrf(7));
    dp.neighbour("10.0.0.9 dev red lladdr 02::77");
    let spec = SaSpec {
        src: "10.0.0.1".parse().unwrap(),
        dst: "10.0.0.9".parse().unwrap(),
        vrf: VrfId(7),
        ..sa(Direction::Out)
    };
    tunnel_out(&mut dp, spec);
    let frame = dp.frame("p0").ip4(HOST4, THERE).udp(1, 2);
    let out = dp.send("p0", &frame);
    assert_eq!(
        Ip4::new(&sent(&out, "red")[0]).unwrap().dst(),
        address("10.0.0.9")
    );
    out.nothing_else();
    // Its MTU is that of the way there.
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    let frame = frame.data_len(1400 - 28).udp(1, 2);
    let out = dp.send("p0", &frame);
    let mtu = sent(&out, "p0")[0][26..28].to_vec();
    assert_eq!(mtu, 1346u16.to_be_bytes());
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

/// What IPv6 fragments are of, without their fragment headers; they are in order.
fn joined6(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (place, fragment) in fragments.iter().enumerate() {
        let header = Ip6::new(fragment).unwrap();
        assert_eq!(40 + usize::from(header.payload_len_bytes()), fragment.len());
        assert_eq!(
            (header.next_header(), fragment[40]),
            (ip::FRAGMENT, ip::ESP)
        );
        assert_eq!(fragment[44..48], fragments[0][44..48], "identification");
        let word = u16::from_be_bytes([fragment[42], fragment[43]]);
        assert_eq!(usize::from(word & 0xfff8), body.len());
        assert_eq!(word & 1 == 1, place + 1 < fragments.len());
        body.extend(&fragment[48..]);
    }
    body
}

#[test]
pub fn what_ip6_promises_to_carry_is_carried() {
    let mut dp = with_ipsec_on(|dp| dp.port_with("thin", "2001:db8:7::1/64", 1280, (1, 1)));
    dp.route("2001:db8:f::77/128 via 2001:db8:7::9")
        .neighbour("2001:db8:7::9 dev thin lladdr 02::79");
    tunnel6(&mut dp, "2001:db8:7::1", "2001:db8:f::77");
    // RFC 2473 7.1: no sender of IPv6 has to make packets shorter than this.
    let frame = dp
        .frame("p0")
        .ip6(HOST6, FAR6)
        .data_len(1280 - 48)
        .udp(1, 2);
    let out = dp.send("p0", &frame);
    let pieces = sent(&out, "thin");
    assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= 1280));
    let mut inner = frame[14..].to_vec();
    inner[7] -= 1;
    assert_eq!(unesp(&joined6(&pieces)).2[..1280], inner);
    out.nothing_else();
    let frame = dp
        .frame("p0")
        .ip6(HOST6, FAR6)
        .data_len(1281 - 48)
        .udp(1, 2);
    let out = dp.send("p0", &frame);
    let answer = sent(&out, "p0").remove(0);
    assert_eq!(
        (answer[40], &answer[44..48]),
        (icmp6::TOO_BIG, &[0, 0, 5, 0][..])
    );
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn nothing_leaves_before_policies_are_known() {
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        adjust: |config| {
            config
                .ipsec
                .as_ref()
                .expect("asked for")
                .ipsec
                .await_policies()
        },
        ..Settings::default()
    });
    let unknown = DropReason::PolicyNotKnown;
    let frames = [
        dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2),
        dp.frame("p0").ip6(HOST6, FAR6).udp(1, 2),
    ];
    for frame in &frames {
        dp.send("p0", frame).dropped("p0", unknown).nothing_else();
    }
    // A policy makes no difference: others may follow.
    tunnel_out(&mut dp, sa(Direction::Out));
    dp.send("p0", &frames[0])
        .dropped("p0", unknown)
        .nothing_else();
    // What is for the router gets there; of what it sends IKE alone leaves.
    let ping = dp.frame("p0").ip4(HOST4, US4).icmp(8);
    dp.send("p0", &ping)
        .punted("p0", PuntReason::Icmp, &ping)
        .nothing_else();
    let udp = |port| dp.frame("p1").dst("02::9").ip4(OURS, FAR4).udp(port, port);
    let mut udp = udp;
    let (ike, other) = (udp(500), udp(5000));
    dp.inject(&[("p1", &ike)]).sent("p1", &ike).nothing_else();
    dp.inject(&[("p1", &other)])
        .dropped("p1", unknown)
        .nothing_else();
    dp.ipsec().ipsec().policies_are_known();
    dp.send("p0", &frames[0])
        .forwarded("p1", "02::9", &frames[0])
        .nothing_else();
    dp.inject(&[("p1", &other)])
        .sent("p1", &other)
        .nothing_else();
    let protected = dp.frame("p0").ip4(HOST4, THERE).udp(1, 2);
    let out = dp.send("p0", &protected);
    let (events, _) = out.take_events();
    assert!(matches!(&events[..], [Event::Sent { bytes, .. }] if bytes[23] == ip::ESP));
    out.nothing_else();
}
