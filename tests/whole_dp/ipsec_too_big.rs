//! Packets that are too long once they are protected.

use std::net::IpAddr;

use ironlane_dataplane::dataplane::PolicerConfig;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{Direction, PolicyDirection, SaId, SaSpec};
use ironlane_packet::checksum;
use ironlane_packet::ip4::{Ip4, Ip4Mut, MF, OFFSET};
use ironlane_packet::ip6::Ip6;
use ironlane_packet::proto::ip;
use ironlane_packet::{icmp, icmp6};
use ironlane_tests::{Event, Outcome, Settings, WholeDp};

use crate::ipsec::{
    OURS, PEER, PROTECT, THERE, policy, sa, transport_out, tunnel_out, unesp, with_ipsec,
    with_ipsec_by, with_ipsec_on,
};
use crate::{FAR6, HOST4, HOST6};

pub const MTU: usize = 1500;
/// What the tunnel of the tests takes: 20 bytes of IPv4, 8 of ESP, 8 of IV, 2 and padding, 16 of ICV.
const INNER_MTU: usize = 1446;

/// The IP packets that a port sent, which are all that it and others sent.
pub fn sent(out: &Outcome, port: &str) -> Vec<Vec<u8>> {
    let packets = out.take_events().0.into_iter().map(|event| match event {
        Event::Sent { port: by, bytes } if by == port => bytes[14..].to_vec(),
        event => panic!("{event:?}"),
    });
    packets.collect()
}

/// What is in IPv4 packets of ESP, none of which is longer than the MTU.
pub fn inside(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let inner = |packet: &Vec<u8>| {
        assert!(packet.len() <= MTU, "{}", packet.len());
        let text = unesp(&packet[20..]).2;
        let len = Ip4::new(&text).unwrap().total_len_bytes();
        text[..usize::from(len)].to_vec()
    };
    packets.iter().map(inner).collect()
}

/// What fragments are of, with the header of the first; they are in order, and each has a header of
/// 20 bytes.
pub fn joined(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (place, fragment) in fragments.iter().enumerate() {
        let header = Ip4::new(fragment).unwrap();
        assert!(checksum::is_valid(&fragment[..20]));
        assert_eq!(usize::from(header.total_len_bytes()), fragment.len());
        let word = header.fragment_word();
        assert_eq!(usize::from(word & OFFSET) * 8, body.len());
        assert_eq!(word & MF != 0, place + 1 < fragments.len());
        assert_eq!(header.id(), Ip4::new(&fragments[0]).unwrap().id());
        body.extend(&fragment[20..]);
    }
    [&fragments[0][..20], &body].concat()
}

/// With a hop less, as a packet that is forwarded is inside.
fn hop_less(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    Ip4Mut::new(&mut packet).unwrap().lower_ttl();
    packet
}

/// The frame of the one thing that came out: an error to the kernel, by the tap of p1.
pub fn told_by_tap(out: &Outcome) -> Vec<u8> {
    let (mut events, _) = out.take_events();
    match (events.pop(), events.is_empty()) {
        (
            Some(Event::Punted {
                port,
                reason,
                bytes,
            }),
            true,
        ) => {
            assert_eq!((port.as_str(), reason), ("p1", PuntReason::Icmp));
            bytes
        }
        (last, _) => panic!("{events:?} {last:?}"),
    }
}

