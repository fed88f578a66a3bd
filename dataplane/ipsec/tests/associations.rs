//! SAs come, change and go while lcores look for them; their limits and numbers end.

mod ends;
mod soft;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ironlane_fib::VrfId;
use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Direction, Event, Events, Ipsec, IpsecError, Limits, Protocol, Reject,
    SaId, SaSpec, Secret, UdpEncap, Writer,
};
use ironlane_rcu::Domain;
use proptest::prelude::*;

use ends::{Ends, gcm, packet};

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xc000_0200 + number).into()
}

fn sa(spi: u32, dst: u32, vrf: u16) -> SaSpec {
    SaSpec {
        spi,
        vrf: VrfId(vrf),
        dst: host(dst),
        direction: Direction::In,
        ..gcm()
    }
}

#[derive(Debug, Clone)]
enum Op {
    Add(u32, u32, u16),
    /// One of those that are there; to another destination.
    Move(usize, u32),
    Delete(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u32..40, 0u32..3, 0u16..2).prop_map(|(spi, dst, vrf)| Op::Add(spi, dst, vrf)),
        1 => (any::<usize>(), 0u32..3).prop_map(|(which, dst)| Op::Move(which, dst)),
        2 => any::<usize>().prop_map(Op::Delete),
    ]
}

proptest! {
    #[test]
    fn lookups_answer_as_a_map_does(ops in prop::collection::vec(op(), 1..150)) {
        let domain = Domain::new();
        let ipsec = Arc::new(Ipsec::with_room(&domain, 64, 1));
        let mut writer = Writer::without_device(Arc::clone(&ipsec));
        let mut reader = Domain::register(&domain).expect("the first");
        let mut map: HashMap<(u32, u32, u16), SaId> = HashMap::new();
        let mut gone = Vec::new();
        for op in ops {
            let key_of = |which: usize| {
                let mut keys: Vec<_> = map.keys().copied().collect();
                keys.sort_unstable();
                (!keys.is_empty()).then(|| keys[which % keys.len()])
            };
            match op {
                Op::Add(spi, dst, vrf) => match writer.add_sa(sa(spi, dst, vrf)) {
                    Ok(id) => prop_assert_eq!(map.insert((spi, dst, vrf), id), None),
                    Err(IpsecError::SaExists { id, .. }) => {
                        prop_assert_eq!(map.get(&(spi, dst, vrf)), Some(&id));
                    }
                    Err(IpsecError::SasExhausted(64)) => prop_assert_eq!(map.len(), 64),
                    Err(error) => panic!("{error}"),
                },
                Op::Move(which, dst) => if let Some(key) = key_of(which) {
                    let to = (key.0, dst, key.2);
                    let moved = writer.update_sa(map[&key], host(9), host(dst), None);
                    if to != key && map.contains_key(&to) {
                        let exists = matches!(moved, Err(IpsecError::SaExists { .. }));
                        prop_assert!(exists);
                    } else {
                        prop_assert_eq!(moved, Ok(()));
                        let id = map.remove(&key).expect("there");
                        map.insert(to, id);
                    }
                },
                Op::Delete(which) => if let Some(key) = key_of(which) {
                    let id = map.remove(&key).expect("there");
                    prop_assert!(writer.del_sa(id).is_ok());
                    gone.push(id);
                },
            }
            writer.reclaim();
            let burst = reader.read();
            for spi in 1..40 {
                for (dst, vrf) in [(0, 0), (1, 0), (2, 1), (0, 1)] {
                    let found = ipsec.find_sa(&burst, Protocol::Esp, spi, host(dst), VrfId(vrf));
                    let expected = map.get(&(spi, dst, vrf)).copied();
                    prop_assert_eq!(found.map(|sa| sa.id()), expected);
                }
            }
            // All packets of a burst at once.
            for vrf in 0..2 {
                let names: Vec<_> = (1..40).map(|spi| (spi, host(spi % 3))).collect();
                let mut found = vec![None; names.len()];
                ipsec.find_sas(&burst, Protocol::Esp, &names, VrfId(vrf), &mut found);
                for (found, (spi, _)) in found.iter().zip(names) {
                    let expected = map.get(&(spi, spi % 3, vrf)).copied();
                    prop_assert_eq!(found.map(|sa| sa.id()), expected);
                }
            }
            prop_assert!(gone.iter().all(|&id| ipsec.sa(&burst, id).is_none()));
            prop_assert_eq!(ipsec.has_sas(), !map.is_empty());
        }
    }
}

