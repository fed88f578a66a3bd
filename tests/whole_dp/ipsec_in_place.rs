//! Packets that are opened and sealed where they lie in their burst leave as those that go by the lists: the same
//! bytes, counts and reasons, and in the order of their flows.

use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::{DropReason, StageId};
use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Direction, Dscp, PolicyDirection, SaSpec, SaStats, Secret,
};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_tests::{Event, Injected, Settings, WholeDp};

use crate::ipsec::{
    OURS, PEER, PROTECT, SPI, esp, from_peer, in_tunnel, inner_packet, packet, policy, sa,
    tunnel_in, tunnel_out, with_ipsec_by,
};
use crate::{FAR4, HOST4};

/// What came of a burst, and what the SAs counted.
struct Came {
    events: Vec<Event>,
    drops: Vec<(String, DropReason, u64)>,
    sas: Vec<SaStats>,
    /// Packets that met the straight path, those that came out of an SA once more.
    straight: u64,
}

fn router(stages_only: bool, lcores: &[usize]) -> WholeDp {
    let default = Settings::default();
    with_ipsec_by(Settings {
        ipsec: true,
        lcores: match lcores {
            [] => default.lcores.clone(),
            _ => lcores.to_vec(),
        },
        adjust: match stages_only {
            true => |config| config.pipeline.stages_only = true,
            false => |_| {},
        },
        ..default
    })
}

fn play(
    stages_only: bool,
    lcores: &[usize],
    scene: fn(&mut WholeDp) -> Vec<(&'static str, Injected)>,
) -> Came {
    let mut dp = router(stages_only, lcores);
    let frames = scene(&mut dp);
    assert!(frames.len() <= 64, "one burst");
    let out = dp.send_all(&frames);
    let (events, drops) = out.take_events();
    for (port, reason, count) in &drops {
        out.dropped_n(port, *reason, *count);
    }
    match lcores.len() {
        2 => out.with_fragments().with_handoffs().nothing_else(),
        _ => out.with_fragments().nothing_else(),
    }
    let straight = out.counts().stage(StageId::Straight).packets;
    let ids = (0..4).map(ironlane_ipsec::SaId::from_raw);
    let sas = ids.filter_map(|id| Some(dp.ipsec().sa(id).ok()?.stats()));
    Came {
        events,
        drops,
        sas: sas
            .map(|stats| SaStats {
                // Of the second in which it was.
                last_use_s: 0,
                ..stats
            })
            .collect(),
        straight,
    }
}

/// The events of each way, in order: by port, and by what the IP header says it is of.
fn by_flow(events: &[Event]) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut all: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Sent { port, bytes } => (port.clone(), bytes[23..34].to_vec(), bytes.clone()),
            Event::Punted { bytes, .. } => ("tap".into(), vec![0; 11], bytes.clone()),
        })
        .map(|(port, mut flow, bytes)| {
            // The protocol and the addresses, without the checksum between them; of ESP the SPI as well.
            flow.drain(1..3);
            flow.extend(bytes.get(34..38).unwrap_or(&[]));
            (port, flow, bytes)
        })
        .collect();
    // Stable: what is of one flow keeps its order.
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    all
}

