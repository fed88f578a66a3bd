//! The same where SAs and policies have a say: what leaves in clear, what is given to which SA.

use std::net::IpAddr;
use std::sync::Arc;

use ironlane_dataplane::burst::Origin;
use ironlane_dataplane::eal::BURST_MAX;
use ironlane_dataplane::eal::crypto::CryptoDevice;
use ironlane_dataplane::ipsec::{FragmentLimits, IpsecSetup, IpsecWriter};
use ironlane_dataplane::reason::StageId;
use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Mode, PolicyDirection, PolicySpec, Protocol, SaId,
    SaSpec, Secret, Selector, UdpEncap,
};
use ironlane_packet::checksum;

use crate::rig::eal;
use crate::world::{End, Frame, Numbers, World, any, dst4, dst6, plain4, plain6};

/// Which route of [`World`] is the router's own.
const LOCAL: usize = 7;
const SPI: u32 = 0x0012_3456;
const ESP: u8 = 50;
const UDP: u8 = 17;

pub(crate) fn guarded(name: &str) -> (World, IpsecWriter) {
    let world = World::new(name);
    let device = CryptoDevice::open(eal(), CryptoDevice::default_string(), 1, -1).unwrap();
    let ipsec = Arc::clone(&world.ipsec);
    let writer = IpsecSetup {
        ipsec,
        device,
        fragments: FragmentLimits::default(),
    }
    .writer();
    (world, writer)
}

fn address(ip6: bool, host: usize) -> IpAddr {
    match ip6 {
        false => IpAddr::V4(dst4(LOCAL, host).into()),
        true => IpAddr::V6(dst6(LOCAL, host).into()),
    }
}

fn sa(direction: Direction, ip6: bool, host: usize, mode: Mode, encap: bool) -> SaSpec {
    let gcm = Algorithm {
        cipher: Cipher::AesGcm { icv: 16 },
        auth: Auth::None,
    };
    let (ours, peer) = (address(ip6, host), address(ip6, 200));
    let (src, dst) = match direction {
        Direction::In => (peer, ours),
        Direction::Out => (ours, peer),
    };
    let port = 4500;
    SaSpec {
        enc_key: Secret::new(&[7; 20]).unwrap(),
        reqid: 1 + host as u32 % 2,
        mode,
        encap: encap.then_some(UdpEncap {
            src_port: port,
            dst_port: port,
        }),
        ..SaSpec::new(direction, SPI + host as u32, src, dst, gcm)
    }
}

/// SAs in and out, the first one inbound; the outbound ones are returned.
pub(crate) fn add_sas(writer: &mut IpsecWriter, first_mode: Mode) -> Vec<SaId> {
    for host in 1..4 {
        for ip6 in [false, true] {
            let spec = sa(Direction::In, ip6, host, first_mode, host == 3);
            writer.add_sa(spec).unwrap();
        }
    }
    let out = [(false, 11), (true, 12)].map(|(ip6, host)| {
        let spec = sa(Direction::Out, ip6, host, Mode::Tunnel, false);
        writer.add_sa(spec).unwrap()
    });
    out.to_vec()
}

/// So many more that what packets meet is found for a burst at once.
fn add_others(writer: &mut IpsecWriter) {
    for host in 20..52 {
        let spec = sa(Direction::In, host % 2 == 1, host, Mode::Tunnel, false);
        writer.add_sa(spec).unwrap();
    }
}

/// Policies of any kind, for routes that packets take.
fn add_policies(writer: &mut IpsecWriter, numbers: &mut Numbers, sas: &[SaId]) {
    for priority in 0..numbers.below(12) {
        let direction = numbers.one(&[
            PolicyDirection::Out,
            PolicyDirection::Out,
            PolicyDirection::Fwd,
            PolicyDirection::In,
        ]);
        let protect = Action::Protect {
            reqid: numbers.below(3) as u32,
            protocol: numbers.one(&[Protocol::Esp, Protocol::Esp, Protocol::Ah]),
            mode: numbers.one(&[Mode::Tunnel, Mode::Tunnel, Mode::Transport]),
            optional: numbers.below(2) == 0,
        };
        let action = numbers.one(&[protect, protect, protect, Action::Bypass, Action::Discard]);
        let route = numbers.below(16);
        let (src, dst) = match numbers.below(3) {
            0 => ("::/0".to_owned(), format!("2001:{route:x}::/32")),
            1 => ("0.0.0.0/0".to_owned(), format!("10.{route}.0.0/16")),
            _ => ("0.0.0.0/0".to_owned(), "10.0.0.0/8".to_owned()),
        };
        let selector = Selector {
            proto: numbers.one(&[0, 0, 0, UDP]),
            ..Selector::between(src.parse().unwrap(), dst.parse().unwrap())
        };
        let spec = PolicySpec {
            priority: priority as u32,
            ..PolicySpec::new(direction, selector, action)
        };
        // The same one may be there already.
        let Ok(policy) = writer.add_policy(spec) else {
            continue;
        };
        let binds = direction == PolicyDirection::Out && matches!(action, Action::Protect { .. });
        if binds && numbers.below(4) != 0 {
            writer.bind(policy, Some(numbers.one(sas))).unwrap();
        }
    }
}

