//! AH where it may stand.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{Mode, Protocol};
use ironlane_packet::ip6::Ip6Fields;

use crate::ipsec::with_ipsec;
use crate::ipsec_peers::Peer;

#[test]
pub fn ah_is_found_behind_extension_headers() {
    let mut dp = with_ipsec();
    let peers = Peer::all(&mut dp);
    let is_ah = |peer: &&Peer| {
        let kind = peer.kind;
        kind.protocol == Protocol::Ah && kind.mode == Mode::Transport && kind.outer6
    };
    let peer = peers.iter().find(is_ah).expect("one of them");
    // Padding in options, and a routing header at its end.
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let routing = [17, 2, 0, 0, 0, 0, 0, 0];
    let address = [0x20; 16];
    let udp = [0x1f, 0x90, 0x2f, 0x90, 0, 12, 0, 0, 1, 2, 3, 4];
    for (first, headers) in [
        (17, Vec::new()),
        (60, options(17).to_vec()),
        (0, options(17).to_vec()),
        (0, [options(60), options(17)].concat()),
        (60, [&options(43)[..], &routing, &address].concat()),
    ] {
        let (std::net::IpAddr::V6(src), std::net::IpAddr::V6(dst)) = (peer.inner, peer.host())
        else {
            unreachable!("both are IPv6")
        };
        let fields = Ip6Fields {
            next_header: first,
            hop_limit: 9,
            src: src.to_bits(),
            dst: dst.to_bits(),
            ..Ip6Fields::default()
        };
        let body = [&headers[..], &udp].concat();
        let clear = [&fields.to_bytes(body.len() as u16)[..], &body].concat();
        let frame = |dp: &mut ironlane_tests::WholeDp, packet: &[u8]| {
            let head = [&[2, 0, 0, 0, 0, 9][..], &[0x86, 0xdd]].concat();
            [&dp.mac("p1").0[..], &head, packet].concat()
        };
        let wire = peer.seal(&clear, |_| {}).expect("a good packet");
        assert_eq!(wire.len(), clear.len() + 24, "AH with HMAC-SHA1");
        let (sent, was) = (frame(&mut dp, &wire), frame(&mut dp, &clear));
        dp.send("p1", &sent)
            .punted("p1", PuntReason::Local, &was)
            .nothing_else();
        dp.send("p1", &sent)
            .dropped("p1", DropReason::IpsecReplay)
            .nothing_else();
    }
}
