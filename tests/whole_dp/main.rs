//! The whole data plane in one process: frames in, exact frames out, every counter.
//!
//! One file a feature. `all_reasons.rs` holds that every drop and punt reason is the subject of a
//! test here; `malformed.rs` that every malformed frame gets what its RFC asks for, and
//! `malformed_captures.rs` the same for what was captured elsewhere.

mod all_reasons;
mod captures;
mod chains;
mod control;
mod ethernet;
mod exceptions;
mod forward;
mod glean;
mod groups;
mod inject;
mod ip4_rules;
mod ip6_rules;
mod ipsec;
mod ipsec_ah;
mod ipsec_fragments;
mod ipsec_fragments_ah;
mod ipsec_fragments_refused;
mod ipsec_fuzz;
mod ipsec_in_place;
mod ipsec_interface;
mod ipsec_modes;
mod ipsec_other_sealed;
mod ipsec_out;
mod ipsec_path_mtu;
mod ipsec_peers;
mod ipsec_rekey;
mod ipsec_rules;
mod ipsec_too_big;
mod local;
mod local_groups;
mod malformed;
mod malformed_captures;
mod oracle4;
mod oracle6;
mod ports;
mod properties;
mod routes;
#[path = "../../dataplane/ipsec/tests/soft/mod.rs"]
mod soft;

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::WholeDp;

/// Two ports, a far network of each family behind a neighbour of p1 that is resolved.
fn router() -> WholeDp {
    router_on(WholeDp::new())
}

/// The same with other settings or ports before.
fn router_on(dp: WholeDp) -> WholeDp {
    let mut dp = dp
        .port("p0", "192.0.2.1/24 2001:db8:0:1::1/64")
        .port("p1", "198.51.100.1/24 2001:db8:0:2::1/64");
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    dp
}

/// A host on p0, the router there, and a host far away: IPv4.
const HOST4: &str = "192.0.2.10";
const US4: &str = "192.0.2.1";
const FAR4: &str = "203.0.113.9";
/// The same for IPv6.
const HOST6: &str = "2001:db8:0:1::10";
const US6: &str = "2001:db8:0:1::1";
const FAR6: &str = "2001:db8:f::9";

/// Each frame, received by p0 alone, is lost for its reason, and nothing else happens.
fn all_dropped(dp: &mut WholeDp, cases: Vec<(&str, Vec<u8>, DropReason)>) {
    for (name, frame, reason) in cases {
        println!("{name}: {reason}");
        dp.send("p0", &frame).dropped("p0", reason).nothing_else();
    }
}

/// Each frame, received by p0 alone, goes unchanged to the kernel, and nothing else happens.
fn all_punted(dp: &mut WholeDp, cases: Vec<(&str, Vec<u8>, PuntReason)>) {
    for (name, frame, reason) in cases {
        println!("{name}: {reason}");
        dp.send("p0", &frame)
            .punted("p0", reason, &frame)
            .nothing_else();
    }
}

/// Each frame, received by p0 alone, leaves by p1, and nothing else happens.
fn all_forwarded(dp: &mut WholeDp, cases: Vec<(&str, Vec<u8>)>) {
    for (name, frame) in cases {
        println!("{name}");
        dp.send("p0", &frame)
            .forwarded("p1", "02::9", &frame)
            .nothing_else();
    }
}
