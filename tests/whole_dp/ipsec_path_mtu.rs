//! What fits a tunnel, told inwards from the router's own addresses; and paths that take less than the link.

use std::net::IpAddr;

use ironlane_dataplane::lcore::{OwnAddresses, PathMtus};
use ironlane_dataplane::reason::DropReason;
use ironlane_ipsec::{Direction, PolicyDirection, SaId, SaSpec};
use ironlane_packet::checksum;
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::Ip6;
use ironlane_packet::proto::ip;
use ironlane_packet::{icmp, icmp6};
use ironlane_tests::WholeDp;

use crate::ipsec::{
    OURS, PEER, PROTECT, SPI, THERE, esp, from_peer, in_tunnel, packet, policy, sa, tunnel_in,
    tunnel_out, unesp, with_ipsec,
};
use crate::ipsec_too_big::{MTU, OURS6, inside, joined, sent, told_by_tap, tunnel6};
use crate::{FAR6, HOST4, HOST6, US4, US6};

/// What fits tunnels of AES-GCM over a link of 1500.
const IN_IP4: usize = 1446;
const IN_IP6: usize = 1426;
/// The other end of tunnels over IPv6.
const PEER6: &str = "2001:db8:f::77";

/// Tells the router its addresses, as the mirror would.
fn know_addresses(dp: &mut WholeDp) {
    let (p0, p1) = (dp.port_id("p0"), dp.port_id("p1"));
    let own = [
        (p1, "198.51.100.1/24"),
        (p1, "2001:db8:0:2::1/64"),
        (p0, "192.0.2.1/24"),
        (p0, "2001:db8:0:1::1/64"),
    ];
    let own = own.map(|(port, net)| (Some(port), net.parse().unwrap()));
    dp.dataplane().set_own_addresses(OwnAddresses::new(own));
}

/// A path MTU to the peer.
fn path(dp: &mut WholeDp, peer: &str, mtu: u16) {
    let path = (peer.parse().unwrap(), mtu);
    dp.dataplane().set_path_mtus(PathMtus::new([path]));
}

/// An SA for [`THERE`] over IPv6.
fn tunnel_over_ip6(dp: &mut WholeDp) -> SaId {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let spec = SaSpec {
        src: address(OURS6),
        dst: address(PEER6),
        ..sa(Direction::Out)
    };
    tunnel_out(dp, spec)
}

/// That `bytes` is an error which tells `to` this MTU from `from`.
fn tells(bytes: &[u8], from: &str, to: &str, mtu: usize) {
    let mtu = (mtu as u16).to_be_bytes();
    if from.contains(':') {
        let answer = Ip6::new(bytes).unwrap();
        let address = |text: &str| u128::from(text.parse::<std::net::Ipv6Addr>().unwrap());
        let (src, dst) = (address(from), address(to));
        assert_eq!((answer.src(), answer.dst()), (src, dst));
        assert!(icmp6::is_checksum_valid(&bytes[40..], src, dst));
        assert_eq!(bytes[40..42], [icmp6::TOO_BIG, 0]);
        assert_eq!(bytes[44..48], [0, 0, mtu[0], mtu[1]]);
        return;
    }
    let answer = Ip4::new(bytes).unwrap();
    let address = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().unwrap());
    assert_eq!(
        (answer.src(), answer.dst()),
        (address(from), address(to)),
        "{from} to {to}"
    );
    assert!(checksum::is_valid(&bytes[..20]) && checksum::is_valid(&bytes[20..]));
    assert_eq!(bytes[20..22], [icmp::UNREACHABLE, 4]);
    assert_eq!(bytes[24..28], [0, 0, mtu[0], mtu[1]]);
}

fn ip4_frame(dp: &mut WholeDp, len: usize) -> Vec<u8> {
    let frame = dp.frame("p0").ip4(HOST4, THERE).df();
    frame.data_len(len - 28).udp(1, 2)
}

/// How long the one packet is that a frame becomes.
fn passes(dp: &mut WholeDp, frame: &[u8]) -> usize {
    let out = dp.send("p0", frame);
    let packets = sent(&out, "p1");
    out.nothing_else();
    assert_eq!(packets.len(), 1);
    packets[0].len()
}

fn ip6_frame(dp: &mut WholeDp, len: usize) -> Vec<u8> {
    let frame = dp.frame("p0").ip6(HOST6, FAR6);
    frame.data_len(len - 48).udp(1, 2)
}

#[test]
pub fn senders_are_told_by_the_address_next_to_them_whatever_the_tunnel_is_over() {
    for over_ip6 in [false, true] {
        let mut dp = with_ipsec();
        know_addresses(&mut dp);
        let fits = match over_ip6 {
            false => {
                tunnel_out(&mut dp, sa(Direction::Out));
                IN_IP4
            }
            true => {
                tunnel_over_ip6(&mut dp);
                IN_IP6
            }
        };
        let frame = ip4_frame(&mut dp, fits + 1);
        let out = dp.send("p0", &frame);
        tells(&sent(&out, "p0")[0], US4, HOST4, fits);
        out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
        let frame = ip4_frame(&mut dp, fits);
        assert_eq!(passes(&mut dp, &frame), MTU);
        drop(dp);

        let mut dp = with_ipsec();
        know_addresses(&mut dp);
        match over_ip6 {
            false => tunnel6(&mut dp, OURS, PEER),
            true => tunnel6(&mut dp, OURS6, PEER6),
        };
        let frame = ip6_frame(&mut dp, fits + 1);
        let out = dp.send("p0", &frame);
        let answer = &sent(&out, "p0")[0];
        assert_eq!(answer.len(), 1280);
        tells(answer, US6, HOST6, fits);
        out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
        let frame = ip6_frame(&mut dp, fits);
        assert_eq!(passes(&mut dp, &frame), MTU);
    }
}

