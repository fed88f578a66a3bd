//! IPv6: what differs from IPv4.

use super::harness::{APPEND, Box, DUMP, NEW, PREPEND, REPLACE};
use crate::{Change, Family, IfIndex, NeighbourState, ObjectKind};

fn routed() -> Box {
    let mut b = Box::bare();
    for port in 0..3 {
        b.route(
            NEW,
            &format!("2001:db8:{port}::/64 dev p{port} proto 2 metric 256"),
        );
        let local = format!("local 2001:db8:{port}::1/128 dev p{port} table local proto 2");
        b.route(NEW, &local);
        b.route(
            PREPEND,
            &format!("fe80::/64 dev p{port} proto 2 metric 256"),
        );
        b.route(
            PREPEND,
            &format!("multicast ff00::/8 dev p{port} table local metric 256"),
        );
        b.neighbour("fe80::9", &format!("p{port}"), NeighbourState::Stale);
    }
    b.commit();
    b
}

const TWO: &str = "2001:db8:f::/48 via fe80::9 dev p0 via fe80::9 dev p1 metric 20";

#[test]
fn one_gateway_address_is_another_neighbour_on_each_port() {
    let mut b = routed();
    b.route(NEW, "2001:db8:a::/48 via fe80::9 dev p0 metric 1024");
    b.route(NEW, "2001:db8:b::/48 via fe80::9 dev p1 metric 1024");
    assert_eq!(b.ask("2001:db8:a::5"), "p0 to .9");
    assert_eq!(b.ask("2001:db8:b::5"), "p1 to .9");
}

#[test]
fn link_local_and_multicast_go_to_the_tap() {
    let mut b = routed();
    assert_eq!(b.ask("fe80::9"), "local");
    assert_eq!(b.ask("fe80::1234"), "local");
    assert_eq!(b.ask("ff02::5"), "local");
    assert_eq!(
        b.rib.route_count(Family::Ip6),
        12,
        "one of each for each port"
    );
}

#[test]
fn a_down_port_takes_single_routes_and_marks_legs() {
    let mut b = routed();
    b.route(NEW, "2001:db8:a::/48 via fe80::9 dev p0 metric 1024");
    b.route(PREPEND, TWO);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");

    b.link("p0", false, false);
    for gone in ["2001:db8:a::1", "2001:db8:0::77", "2001:db8:0::1"] {
        assert_eq!(b.ask(gone), "no_route", "{gone}");
    }
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    // What the kernel announces afterwards finds nothing to delete.
    b.del_route("2001:db8:a::/48 via fe80::9 dev p0 metric 1024");
    b.del_route("fe80::/64 dev p0 proto 2 metric 256");

    b.link("p0", true, true);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");
    b.link("p0", false, false);
    b.link("p1", false, false);
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");
    assert_eq!(b.ask("fe80::9"), "local", "fe80::/64 of p2 is left");
}

#[test]
fn dead_legs_wait_for_the_carrier() {
    let mut b = routed();
    b.route(PREPEND, TWO);
    b.link("p0", false, false);
    b.link("p0", true, false);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    b.link("p1", true, false);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]", "it was up before");
    b.link("p0", true, true);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1]", "and has carrier");
    b.link("p1", true, true);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");
}

#[test]
fn a_leg_that_came_later_is_alive_where_older_ones_are_dead() {
    let mut b = routed();
    let younger = TWO.replace("f::", "e::");
    b.route(PREPEND, TWO);
    b.link("p0", false, false);
    b.link("p0", true, false);
    b.link("p1", true, false);
    b.route(PREPEND, &younger);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    assert_eq!(b.ask("2001:db8:e::1"), "[p0 to .9 x1, p1 to .9 x1]");
    // The same by a list, and by a replacement of the older by the younger.
    let dead = TWO.replace("dev p0", "dev p0 dead");
    b.route(DUMP, &dead);
    b.route(DUMP, &younger);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    assert_eq!(b.ask("2001:db8:e::1"), "[p0 to .9 x1, p1 to .9 x1]");
    b.route(REPLACE, TWO);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");
    b.route(REPLACE, &dead);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    b.link("p0", true, true);
    b.link("p1", true, true);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");
    b.del_route(TWO);
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");
    assert_eq!(b.ask("2001:db8:e::1"), "[p0 to .9 x1, p1 to .9 x1]");
}

#[test]
fn a_route_among_the_legs_of_another_outlives_its_port() {
    let mut b = routed();
    for prefix in ["2001:db8:e::/48", "2001:db8:f::/48"] {
        b.route(NEW, &format!("blackhole {prefix} dev lo metric 20"));
        b.route(APPEND, &format!("{prefix} dev p0 metric 20"));
        b.route(NEW, &format!("{prefix} dev p2 metric 30"));
        b.route(REPLACE, &TWO.replace("2001:db8:f::/48", prefix));
    }
    b.link("p0", false, false);
    b.del_route("2001:db8:e::/48 dev p0 metric 20");
    for host in ["2001:db8:e::1", "2001:db8:f::1"] {
        assert_eq!(b.ask(host), "[p1 to .9 x1]");
    }
    for prefix in ["2001:db8:e::/48", "2001:db8:f::/48"] {
        b.del_route(&format!("{prefix} via fe80::9 dev p1 metric 20"));
        b.del_route(&format!("{prefix} via fe80::9 dev p0 metric 20"));
    }
    assert_eq!(b.ask("2001:db8:e::1"), "glean p2");
    assert_eq!(b.ask("2001:db8:f::1"), "unreachable", "it still stands");
    b.link("p0", true, true);
    assert_eq!(b.ask("2001:db8:f::1"), "glean p0");
    b.link("p0", false, false);
    assert_eq!(b.ask("2001:db8:f::1"), "glean p2", "no legs, no escape");
}

