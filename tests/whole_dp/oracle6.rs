//! A naive judge of IPv6, as `oracle4.rs` has one for IPv4.

use std::net::Ipv6Addr;

use ironlane_dataplane::reason::{DropReason as D, PuntReason as P};
use ironlane_packet::eth::Mac;
use ironlane_packet::ip6::Ip6Fields;
use ironlane_tests::{Injected, WholeDp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

/// Everything about a packet that a verdict may depend on.
#[derive(Clone, Debug)]
struct Case {
    mac: Mac,
    src: Ipv6Addr,
    dst: Ipv6Addr,
    version: u8,
    /// Kinds of extension headers, each with its bytes but for the first.
    extensions: Vec<(u8, &'static [u8])>,
    /// Added to the right payload length.
    length_error: i32,
    padding: usize,
    hop_limit: u8,
    protocol: u8,
    payload: Vec<u8>,
    cut: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Forward,
    Punt(P),
    Drop(D),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Forward,
    Glean,
    Local,
    Ends(P, D),
    Swallows(D),
    Kernel,
}

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const MTU: usize = 1280;

const ROUTES: &[(&str, Route)] = &[
    ("2001:db8:f::9", Route::Forward),
    ("2001:db8:0:2::9", Route::Forward),
    ("2001:db8:0:2::77", Route::Glean),
    ("2001:db8:0:1::1", Route::Local),
    ("2001:db8:0:2::", Route::Local),
    ("2001:dead::1", Route::Ends(P::NoRoute, D::Ip6NoRoute)),
    ("2001:db8:a1::1", Route::Swallows(D::Ip6Blackhole)),
    (
        "2001:db8:a2::1",
        Route::Ends(P::Unreachable, D::Ip6Unreachable),
    ),
    ("2001:db8:a3::1", Route::Kernel),
    ("2001:db8:a4::1", Route::Ends(P::Prohibit, D::Ip6Prohibit)),
    ("2001:db8:a5::1", Route::Swallows(D::Ip6AdjacencyDrop)),
];

/// Extension headers to choose from: what follows is written into the first byte.
const PADDING: (u8, &[u8]) = (0, &[0, 1, 4, 0, 0, 0, 0]);
const ALERT: (u8, &[u8]) = (0, &[0, 5, 2, 0, 1, 1, 0]);
const UNKNOWN: (u8, &[u8]) = (0, &[0, 0x9e, 4, 0, 0, 0, 0]);
const DESTINATION: (u8, &[u8]) = (60, &[0, 1, 4, 0, 0, 0, 0]);
const FIRST_FRAGMENT: (u8, &[u8]) = (44, &[0, 0, 1, 0, 0, 0, 7]);
const LATER_FRAGMENT: (u8, &[u8]) = (44, &[0, 0, 9, 0, 0, 0, 7]);

fn routes() -> WholeDp {
    let mut dp = WholeDp::new()
        .port_with("p0", "2001:db8:0:1::1/64", 9000, (1, 1))
        .port_with("p1", "2001:db8:0:2::1/64", MTU as u16, (1, 1));
    dp.route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9")
        .route("2001:db8:a1::/48 blackhole")
        .route("2001:db8:a2::/48 unreachable")
        .route("2001:db8:a3::/48 kernel")
        .route("2001:db8:a4::/48 prohibit")
        .route("2001:db8:a5::/48 drop");
    dp
}

/// Extension headers and payload, linked.
fn body(case: &Case) -> Vec<u8> {
    let mut body = Vec::new();
    for (i, (_, rest)) in case.extensions.iter().enumerate() {
        let next = case
            .extensions
            .get(i + 1)
            .map_or(case.protocol, |(kind, _)| *kind);
        body.push(next);
        body.extend(*rest);
    }
    body.extend(&case.payload);
    body
}

fn frame(case: &Case) -> Vec<u8> {
    let body = body(case);
    let len = (body.len() as i32 + case.length_error).clamp(0, 0xffff) as u16;
    let mut header = Ip6Fields {
        src: case.src.to_bits(),
        dst: case.dst.to_bits(),
        hop_limit: case.hop_limit,
        next_header: case
            .extensions
            .first()
            .map_or(case.protocol, |(kind, _)| *kind),
        ..Ip6Fields::default()
    }
    .to_bytes(len);
    header[0] = case.version << 4;
    let mut frame = case.mac.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0xaa, 0x86, 0xdd]);
    frame.extend(header);
    frame.extend(body);
    frame.extend(vec![0xee; case.padding]);
    frame
}

