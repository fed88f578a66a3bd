//! Every algorithm in every mode and family: what one end seals, the other opens, and nothing else.

mod ends;
mod soft;

use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Event, Layout, Mode, OPEN_ROOM_BYTES, Protocol, Reject, SaSpec,
    Selector, UdpEncap,
};
use ironlane_packet::checksum;
use ironlane_packet::ip4::Ip4;
use proptest::prelude::*;

use ends::{Ends, HMACS, algorithms, gcm, outer, packet, spec};

/// Seals some packets of growing lengths, opens them, and tries damage.
fn exchange(spec: SaSpec, is_ip6: bool, options: bool) {
    let what = format!(
        "{} {:?} {:?} esn {} encap {} outer {} inner 6: {is_ip6}",
        spec.algorithm,
        spec.protocol,
        spec.mode,
        spec.esn,
        spec.encap.is_some(),
        spec.dst
    );
    let ends = Ends::new(spec);
    for len in 0..20 {
        let payload: Vec<u8> = (0..len * 3).collect();
        let packet = packet(is_ip6, options, 0xb8, &payload);
        let wire = ends.seal(&packet);
        let at = match (ends.out.spec().mode, is_ip6, options) {
            (Mode::Transport, true, true) => 8,
            _ => 0,
        } + ends.header_at(&packet, &wire);

        let mut damaged = wire.clone();
        // Behind SPI and number, which are refused for other reasons.
        let behind = at
            + if ends.out.spec().protocol == Protocol::Ah {
                12
            } else {
                8
            };
        let bit = usize::from(len) * 37 % ((wire.len() - behind) * 8);
        damaged[behind + bit / 8] ^= 1 << (bit % 8);
        let refused = ends.open(&damaged, at);
        assert!(refused.is_err(), "{what}: bit {bit} behind the header");

        let opened = ends.open(&wire, at);
        let mut expected = packet.clone();
        if ends.out.spec().mode == Mode::Beet && is_ip6 {
            // The flow label is not sent.
            expected[1] &= 0xf0;
        }
        if ends.out.spec().mode == Mode::Beet && !is_ip6 {
            // The identification is that of the outer header: 0, since DF is set.
            expected[4..6].fill(0);
            expected[10..12].fill(0);
            let header_len = usize::from(expected[0] & 15) * 4;
            let sum = checksum::of(&expected[..header_len]);
            expected[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        assert_eq!(opened, Ok(expected), "{what}, {len}");
        assert_eq!(ends.open(&wire, at), Err(Reject::Replay), "{what}");
    }
    let stats = ends.back.stats();
    assert_eq!(
        (stats.packets, stats.rejected(Reject::Replay)),
        (20, 20),
        "{what}"
    );
    assert_eq!(ends.out.stats().packets, 20);
}

#[test]
fn esp_tunnels_of_all_families_carry_all_families() {
    for (algorithm, key_len) in algorithms() {
        for esn in [false, true] {
            for (outer6, inner6) in [(false, false), (false, true), (true, false), (true, true)] {
                exchange(spec(algorithm, key_len, outer6, esn), inner6, false);
            }
        }
    }
}

#[test]
fn esp_in_transport_mode_passes_options_and_extension_headers() {
    for (algorithm, key_len) in algorithms() {
        for (esn, is_ip6, options) in [
            (false, false, false),
            (true, false, true),
            (false, true, true),
            (true, true, false),
        ] {
            let spec = SaSpec {
                mode: Mode::Transport,
                ..spec(algorithm, key_len, is_ip6, esn)
            };
            exchange(spec, is_ip6, options);
        }
    }
}

#[test]
fn esp_in_udp_passes_over_both_families() {
    for (algorithm, key_len) in algorithms() {
        for (esn, mode, is_ip6) in [
            (false, Mode::Tunnel, false),
            (true, Mode::Tunnel, true),
            (true, Mode::Transport, false),
            (false, Mode::Transport, true),
        ] {
            let spec = SaSpec {
                mode,
                encap: Some(UdpEncap {
                    src_port: 4500,
                    dst_port: 4501,
                }),
                ..spec(algorithm, key_len, is_ip6, esn)
            };
            exchange(spec, is_ip6, false);
        }
    }
}

#[test]
fn beet_leaves_the_inner_header_out() {
    let (algorithm, key_len) = algorithms().pop().expect("some");
    for (outer6, inner6) in [(false, false), (false, true), (true, false), (true, true)] {
        for options in [false, true] {
            let [src, dst] = if inner6 {
                ["2001::5/128", "2001::9/128"]
            } else {
                ["10.1.0.5/32", "10.2.0.9/32"]
            };
            let selector = Selector::between(
                src.parse().expect("a prefix"),
                dst.parse().expect("a prefix"),
            );
            let spec = SaSpec {
                mode: Mode::Beet,
                selectors: vec![selector],
                ..spec(algorithm, key_len, outer6, false)
            };
            exchange(spec, inner6, options);
        }
    }
}

#[test]
fn ah_covers_headers_with_options_in_both_modes() {
    let gmac = Auth::AesGmac;
    for auth in HMACS.into_iter().chain([gmac]) {
        let algorithm = Algorithm {
            cipher: Cipher::Null,
            auth,
        };
        for (mode, esn, outer6, inner6, options) in [
            (Mode::Tunnel, false, false, false, false),
            (Mode::Tunnel, true, true, false, false),
            (Mode::Tunnel, false, false, true, true),
            (Mode::Transport, false, false, false, true),
            (Mode::Transport, true, true, true, true),
            (Mode::Transport, true, false, false, false),
        ] {
            let spec = SaSpec {
                protocol: Protocol::Ah,
                mode,
                ..spec(algorithm, 0, outer6, esn)
            };
            exchange(spec, inner6, options);
        }
    }
}

#[test]
fn a_selector_of_the_sa_must_match_what_was_inside() {
    let here = Selector::between(
        "10.9.0.0/16".parse().unwrap(),
        "10.2.0.0/16".parse().unwrap(),
    );
    let ends = Ends::new(SaSpec {
        selectors: vec![here],
        ..gcm()
    });
    let wire = ends.seal(&packet(false, false, 0, b"other source"));
    assert_eq!(ends.open(&wire, 20), Err(Reject::Selector));
}

#[test]
fn tfc_padding_hides_lengths_and_is_cut_off() {
    let ends = Ends::new(SaSpec {
        tfc_pad: 200,
        ..gcm()
    });
    let mut lens = Vec::new();
    for len in [0, 10, 150, 172, 175] {
        let packet = packet(false, false, 0, &vec![7; len]);
        let wire = ends.seal(&packet);
        lens.push(wire.len());
        assert_eq!(ends.open(&wire, 20), Ok(packet));
    }
    assert!(lens[..4].iter().all(|&len| len == lens[0]) && lens[4] > lens[0]);
}

#[test]
fn congestion_outside_becomes_congestion_inside() {
    let ends = Ends::new(gcm());
    for (inner, outer, expected) in [
        (0xb8 | 2, 3, Ok(0xb8 | 3)),
        (0xb8, 3, Err(Reject::Ecn)),
        (0xb8 | 2, 1, Ok(0xb8 | 1)),
    ] {
        let packet = packet(false, false, inner, b"marked");
        let mut wire = ends.seal(&packet);
        assert_eq!(wire[1], inner);
        wire[1] = wire[1] & 0xfc | outer;
        let opened = ends.open(&wire, 20);
        assert_eq!(opened.clone().map(|packet| packet[1]), expected);
        if let Ok(packet) = opened {
            assert!(Ip4::new(&packet).expect("a header").is_checksum_valid());
        }
    }
}

#[test]
fn a_peer_that_moved_is_told_once() {
    let encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 4500,
    });
    let ends = Ends::new(SaSpec { encap, ..gcm() });
    for port in [4500u16, 1024, 1024, 1024] {
        let mut wire = ends.seal(&packet(false, false, 0, b"from a NAT"));
        wire[20..22].copy_from_slice(&port.to_be_bytes());
        ends.open(&wire, 28).expect("UDP is not authenticated");
    }
    let (addr, _) = outer(false);
    let sa = ends.back.id();
    let moved = Event::PeerMoved {
        sa,
        addr,
        port: 1024,
    };
    assert_eq!((ends.events.pop(), ends.events.pop()), (Some(moved), None));
}

