//! Every malformed frame of the collection, with the verdict that its RFC asks for: a test for each,
//! `malformed::each::ID` with `_` for what a name cannot have.
//!
//! The collection says for each frame what a router must do (`action`), what else conforms
//! (`also_ok`), and which ICMP error is due. Here an action has been taken if the frame was
//! forwarded, punted or dropped; and beyond `also_ok` the following are right as well, for the
//! reason given:
//!
//! - a drop with an ICMP error: a punt by which the kernel sends that error, by type and code;
//! - "forward, in fragments": a punt by which the kernel fragments and forwards;
//! - what [`DEVIATIONS`] lists, case by case.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::data::{self, Expectation};
use ironlane_tests::{Event, WholeDp, expect_forwarded, mac};

/// What the data plane did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Forwarded,
    Punted(PuntReason),
    Dropped(DropReason),
}

/// Cases whose verdict here is neither the action nor in `also_ok`, and why that is right.
const DEVIATIONS: &[(&str, Done, &str)] = &[
    (
        "ok-v4-vlan100",
        Done::Dropped(DropReason::EthUnknownVlan),
        "the collection has VLAN 100 configured on the port; there are no sub-interfaces yet",
    ),
    (
        "v4-icmp-redirect-case",
        Done::Punted(PuntReason::Glean),
        "the neighbour on the arrival link has no MAC yet: Linux resolves it and forwards",
    ),
];

/// Categories judged by the kernel so far: what is addressed to the router goes to it whole.
const KERNELS: &[(&str, PuntReason, &str)] = &[
    (
        "ipsec",
        PuntReason::Ipsec,
        "ESP and AH are the kernel's until Ironlane has IPsec",
    ),
    ("ipsec", PuntReason::Ike, "so is their encapsulation in UDP"),
];

/// The router of the collection's context.
pub fn context() -> WholeDp {
    let mut dp = WholeDp::new()
        // Its MTU is 1500 for output; some cases need frames longer than that to arrive.
        .port_with("p0", "192.0.2.1/24 2001:db8:0:1::1/64", 9000, (1, 1))
        .port("p1", "198.51.100.1/24 2001:db8:0:2::1/64");
    for route in ["203.0.113.0/24", "default"] {
        dp.route(&format!("{route} via 198.51.100.9"));
    }
    for route in ["2001:db8:f::/48", "default6"] {
        dp.route(&format!("{route} via 2001:db8:0:2::9"));
    }
    dp.neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    dp
}

/// What becomes of a frame that p0 receives; it must be sent, punted or dropped as one has to be.
pub fn replay(dp: &mut WholeDp, frame: &[u8]) -> Done {
    let src = dp.mac("p1");
    let out = dp.send("p0", frame);
    let (events, drops) = out.take_events();
    let done = match (&events[..], &drops[..]) {
        ([], [(port, reason, 1)]) => {
            out.dropped(port, *reason);
            Done::Dropped(*reason)
        }
        (
            [
                Event::Punted {
                    port,
                    reason,
                    bytes,
                },
            ],
            [],
        ) => {
            assert_eq!(
                (&port[..], &bytes[..]),
                ("p0", frame),
                "a punt is what arrived"
            );
            Done::Punted(*reason)
        }
        ([Event::Sent { port, bytes }], []) => {
            assert_eq!(port, "p1");
            assert_eq!(*bytes, expect_forwarded(frame, mac("02::9"), src));
            Done::Forwarded
        }
        other => panic!("not one verdict: {other:?}"),
    };
    out.nothing_else();
    done
}

/// Types and codes of the ICMP errors that the kernel may answer with when a packet is punted for
/// this reason.
fn answers(reason: PuntReason, ip6: bool) -> &'static [[u8; 2]] {
    match (reason, ip6) {
        (PuntReason::TtlExpired, false) => &[[11, 0]],
        (PuntReason::TtlExpired, true) => &[[3, 0]],
        (PuntReason::TooBig, false) => &[[3, 4]],
        (PuntReason::TooBig, true) => &[[2, 0]],
        (PuntReason::NoRoute, false) => &[[3, 0]],
        (PuntReason::NoRoute, true) => &[[1, 0]],
        (PuntReason::Unreachable, false) => &[[3, 1]],
        (PuntReason::Unreachable, true) => &[[1, 0]],
        (PuntReason::Prohibit, false) => &[[3, 13]],
        (PuntReason::Prohibit, true) => &[[1, 1]],
        (PuntReason::BeyondScope, true) => &[[1, 2]],
        // Parameter problem, source route failed.
        (PuntReason::Ip4Options, false) => &[[12, 0], [3, 5]],
        // Bad header field, unknown option.
        (PuntReason::Ip6HopByHop, true) => &[[4, 0], [4, 2]],
        // At the destination itself: protocol and port unreachable; for IPv6 the headers too.
        (PuntReason::Local, false) => &[[3, 2], [3, 3]],
        (PuntReason::Local, true) => &[[4, 0], [4, 1], [4, 2], [1, 4]],
        // Sent on by the port that it came by, with a redirect.
        (PuntReason::Glean, false) => &[[5, 1]],
        _ => &[],
    }
}

