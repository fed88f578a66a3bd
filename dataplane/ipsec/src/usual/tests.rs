//! Runs against what any SA does.

use super::*;
use crate::Span;
use crate::room::general_room;
use crate::{Algorithm, Auth, Df, Dscp, Events, Layout, Sa, SaId, Secret, UdpEncap};
use proptest::prelude::*;

proptest! {
    #[test]
    fn room_and_header_are_those_of_any_sa(
        (v6, encap, ecn, icv, chacha) in any::<(bool, bool, bool, bool, bool)>(),
        df in prop_oneof![Just(Df::Copy), Just(Df::Set), Just(Df::Clear)],
        dscp in prop_oneof![Just(Dscp::Copy), (0u8..64).prop_map(Dscp::Set)],
        inner6 in any::<bool>(),
        mut packet in proptest::collection::vec(any::<u8>(), 0..200),
        (id, spi) in any::<(u16, u32)>(),
    ) {
        if let Some(first) = packet.first_mut() {
            *first = if inner6 { 0x60 } else { 0x40 } | *first & 15;
        }
        let cipher = match chacha {
            true => Cipher::ChaCha20Poly1305,
            false => Cipher::AesGcm { icv: if icv { 16 } else { 8 } },
        };
        let algorithm = Algorithm { cipher, auth: Auth::None };
        let (src, dst) = match v6 {
            false => ("192.0.2.1".parse().unwrap(), "198.51.100.255".parse().unwrap()),
            true => ("2001:db8::1".parse().unwrap(), "2001:db8::ffff".parse().unwrap()),
        };
        let spec = SaSpec {
            df,
            dscp,
            ecn,
            encap: encap.then_some(UdpEncap { src_port: 4500, dst_port: 4500 }),
            ..SaSpec::new(Direction::Out, spi, src, dst, algorithm)
        };
        let usual = Usual::of(&spec).unwrap();
        prop_assert_eq!(usual.src(), src);
        let room = usual.room(&spec, &packet);
        prop_assert_eq!(room, general_room(&spec, &packet));
        if let Ok(Room { front: Front::New(outer), wire_len, .. }) = room {
            let (mut ours, mut theirs) = (vec![0; wire_len], vec![0; wire_len]);
            usual.write_front(outer, &mut ours, id);
            let protocol = if encap { ip::UDP } else { ip::ESP };
            outer.write(&spec, &mut theirs, protocol, id);
            prop_assert_eq!(ours, theirs);
        }
    }
}

/// An SA of the usual kind, with what can differ between them.
fn any_sa(direction: Direction) -> impl Strategy<Value = SaSpec> {
    let flags = any::<(bool, bool, bool, bool, bool)>();
    let df = prop_oneof![Just(Df::Copy), Just(Df::Set), Just(Df::Clear)];
    let dscp = prop_oneof![Just(Dscp::Copy), (0u8..64).prop_map(Dscp::Set)];
    let last_seq = prop_oneof![Just(0), Just(0xffff_fffe), Just(0xffff_ffff)];
    let window = prop_oneof![Just(0), Just(64u32)];
    (flags, df, dscp, last_seq, window).prop_map(
        move |((v6, encap, ecn, esn, chacha), df, dscp, last_seq, replay_window)| {
            let cipher = match chacha {
                true => Cipher::ChaCha20Poly1305,
                false => Cipher::AesGcm { icv: 12 },
            };
            let algorithm = Algorithm {
                cipher,
                auth: Auth::None,
            };
            let (src, dst) = match v6 {
                false => ("192.0.2.1", "198.51.100.255"),
                true => ("2001:db8::1", "2001:db8::ffff"),
            };
            let port = 4500;
            SaSpec {
                enc_key: Secret::new(&[7; 20]).unwrap(),
                df,
                dscp,
                ecn,
                esn,
                last_seq,
                replay_window,
                encap: encap.then_some(UdpEncap {
                    src_port: port,
                    dst_port: port,
                }),
                ..SaSpec::new(
                    direction,
                    0x1234_5678,
                    src.parse().unwrap(),
                    dst.parse().unwrap(),
                    algorithm,
                )
            }
        },
    )
}

/// Bytes that mostly begin as an IP packet does.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![8 => Just(0x45u8), 8 => Just(0x60), 1 => any::<u8>()];
    (first, proptest::collection::vec(any::<u8>(), 40..120)).prop_map(|(first, mut packet)| {
        packet[0] = first;
        let len = packet.len() as u16;
        match first >> 4 {
            4 => put_u16(&mut packet, 2, len),
            _ => put_u16(&mut packet, 4, len - 40),
        }
        packet
    })
}

fn two(spec: &SaSpec) -> [Sa; 2] {
    [0; 2].map(|_| Sa::new(SaId::from_raw(5), spec.clone(), ()))
}

/// What a run and a layout tell the engine.
fn told(text: Text) -> (usize, usize, [u8; 16], [u8; 12]) {
    let (at, len) = (usize::from(text.at), usize::from(text.len));
    (at, at + len, text.nonce, text.aad)
}

fn told_by(layout: &Layout) -> (usize, usize, [u8; 16], [u8; 12]) {
    let Span { at, .. } = layout.cipher;
    assert_eq!(layout.cipher.end(), layout.icv.at as usize);
    (at as usize, layout.cipher.end(), layout.nonce, layout.aad)
}