/// Lcores that look for two SAs which are always there, while others come and go around them and
/// the table grows and shrinks: they are found at every moment, and nothing else is.
#[test]
fn what_is_there_is_found_while_the_table_changes() {
    let domain = Domain::new();
    let ipsec = Arc::new(Ipsec::with_room(&domain, 4096, 1));
    let mut writer = Writer::without_device(Arc::clone(&ipsec));
    let stays = [sa(500, 0, 0), sa(501, 1, 0)];
    let ids = stays.clone().map(|spec| writer.add_sa(spec).expect("room"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut reader = Domain::register(&domain).expect("room");
            let (ipsec, stays, done) = (&ipsec, &stays, &done);
            scope.spawn(move || {
                let mut rounds = 0u64;
                while !done.load(Ordering::Relaxed) || rounds < 1000 {
                    let burst = reader.read();
                    for (spec, id) in stays.iter().zip(ids) {
                        let found =
                            ipsec.find_sa(&burst, Protocol::Esp, spec.spi, spec.dst, spec.vrf);
                        assert_eq!(found.map(|sa| sa.id()), Some(id));
                    }
                    let names = stays.each_ref().map(|spec| (spec.spi, spec.dst));
                    let mut found = [None; 2];
                    ipsec.find_sas(&burst, Protocol::Esp, &names, VrfId(0), &mut found);
                    assert_eq!(found.map(|sa| sa.map(|sa| sa.id())), ids.map(Some));
                    assert!(
                        ipsec
                            .find_sa(&burst, Protocol::Ah, 500, host(0), VrfId(0))
                            .is_none()
                    );
                    rounds += 1;
                }
            });
        }
        for round in 0..20u32 {
            let count = 50 * (round % 5 + 1);
            let others: Vec<_> = (0..count)
                .map(|n| writer.add_sa(sa(1000 + n, n % 3, 0)).expect("room"))
                .collect();
            for id in others {
                writer.del_sa(id).expect("there");
            }
            writer.reclaim();
        }
        done.store(true, Ordering::Relaxed);
    });
    writer.flush();
    assert_eq!(writer.reclaim(), 0, "no reader is left");
}

#[test]
fn an_index_comes_again_under_another_name() {
    let ipsec = Arc::new(Ipsec::with_room(&Domain::new(), 1, 1));
    let mut writer = Writer::without_device(ipsec);
    let first = writer.add_sa(sa(1, 0, 0)).expect("room");
    let full = writer.add_sa(sa(2, 0, 0));
    assert_eq!(full, Err(IpsecError::SasExhausted(1)));
    writer.del_sa(first).expect("there");
    let second = writer.add_sa(sa(2, 0, 0)).expect("nobody reads");
    assert_eq!((second.index(), second.generation()), (0, 1));
    assert_eq!(writer.del_sa(first), Err(IpsecError::NoSuchSa(first)));
}

#[test]
fn state_survives_a_change_of_addresses_and_nothing_else_may_change() {
    let ipsec = Arc::new(Ipsec::new(&Domain::new()));
    let mut writer = Writer::without_device(ipsec);
    let id = writer
        .add_sa(SaSpec {
            direction: Direction::Out,
            ..sa(9, 0, 0)
        })
        .expect("room");
    let seq = writer
        .sa(id)
        .expect("there")
        .state()
        .next_seq()
        .expect("some left");
    let encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 1024,
    });
    writer
        .update_sa(id, host(7), host(8), encap)
        .expect("a good change");
    let sa = writer.sa(id).expect("there");
    assert_eq!((sa.spec().dst, sa.spec().encap), (host(8), encap));
    assert_eq!(sa.state().next_seq(), Ok(seq + 1));
    let other_key = Secret::new(&[9; 20]).expect("locked memory");
    let refused = writer.replace_sa(id, |spec| spec.enc_key = other_key);
    assert!(matches!(refused, Err(IpsecError::BadSa(_))));
}

#[test]
fn fragments_that_may_be_of_an_sa_are_told_by_their_protocol() {
    let domain = Domain::new();
    let ipsec = Arc::new(Ipsec::with_room(&domain, 8, 1));
    let mut writer = Writer::without_device(Arc::clone(&ipsec));
    let may = |ipsec: &Ipsec| [50, 51, 17, 6].map(|protocol| ipsec.may_open(protocol));
    assert_eq!(may(&ipsec), [false; 4]);
    let id = writer.add_sa(sa(1, 1, 0)).expect("room for it");
    assert_eq!(may(&ipsec), [true, true, false, false]);
    let encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 4500,
    });
    for (encap, expected) in [(encap, true), (encap, true), (None, false), (encap, true)] {
        writer
            .update_sa(id, host(7), host(1), encap)
            .expect("it is there");
        assert_eq!(may(&ipsec), [true, true, expected, false]);
    }
    let outbound = SaSpec {
        encap,
        direction: Direction::Out,
        ..sa(2, 2, 0)
    };
    writer.add_sa(outbound).expect("room for it");
    writer.del_sa(id).expect("it is there");
    assert_eq!(may(&ipsec), [true, true, false, false]);
}

#[test]
fn a_device_that_refuses_says_why_and_leaves_nothing() {
    let ipsec = Arc::new(Ipsec::new(&Domain::new()));
    let mut writer: Writer<()> = Writer::new(Arc::clone(&ipsec), |_| Err("no GCM here".into()));
    let error = writer.add_sa(sa(1, 0, 0)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the crypto device refuses aes-gcm-16: no GCM here"
    );
    assert!(!ipsec.has_sas());
}