/// True if the kernel does nothing with such a packet but answer it with an error.
fn ends_in_an_error(reason: PuntReason) -> bool {
    matches!(
        reason,
        PuntReason::TtlExpired
            | PuntReason::TooBig
            | PuntReason::NoRoute
            | PuntReason::Unreachable
            | PuntReason::Prohibit
            | PuntReason::BeyondScope
    )
}

/// Whether the ICMP error that is due can come of this, and no other.
fn is_answered(case: &Expectation, frame: &[u8], done: Done) -> bool {
    let ip6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
    match (case.icmp, done) {
        (Some(due), Done::Punted(reason)) => answers(reason, ip6).contains(&due),
        // Some errors need not be sent, or something else may be done: the collection says so.
        (Some(_), Done::Dropped(_)) => !case.also_ok.is_empty(),
        (None, Done::Punted(reason)) => !ends_in_an_error(reason),
        (_, Done::Forwarded | Done::Dropped(_)) => true,
    }
}

fn is_right(case: &Expectation, done: Done) -> bool {
    if let Some((_, expected, _)) = DEVIATIONS.iter().find(|(id, _, _)| *id == case.id) {
        return done == *expected;
    }
    let action = match done {
        Done::Forwarded => "forward",
        Done::Punted(_) => "punt",
        Done::Dropped(_) => "drop",
    };
    if case.action == action || case.also_ok.iter().any(|other| other == action) {
        return true;
    }
    match done {
        Done::Punted(PuntReason::FragmentNeeded) => {
            case.reason == "fragment" || case.also_ok.iter().any(|other| other == "forward")
        }
        // Dropped, as far as the sender can see: `is_answered` looks at the error.
        Done::Punted(_) if case.action == "drop" && case.icmp.is_some() => true,
        Done::Punted(reason) => KERNELS
            .iter()
            .any(|(category, r, _)| case.category == *category && reason == *r),
        _ => false,
    }
}

/// Reasons for which the collection has a frame dropped, and ours that mean the same.
const SAME: &[(&str, &[&str])] = &[
    (
        "l2-truncated",
        &["eth_truncated", "eth_bad_length", "eth_unknown_vlan"],
    ),
    ("l2-not-for-us", &["eth_not_for_us"]),
    ("l2-bad-source", &["eth_group_source"]),
    ("l2-own-source", &["eth_own_source"]),
    ("l2-bcast-l3-unicast", &["ip4_group_frame"]),
    (
        "l2-mcast-l3-unicast",
        &["ip4_group_frame", "ip6_group_frame"],
    ),
    ("l2-unknown-ethertype", &["eth_unknown_type"]),
    ("l2-unknown-vlan", &["eth_unknown_vlan"]),
    ("l2-reserved-vlan", &["eth_reserved_vlan"]),
    ("l2-mac-control", &["eth_mac_control"]),
    ("ip4-truncated", &["ip4_truncated"]),
    ("ip4-bad-version", &["ip4_bad_version"]),
    ("ip4-bad-ihl", &["ip4_bad_ihl"]),
    ("ip4-bad-length", &["ip4_bad_length"]),
    ("ip4-bad-checksum", &["ip4_bad_checksum"]),
    ("ip4-martian-source", &["ip4_martian_source"]),
    ("ip4-martian-destination", &["ip4_martian_destination"]),
    ("ip4-linklocal", &["ip4_link_local"]),
    ("ip4-directed-broadcast", &["ip4_directed_broadcast"]),
    ("ip4-ttl-exceeded", &["ip4_ttl_expired"]),
    ("ip4-mcast-no-route", &["ip4_multicast_no_route"]),
    ("l2-mcast-mismatch", &["ip4_multicast_bad_mac"]),
    ("ip6-truncated", &["ip6_truncated"]),
    ("ip6-bad-version", &["ip6_bad_version"]),
    ("ip6-martian-source", &["ip6_martian_source"]),
    ("ip6-martian-destination", &["ip6_martian_destination"]),
    ("ip6-hop-limit", &["ip6_hop_limit_expired"]),
    (
        "ip6-mcast",
        &["ip6_multicast_scope", "ip6_multicast_no_route"],
    ),
    ("arp-truncated", &["arp_truncated"]),
    ("arp-bad-type", &["arp_bad_type"]),
    ("arp-bad-length", &["arp_bad_length"]),
    ("arp-bad-op", &["arp_bad_op"]),
    ("arp-bad-sender", &["arp_bad_sender"]),
];