/// The judge. It reads the case, not the frame, but for what a wrong length leaves of it.
fn judge(case: &Case) -> Verdict {
    let body = body(case);
    let len = body.len() as i32 + case.length_error;
    if case.version != 6 {
        return Verdict::Drop(D::Ip6BadVersion);
    }
    let len = len.max(0) as usize;
    if len > body.len() + case.padding {
        return Verdict::Drop(D::Ip6Truncated);
    }
    let mapped = |a: Ipv6Addr| a.to_ipv4_mapped().is_some();
    if case.dst.is_unspecified() || case.dst.is_loopback() || mapped(case.dst) {
        return Verdict::Drop(D::Ip6MartianDestination);
    }
    let group = case.dst.is_multicast();
    let scope = case.dst.octets()[1] & 15;
    if group && matches!(scope, 0 | 1 | 15) {
        return Verdict::Drop(D::Ip6MulticastScope);
    }
    if case.src.is_loopback()
        || case.src.is_multicast()
        || mapped(case.src)
        || (case.src.is_unspecified() && !group)
    {
        return Verdict::Drop(D::Ip6MartianSource);
    }
    let (upper, first) = upper(case, len);
    let upper = upper.as_deref();
    let known = upper.and_then(|upper| protocol(case, first, upper));
    if group {
        return match scope <= 2 || known == Some(P::Mld) {
            true => Verdict::Punt(known.unwrap_or(P::LinkMulticast)),
            false => Verdict::Drop(D::Ip6MulticastNoRoute),
        };
    }
    if case.mac != OWN {
        return Verdict::Drop(D::Ip6GroupFrame);
    }
    if case.dst.is_unicast_link_local() {
        return Verdict::Punt(known.unwrap_or(P::Local));
    }
    let (_, route) = ROUTES
        .iter()
        .find(|(dst, _)| *dst == case.dst.to_string())
        .unwrap();
    if *route == Route::Local {
        return Verdict::Punt(known.unwrap_or(P::Local));
    }
    let is_error = case.protocol == 58
        && first
        && upper.is_some_and(|upper| upper.first().is_none_or(|kind| *kind < 128 || *kind == 137));
    let answer = |punt, drop| match is_error {
        false => Verdict::Punt(punt),
        true => Verdict::Drop(drop),
    };
    if let Route::Swallows(drop) = *route {
        return Verdict::Drop(drop);
    }
    if case.src.is_unicast_link_local() {
        return answer(P::BeyondScope, D::Ip6LinkLocal);
    }
    if let Route::Ends(punt, drop) = *route {
        return answer(punt, drop);
    }
    if let Some((0, options)) = case.extensions.first() {
        match () {
            // The header itself is beyond what the length says.
            () if len < 8 => return Verdict::Punt(P::Ip6HopByHop),
            () if *options == ALERT.1 => return Verdict::Punt(P::RouterAlert),
            () if *options == UNKNOWN.1 => return Verdict::Punt(P::Ip6HopByHop),
            () => {}
        }
    }
    if case.hop_limit <= 1 {
        return answer(P::TtlExpired, D::Ip6HopLimitExpired);
    }
    if 40 + len > MTU && *route != Route::Kernel {
        return answer(P::TooBig, D::Ip6TooBig);
    }
    match route {
        Route::Forward => Verdict::Forward,
        Route::Glean => Verdict::Punt(P::Glean),
        _ => Verdict::Punt(P::KernelRoute),
    }
}