/// A frame for the router that names the SA of `host`.
pub(crate) fn plain_esp(ip6: bool, host: usize) -> Vec<u8> {
    let (mut bytes, protocol_at, upper) = match ip6 {
        false => (plain4(dst4(LOCAL, host), 40, 0), 23, 34),
        true => (plain6(dst6(LOCAL, host), 40, 0), 20, 54),
    };
    bytes[protocol_at] = ESP;
    bytes[upper..upper + 4].copy_from_slice(&(SPI + host as u32).to_be_bytes());
    bytes
}

/// A frame for the router that says it is protected, most of them by an SA that there is.
fn protected(numbers: &mut Numbers) -> Frame {
    let (host, ip6) = (1 + numbers.below(4), numbers.below(2) == 1);
    let (payload, padding) = (numbers.below(60) as u16, numbers.one(&[0, 0, 7]));
    let mut bytes = match ip6 {
        false => plain4(dst4(LOCAL, host), payload, padding),
        true => plain6(dst6(LOCAL, host), payload, padding),
    };
    let (protocol_at, upper) = if ip6 { (20, 54) } else { (23, 34) };
    bytes[protocol_at] = numbers.one(&[ESP, ESP, UDP, 51]);
    let spi = numbers.one(&[host, host, host, 4]) as u32;
    let spi = (SPI + spi).to_be_bytes();
    let udp = [17, 148, 17, 148, 0, 40, 0, 0];
    let front: &[u8] = match bytes[protocol_at] {
        UDP => &[&udp[..], &spi].concat(),
        _ => &spi,
    };
    let room = bytes.len() - upper;
    let len = front.len().min(room);
    bytes[upper..upper + len].copy_from_slice(&front[..len]);
    if !ip6 {
        // Now and then a fragment.
        let word = numbers.one(&[0u16, 0, 0, 0, 0, 0x2000, 0x0010, 0x4000]);
        bytes[20..22].copy_from_slice(&word.to_be_bytes());
        bytes[24..26].fill(0);
        let sum = checksum::of(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    Frame::of(bytes)
}

fn agree(origin: Origin, mode: Mode, name: &str) -> [usize; 4] {
    let (mut world, mut writer) = guarded(name);
    let (mut numbers, mut now_ns) = (Numbers(11), 0);
    let sas = add_sas(&mut writer, mode);
    // A store says of each packet that the first SA opened it, if one did.
    assert_eq!(writer.sa(SaId::from_raw(0)).unwrap().id().raw(), 0);
    world.origin = origin;
    let (mut met_policy, mut packets) = (0, 0);
    let mut met = [0; 4];
    for round in 0..150 {
        writer.flush_policies();
        if round == 75 {
            assert!(!world.ipsec.has_many());
            add_others(&mut writer);
            assert!(world.ipsec.has_many());
        }
        add_policies(&mut writer, &mut numbers, &sas);
        writer.reclaim();
        for _ in 0..6 {
            let frames: Vec<_> = (0..1 + numbers.below(BURST_MAX))
                .map(|_| match numbers.below(4) {
                    0 => protected(&mut numbers),
                    _ => any(&mut numbers),
                })
                .collect();
            let (ends, stages) = world.compare(&frames, &mut now_ns);
            packets += frames.len();
            met_policy += stages.0[StageId::Policy.index()] as usize;
            for end in &ends.all {
                match end {
                    End::Send(..) => met[0] += 1,
                    End::Open(..) => met[1] += 1,
                    End::Seal(..) => met[2] += 1,
                    End::Drop(..) | End::Punt(..) => met[3] += 1,
                }
            }
        }
    }
    // Most of what is not lost or punted goes straight, or the comparison would show nothing.
    assert!(met_policy < packets, "{met_policy} of {packets}");
    met
}

#[test]
fn what_arrives_is_sent_opened_or_sealed_as_the_stages_do() {
    let met = agree(Origin::Wire, Mode::Tunnel, "wire");
    assert!(met.iter().all(|&count| count > 500), "{met:?}");
}

#[test]
fn what_came_out_of_an_sa_meets_the_policies_as_in_the_stages() {
    let met = agree(Origin::Opened, Mode::Tunnel, "opened");
    assert!(met.iter().all(|&count| count > 20), "{met:?}");
    let met = agree(Origin::Opened, Mode::Transport, "transport");
    assert!(met.iter().all(|&count| count > 20), "{met:?}");
}

#[test]
fn what_the_router_made_and_what_it_sealed_is_sent_as_in_the_stages() {
    agree(Origin::Own, Mode::Tunnel, "own");
    agree(Origin::Sealed, Mode::Tunnel, "sealed");
}

#[test]
fn a_plain_burst_for_a_tunnel_meets_no_stage() {
    let (mut world, mut writer) = guarded("sealed_plain");
    let (mut now_ns, sas) = (0, add_sas(&mut writer, Mode::Tunnel));
    let selector = Selector::between("0.0.0.0/0".parse().unwrap(), "10.0.0.0/16".parse().unwrap());
    let protect = Action::Protect {
        reqid: 0,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        optional: false,
    };
    let policy = PolicySpec::new(PolicyDirection::Out, selector, protect);
    let policy = writer.add_policy(policy).unwrap();
    writer.bind(policy, Some(sas[0])).unwrap();
    let frames: Vec<_> = (0..64)
        .map(|n| Frame::of(plain4(dst4(0, n), 26, n % 3)))
        .collect();
    let (ends, met) = world.compare(&frames, &mut now_ns);
    assert_eq!(met.0[StageId::Classify.index()], 0);
    assert!(
        ends.all
            .iter()
            .all(|end| matches!(end, End::Seal(sa, bytes) if *sa == sas[0] && bytes.len() == 60))
    );
}
