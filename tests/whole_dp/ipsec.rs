//! Packets through SAs, made and read by an implementation of AES-GCM that is not ours.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Event, Mode, PolicyDirection, PolicyId, PolicySpec,
    Protocol, SaId, SaSpec, Secret, Selector, UdpEncap,
};
use ironlane_packet::ip4::{Ip4, Ip4Fields, Ip4Mut};
use ironlane_packet::proto::ip;
use ironlane_tests::{Event as Seen, Settings, WholeDp};

use crate::{FAR4, HOST4, router_on};

/// The other end of the tunnel, behind a neighbour of p1, and our end.
pub const PEER: &str = "203.0.113.77";
pub const OURS: &str = "198.51.100.1";
/// What the tunnel leads to.
pub const THERE: &str = "10.2.0.9";
pub const KEY: [u8; 20] = *b"sixteen byte key/slt";
pub const SPI: u32 = 0x1001;
pub const REQID: u32 = 7;

pub fn with_ipsec() -> WholeDp {
    with_ipsec_on(|dp| dp)
}

pub fn with_ipsec_by(settings: Settings) -> WholeDp {
    tunnel_routes(router_on(WholeDp::with(settings)))
}

/// The same with other ports before.
pub fn with_ipsec_on(ports: fn(WholeDp) -> WholeDp) -> WholeDp {
    let settings = Settings {
        ipsec: true,
        ..Settings::default()
    };
    tunnel_routes(router_on(ports(WholeDp::with(settings))))
}

fn tunnel_routes(mut dp: WholeDp) -> WholeDp {
    dp.route("10.2.0.0/16 via 198.51.100.9")
        .neighbour("192.0.2.10 dev p0 lladdr 02::aa");
    dp
}

pub fn sa(direction: Direction) -> SaSpec {
    let (ours, peer) = (OURS.parse().unwrap(), PEER.parse().unwrap());
    let (src, dst) = match direction {
        Direction::In => (peer, ours),
        Direction::Out => (ours, peer),
    };
    let cipher = Cipher::AesGcm { icv: 16 };
    SaSpec {
        enc_key: Secret::new(&KEY).unwrap(),
        reqid: REQID,
        ..SaSpec::new(
            direction,
            SPI,
            src,
            dst,
            Algorithm {
                cipher,
                auth: Auth::None,
            },
        )
    }
}

pub const PROTECT: Action = protect(Mode::Tunnel);

pub const fn protect(mode: Mode) -> Action {
    Action::Protect {
        reqid: REQID,
        protocol: Protocol::Esp,
        mode,
        optional: false,
    }
}

pub fn policy(
    dp: &mut WholeDp,
    direction: PolicyDirection,
    src: &str,
    dst: &str,
    action: Action,
) -> PolicyId {
    let selector = Selector::between(src.parse().unwrap(), dst.parse().unwrap());
    let spec = PolicySpec::new(direction, selector, action);
    dp.ipsec().add_policy(spec).unwrap()
}

/// A tunnel to [`THERE`]: the SA and policy of packets that leave.
pub fn tunnel_out(dp: &mut WholeDp, spec: SaSpec) -> SaId {
    let rule = policy(
        dp,
        PolicyDirection::Out,
        "0.0.0.0/0",
        "10.2.0.0/16",
        PROTECT,
    );
    let id = dp.ipsec().add_sa(spec).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    id
}

/// The SA and policies of packets that come back.
pub fn tunnel_in(dp: &mut WholeDp, spec: SaSpec) -> SaId {
    for direction in [PolicyDirection::In, PolicyDirection::Fwd] {
        policy(dp, direction, "10.2.0.0/16", "0.0.0.0/0", PROTECT);
    }
    dp.ipsec().add_sa(spec).unwrap()
}

/// The SA and policy of packets of ours to the peer itself, in transport mode.
pub fn transport_out(dp: &mut WholeDp) -> SaId {
    let (out, action) = (PolicyDirection::Out, protect(Mode::Transport));
    let rule = policy(dp, out, "198.51.100.1/32", "203.0.113.77/32", action);
    let spec = SaSpec {
        mode: Mode::Transport,
        ..sa(Direction::Out)
    };
    let id = dp.ipsec().add_sa(spec).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    id
}

fn cipher() -> (Aes128Gcm, &'static [u8]) {
    (Aes128Gcm::new_from_slice(&KEY[..16]).unwrap(), &KEY[16..])
}