/// The names of [`SAME`] for a case; what is behind a label is not looked at, since MPLS is an
/// unknown type as yet.
fn same_drop(case: &Expectation) -> Option<&'static [&'static str]> {
    let (_, names) = SAME.iter().find(|(reason, _)| *reason == case.reason)?;
    (case.category != "mpls").then_some(names)
}

/// The test of one case, by its id: see `build.rs`.
fn case(id: &str) {
    static ALL: LazyLock<Vec<(Expectation, Vec<u8>)>> = LazyLock::new(data::malformed);
    let (case, frame) = ALL.iter().find(|(case, _)| case.id == id).expect(id);
    let done = replay(&mut context(), frame);
    assert!(
        is_right(case, done) && is_answered(case, frame, done),
        "{done:?}, but {} asks for {} ({}), icmp {:?}, also {:?}",
        case.rfc,
        case.action,
        case.reason,
        case.icmp,
        case.also_ok
    );
    if let (Done::Dropped(reason), Some(names)) = (done, same_drop(case)) {
        assert!(
            names.contains(&reason.name()),
            "{}, not {reason}",
            case.reason
        );
    }
}

/// A test for each case, named by its id.
mod each {
    include!(concat!(env!("OUT_DIR"), "/malformed.rs"));
}

#[test]
fn an_error_other_than_the_one_that_is_due_is_wrong() {
    let cases = data::malformed();
    let right = |id: &str, done| {
        let (case, frame) = cases.iter().find(|(case, _)| case.id == id).expect(id);
        is_right(case, done) && is_answered(case, frame, done)
    };
    for (id, due, other) in [
        ("v4-ttl-1", PuntReason::TtlExpired, PuntReason::TooBig),
        ("v6-hl-1", PuntReason::TtlExpired, PuntReason::NoRoute),
        ("v6-too-big", PuntReason::TooBig, PuntReason::TtlExpired),
        (
            "v6-src-linklocal",
            PuntReason::BeyondScope,
            PuntReason::Local,
        ),
    ] {
        assert!(right(id, Done::Punted(due)), "{id}: {due}");
        assert!(!right(id, Done::Punted(other)), "{id}: {other}");
        let silent = Done::Dropped(DropReason::Ip4NoRoute);
        assert!(!right(id, silent), "{id} in silence");
    }
    assert!(!right("ok-v4", Done::Punted(PuntReason::TtlExpired)));
}

#[test]
fn most_drops_of_the_collection_have_their_reason_compared() {
    let cases = data::malformed();
    assert_eq!(cases.len(), 372);
    let drops = cases.iter().filter(|(case, _)| case.action == "drop");
    let (compared, all) = drops.fold((0, 0), |(compared, all), (case, _)| {
        (compared + usize::from(same_drop(case).is_some()), all + 1)
    });
    assert!(compared > 120, "{compared} of {all}");
}

#[test]
pub fn a_frame_gets_the_same_verdict_alone_and_among_others() {
    let mut dp = context();
    let frames: Vec<_> = data::malformed()
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    // A prime number, so that bursts of 64 cut the rounds in many places.
    for size in [7, 61, 372] {
        for burst in frames.chunks(size) {
            let mut alone = Vec::new();
            let mut alone_drops = BTreeMap::new();
            for frame in burst {
                let out = dp.send("p0", frame);
                let (events, drops) = out.take_events();
                alone.extend(events);
                for (port, reason, n) in drops {
                    out.dropped_n(&port, reason, n);
                    *alone_drops.entry((port, reason)).or_insert(0) += n;
                }
                out.nothing_else();
            }
            let input: Vec<_> = burst.iter().map(|frame| ("p0", frame.into())).collect();
            let out = dp.send_all(&input);
            let (mut together, drops) = out.take_events();
            for (port, reason, n) in &drops {
                out.dropped_n(port, *reason, *n);
            }
            let together_drops: BTreeMap<_, _> = drops
                .into_iter()
                .map(|(port, reason, n)| ((port, reason), n))
                .collect();
            // Rings have an order each, by port or by priority; sorting both makes them one.
            let key = |event: &Event| format!("{event:?}");
            alone.sort_by_key(key);
            together.sort_by_key(key);
            assert_eq!(alone, together);
            assert_eq!(alone_drops, together_drops);
            out.nothing_else();
        }
    }
}
