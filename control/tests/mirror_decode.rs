//! Our decoder against recorded messages, whole and damaged.

use std::net::IpAddr;
use std::path::PathBuf;

use ironlane_control::netlink::{Malformed, Message, Messages, change, kind_name};
use ironlane_rib::{Change, NexthopBody, Path, Route, RouteTarget};
use proptest::prelude::*;
use serde_json::Value;

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/netlink")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn datagrams(file: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut all) = (file, Vec::new());
    while let Some((len, tail)) = rest.split_first_chunk() {
        let (datagram, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        all.push(datagram);
        rest = tail;
    }
    all
}

/// What `messages.json` says of a message must be what we decode.
fn compare(message: &Message<'_>, expected: &Value) {
    let name = expected["type"].as_str().unwrap_or_default().to_lowercase();
    if name == "done" {
        return;
    }
    assert_eq!(kind_name(message.kind), name, "{expected}");
    assert_eq!(u64::from(message.flags), expected["flags"], "{expected}");
    let decoded = change(message).unwrap_or_else(|e| panic!("{e}: {expected}"));
    let family = expected["family"].as_u64().unwrap();
    let Some(decoded) = decoded else {
        let foreign = match name.as_str() {
            "newlink" | "dellink" => family != 0,
            "newnexthop" | "delnexthop" => false,
            _ => family != 2 && family != 10,
        };
        return assert!(foreign, "not decoded: {expected}");
    };
    match decoded {
        Change::SetLink(link) => {
            assert_eq!(u64::from(link.index.0), expected["ifindex"]);
            assert_eq!(link.name, expected["name"]);
            assert_eq!(u64::from(link.mtu), expected["mtu"]);
            let flags = expected["ifflags"].as_u64().unwrap();
            assert_eq!(
                (link.up, link.carrier, link.running),
                (flags & 1 != 0, flags & 0x1_0000 != 0, flags & 0x40 != 0)
            );
            let mac = link
                .mac
                .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            assert_eq!(mac.as_deref(), expected["mac"].as_str());
            assert_eq!(
                link.master.map(|m| u64::from(m.0)),
                expected["master"].as_u64()
            );
        }
        Change::DelLink(ifindex) => assert_eq!(u64::from(ifindex.0), expected["ifindex"]),
        Change::SetAddress(address) | Change::DelAddress(address) => {
            assert_eq!(u64::from(address.ifindex.0), expected["ifindex"]);
            assert_eq!(u64::from(address.prefix_len), expected["plen"]);
            assert_eq!(
                address.address.to_string(),
                expected["address"].as_str().unwrap()
            );
        }
        Change::SetNeighbour(neighbour) => {
            assert_eq!(
                neighbour.address.to_string(),
                expected["dst"].as_str().unwrap()
            );
            assert_eq!(u64::from(neighbour.ifindex.0), expected["ifindex"]);
            let mac = neighbour
                .mac
                .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            assert_eq!(mac.as_deref(), expected["lladdr"].as_str());
        }
        Change::DelNeighbour { ifindex, address } => {
            assert_eq!(address.to_string(), expected["dst"].as_str().unwrap());
            assert_eq!(u64::from(ifindex.0), expected["ifindex"]);
        }
        Change::SetRoute(route, _) | Change::DelRoute(route) => compare_route(&route, expected),
        Change::SetNexthop(object) => {
            assert_eq!(u64::from(object.id.0), expected["id"]);
            match object.body {
                NexthopBody::Single(path) => compare_path(&path, expected),
                NexthopBody::Blackhole => assert_eq!(expected["blackhole"], true),
                NexthopBody::Group(members) => {
                    let group = expected["group"].as_array().unwrap();
                    assert_eq!(members.len(), group.len());
                    for (member, expected) in members.iter().zip(group) {
                        assert_eq!(u64::from(member.id.0), expected["id"]);
                        assert_eq!(u64::from(member.weight), expected["weight"]);
                    }
                }
            }
        }
        Change::DelNexthop(id) => assert_eq!(u64::from(id.0), expected["id"]),
        Change::SetRule(rule) | Change::DelRule(rule) => {
            let table = rule.table.map_or(0, |table| u64::from(table.0));
            assert_eq!(table, expected["table"]);
            assert_eq!(rule.ipv6, family == 10);
            assert_eq!(rule.condition.contains("from"), expected["src_len"] != 0);
            assert_eq!(rule.condition.contains("to "), expected["dst_len"] != 0);
        }
    }
}