/// What is there of the upper layer, if the chain of headers is whole, and whether it starts
/// there: behind a later fragment header it does not.
fn upper(case: &Case, len: usize) -> (Option<Vec<u8>>, bool) {
    let mut at = 0;
    for extension in &case.extensions {
        at += 8;
        if at > len {
            return (None, true);
        }
        if *extension == LATER_FRAGMENT {
            return (Some(Vec::new()), false);
        }
    }
    // What the length covers is the packet, be it meant as padding.
    let mut upper = case.payload.clone();
    upper.resize(len - at, 0xee);
    (Some(upper), true)
}

fn protocol(case: &Case, first: bool, upper: &[u8]) -> Option<P> {
    let from_the_link = case.hop_limit == 255;
    let dst_port = match upper {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    match (case.protocol, upper.first()) {
        (89, _) => Some(P::Ospf),
        (112, _) => from_the_link.then_some(P::Vrrp),
        _ if !first => None,
        (58, Some(130..=132 | 143)) => Some(P::Mld),
        (58, Some(133..=137)) if from_the_link => Some(P::Nd),
        (58, Some(_)) => Some(P::Icmp),
        (6, _) if dst_port == 179 => Some(P::Bgp),
        (17, _) if dst_port == 521 => Some(P::Rip),
        _ => None,
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let dst = prop::sample::select(
        ROUTES
            .iter()
            .map(|(dst, _)| *dst)
            .chain([
                "ff02::1", "ff02::5", "ff05::2", "ff01::1", "ff0f::1", "fe80::1",
            ])
            .chain(["::", "::1", "::ffff:192.0.2.1"])
            .chain(["2001:db8:f::9"; 10])
            .map(|dst| dst.parse::<Ipv6Addr>().unwrap())
            .collect::<Vec<_>>(),
    );
    let src = prop_oneof![
        12 => Just("2001:db8:0:1::10"),
        1 => Just("::"),
        1 => Just("::1"),
        1 => Just("ff02::1"),
        1 => Just("::ffff:192.0.2.9"),
        3 => Just("fe80::9"),
    ];
    let extensions = prop_oneof![
        8 => Just(vec![]),
        1 => Just(vec![PADDING]),
        1 => Just(vec![ALERT]),
        1 => Just(vec![UNKNOWN]),
        1 => Just(vec![DESTINATION, DESTINATION]),
        1 => Just(vec![FIRST_FRAGMENT]),
        1 => Just(vec![LATER_FRAGMENT]),
        1 => Just(vec![PADDING, DESTINATION, FIRST_FRAGMENT]),
    ];
    let payload = (
        prop::sample::select(vec![0usize, 1, 4, 8, 40, MTU - 40, MTU - 39, 2000]),
        prop::sample::select(vec![1u8, 3, 128, 131, 135, 137, 143]),
        prop::sample::select(vec![179u16, 521, 53]),
    )
        .prop_map(|(len, kind, port)| {
            let [high, low] = port.to_be_bytes();
            let mut payload = vec![kind, 0, high, low];
            payload.resize(len, 0x55);
            payload
        });
    let mac = prop_oneof![
        6 => Just(OWN),
        1 => Just(Mac::BROADCAST),
        1 => Just(Mac([0x33, 0x33, 0, 0, 0, 1])),
    ];
    let length_error = prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(-1), 1 => -3000..1000];
    let header = (
        prop_oneof![15 => Just(6u8), 1 => 0u8..16],
        prop::sample::select(vec![0u8, 1, 2, 64, 64, 64, 64, 255]),
        prop::sample::select(vec![17u8, 17, 6, 58, 58, 89, 112, 47, 59]),
    );
    let cut = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0usize..120, 1..4)];
    let sizes = (
        length_error,
        prop::sample::select(vec![0usize, 0, 0, 6, 50]),
    );
    (dst, src, extensions, payload, mac, header, cut, sizes).prop_map(
        |(dst, src, extensions, payload, mac, header, cut, (length_error, padding))| Case {
            mac,
            src: src.parse().unwrap(),
            dst,
            version: header.0,
            extensions,
            length_error,
            padding,
            hop_limit: header.1,
            protocol: header.2,
            payload,
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
    assert!(seen.len() >= 33, "{} verdicts: {seen:?}", seen.len());
}