#[test]
fn wrong_sas_are_refused_by_name() {
    let auth = Auth::None;
    let of = |cipher| Algorithm { cipher, auth };
    for (spec, word) in [
        (sa(0, 0, 0), "SPI 0"),
        (
            SaSpec {
                dst: "::1".parse().unwrap(),
                ..sa(1, 0, 0)
            },
            "families",
        ),
        (
            SaSpec {
                replay_window: 4097,
                ..sa(1, 0, 0)
            },
            "4096",
        ),
        (
            SaSpec {
                replay_window: 0,
                esn: true,
                ..sa(1, 0, 0)
            },
            "replay window",
        ),
        (
            SaSpec {
                algorithm: of(Cipher::AesGcm { icv: 9 }),
                ..sa(1, 0, 0)
            },
            "8, 12 or 16",
        ),
        (
            SaSpec {
                algorithm: of(Cipher::Null),
                ..sa(1, 0, 0)
            },
            "neither",
        ),
        (
            SaSpec {
                algorithm: of(Cipher::AesCtr),
                ..sa(1, 0, 0)
            },
            "counter mode",
        ),
        (
            SaSpec {
                enc_key: Secret::EMPTY,
                ..sa(1, 0, 0)
            },
            "0 bytes",
        ),
        (
            SaSpec {
                protocol: Protocol::Ah,
                ..sa(1, 0, 0)
            },
            "does not encrypt",
        ),
        (
            SaSpec {
                mode: ironlane_ipsec::Mode::Beet,
                ..sa(1, 0, 0)
            },
            "selector",
        ),
    ] {
        let error = spec.check().expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn limits_raise_each_event_once_and_the_hard_one_ends_the_sa() {
    let limits = Limits {
        soft_packets: 3,
        hard_bytes: 5 * 40,
        ..Limits::default()
    };
    let ends = Ends::new(SaSpec { limits, ..gcm() });
    let packet = packet(false, false, 0, &[0; 12]);
    let wires: Vec<_> = (0..5).map(|_| ends.seal(&packet)).collect();
    let sa = ends.out.id();
    let raised: Vec<_> = std::iter::from_fn(|| ends.events.pop()).collect();
    assert_eq!(raised, [Event::Soft { sa }, Event::Hard { sa }]);
    let room = ends.out.room(&packet).expect("a good packet");
    let mut buffer = vec![0; room.head + packet.len() + room.tail];
    assert_eq!(ends.out.seal(&room, &mut buffer), Err(Reject::Expired));
    // The other end counts for itself.
    for wire in &wires {
        assert_eq!(ends.open(wire, 20), Ok(packet.clone()));
    }
    assert_eq!(ends.open(&wires[0], 20), Err(Reject::Expired));
    let stats = ends.back.stats();
    assert_eq!((stats.packets, stats.bytes, stats.last_use_s), (5, 200, 7));
    assert!(stats.expired && stats.rejected(Reject::Expired) == 1);
}

#[test]
fn numbers_never_wrap_and_their_end_is_told_before() {
    for (esn, last) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
        let low = last - last / 8;
        let ends = Ends::new(SaSpec {
            esn,
            last_seq: low - 2,
            ..gcm()
        });
        let packet = packet(false, false, 0, b"low");
        ends.seal(&packet);
        assert_eq!(ends.events.pop(), None);
        ends.seal(&packet);
        ends.seal(&packet);
        let sa = ends.out.id();
        assert_eq!(ends.events.pop(), Some(Event::SequenceLow { sa }));
        assert_eq!(ends.events.pop(), None);

        let ends = Ends::new(SaSpec {
            esn,
            last_seq: last - 1,
            ..gcm()
        });
        let wire = ends.seal(&packet);
        assert_eq!(ends.open(&wire, 20), Ok(packet.clone()));
        let room = ends.out.room(&packet).expect("a good packet");
        let mut buffer = vec![0; room.head + packet.len() + room.tail];
        let sealed = ends.out.seal(&room, &mut buffer);
        assert_eq!(sealed, Err(Reject::SequenceExhausted));
    }
}

#[test]
fn a_full_queue_counts_what_it_loses() {
    let events = Events::new();
    let soft = |raw| Event::Soft {
        sa: SaId::from_raw(raw),
    };
    (0..5000).for_each(|raw| events.push(soft(raw)));
    assert_eq!(events.lost(), 5000 - 4096);
    assert_eq!(events.pop(), Some(soft(0)), "the oldest are kept");
}

#[test]
fn the_first_lcore_to_ask_owns_the_sa() {
    let ends = Ends::new(gcm());
    let state = ends.out.state();
    assert_eq!([2, 1, 2].map(|lcore| state.owner_or(lcore)), [2, 2, 2]);
}