fn compare_route(route: &Route, expected: &Value) {
    assert_eq!(
        route.prefix.to_string(),
        expected["dst"].as_str().unwrap(),
        "{expected}"
    );
    assert_eq!(u64::from(route.table.0), expected["table"], "{expected}");
    assert_eq!(
        u64::from(route.metric),
        expected["metric"].as_u64().unwrap_or(0),
        "{expected}"
    );
    assert_eq!(u64::from(route.protocol), expected["proto"], "{expected}");
    match &route.target {
        RouteTarget::Object(id) => assert_eq!(u64::from(id.0), expected["nhid"], "{expected}"),
        RouteTarget::Paths(paths) => {
            assert_eq!(expected["nhid"], Value::Null, "{expected}");
            match expected["multipath"].as_array() {
                Some(hops) => {
                    assert_eq!(paths.len(), hops.len(), "{expected}");
                    for (path, hop) in paths.iter().zip(hops) {
                        assert_eq!(u64::from(path.weight), hop["weight"], "{expected}");
                        compare_path(path, hop);
                    }
                }
                None if paths.is_empty() => assert_eq!(expected["oif"], Value::Null, "{expected}"),
                None => {
                    compare_path(&paths[0], expected);
                    assert_eq!(
                        paths[0].encap,
                        expected["encap_type"] != Value::Null,
                        "{expected}"
                    );
                }
            }
        }
    }
}

fn compare_path(path: &Path, expected: &Value) {
    assert_eq!(
        u64::from(path.ifindex.0),
        expected["oif"].as_u64().unwrap_or(0),
        "{expected}"
    );
    let gateway = expected["gateway"].as_str().or(expected["via"].as_str());
    let gateway: Option<IpAddr> = gateway.map(|text| text.parse().unwrap());
    assert_eq!(path.gateway, gateway, "{expected}");
}

#[test]
fn every_recorded_message_is_decoded_as_expected() {
    let all: Value = serde_json::from_slice(&data("messages.json")).unwrap();
    for (name, least) in [("rtnl-monitor", 400), ("rtnl-dump", 100)] {
        let file = data(&format!("{name}.bin"));
        let expected = all[name].as_array().unwrap();
        let messages = datagrams(&file).into_iter().flat_map(Messages::new);
        let messages: Result<Vec<_>, Malformed> = messages.collect();
        let messages = messages.unwrap();
        assert!(messages.len() >= least, "{} messages", messages.len());
        assert_eq!(messages.len(), expected.len());
        for (message, expected) in messages.iter().zip(expected) {
            compare(message, expected);
        }
    }
}

#[test]
fn the_recordings_hold_every_kind_that_the_mirror_listens_to() {
    let files = [data("rtnl-monitor.bin"), data("rtnl-dump.bin")];
    let messages = files
        .iter()
        .flat_map(|file| datagrams(file))
        .flat_map(Messages::new);
    let kinds: std::collections::BTreeSet<_> = messages
        .filter_map(Result::ok)
        .map(|message| kind_name(message.kind))
        .collect();
    for kind in [
        "newlink",
        "dellink",
        "newaddr",
        "deladdr",
        "newroute",
        "delroute",
        "newneigh",
        "delneigh",
        "newrule",
        "newnexthop",
        "delnexthop",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
}

/// Decodes all that is in a datagram and tells how much of it was malformed.
fn decode(datagram: &[u8]) -> (usize, usize) {
    let (mut fine, mut malformed) = (0, 0);
    for message in Messages::new(datagram) {
        match message.and_then(|message| change(&message)) {
            Ok(_) => fine += 1,
            Err(_) => malformed += 1,
        }
    }
    (fine, malformed)
}

#[test]
fn a_message_cut_anywhere_is_counted_and_never_a_panic() {
    let file = data("rtnl-monitor.bin");
    for datagram in datagrams(&file) {
        for len in 1..datagram.len() {
            let (_, malformed) = decode(&datagram[..len]);
            assert_eq!(malformed, 1, "{len} of {} bytes", datagram.len());
            // The same with a header that tells the true length: the attributes are cut.
            let mut cut = datagram[..len].to_vec();
            if len >= 16 {
                cut[..4].copy_from_slice(&(len as u32).to_ne_bytes());
                decode(&cut);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn damaged_messages_never_panic(
        number in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let files = [data("rtnl-monitor.bin"), data("rtnl-dump.bin")];
        let all: Vec<_> = files.iter().flat_map(|file| datagrams(file)).collect();
        let mut bytes = number.get(&all).to_vec();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let (fine, malformed) = decode(&bytes);
        prop_assert!(fine + malformed <= bytes.len() / 16 + 1);
    }

    #[test]
    fn noise_never_panics(
        kind in prop::sample::select(vec![16u16, 17, 20, 21, 24, 25, 28, 29, 32, 33, 104, 105]),
        family in prop::sample::select(vec![0u8, 2, 7, 10, 28, 128]),
        mut body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Some(first) = body.first_mut() {
            *first = family;
        }
        let _ = change(&Message { kind, flags: 0, seq: 0, pid: 0, body: &body });
    }
}