/// ESP with this payload, trailer included.
pub fn esp(spi: u32, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut header = [spi.to_be_bytes(), seq.to_be_bytes()].concat();
    let iv = u64::from(seq).to_be_bytes();
    let (cipher, salt) = cipher();
    let nonce = Nonce::try_from(&[salt, &iv].concat()[..]).unwrap();
    let mut text = payload.to_vec();
    let tag = cipher
        .encrypt_inout_detached(&nonce, &header, text.as_mut_slice().into())
        .unwrap();
    header.extend(iv);
    [header, text, tag.to_vec()].concat()
}

/// What is in ESP, trailer included; panics if it is not authentic.
pub fn unesp(packet: &[u8]) -> (u32, u32, Vec<u8>) {
    let word = |at: usize| u32::from_be_bytes(*packet[at..].first_chunk().unwrap());
    let (cipher, salt) = cipher();
    let nonce = Nonce::try_from(&[salt, &packet[8..16]].concat()[..]).unwrap();
    let (text, tag) = packet[16..].split_at(packet.len() - 32);
    let (mut text, tag) = (text.to_vec(), Tag::try_from(tag).unwrap());
    cipher
        .decrypt_inout_detached(&nonce, &packet[..8], text.as_mut_slice().into(), &tag)
        .expect("authentic");
    (word(0), word(4), text)
}

/// An inner packet with padding and trailer.
pub fn in_tunnel(inner: &[u8]) -> Vec<u8> {
    let pad = (4 - (inner.len() + 2) % 4) % 4;
    let mut payload = inner.to_vec();
    payload.extend((1..=pad).map(|byte| byte as u8));
    payload.extend([pad as u8, 4]);
    payload
}

/// An IPv4 packet between these addresses.
pub fn packet(src: &str, dst: &str, fields: Ip4Fields, data: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().into();
    let fields = Ip4Fields {
        src: address(src),
        dst: address(dst),
        ..fields
    };
    [&fields.to_bytes(data.len() as u16)[..], data].concat()
}

/// The frame of an ESP packet from the peer.
pub fn from_peer(dp: &mut WholeDp, esp: &[u8]) -> Vec<u8> {
    dp.frame("p1")
        .src("02::9")
        .ip4(PEER, OURS)
        .protocol(ip::ESP, esp)
}

/// A packet from there to a host of ours.
pub fn inner_packet() -> Vec<u8> {
    let fields = Ip4Fields {
        protocol: 17,
        ttl: 64,
        ..Ip4Fields::default()
    };
    packet(THERE, HOST4, fields, b"\x0f\xa0\x13\x88\0\x0c\0\0test")
}

#[test]
pub fn what_a_policy_protects_leaves_in_a_tunnel_and_in_order() {
    let mut dp = with_ipsec();
    let id = tunnel_out(&mut dp, sa(Direction::Out));
    let frames: Vec<_> = (0..40)
        .map(|n| {
            dp.frame("p0")
                .ip4(HOST4, THERE)
                .data_len(n * 30)
                .udp(n as u16, 5000)
        })
        .collect();
    let sends: Vec<_> = frames.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&sends);
    let (events, drops) = out.take_events();
    assert!(drops.is_empty(), "{drops:?}");
    assert_eq!(events.len(), frames.len());
    for (n, (event, frame)) in events.iter().zip(&frames).enumerate() {
        let Seen::Sent { port, bytes } = event else {
            panic!("{event:?}")
        };
        assert_eq!(
            (port.as_str(), &bytes[..6]),
            ("p1", &[2, 0, 0, 0, 0, 9][..])
        );
        let outer = Ip4::new(&bytes[14..]).unwrap();
        assert_eq!((outer.protocol(), outer.ttl()), (ip::ESP, 64));
        assert_eq!(
            outer.dst(),
            u32::from(PEER.parse::<std::net::Ipv4Addr>().unwrap())
        );
        assert_eq!(usize::from(outer.total_len_bytes()), bytes.len() - 14);
        assert!(ironlane_packet::checksum::is_valid(&bytes[14..34]));
        let (spi, seq, payload) = unesp(&bytes[34..]);
        assert_eq!((spi, seq), (SPI, n as u32 + 1));
        let mut inner = frame[14..].to_vec();
        Ip4Mut::new(&mut inner).unwrap().lower_ttl();
        assert_eq!(payload, in_tunnel(&inner));
    }
    out.nothing_else();
    assert_eq!(dp.ipsec().sa(id).unwrap().stats().packets, 40);
}

#[test]
pub fn what_comes_by_a_tunnel_is_forwarded_or_punted_as_it_was_sent() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    let inner = inner_packet();
    let frame = from_peer(&mut dp, &esp(SPI, 1, &in_tunnel(&inner)));
    let was = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &inner].concat();
    dp.send("p1", &frame)
        .forwarded("p0", "02::aa", &was)
        .nothing_else();

    let ping = packet(
        THERE,
        OURS,
        Ip4Fields {
            protocol: 1,
            ttl: 1,
            ..Ip4Fields::default()
        },
        &[8, 0, 0xf7, 0xff, 0, 0, 0, 0],
    );
    let frame = from_peer(&mut dp, &esp(SPI, 2, &in_tunnel(&ping)));
    let was = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &ping].concat();
    dp.send("p1", &frame)
        .punted("p1", PuntReason::Icmp, &was)
        .nothing_else();
}