#[test]
pub fn the_kernel_is_told_of_ip6_in_ip4_by_its_tap() {
    let mut dp = with_ipsec();
    know_addresses(&mut dp);
    tunnel6(&mut dp, OURS, PEER);
    let frame = dp.frame("p1").dst("02::9").ip6(OURS6, FAR6);
    let frame = frame.data_len(MTU - 48).udp(1, 2);
    let out = dp.inject(&[("p1", &frame)]);
    let bytes = told_by_tap(&out);
    tells(&bytes[14..], OURS6, OURS6, IN_IP4);
    out.dropped("p1", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn what_ip6_promises_to_carry_is_fragmented_over_ip4_too() {
    let mut dp = with_ipsec();
    know_addresses(&mut dp);
    tunnel6(&mut dp, OURS, PEER);
    path(&mut dp, PEER, 1300);
    let frame = ip6_frame(&mut dp, 1280);
    let out = dp.send("p0", &frame);
    let pieces = sent(&out, "p1");
    assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= 1300));
    let mut inner = frame[14..].to_vec();
    inner[7] -= 1;
    assert_eq!(unesp(&joined(&pieces)[20..]).2[..1280], inner);
    out.nothing_else();
    // And what is longer is told no less than that.
    let frame = ip6_frame(&mut dp, 1281);
    let out = dp.send("p0", &frame);
    tells(&sent(&out, "p0")[0], US6, HOST6, 1280);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn what_came_by_one_tunnel_and_does_not_fit_another_is_answered_through_the_first() {
    let mut dp = with_ipsec();
    know_addresses(&mut dp);
    let far = "10.3.0.9";
    // From 10.3.0.0/16 by the tunnel in, to 10.2.0.0/16 by the tunnel out, which takes less.
    tunnel_in(
        &mut dp,
        SaSpec {
            spi: SPI + 1,
            ..sa(Direction::In)
        },
    );
    let (fwd, out) = (PolicyDirection::Fwd, PolicyDirection::Out);
    policy(&mut dp, fwd, "10.3.0.0/16", "0.0.0.0/0", PROTECT);
    tunnel_out(&mut dp, sa(Direction::Out));
    path(&mut dp, PEER, 1400);
    let back = policy(&mut dp, out, "192.0.2.0/24", "10.3.0.0/16", PROTECT);
    let spec = SaSpec {
        spi: SPI + 2,
        ..sa(Direction::Out)
    };
    let id = dp.ipsec().add_sa(spec).unwrap();
    dp.ipsec().bind(back, Some(id)).unwrap();

    let fields = ironlane_packet::ip4::Ip4Fields {
        protocol: ip::UDP,
        ttl: 64,
        fragment_word: ironlane_packet::ip4::DF,
        ..Default::default()
    };
    let inner = packet(far, THERE, fields, &[0; 1380]);
    let frame = from_peer(&mut dp, &esp(SPI + 1, 1, &in_tunnel(&inner)));
    let out = dp.send("p1", &frame);
    let packets = sent(&out, "p1");
    assert_eq!(packets.len(), 1);
    let (spi, _, text) = unesp(&packets[0][20..]);
    assert_eq!(spi, SPI + 2);
    // Of the addresses of the router that whose answers are protected.
    let len = usize::from(Ip4::new(&text).unwrap().total_len_bytes());
    tells(&text[..len], US4, far, 1346);
    out.dropped("p1", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn a_path_that_takes_less_counts_until_it_is_forgotten() {
    let mut dp = with_ipsec();
    know_addresses(&mut dp);
    tunnel_out(&mut dp, sa(Direction::Out));
    path(&mut dp, "203.0.113.78", 600);
    let frame = ip4_frame(&mut dp, IN_IP4);
    assert_eq!(passes(&mut dp, &frame), MTU);
    path(&mut dp, PEER, 1400);
    let out = dp.send("p0", &frame);
    tells(&sent(&out, "p0")[0], US4, HOST4, 1346);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
    // What may be fragmented is, before it is sealed.
    let frame = dp.frame("p0").ip4(HOST4, THERE);
    let frame = frame.data_len(IN_IP4 - 28).udp(1, 2);
    let out = dp.send("p0", &frame);
    let packets = sent(&out, "p1");
    assert!(packets.iter().all(|packet| packet.len() <= 1400));
    assert_eq!(joined(&inside(&packets))[20..], frame[34..]);
    out.nothing_else();
    // The link itself never takes more.
    path(&mut dp, PEER, 9000);
    let frame = ip4_frame(&mut dp, IN_IP4 + 1);
    let out = dp.send("p0", &frame);
    tells(&sent(&out, "p0")[0], US4, HOST4, IN_IP4);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
}

#[test]
pub fn a_path_over_ip6_counts_too() {
    let mut dp = with_ipsec();
    know_addresses(&mut dp);
    tunnel6(&mut dp, OURS6, PEER6);
    path(&mut dp, PEER6, 1400);
    let frame = ip6_frame(&mut dp, IN_IP6);
    let out = dp.send("p0", &frame);
    tells(&sent(&out, "p0")[0], US6, HOST6, 1326);
    out.dropped("p0", DropReason::IpsecTooBig).nothing_else();
    let frame = ip6_frame(&mut dp, 1326);
    assert_eq!(passes(&mut dp, &frame), 1400);
}
