//! Gleans, rewrites and host entries.

use super::harness::{Box, NEW, REPLACE, binding, ip, up_link};
use crate::{Change, IfIndex, Link, NeighbourState, NexthopBody, PortBinding};

#[test]
fn a_route_is_a_glean_until_its_gateway_has_a_mac_and_again_when_it_fails() {
    let mut b = Box::new();
    for number in 0..100 {
        b.route(NEW, &format!("10.{number}.0.0/16 via 192.0.2.7 dev p0"));
    }
    assert_eq!(b.ask("10.5.0.1"), "glean p0");

    b.neighbour("192.0.2.7", "p0", NeighbourState::Reachable);
    let report = b.commit();
    assert_eq!(b.ask("10.5.0.1"), "p0 to .7");
    assert_eq!(
        (report.nexthops_changed, report.prefixes_changed),
        (1, 0),
        "one word for all"
    );
    assert_eq!(report.prefixes_added, 1, "its own host entry");

    for state in [
        NeighbourState::Stale,
        NeighbourState::Delay,
        NeighbourState::Probe,
    ] {
        b.neighbour("192.0.2.7", "p0", state);
        assert!(b.commit().is_empty(), "{state}: the same MAC");
    }
    for lost in [NeighbourState::Failed, NeighbourState::Incomplete] {
        b.neighbour("192.0.2.7", "p0", lost);
        assert_eq!(b.ask("10.5.0.1"), "glean p0");
        assert_eq!(b.ask("192.0.2.7"), "glean p0", "no host entry");
        b.neighbour("192.0.2.7", "p0", NeighbourState::Permanent);
        assert_eq!(b.ask("10.5.0.1"), "p0 to .7");
    }
    b.del_neighbour("192.0.2.7", "p0");
    assert_eq!(b.ask("10.5.0.1"), "glean p0");
}

#[test]
fn a_neighbour_is_a_host_entry_where_its_route_is_on_link_there() {
    let mut b = Box::new();
    assert_eq!(b.ask("192.0.2.9"), "p0 to .9");
    assert_eq!(b.ask("192.0.2.8"), "glean p0");
    b.neighbour("10.0.0.5", "p0", NeighbourState::Reachable);
    assert_eq!(
        b.ask("10.0.0.5"),
        "no_route",
        "the kernel has no route for it"
    );
    b.neighbour("198.51.100.5", "p0", NeighbourState::Reachable);
    assert_eq!(
        b.ask("198.51.100.5"),
        "glean p1",
        "its route is by another port"
    );
}

#[test]
fn covers_that_come_and_go_make_and_unmake_host_entries() {
    let mut b = Box::new();
    b.route(NEW, "192.0.2.9/32 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("192.0.2.9"), "p1 to .9", "a route of the host wins");
    b.del_route("192.0.2.9/32 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("192.0.2.9"), "p0 to .9");

    b.route(NEW, "192.0.2.8/30 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("192.0.2.9"), "p1 to .9", "a longer route wins");
    b.route(REPLACE, "192.0.2.8/30 dev p0");
    assert_eq!(
        b.ask("192.0.2.9"),
        "p0 to .9",
        "a longer route, but on-link"
    );
    b.del_route("192.0.2.8/30 dev p0");
    b.del_route("192.0.2.0/24 dev p0 proto 2 scope 253 src 192.0.2.1");
    assert_eq!(b.ask("192.0.2.9"), "no_route");

    b.route(NEW, "0.0.0.0/0 dev p0");
    assert_eq!(b.ask("192.0.2.9"), "p0 to .9", "the shortest cover of all");
    assert_eq!(b.ask("192.0.2.7"), "glean p0");
}

#[test]
fn a_host_route_on_link_meets_the_neighbour() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.5/32 dev p1");
    assert_eq!(b.ask("10.0.0.5"), "glean p1");
    b.neighbour("10.0.0.5", "p1", NeighbourState::Reachable);
    assert_eq!(b.ask("10.0.0.5"), "p1 to .5");
    b.neighbour("10.0.0.5", "p1", NeighbourState::Failed);
    assert_eq!(b.ask("10.0.0.5"), "glean p1");
}

#[test]
fn our_own_address_stays_local_though_it_is_a_neighbour() {
    let mut b = Box::new();
    b.neighbour("192.0.2.1", "p0", NeighbourState::Permanent);
    assert_eq!(b.ask("192.0.2.1"), "local");
    b.neighbour("192.0.2.255", "p0", NeighbourState::NoArp);
    assert_eq!(b.ask("192.0.2.255"), "broadcast p0");
}

#[test]
fn on_link_by_a_nexthop_object_counts_as_on_link() {
    let mut b = Box::new();
    b.neighbour("10.0.0.5", "p1", NeighbourState::Reachable);
    b.route(NEW, "10.0.0.0/24 nhid 7");
    assert_eq!(b.ask("10.0.0.5"), "kernel", "the object is not known yet");
    b.nexthop(7, NexthopBody::Single(super::harness::path("", "p1")));
    assert_eq!(b.ask("10.0.0.5"), "p1 to .5");
    assert_eq!(b.ask("10.0.0.6"), "glean p1");
    b.nexthop(7, NexthopBody::Single(super::harness::path("", "p2")));
    assert_eq!(b.ask("10.0.0.5"), "glean p2");
}

#[test]
fn a_v6_gateway_serves_v4() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via fe80::9 dev p0");
    assert_eq!(b.ask("10.0.0.1"), "glean p0");
    b.neighbour("fe80::9", "p0", NeighbourState::Reachable);
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
    assert_eq!(b.ask("fe80::9"), "no_route", "no host entry for link-local");
}

#[test]
fn routes_by_other_interfaces_are_left_to_linux() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 172.16.0.1 dev eth9");
    b.route(
        NEW,
        "11.0.0.0/8 via 172.16.0.1 dev eth9 via 192.0.2.9 dev p0",
    );
    assert_eq!(b.ask("10.0.0.1"), "kernel");
    assert_eq!(b.ask("11.0.0.1"), "[kernel x1, p0 to .9 x1]");
    let mut tunnel = super::harness::route("12.0.0.0/8 via 192.0.2.9 dev p0");
    let crate::RouteTarget::Paths(paths) = &mut tunnel.target else {
        unreachable!()
    };
    paths[0].encap = true;
    b.rib
        .apply(Change::SetRoute(tunnel, crate::RouteFlags::from_nlmsg(NEW)));
    assert_eq!(b.ask("12.0.0.1"), "kernel", "a lightweight tunnel");
}

