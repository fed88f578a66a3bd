//! A naive judge of IPv4, written from docs/forwarding.md alone, rule after rule over one packet,
//! against the data plane with its bursts, lanes and short cuts: any combination of header
//! fields, addresses, options, sizes and link-level destinations gets one and the same verdict.

use std::net::Ipv4Addr;

use ironlane_dataplane::reason::{DropReason as D, PuntReason as P};
use ironlane_packet::checksum;
use ironlane_packet::eth::Mac;
use ironlane_tests::{Injected, WholeDp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

/// Everything about a packet that a verdict may depend on.
#[derive(Clone, Debug)]
struct Case {
    mac: Mac,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    version: u8,
    options: &'static [u8],
    /// Added to the right total length.
    length_error: i32,
    padding: usize,
    ttl: u8,
    fragment_word: u16,
    protocol: u8,
    payload: Vec<u8>,
    wrong_checksum: bool,
    cut: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Forward,
    Punt(P),
    Drop(D),
}

/// What the tables below say of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Forward,
    Glean,
    Local,
    OwnBroadcast,
    OtherBroadcast,
    Ends(P, D),
    Swallows(D),
    Kernel,
}

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const MTU: usize = 600;

/// The routes that `routes` installs.
const ROUTES: &[(&str, Route)] = &[
    ("203.0.113.9", Route::Forward),
    ("198.51.100.9", Route::Forward),
    ("198.51.100.77", Route::Glean),
    ("192.0.2.1", Route::Local),
    ("198.51.100.1", Route::Local),
    ("192.0.2.255", Route::OwnBroadcast),
    ("198.51.100.255", Route::OtherBroadcast),
    ("8.8.8.8", Route::Ends(P::NoRoute, D::Ip4NoRoute)),
    ("169.254.9.9", Route::Ends(P::NoRoute, D::Ip4NoRoute)),
    ("10.1.0.1", Route::Swallows(D::Ip4Blackhole)),
    ("10.2.0.1", Route::Ends(P::Unreachable, D::Ip4Unreachable)),
    ("10.3.0.1", Route::Kernel),
    ("10.4.0.1", Route::Ends(P::Prohibit, D::Ip4Prohibit)),
    ("10.5.0.1", Route::Swallows(D::Ip4AdjacencyDrop)),
];

fn routes() -> WholeDp {
    let mut dp = WholeDp::new()
        .port_with("p0", "192.0.2.1/24", 9000, (1, 1))
        .port_with("p1", "198.51.100.1/24", MTU as u16, (1, 1));
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .route("10.1.0.0/16 blackhole")
        .route("10.2.0.0/16 unreachable")
        .route("10.3.0.0/16 kernel")
        .route("10.4.0.0/16 prohibit")
        .route("10.5.0.0/16 drop");
    dp
}

fn frame(case: &Case) -> Vec<u8> {
    let header_len = 20 + case.options.len();
    let total = header_len + case.payload.len();
    let mut ip = vec![0; 20];
    ip[0] = case.version << 4 | (header_len / 4) as u8;
    let total = (total as i32 + case.length_error).clamp(0, 0xffff) as u16;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[6..8].copy_from_slice(&case.fragment_word.to_be_bytes());
    ip[8] = case.ttl;
    ip[9] = case.protocol;
    ip[12..16].copy_from_slice(&case.src.octets());
    ip[16..20].copy_from_slice(&case.dst.octets());
    ip.extend(case.options);
    let check = checksum::of(&ip) ^ u16::from(case.wrong_checksum);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    let mut frame = case.mac.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0xaa, 8, 0]);
    frame.extend(ip);
    frame.extend(&case.payload);
    frame.extend(vec![0xee; case.padding]);
    frame
}

fn martian(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first == 0 || first == 127 || first >= 224
}

