//! AH in fragments, made by an implementation of HMAC that is not ours.

use hmac::{Hmac, KeyInit, Mac as _};
use ironlane_dataplane::reason::DropReason;
use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Mode, PolicyDirection, Protocol, SaSpec, Secret,
};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::proto::ip;
use sha2::Sha256;

use crate::ipsec::{OURS, PEER, REQID, SPI, packet, policy, sa, with_ipsec};
use crate::ipsec_fragments::{as_frame, fragments4, inner, send_all};

/// AH by HMAC-SHA2-256-128 of an IPv4 packet without options, around `inner` (RFC 4302 3.3.3.1.1.1).
fn ah(key: &[u8; 32], seq: u32, inner: &[u8]) -> Vec<u8> {
    let head = [
        &[4, 5, 0, 0][..],
        &SPI.to_be_bytes(),
        &seq.to_be_bytes(),
        &[0; 16],
    ]
    .concat();
    let body = [&head, inner].concat();
    let fields = Ip4Fields {
        protocol: ip::AH,
        ttl: 0,
        ..Ip4Fields::default()
    };
    let mut packet = packet(PEER, OURS, fields, &body);
    packet[10..12].fill(0);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(&packet);
    let icv = mac.finalize().into_bytes();
    [&head[..12], &icv[..16], inner].concat()
}

#[test]
pub fn ah_in_fragments_is_checked_as_the_packet_that_they_are_of() {
    let mut dp = with_ipsec();
    let key = [5; 32];
    let algorithm = Algorithm {
        cipher: Cipher::Null,
        auth: Auth::HmacSha256_128,
    };
    let action = Action::Protect {
        reqid: REQID,
        protocol: Protocol::Ah,
        mode: Mode::Tunnel,
        optional: false,
    };
    policy(
        &mut dp,
        PolicyDirection::Fwd,
        "10.2.0.0/16",
        "0.0.0.0/0",
        action,
    );
    let spec = sa(Direction::In);
    let spec = SaSpec {
        protocol: Protocol::Ah,
        algorithm,
        enc_key: Secret::new(&[]).unwrap(),
        auth_key: Secret::new(&key).unwrap(),
        ..spec
    };
    dp.ipsec().add_sa(spec).unwrap();
    let inner = inner(1400);
    let was = as_frame(&mut dp, &inner);
    let frame = dp.frame("p1").src("02::9").ip4(PEER, OURS).ttl(7);
    let frame = frame.protocol(ip::AH, &ah(&key, 1, &inner));
    let fragments = fragments4(&frame, 0, 800);
    send_all(&mut dp, &fragments)
        .forwarded("p0", "02::aa", &was)
        .joined(1)
        .nothing_else();
    // Fragments of two packets make none.
    let mut mixed = frame.clone();
    let last = mixed.len() - 1;
    mixed[last] ^= 1;
    let mut fragments = fragments4(&frame, 1, 800);
    fragments[1] = fragments4(&mixed, 1, 800).remove(1);
    let out = send_all(&mut dp, &fragments);
    out.dropped("p1", DropReason::IpsecReplay)
        .joined(1)
        .nothing_else();
    let mut frame = dp.frame("p1").src("02::9").ip4(PEER, OURS);
    frame = frame.ttl(9);
    let frame = frame.protocol(ip::AH, &ah(&[6; 32], 2, &inner));
    send_all(&mut dp, &fragments4(&frame, 2, 800))
        .dropped("p1", DropReason::IpsecIntegrity)
        .joined(1)
        .nothing_else();
}