#[test]
pub fn a_sender_is_told_what_fits_a_tunnel() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = |dp: &mut WholeDp, len: usize| {
        let frame = dp.frame("p0").ip4(HOST4, THERE).df();
        frame.data_len(len - 28).udp(1, 2)
    };
    let fits = frame(&mut dp, INNER_MTU);
    let out = dp.send("p0", &fits);
    let packets = sent(&out, "p1");
    assert_eq!(packets[0].len(), MTU);
    assert_eq!(inside(&packets), [hop_less(&fits[14..])]);
    out.nothing_else();
    for len in [INNER_MTU + 1, MTU] {
        let long = frame(&mut dp, len);
        let out = dp.send("p0", &long);
        let answers = sent(&out, "p0");
        let answer = Ip4::new(&answers[0]).unwrap();
        let address = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().unwrap());
        assert_eq!(
            (answer.src(), answer.dst()),
            (address(OURS), address(HOST4))
        );
        assert_eq!((answer.ttl(), answer.protocol()), (64, ip::ICMP));
        assert!(checksum::is_valid(&answers[0][..20]) && checksum::is_valid(&answers[0][20..]));
        assert_eq!(answers[0].len(), 576);
        let mtu = (INNER_MTU as u16).to_be_bytes();
        assert_eq!(answers[0][20..22], [icmp::UNREACHABLE, 4]);
        assert_eq!(answers[0][24..28], [0, 0, mtu[0], mtu[1]]);
        assert_eq!(answers[0][28..], hop_less(&long[14..])[..548]);
        out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
    }
}

#[test]
pub fn no_error_is_told_of_errors_nor_above_its_rate() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    let error = frame.data_len(MTU - 28).icmp(11);
    let from_all = dp.frame("p0").ip4("192.0.2.255", THERE).df();
    let from_all = from_all.data_len(MTU - 28).udp(1, 2);
    for frame in [error, from_all] {
        dp.send("p0", &frame)
            .dropped("p0", DropReason::IpsecTooBig)
            .nothing_else();
    }
    drop(dp);
    let limit = PolicerConfig {
        reason: PuntReason::TooBig,
        rate_pps: 1,
        burst: Some(1),
    };
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        policers: vec![limit],
        ..Settings::default()
    });
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    let frame = frame.data_len(MTU - 28).udp(1, 2);
    let frames: Vec<_> = (0..20).map(|_| ("p0", (&frame).into())).collect();
    let out = dp.send_all(&frames);
    assert_eq!(sent(&out, "p0").len(), 1);
    out.dropped_n("p0", DropReason::IpsecTooBig, 20)
        .nothing_else();
}

#[test]
pub fn what_may_be_fragmented_is_before_it_is_sealed() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    // More pieces than a burst has packets, and all in order.
    let frames: Vec<_> = (0..60)
        .map(|n| {
            let frame = dp.frame("p0").ip4(HOST4, THERE);
            frame.data_len(MTU - 28).udp(n, 2)
        })
        .collect();
    let sends: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&sends);
    let pieces = inside(&sent(&out, "p1"));
    assert_eq!(pieces.len(), 120);
    for (pair, frame) in pieces.chunks(2).zip(&frames) {
        let (whole, frame) = (joined(pair), hop_less(&frame[14..]));
        assert_eq!(whole[20..], frame[20..]);
        assert_eq!(whole[12..20], frame[12..20]);
    }
    out.nothing_else();
}

#[test]
pub fn a_packet_in_several_buffers_is_fragmented() {
    let mut dp = with_ipsec_on(|dp| dp.port_with("jumbo", "10.9.0.1/24", 9000, (1, 1)));
    tunnel_out(&mut dp, sa(Direction::Out));
    let frame = dp.frame("jumbo").ip4("10.9.0.9", THERE);
    let frame = frame.data_len(8000).udp(1, 2);
    let out = dp.send("jumbo", &frame);
    let whole = joined(&inside(&sent(&out, "p1")));
    assert_eq!(whole[20..], frame[34..]);
    out.nothing_else();
}

#[test]
pub fn the_kernels_own_packets_are_fragmented_whatever_df_says() {
    let mut dp = with_ipsec();
    tunnel_out(&mut dp, sa(Direction::Out));
    let mut ids = Vec::new();
    for df in [false, true] {
        let frame = dp.frame("p1").dst("02::9").ip4(OURS, THERE);
        let frame = if df { frame.df() } else { frame };
        let frame = frame.data_len(MTU - 40).tcp(1, 2);
        let out = dp.inject(&[("p1", &frame)]);
        let pieces = inside(&sent(&out, "p1"));
        assert_eq!(pieces.len(), 2);
        assert_eq!(joined(&pieces)[20..], frame[34..]);
        ids.push(Ip4::new(&pieces[0]).unwrap().ttl());
        out.nothing_else();
    }
    assert_eq!(ids, [64, 64], "no hop less");
}