/// The judge. It reads the case, not the frame.
fn judge(case: &Case) -> Verdict {
    let header_len = 20 + case.options.len();
    let carried = header_len + case.payload.len() + case.padding;
    let total = header_len as i32 + case.payload.len() as i32 + case.length_error;
    // Header.
    if case.version != 4 {
        return Verdict::Drop(D::Ip4BadVersion);
    }
    if total < header_len as i32 {
        return Verdict::Drop(D::Ip4BadLength);
    }
    let total = total as usize;
    if total > carried {
        return Verdict::Drop(D::Ip4Truncated);
    }
    if case.wrong_checksum {
        return Verdict::Drop(D::Ip4BadChecksum);
    }
    let group = case.dst.is_multicast() || case.dst.is_broadcast();
    if martian(case.dst) && !group {
        return Verdict::Drop(D::Ip4MartianDestination);
    }
    if martian(case.src) && !(case.src.is_unspecified() && group) {
        return Verdict::Drop(D::Ip4MartianSource);
    }
    // The upper layer is what the datagram's length says, be it meant as padding.
    let mut upper = case.payload.clone();
    upper.resize(total - header_len, 0xee);
    let upper = &upper[..];
    let first = case.fragment_word & 0x1fff == 0;
    let control = |otherwise| Verdict::Punt(protocol(case, first, upper, otherwise));
    // Groups and broadcasts.
    if case.dst.is_broadcast() {
        return control(P::Broadcast);
    }
    if case.dst.is_multicast() {
        let own = Mac::of_ip4_group(u32::from(case.dst));
        if case.mac != own && case.mac != Mac::BROADCAST && case.mac != OWN {
            return Verdict::Drop(D::Ip4MulticastBadMac);
        }
        let on_link = case.dst.octets()[..3] == [224, 0, 0];
        return match on_link || case.protocol == 2 {
            true => control(P::LinkMulticast),
            false => Verdict::Drop(D::Ip4MulticastNoRoute),
        };
    }
    // For us?
    let (_, route) = ROUTES
        .iter()
        .find(|(dst, _)| *dst == case.dst.to_string())
        .unwrap();
    match route {
        Route::OwnBroadcast => return control(P::Broadcast),
        Route::OtherBroadcast => return Verdict::Drop(D::Ip4DirectedBroadcast),
        _ if case.mac != OWN => return Verdict::Drop(D::Ip4GroupFrame),
        Route::Local => return control(P::Local),
        _ => {}
    }
    // Exceptions, in their order.
    if case.src.is_link_local() || case.dst.is_link_local() {
        return Verdict::Drop(D::Ip4LinkLocal);
    }
    let is_error = case.protocol == 1
        && match upper.first() {
            Some(kind) => [3, 4, 5, 11, 12].contains(kind),
            None => true,
        };
    let answer = |punt, drop| match first && !is_error {
        true => Verdict::Punt(punt),
        false => Verdict::Drop(drop),
    };
    match *route {
        Route::Ends(punt, drop) => return answer(punt, drop),
        Route::Swallows(drop) => return Verdict::Drop(drop),
        _ => {}
    }
    match case.options {
        [] | [1, ..] => {}
        [148, 4, 0, 0] => return Verdict::Punt(P::RouterAlert),
        _ => return Verdict::Punt(P::Ip4Options),
    }
    if case.ttl <= 1 {
        return answer(P::TtlExpired, D::Ip4TtlExpired);
    }
    // Where Linux sends, it knows the MTU.
    if total > MTU && *route != Route::Kernel {
        return match case.fragment_word & 0x4000 != 0 {
            true => answer(P::TooBig, D::Ip4TooBig),
            false => Verdict::Punt(P::FragmentNeeded),
        };
    }
    match route {
        Route::Forward => Verdict::Forward,
        Route::Glean => Verdict::Punt(P::Glean),
        _ => Verdict::Punt(P::KernelRoute),
    }
}