#[test]
fn an_append_carries_the_whole_set() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 via fe80::9 dev p0 metric 20");
    b.route(APPEND, TWO);
    assert_eq!(b.ask("2001:db8:f::1"), "[p0 to .9 x1, p1 to .9 x1]");
    assert_eq!(b.rib.route_count(Family::Ip6), 13);
}

#[test]
fn deleting_one_path_leaves_the_others() {
    let mut b = routed();
    b.route(PREPEND, TWO);
    b.del_route("2001:db8:f::/48 via fe80::9 dev p0 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p1 to .9");
    b.del_route("2001:db8:f::/48 via fe80::9 dev p1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");

    b.route(PREPEND, TWO);
    b.del_route(TWO);
    assert_eq!(
        b.ask("2001:db8:f::1"),
        "no_route",
        "a deletion may name all paths"
    );
}

#[test]
fn replacing_by_one_path_takes_the_place_of_all() {
    let mut b = routed();
    b.route(PREPEND, TWO);
    b.route(REPLACE, "2001:db8:f::/48 via fe80::9 dev p2 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p2 to .9");
    b.route(REPLACE, "blackhole 2001:db8:f::/48 dev lo metric 20");
    assert_eq!(
        b.ask("2001:db8:f::1"),
        "blackhole",
        "for want of one of its sort, the first"
    );
    assert_eq!(b.rib.route_count(Family::Ip6), 13);
}

#[test]
fn replacing_prefers_one_of_its_sort() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 dev p0 metric 20");
    b.route(PREPEND, "2001:db8:f::/48 via fe80::9 dev p1 metric 20");
    b.route(REPLACE, "2001:db8:f::/48 via fe80::9 dev p2 metric 20");
    assert_eq!(
        b.ask("2001:db8:f::1"),
        "glean p0",
        "the one without gateway stands first"
    );
    b.del_route("2001:db8:f::/48 dev p0 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p2 to .9");
}

#[test]
fn a_replacement_may_be_there_already() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 dev p0 metric 20");
    b.route(APPEND, "2001:db8:f::/48 dev p1 metric 20");
    b.route(REPLACE, "2001:db8:f::/48 dev p1 metric 20");
    assert_eq!(
        b.ask("2001:db8:f::1"),
        "glean p1",
        "it takes the first place"
    );
    b.route(REPLACE, "2001:db8:f::/48 dev p1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "glean p1", "said again");
}

#[test]
fn a_replacement_that_was_there_already_is_there_twice() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 dev p0 metric 20");
    b.route(APPEND, "blackhole 2001:db8:f::/48 dev lo metric 20");
    b.route(REPLACE, "blackhole 2001:db8:f::/48 dev lo metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "blackhole");
    b.route(REPLACE, "2001:db8:f::/48 dev p0 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "glean p0");
    b.del_route("2001:db8:f::/48 dev p0 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "blackhole", "the second");
    b.del_route("blackhole 2001:db8:f::/48 dev lo metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");
}

#[test]
fn metrics_fall_back() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 via fe80::9 dev p0 metric 20");
    b.route(NEW, "2001:db8:f::/48 via fe80::9 dev p1 metric 10");
    assert_eq!(b.ask("2001:db8:f::1"), "p1 to .9");
    b.link("p1", false, false);
    assert_eq!(b.ask("2001:db8:f::1"), "p0 to .9");
}

#[test]
fn the_last_address_leaves_gateway_routes() {
    let mut b = routed();
    b.address("2001:db8:0::1/64", "p0");
    b.route(NEW, "2001:db8:f::/48 via fe80::9 dev p0 metric 20");
    b.del_address("2001:db8:0::1/64", "p0");
    b.del_route("local 2001:db8:0::1/128 dev p0 table local proto 2");
    b.del_route("2001:db8:0::/64 dev p0 proto 2 metric 256");
    assert_eq!(b.ask("2001:db8:f::1"), "p0 to .9");
    assert_eq!(b.ask("2001:db8:0::1"), "no_route");
}

#[test]
fn a_port_that_leaves_takes_its_legs_only() {
    let mut b = routed();
    b.route(PREPEND, TWO);
    b.rib.apply(Change::DelLink(IfIndex(10)));
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1]");
    b.del_route("2001:db8:f::/48 via fe80::9 dev p0 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p1 to .9");
}

#[test]
fn a_dump_replaces_the_multipath_set() {
    let mut b = routed();
    b.route(PREPEND, TWO);
    let kind = ObjectKind::Routes(Family::Ip6);
    b.rib.sync_begin(kind);
    b.route(
        DUMP,
        "2001:db8:f::/48 via fe80::9 dev p2 via fe80::9 dev p1 metric 20",
    );
    b.route(DUMP, "fe80::/64 dev p1 proto 2 metric 256");
    b.route(DUMP, "fe80::/64 dev p0 proto 2 metric 256");
    assert_eq!(b.rib.sync_end(kind), 10);
    assert_eq!(b.ask("2001:db8:f::1"), "[p1 to .9 x1, p2 to .9 x1]");
    assert_eq!(b.rib.route_count(Family::Ip6), 3);
}

#[test]
fn the_default_table_is_not_looked_at() {
    let mut b = routed();
    b.route(NEW, "2001:db8:f::/48 via fe80::9 dev p0 table default");
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");
}