fn compare(scene: fn(&mut WholeDp) -> Vec<(&'static str, Injected)>) -> (Came, Came) {
    compare_by(&[], scene)
}

/// The same by these lcores; by one if none is named.
fn compare_by(
    lcores: &[usize],
    scene: fn(&mut WholeDp) -> Vec<(&'static str, Injected)>,
) -> (Came, Came) {
    let (short, long) = (play(false, lcores, scene), play(true, lcores, scene));
    assert_eq!(by_flow(&short.events), by_flow(&long.events));
    assert_eq!((&short.drops, &short.sas), (&long.drops, &long.sas));
    (short, long)
}

/// Plain packets for a tunnel, as differing as they can be.
fn plain(dp: &mut WholeDp) -> Vec<(&'static str, Injected)> {
    let frame = |n: usize| {
        let to = format!("10.2.0.{}", n % 3);
        let frame = dp.frame("p0").ip4(HOST4, &to).data_len(n * 21);
        let frame = frame.tos(n as u8 * 4).ttl(2 + n as u8).padding(n % 5);
        let frame = if n.is_multiple_of(2) {
            frame.df()
        } else {
            frame
        };
        ("p0", frame.udp(n as u16, 5000).into())
    };
    (0..60).map(frame).collect()
}

fn out_by(dp: &mut WholeDp, spec: SaSpec) -> Vec<(&'static str, Injected)> {
    tunnel_out(dp, spec);
    plain(dp)
}

/// A second tunnel to 10.2.1.0/24, by an SA that has to go by the lists.
fn other_tunnel(dp: &mut WholeDp) {
    let spec = SaSpec {
        spi: SPI + 1,
        auth_key: Secret::new(&[9; 20]).unwrap(),
        enc_key: Secret::new(&[8; 16]).unwrap(),
        algorithm: Algorithm {
            cipher: Cipher::AesCbc,
            auth: Auth::HmacSha1_96,
        },
        ..sa(Direction::Out)
    };
    let out = PolicyDirection::Out;
    let rule = policy(dp, out, "192.0.2.0/24", "10.2.1.0/24", PROTECT);
    let id = dp.ipsec().add_sa(spec).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
}

#[test]
fn plain_packets_for_a_tunnel_meet_the_straight_path_once() {
    let (short, long) = compare(|dp| out_by(dp, sa(Direction::Out)));
    assert_eq!((short.events.len(), short.straight), (60, 60));
    assert_eq!(long.straight, 120);
    compare(|dp| {
        let (dscp, ecn) = (Dscp::Set(46), false);
        let spec = sa(Direction::Out);
        out_by(dp, SaSpec { dscp, ecn, ..spec })
    });
}

#[test]
fn an_sa_that_ends_within_a_burst_ends_at_the_same_packet() {
    let (short, _) = compare(|dp| {
        let last_seq = u64::from(u32::MAX) - 40;
        let spec = sa(Direction::Out);
        out_by(dp, SaSpec { last_seq, ..spec })
    });
    assert_eq!(short.drops, [("p0".into(), DropReason::IpsecSequence, 20)]);
}

/// Plain packets for two tunnels and none, and some that are not plain.
fn mixed(dp: &mut WholeDp) -> Vec<(&'static str, Injected)> {
    let frame = |n: usize| {
        let to = match n % 4 {
            1 => "10.2.1.9",
            2 => FAR4,
            _ => "10.2.0.9",
        };
        let frame = dp.frame("p0").ip4(HOST4, to).data_len(30);
        let frame = match n {
            // Behind these all wait for the lists: options, one that is too long, one that is for the kernel.
            41 | 44 => frame.options(&[1, 1, 1, 0]),
            47 => frame.data_len(1460),
            48 => frame.ttl(1),
            _ => frame,
        };
        ("p0", frame.udp(5000, n as u16).into())
    };
    (0..56).map(frame).collect()
}

#[test]
fn what_is_not_plain_keeps_its_place_in_its_flow() {
    let (short, _) = compare(|dp| {
        other_tunnel(dp);
        tunnel_out(dp, sa(Direction::Out));
        mixed(dp)
    });
    assert!(short.events.len() >= 56);
}

/// Two lcores: that of p0, and that of p1.
fn two_lcores() -> Option<Vec<usize>> {
    let cpus = CpuList::allowed().0;
    let two = cpus.get(..2).map(<[usize]>::to_vec);
    if two.is_none() {
        println!("SKIPPED: needs two CPUs");
    }
    two
}

/// Has the lcore of a port be the first to meet an SA.
fn met_by(dp: &mut WholeDp, port: &'static str, frame: Vec<u8>) {
    let out = dp.send(port, &frame);
    let (events, _) = out.take_events();
    assert_eq!(events.len(), 1);
    out.with_handoffs().nothing_else();
}

#[test]
fn what_is_handed_over_is_sealed_in_its_place_as_well() {
    let Some(two) = two_lcores() else { return };
    let (short, long) = compare_by(&two, |dp| {
        other_tunnel(dp);
        tunnel_out(dp, sa(Direction::Out));
        let first = dp.frame("p1").src("02::9").ip4(HOST4, "10.2.0.9");
        let first = first.udp(1, 2);
        met_by(dp, "p1", first);
        mixed(dp)
    });
    assert!(short.events.len() >= 56);
    // What goes by the lists meets the straight path once more.
    assert!(
        short.straight < long.straight,
        "{} {}",
        short.straight,
        long.straight
    );
}

#[test]
fn what_is_handed_over_is_opened_in_its_place_as_well() {
    let Some(two) = two_lcores() else { return };
    let (short, _) = compare_by(&two, |dp| {
        tunnel_in(dp, sa(Direction::In));
        let mac = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2)[..6].to_vec();
        let frame = |dp: &mut WholeDp, n: u32| {
            let there = packet("10.2.0.9", HOST4, Ip4Fields::default(), &[n as u8; 40]);
            let mut esp = esp(SPI, n, &in_tunnel(&there));
            if n == 20 {
                esp[30] ^= 1;
            }
            from_peer(dp, &esp)
        };
        let mut first = frame(dp, 1);
        first[..6].copy_from_slice(&mac);
        met_by(dp, "p0", first);
        // The last is a copy.
        let numbers = (2..=50).chain([30]);
        numbers.map(|n| ("p1", frame(dp, n).into())).collect()
    });
    assert_eq!(
        short.drops,
        [
            ("p1".into(), DropReason::IpsecReplay, 1),
            ("p1".into(), DropReason::IpsecIntegrity, 1)
        ]
    );
    assert_eq!(short.events.len(), 48);
}

#[test]
fn what_arrives_is_opened_or_lost_in_its_place() {
    let (short, long) = compare(|dp| {
        tunnel_in(dp, sa(Direction::In));
        let there = |n: u32| {
            let fields = Ip4Fields {
                protocol: 17,
                tos: n as u8,
                ttl: 60,
                ..Ip4Fields::default()
            };
            packet(
                "10.2.0.9",
                HOST4,
                fields,
                &vec![n as u8; 8 + n as usize * 3],
            )
        };
        let mut frames = Vec::new();
        for n in 1..=56u32 {
            let mut payload = in_tunnel(&there(n));
            let last = payload.len() - 1;
            let mut seq = n;
            match n {
                // A dummy, a protocol that is no packet, wrong padding, one without a policy.
                10 => payload[last] = 59,
                11 => payload[last] = 6,
                12 => payload[last - 1] = 200,
                13 => payload = in_tunnel(&packet("10.9.0.9", HOST4, Ip4Fields::default(), b"?")),
                // Its copy is in the burst already; too old.
                30 => seq = 29,
                _ => {}
            }
            let mut esp = esp(SPI, seq, &payload);
            match n {
                20 => esp[30] ^= 1,
                52 => esp.truncate(20),
                _ => {}
            }
            let frame = from_peer(dp, &esp);
            frames.push(("p1", frame.into()));
            if n.is_multiple_of(8) {
                // In clear, between them.
                let clear = dp
                    .frame("p1")
                    .src("02::9")
                    .ip4(FAR4, HOST4)
                    .udp(1, n as u16);
                frames.push(("p1", clear.into()));
            }
        }
        frames
    });
    assert_eq!(short.drops.len(), 7, "{:?}", short.drops);
    assert!(short.events.len() > 50);
    assert_eq!(short.straight, long.straight);
}

#[test]
fn what_comes_by_one_tunnel_leaves_by_another() {
    let (short, _) = compare(|dp| {
        tunnel_in(dp, sa(Direction::In));
        let rule = policy(
            dp,
            PolicyDirection::Out,
            "10.2.0.0/16",
            "203.0.113.0/24",
            PROTECT,
        );
        let spec = SaSpec {
            spi: SPI + 5,
            ..sa(Direction::Out)
        };
        let id = dp.ipsec().add_sa(spec).unwrap();
        dp.ipsec().bind(rule, Some(id)).unwrap();
        (1..=40)
            .map(|n| {
                let inner = match n % 2 {
                    0 => inner_packet(),
                    _ => packet(
                        "10.2.0.9",
                        "203.0.113.5",
                        Ip4Fields::default(),
                        &[n as u8; 30],
                    ),
                };
                ("p1", from_peer(dp, &esp(SPI, n, &in_tunnel(&inner))).into())
            })
            .collect()
    });
    assert_eq!((short.events.len(), short.straight), (40, 80));
    let protected = short.events.iter().filter(|event| {
        let addresses =
            [OURS, PEER].map(|text| text.parse::<std::net::Ipv4Addr>().unwrap().octets());
        matches!(event, Event::Sent { bytes, .. } if bytes[26..34] == addresses.concat())
    });
    assert_eq!(protected.count(), 20);
}
