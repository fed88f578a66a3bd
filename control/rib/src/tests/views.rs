//! Lists and explanations.

use super::harness::{APPEND, Box, NEW, PREPEND, group, ip, path};
use crate::{Family, NeighbourState, NexthopBody, RouteFilter};

fn prefixes(views: &[crate::RouteView]) -> Vec<String> {
    views
        .iter()
        .map(|view| view.route.prefix.to_string())
        .collect()
}

#[test]
fn routes_come_in_pages_that_split_no_prefix() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(APPEND, "10.0.0.0/8 via 198.51.100.9 dev p1");
    b.route(NEW, "2001:db8::/32 dev p0 metric 1024");
    b.commit();
    let all = RouteFilter {
        all: true,
        ..Default::default()
    };
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = b.rib.routes(&all, after, 2);
        let Some(last) = page.last() else { break };
        after = Some(last.route.prefix);
        pages.push(prefixes(&page));
    }
    assert_eq!(pages[0], ["10.0.0.0/8", "10.0.0.0/8"]);
    assert_eq!(pages.concat().len(), 12);
    assert_eq!(pages.last().unwrap().last().unwrap(), "2001:db8::/32");
}

#[test]
fn a_list_is_of_what_was_asked_for() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(APPEND, "10.0.0.0/8 via 198.51.100.9 dev p1");
    b.route(NEW, "10.1.0.0/16 via 192.0.2.9 dev p0");
    b.route(NEW, "2001:db8::/32 dev p0 metric 1024");
    b.commit();
    let within = |text: &str| RouteFilter {
        within: text.parse().ok(),
        ..Default::default()
    };
    let list = |filter: &RouteFilter| prefixes(&b.rib.routes(filter, None, usize::MAX));
    assert_eq!(list(&within("10.0.0.0/8")), ["10.0.0.0/8", "10.1.0.0/16"]);
    assert_eq!(list(&within("10.1.0.0/15")), ["10.1.0.0/16"]);
    assert_eq!(
        list(&RouteFilter {
            all: true,
            ..within("10.0.0.0/8")
        })
        .len(),
        3
    );
    let ip6 = RouteFilter {
        family: Some(Family::Ip6),
        ..Default::default()
    };
    assert_eq!(list(&ip6), ["2001:db8::/32"]);
    let active = b.rib.routes(&within("10.0.0.0/8"), None, 10);
    assert!(
        active
            .iter()
            .all(|view| view.active && !view.nexthop.is_none())
    );
    assert_eq!(
        active[0].nexthop, active[1].nexthop,
        "one slot for one gateway"
    );
}

#[test]
fn a_nexthop_counts_its_prefixes() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(
        NEW,
        "11.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1 weight 2",
    );
    b.commit();
    let view = |b: &Box, addr: &str| b.rib.explain(ip(addr)).nexthop.unwrap();
    let single = view(&b, "10.0.0.1");
    assert_eq!(
        (single.group, single.prefixes),
        (false, 2),
        "the route, and the host"
    );
    let adjacency = &single.members[0].0;
    assert_eq!(adjacency.neighbour, Some(ip("192.0.2.9")));
    assert_eq!(adjacency.interface.as_deref(), Some("p0"));
    assert_eq!(adjacency.destination_mac, Some([2, 0, 0, 0, 0, 9]));
    let many = view(&b, "11.0.0.1");
    assert_eq!(
        (many.group, many.prefixes, many.members.len()),
        (true, 1, 2)
    );
    b.del_route("10.0.0.0/8 via 192.0.2.9 dev p0");
    b.commit();
    assert_eq!(view(&b, "192.0.2.9").prefixes, 1);
    assert_eq!(
        b.rib.hops().count(),
        3,
        "the gateways, and the neighbour of p2"
    );
}

#[test]
fn explanations_say_why() {
    let mut b = Box::new();
    b.nexthop(1, NexthopBody::Single(path("192.0.2.9", "p0")));
    b.nexthop(2, group(&[(1, 1)]));
    b.route(
        NEW,
        "10.0.0.0/8 via 192.0.2.7 dev p0 via 198.51.100.9 dev p1",
    );
    b.route(NEW, "10.0.0.0/8 via 203.0.113.9 dev p2 metric 50");
    b.route(NEW, "11.0.0.0/8 via 172.16.0.1 dev eth9");
    b.route(NEW, "12.0.0.0/8 nhid 2");
    b.route(NEW, "throw 13.0.0.0/8");
    b.link("p1", false, false);
    b.commit();
    let why = |addr: &str| b.rib.explain(ip(addr)).why;
    assert_eq!(
        why("10.0.0.1"),
        [
            "longest prefix: 10.0.0.0/8 in table main via 192.0.2.7 dev p0 via 198.51.100.9 dev p1 \
             proto static metric 0",
            "behind it wait: table main metric 50 proto static",
            "via 192.0.2.7 on p0: no neighbour yet, so the kernel resolves it (glean)",
            "via 198.51.100.9 on p1: the interface is down",
        ]
    );
    assert!(why("11.0.0.1")[1].ends_with("not a port of the data plane, so Linux forwards"));
    assert_eq!(
        why("12.0.0.1")[1],
        "via 192.0.2.9 on p0: neighbour 02:00:00:00:00:09 (reachable)"
    );
    assert!(why("13.0.0.1")[0].starts_with("throw 13.0.0.0/8 ends table main"));
    assert_eq!(
        why("14.0.0.1"),
        ["no prefix covers it: network unreachable"]
    );
    assert!(why("192.0.2.9")[1].starts_with("192.0.2.9 is itself a neighbour on p0: 02:"));
    assert_eq!(
        why("192.0.2.1")[1],
        "an address of this router: to the tap of the arrival port"
    );
    assert_eq!(
        b.rib.explain(ip("10.0.0.1")).verdict(),
        ironlane_fib::AdjacencyKind::Glean
    );
}

#[test]
fn a_route_whose_paths_are_all_dead_is_passed_by_until_one_revives() {
    let mut b = Box::bare();
    b.neighbour("fe80::9", "p2", NeighbourState::Stale);
    b.route(NEW, "2001:db8::/32 via fe80::9 dev p2 metric 50");
    b.route(
        PREPEND,
        "2001:db8::/32 via fe80::9 dev p0 via fe80::9 dev p1 metric 20",
    );
    b.link("p1", false, false);
    b.del_route("2001:db8::/32 via fe80::9 dev p0 metric 20");
    assert_eq!(
        b.ask("2001:db8::1"),
        "p2 to .9",
        "the path that is left is dead"
    );
    assert!(b.rib.unhonoured_routes(9).is_empty(), "but not for good");
    b.link("p1", true, true);
    assert_eq!(b.ask("2001:db8::1"), "glean p1");
}