#[test]
fn inner_mtus_fill_the_outer_one() {
    let mut cases: Vec<_> = algorithms()
        .into_iter()
        .flat_map(|(algorithm, key_len)| {
            [Mode::Tunnel, Mode::Transport].map(|mode| SaSpec {
                mode,
                ..spec(algorithm, key_len, false, true)
            })
        })
        .collect();
    let (algorithm, auth) = (Cipher::Null, Auth::HmacSha256_128);
    cases.push(SaSpec {
        protocol: Protocol::Ah,
        ..spec(
            Algorithm {
                cipher: algorithm,
                auth,
            },
            0,
            true,
            false,
        )
    });
    for spec in cases {
        let what = format!("{} {:?}", spec.algorithm, spec.mode);
        let slack = match spec.mode {
            // Transport mode allows for any length of headers.
            Mode::Transport => spec.algorithm.align_bytes() - 4,
            _ => 0,
        };
        let ends = Ends::new(spec);
        for mtu in 1280..1320 {
            let most = ends.out.inner_mtu(mtu);
            let wire_len = |len: usize| {
                let packet = packet(false, false, 0, &vec![0; len - 28]);
                ends.out.room(&packet).expect("a good packet").wire_len
            };
            assert!(wire_len(most) <= mtu, "{what}: {most} in {mtu}");
            assert!(wire_len(most + 1 + slack) > mtu, "{what}: {most} in {mtu}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_opened_without_panic(
        index in 0..usize::MAX,
        is_ah: bool,
        mode in prop_oneof![Just(Mode::Tunnel), Just(Mode::Transport), Just(Mode::Beet)],
        esn: bool,
        first in prop_oneof![Just(0x45u8), Just(0x47), Just(0x60), any::<u8>()],
        mut bytes: Vec<u8>,
        at in 0usize..80,
    ) {
        let all = algorithms();
        let (algorithm, key_len) = all[index % all.len()];
        let algorithm = if is_ah {
            Algorithm { cipher: Cipher::Null, auth: HMACS[index % 4] }
        } else {
            algorithm
        };
        let mode = if is_ah && mode == Mode::Beet { Mode::Tunnel } else { mode };
        let net = "10.0.0.1/32".parse().expect("a prefix");
        let ends = Ends::new(SaSpec {
            protocol: if is_ah { Protocol::Ah } else { Protocol::Esp },
            mode,
            selectors: if mode == Mode::Beet { vec![Selector::between(net, net)] } else { vec![] },
            ..spec(algorithm, if is_ah { 0 } else { key_len }, false, esn)
        });
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        // As if the engine had found it authentic: what is decrypted is as wild as what arrives.
        let len = bytes.len();
        let mut buffer = bytes;
        buffer.extend([0; OPEN_ROOM_BYTES]);
        if let Ok(layout) = ends.back.open(&mut buffer, len, at)
            && let Ok(inner) = ends.back.opened(&layout, &mut buffer, 1, &ends.events)
        {
            prop_assert!(inner.at + inner.len <= buffer.len());
        }
    }

    #[test]
    fn any_bytes_are_sealed_or_refused_without_panic(
        index in 0..usize::MAX,
        is_transport: bool,
        first in prop_oneof![Just(0x45u8), Just(0x4f), Just(0x60), any::<u8>()],
        mut bytes: Vec<u8>,
    ) {
        let all = algorithms();
        let (algorithm, key_len) = all[index % all.len()];
        let mode = if is_transport { Mode::Transport } else { Mode::Tunnel };
        let ends = Ends::new(SaSpec { mode, ..spec(algorithm, key_len, false, true) });
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        if let Ok(room) = ends.out.room(&bytes) {
            let mut buffer = [&vec![0; room.head][..], &bytes, &vec![0; room.tail]].concat();
            let layout: Layout = ends.out.seal(&room, &mut buffer).expect("room");
            prop_assert!(layout.icv.end() <= buffer.len());
            ends.out.sealed(&layout, &mut buffer, bytes.len(), 1, &ends.events);
        }
    }
}