#[test]
pub fn transport_mode_is_fragmented_once_it_is_sealed() {
    let mut dp = with_ipsec();
    transport_out(&mut dp);
    let frame = dp.frame("p1").dst("02::42").ip4(OURS, PEER).df();
    let frame = frame.data_len(MTU - 28).udp(1, 2);
    let out = dp.inject(&[("p1", &frame)]);
    let pieces = sent(&out, "p1");
    assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= MTU));
    let text = unesp(&joined(&pieces)[20..]).2;
    assert_eq!(text[..MTU - 20], frame[34..]);
    out.nothing_else();
}

/// An SA for IPv6 to [`FAR6`] between these addresses.
pub fn tunnel6(dp: &mut WholeDp, src: &str, dst: &str) -> SaId {
    dp.neighbour("2001:db8:0:1::10 dev p0 lladdr 02::aa");
    let out = PolicyDirection::Out;
    let rule = policy(dp, out, "::/0", "2001:db8:f::/64", PROTECT);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let spec = SaSpec {
        src: address(src),
        dst: address(dst),
        ..sa(Direction::Out)
    };
    let id = dp.ipsec().add_sa(spec).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    id
}

pub const OURS6: &str = "2001:db8:0:2::1";

#[test]
pub fn senders_of_ip6_are_told_by_the_address_of_the_tunnel() {
    let mut dp = with_ipsec();
    tunnel6(&mut dp, OURS6, "2001:db8:f::77");
    let frame = dp.frame("p0").ip6(HOST6, FAR6).data_len(MTU - 48).udp(1, 2);
    let check = |bytes: &[u8], hops: u8, to: &str| {
        let answer = Ip6::new(bytes).unwrap();
        let address = |text: &str| u128::from(text.parse::<std::net::Ipv6Addr>().unwrap());
        let (src, dst) = (address(OURS6), address(to));
        assert_eq!((answer.src(), answer.dst()), (src, dst));
        assert_eq!((answer.hop_limit(), bytes.len()), (hops, 1280));
        assert!(icmp6::is_checksum_valid(&bytes[40..], src, dst));
        let mtu = (INNER_MTU as u16 - 20).to_be_bytes();
        assert_eq!(bytes[40..42], [icmp6::TOO_BIG, 0]);
        assert_eq!(bytes[44..48], [0, 0, mtu[0], mtu[1]]);
    };
    let out = dp.send("p0", &frame);
    check(&sent(&out, "p0")[0], 64, HOST6);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
    // The kernel is told by its tap.
    let frame = dp.frame("p1").dst("02::9").ip6(OURS6, FAR6);
    let frame = frame.data_len(MTU - 48).udp(1, 2);
    let out = dp.inject(&[("p1", &frame)]);
    let bytes = told_by_tap(&out);
    assert_eq!(bytes[..6], dp.mac("p1").0);
    check(&bytes[14..], 65, OURS6);
    out.dropped("p1", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn ip6_over_ip4_is_fragmented_where_no_address_could_tell() {
    let mut dp = with_ipsec();
    tunnel6(&mut dp, OURS, PEER);
    let frame = dp.frame("p0").ip6(HOST6, FAR6).data_len(MTU - 48).udp(1, 2);
    let out = dp.send("p0", &frame);
    let pieces = sent(&out, "p1");
    assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= MTU));
    let mut inner = frame[14..].to_vec();
    inner[7] -= 1;
    assert_eq!(unesp(&joined(&pieces)[20..]).2[..MTU], inner);
    out.nothing_else();
}