#[test]
fn a_port_that_is_bound_late_or_unbound_moves_its_routes() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.rib.unbind_port(IfIndex(10));
    assert_eq!(b.ask("10.0.0.1"), "kernel");
    assert_eq!(b.ask("192.0.2.9"), "kernel");
    b.rib.bind_port(IfIndex(10), binding(0));
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
    assert_eq!(b.ask("192.0.2.9"), "p0 to .9");
}

#[test]
fn the_mtu_is_the_least_of_port_link_and_route() {
    let mut b = Box::new();
    let mtu_of = |b: &mut Box, addr: &str| {
        b.commit();
        b.rib.explain(ip(addr)).nexthop.expect("a nexthop").members[0]
            .0
            .mtu
    };
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(NEW, "11.0.0.0/8 via 192.0.2.9 dev p0 mtu 1300");
    assert_eq!(
        (mtu_of(&mut b, "10.0.0.1"), mtu_of(&mut b, "11.0.0.1")),
        (1500, 1300)
    );
    b.rib.apply(Change::SetLink(Link {
        mtu: 1280,
        ..up_link(10, "p0")
    }));
    assert_eq!(
        (mtu_of(&mut b, "10.0.0.1"), mtu_of(&mut b, "11.0.0.1")),
        (1280, 1280)
    );
    b.rib.apply(Change::SetLink(Link {
        mtu: 65536,
        ..up_link(10, "p0")
    }));
    b.rib.bind_port(
        IfIndex(10),
        PortBinding {
            mtu: 9000,
            ..binding(0)
        },
    );
    assert_eq!(
        (mtu_of(&mut b, "10.0.0.1"), mtu_of(&mut b, "11.0.0.1")),
        (9000, 1300)
    );
}

#[test]
fn behind_an_ipsec_interface_nothing_is_resolved() {
    let mut b = Box::new();
    b.rib.bind_port(
        IfIndex(12),
        PortBinding {
            mac: None,
            mtu: 1400,
            ..binding(31)
        },
    );
    b.route(NEW, "10.0.0.0/24 dev p2");
    b.route(NEW, "10.1.0.0/24 via 10.0.0.2 dev p2");
    b.route(NEW, "10.2.0.0/24 via 192.0.2.9 dev p0 via 10.0.0.2 dev p2");
    // The kernel lists such a neighbour, with an address of no length or of zeros.
    b.neighbour("10.0.0.2", "p2", NeighbourState::NoArp);
    for inside in ["10.0.0.1", "10.0.0.2", "10.1.0.1"] {
        assert_eq!(b.ask(inside), "ipsec p31 mtu 1400");
    }
    assert_eq!(b.ask("10.2.0.1"), "[ipsec p31 mtu 1400 x1, p0 to .9 x1]");
    b.rib.apply(Change::SetLink(Link {
        mtu: 1300,
        ..up_link(12, "p2")
    }));
    assert_eq!(b.ask("10.1.0.1"), "ipsec p31 mtu 1300");
    b.link("p2", false, false);
    assert_eq!(b.ask("10.1.0.1"), "no_route", "and nothing in clear");
}