proptest! {
    #[test]
    fn a_run_seals_as_one_by_one(
        spec in any_sa(Direction::Out),
        packets in proptest::collection::vec(any_packet(), 1..4),
    ) {
        let [sa, other] = two(&spec);
        let run = sa.seal_run();
        let sums = spec.encap.is_some() && spec.dst.is_ipv6();
        prop_assert_eq!(run.is_none(), sums);
        let (Some(run), events) = (run, Events::new()) else {
            return Ok(());
        };
        for packet in packets {
            let (head, tail) = (run.head_len(), run.tail_len(packet.len()));
            let buffer = [&vec![0xee; head][..], &packet, &vec![0xee; tail]].concat();
            let (mut ours, mut theirs) = (buffer.clone(), buffer.clone());
            let text = run.seal(&mut ours, packet.len());
            let layout = other.room(&packet).and_then(|room| {
                assert_eq!((room.head, room.tail), (head, tail));
                other.seal(&room, &mut theirs)
            });
            let Ok(layout) = layout else {
                prop_assert_eq!((text, ours), (None, buffer));
                continue;
            };
            let text = text.unwrap();
            prop_assert_eq!(told(text), told_by(&layout));
            let icv_at = usize::from(text.at + text.len);
            prop_assert_eq!(&ours[..icv_at], &theirs[..icv_at]);
            prop_assert_eq!(other.sealed(&layout, &mut theirs, packet.len(), 9, &events).len as usize, ours.len());
            run.count(1, packet.len() as u64, 9, &events);
        }
        // The last number may have been used up, which one by one counts.
        let but_for_rejected = |sa: &Sa| crate::SaStats { rejected: Default::default(), ..sa.stats() };
        prop_assert_eq!(but_for_rejected(&sa), but_for_rejected(&other));
    }

    #[test]
    fn a_run_opens_as_one_by_one(
        spec in any_sa(Direction::In),
        packets in proptest::collection::vec((any_packet(), 0u32..90, 0usize..4, 0u8..4), 1..6),
        (next_is_right, damage) in any::<(bool, proptest::sample::Index)>(),
    ) {
        let [sa, other] = two(&spec);
        let (run, events) = (sa.open_run().unwrap(), Events::new());
        let (ip_len, in_udp) = (header_len(&spec), spec.encap.is_some());
        let header_at = ip_len + encap_len(&spec);
        for (packet, low, pad_len, class) in packets {
            let mut buffer = vec![0x45; header_at];
            buffer[0] = if ip_len == IP4_LEN { 0x45 } else { 0x60 };
            buffer[1] = class;
            buffer[6..8].fill(0);
            buffer.extend(spec.spi.to_be_bytes());
            buffer.extend((spec.last_seq as u32).wrapping_add(low).to_be_bytes());
            buffer.extend([3; IV_LEN]);
            buffer.extend(&packet);
            buffer.extend((1..=pad_len as u8).chain([pad_len as u8]));
            buffer.push(match (next_is_right, packet[0] >> 4) {
                (true, 4) => IP_IN_IP,
                (true, _) => IP6_IN_IP,
                _ => 59,
            });
            buffer.extend(vec![0xcc; spec.algorithm.icv_len_bytes()]);
            if low.is_multiple_of(8) {
                buffer.truncate(damage.index(buffer.len()).max(header_at + 8));
            }
            let len = buffer.len();
            let text = run.open(&buffer, ip_len, in_udp);
            let mut theirs = buffer.clone();
            let Ok(layout) = other.open(&mut theirs, len, header_at) else {
                prop_assert_eq!(text, None);
                continue;
            };
            let (text, seq) = text.unwrap();
            prop_assert_eq!((told(text), seq), (told_by(&layout), layout.seq));
            let ours = run.opened(&mut buffer, (text.at, text.len), seq, &events);
            let inner = other.opened(&layout, &mut theirs, 9, &events);
            prop_assert_eq!((ours, buffer), (inner, theirs));
            if let Ok(inner) = inner {
                run.count(1, inner.len as u64, 9, &events);
            }
        }
        let passed = |sa: &Sa| (sa.stats().packets, sa.stats().bytes, sa.stats().seq);
        prop_assert_eq!(passed(&sa), passed(&other));
    }
}

#[test]
fn other_kinds_of_sas_have_no_runs() {
    let usual = SaSpec {
        enc_key: Secret::new(&[7; 20]).unwrap(),
        ..SaSpec::new(
            Direction::Out,
            0x1000,
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
            Algorithm {
                cipher: Cipher::AesGcm { icv: 16 },
                auth: Auth::None,
            },
        )
    };
    let runs = |spec: SaSpec| {
        let sa: Sa = Sa::new(SaId::from_raw(5), spec, ());
        (sa.seal_run().is_some(), sa.open_run().is_some())
    };
    assert_eq!(runs(usual.clone()), (true, false));
    let inbound = SaSpec {
        direction: Direction::In,
        ..usual.clone()
    };
    assert_eq!(runs(inbound.clone()), (false, true));
    for spec in [usual, inbound.clone()] {
        assert_eq!(
            runs(SaSpec {
                mode: Mode::Transport,
                ..spec
            }),
            (false, false)
        );
    }
    let all = "0.0.0.0/0".parse().unwrap();
    let selectors = vec![crate::Selector::between(all, all)];
    assert_eq!(
        runs(SaSpec {
            selectors,
            ..inbound
        }),
        (false, false)
    );
}