#[test]
pub fn esp_in_udp_is_told_from_ike_and_keepalives() {
    let mut dp = with_ipsec();
    let encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 4500,
    });
    tunnel_in(
        &mut dp,
        SaSpec {
            encap,
            ..sa(Direction::In)
        },
    );
    let inner = inner_packet();
    let udp = |dp: &mut WholeDp, data: &[u8]| {
        dp.frame("p1")
            .src("02::9")
            .ip4(PEER, OURS)
            .data(data)
            .udp(4500, 4500)
    };
    let frame = udp(&mut dp, &esp(SPI, 1, &in_tunnel(&inner)));
    let was = [dp.mac("p1").0.as_slice(), &[2, 0, 0, 0, 0, 9, 8, 0], &inner].concat();
    dp.send("p1", &frame)
        .forwarded("p0", "02::aa", &was)
        .nothing_else();
    let ike = udp(&mut dp, b"\0\0\0\0IKE message");
    dp.send("p1", &ike)
        .punted("p1", PuntReason::Ike, &ike)
        .nothing_else();
    // In UDP or not is part of the SA.
    let plain = from_peer(&mut dp, &esp(SPI, 2, &in_tunnel(&inner)));
    dp.send("p1", &plain)
        .dropped("p1", DropReason::IpsecMode)
        .nothing_else();
}

#[test]
pub fn what_names_no_sa_ends_here_and_ike_does_not() {
    let mut dp = with_ipsec();
    tunnel_in(&mut dp, sa(Direction::In));
    policy(
        &mut dp,
        PolicyDirection::In,
        "0.0.0.0/0",
        "0.0.0.0/0",
        Action::Discard,
    );
    let frame = from_peer(&mut dp, &esp(SPI + 1, 1, b"nothing."));
    dp.send("p1", &frame)
        .dropped("p1", DropReason::IpsecNoSa)
        .nothing_else();
    let ah = dp
        .frame("p1")
        .ip4(PEER, OURS)
        .protocol(ip::AH, &[4, 4, 0, 0, 0, 0, 16, 1, 0, 0, 0, 1]);
    dp.send("p1", &ah)
        .dropped("p1", DropReason::IpsecNoSa)
        .nothing_else();
    let udp =
        |dp: &mut WholeDp, data: &[u8], to| dp.frame("p1").ip4(PEER, OURS).data(data).udp(4500, to);
    let keepalive = udp(&mut dp, &[0xff], 4500);
    dp.send("p1", &keepalive)
        .dropped("p1", DropReason::IpsecKeepalive)
        .nothing_else();
    for (data, to) in [(&b"IKE message"[..], 500), (&b"\0\0\0\0IKE"[..], 4500)] {
        let ike = udp(&mut dp, data, to);
        dp.send("p1", &ike)
            .punted("p1", PuntReason::Ike, &ike)
            .nothing_else();
    }
}

#[test]
pub fn without_an_sa_a_packet_is_lost_and_ike_is_asked() {
    let mut dp = with_ipsec();
    let rule = policy(
        &mut dp,
        PolicyDirection::Out,
        "0.0.0.0/0",
        "10.2.0.0/16",
        PROTECT,
    );
    let frame = dp.frame("p0").ip4(HOST4, THERE).udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::PolicyNoSa)
        .nothing_else();
    let event = dp.ipsec().ipsec().events().pop();
    let Some(Event::Acquire { policy, flow }) = event else {
        panic!("{event:?}")
    };
    assert_eq!((policy, flow.dst), (rule, THERE.parse().unwrap()));
    // The kernel's own packets are asked about in the same way, and others pass.
    let frame = dp.frame("p1").dst("02::9").ip4(OURS, THERE).udp(1, 2);
    dp.inject(&[("p1", &frame)])
        .dropped("p1", DropReason::PolicyNoSa)
        .nothing_else();
    let clear = dp.frame("p1").dst("02::9").ip4(OURS, FAR4).udp(1, 2);
    dp.inject(&[("p1", &clear)])
        .sent("p1", &clear)
        .nothing_else();
    let ike = dp.frame("p1").dst("02::9").ip4(OURS, THERE).udp(500, 500);
    dp.inject(&[("p1", &ike)]).sent("p1", &ike).nothing_else();
}