fn protocol(case: &Case, first: bool, upper: &[u8], otherwise: P) -> P {
    let dst_port = match (first, upper) {
        (true, [_, _, high, low, ..]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    match (case.protocol, dst_port) {
        (1, _) => P::Icmp,
        (2, _) => P::Igmp,
        (89, _) => P::Ospf,
        (112, _) if case.ttl == 255 => P::Vrrp,
        (6, 179) => P::Bgp,
        (17, 3784) if case.ttl == 255 => P::Bfd,
        (17, 520) => P::Rip,
        _ => otherwise,
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let dst = prop::sample::select(
        ROUTES
            .iter()
            .map(|(dst, _)| *dst)
            .chain([
                "224.0.0.5",
                "224.0.0.22",
                "239.1.1.1",
                "255.255.255.255",
                "127.0.0.1",
                "0.0.0.9",
                "240.0.0.1",
            ])
            // Half of all packets go to where most rules apply.
            .chain(["203.0.113.9"; 10])
            .map(|dst| dst.parse::<Ipv4Addr>().unwrap())
            .collect::<Vec<_>>(),
    );
    let src = prop_oneof![
        12 => Just("192.0.2.10"),
        1 => Just("0.0.0.0"),
        1 => Just("127.0.0.1"),
        1 => Just("224.0.0.1"),
        1 => Just("240.0.0.1"),
        2 => Just("169.254.1.1"),
    ];
    let options = prop_oneof![
        6 => Just(&[][..]),
        1 => Just(&[1, 1, 1, 1][..]),
        1 => Just(&[1, 0, 9, 9][..]),
        1 => Just(&[148, 4, 0, 0][..]),
        1 => Just(&[7, 7, 4, 0, 0, 0, 0, 0][..]),
        1 => Just(&[7, 0, 0, 0][..]),
    ];
    let payload = (
        prop::sample::select(vec![0usize, 1, 4, 8, 40, MTU - 20, MTU - 19, 900]),
        prop::sample::select(vec![3u8, 8, 11, 0]),
        prop::sample::select(vec![179u16, 3784, 520, 53]),
    )
        .prop_map(|(len, kind, port)| {
            let [high, low] = port.to_be_bytes();
            let mut payload = vec![kind, 0x77, high, low];
            payload.resize(len, 0x55);
            payload
        });
    let kind = prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
    let length_error =
        prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(-1), 1 => Just(-8), 1 => -1000..1000];
    let header = (
        prop_oneof![15 => Just(4u8), 1 => 0u8..16],
        prop::sample::select(vec![0u8, 1, 2, 64, 64, 64, 64, 255]),
        prop::sample::select(vec![0u16, 0, 0, 0x4000, 0x2000, 0x2001, 0x4001, 185]),
        prop::sample::select(vec![17u8, 17, 6, 1, 2, 89, 112, 47]),
        prop::bool::weighted(0.05),
    );
    let cut = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0usize..90, 1..4)];
    let sizes = (
        length_error,
        prop::sample::select(vec![0usize, 0, 0, 6, 50]),
    );
    (dst, src, options, payload, kind, header, cut, sizes).prop_map(
        |(dst, src, options, payload, kind, header, cut, (length_error, padding))| Case {
            mac: match kind {
                0 => OWN,
                1 => Mac::BROADCAST,
                2 => Mac::of_ip4_group(u32::from(dst)),
                _ => Mac([1, 0, 0x5e, 0, 0, 0x77]),
            },
            src: src.parse().unwrap(),
            dst,
            version: header.0,
            options,
            length_error,
            padding,
            ttl: header.1,
            fragment_word: header.2,
            protocol: header.3,
            payload,
            wrong_checksum: header.4,
            cut,
        },
    )
}

/// Compares one burst; each packet must have had exactly its verdict.
fn compare(dp: &mut WholeDp, cases: &[Case]) {
    let frames: Vec<_> = cases.iter().map(frame).collect();
    let input: Vec<_> = cases
        .iter()
        .zip(&frames)
        .map(|(case, frame)| ("p0", Injected::from(frame).segments(&case.cut)))
        .collect();
    let out = dp.send_all(&input);
    for (case, frame) in cases.iter().zip(&frames) {
        match judge(case) {
            Verdict::Forward => out.forwarded("p1", "02::9", frame),
            Verdict::Punt(reason) => out.punted("p0", reason, frame),
            Verdict::Drop(reason) => out.dropped("p0", reason),
        };
    }
    out.nothing_else();
}

#[test]
pub fn the_data_plane_agrees_with_a_naive_judge() {
    let mut dp = routes();
    let dp = std::cell::RefCell::new(&mut dp);
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let burst = prop::collection::vec(any_case(), 1..50);
    runner
        .run(&burst, |cases| {
            // A failed claim panics in the middle of a step, which proptest shrinks.
            compare(&mut dp.borrow_mut(), &cases);
            Ok(())
        })
        .unwrap();
}

#[test]
pub fn the_judge_meets_every_verdict_that_it_knows() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20_000 {
        let case = any_case().new_tree(&mut runner).unwrap().current();
        seen.insert(match judge(&case) {
            Verdict::Forward => "forward",
            Verdict::Punt(reason) => reason.name(),
            Verdict::Drop(reason) => reason.name(),
        });
    }
    // Forwarding; 19 reasons to punt, 18 to drop.
    assert!(seen.len() >= 36, "{} verdicts: {seen:?}", seen.len());
}
