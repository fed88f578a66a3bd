//! Nexthop objects: shared, replaced, deleted with and without a word.

use super::harness::{APPEND, Box, NEW, REPLACE, group, path};
use crate::{NexthopBody, ObjectKind};

fn with_objects() -> Box {
    let mut b = Box::new();
    b.nexthop(1, NexthopBody::Single(path("192.0.2.9", "p0")));
    b.nexthop(2, NexthopBody::Single(path("198.51.100.9", "p1")));
    b.nexthop(3, group(&[(1, 1), (2, 2)]));
    b.nexthop(4, NexthopBody::Blackhole);
    b.route(NEW, "10.0.0.0/8 nhid 1");
    b.route(NEW, "11.0.0.0/8 nhid 3");
    b.route(NEW, "12.0.0.0/8 nhid 4");
    b.commit();
    b
}

#[test]
fn objects_of_each_kind_answer() {
    let mut b = with_objects();
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
    assert_eq!(b.ask("11.0.0.1"), "[p0 to .9 x1, p1 to .9 x2]");
    assert_eq!(b.ask("12.0.0.1"), "blackhole");
}

#[test]
fn replacing_an_object_is_one_word_for_all_routes_and_groups() {
    let mut b = with_objects();
    b.nexthop(1, NexthopBody::Single(path("203.0.113.9", "p2")));
    // The kernel then repeats every IPv4 route that uses it.
    b.route(REPLACE, "10.0.0.0/8 nhid 1");
    b.route(REPLACE, "11.0.0.0/8 nhid 3");
    let report = b.commit();
    assert_eq!((report.nexthops_changed, report.prefixes()), (1, 0));
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x2, p2 to .9 x1]");
}

#[test]
fn a_route_said_again_for_its_object_takes_no_place() {
    let mut b = with_objects();
    b.route(NEW, "blackhole 2001:db8:f::/48 dev lo metric 20");
    b.route(APPEND, "2001:db8:f::/48 nhid 1 metric 20");
    b.nexthop(1, NexthopBody::Single(path("203.0.113.9", "p2")));
    b.route_again("2001:db8:f::/48 nhid 1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "blackhole");
    // A true replacement takes the first place, and it is there twice.
    b.route(REPLACE, "2001:db8:f::/48 nhid 1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p2 to .9");
    b.del_route("2001:db8:f::/48 nhid 1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "p2 to .9", "the second");
    b.del_route("2001:db8:f::/48 nhid 1 metric 20");
    assert_eq!(b.ask("2001:db8:f::1"), "no_route");
}

#[test]
fn an_object_that_becomes_a_blackhole_renames_its_routes() {
    let mut b = Box::new();
    b.nexthop(1, NexthopBody::Blackhole);
    b.route(NEW, "throw 10.0.0.0/8");
    b.route(APPEND, "blackhole 10.0.0.0/8 nhid 1");
    b.nexthop(1, NexthopBody::Single(path("192.0.2.9", "p0")));
    b.route(REPLACE, "10.0.0.0/8 nhid 1");
    assert_eq!(
        b.ask("10.0.0.1"),
        "no_route",
        "it is the same route, and not the first"
    );
    b.del_route("throw 10.0.0.0/8");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
}

#[test]
fn a_route_moves_from_an_object_to_another() {
    let mut b = with_objects();
    b.route(REPLACE, "10.0.0.0/8 nhid 3");
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1, p1 to .9 x2]");
    b.route(REPLACE, "10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
}

#[test]
fn deleting_an_object_takes_its_routes_and_shrinks_its_groups() {
    let mut b = with_objects();
    b.del_nexthop(1);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x2]");
    b.del_nexthop(2);
    assert_eq!(
        b.ask("11.0.0.1"),
        "no_route",
        "the group went with its last member"
    );
    assert!(b.rib.nexthop_objects().all(|object| object.id.0 == 4));
}

#[test]
fn a_deleted_id_that_returns_does_not_bring_its_routes_back() {
    let mut b = with_objects();
    b.del_nexthop(1);
    b.nexthop(1, NexthopBody::Single(path("203.0.113.9", "p2")));
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    b.route(NEW, "10.0.0.0/8 nhid 1");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");
}

#[test]
fn a_link_that_goes_down_deletes_objects_without_a_word() {
    let mut b = with_objects();
    b.link("p0", false, false);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x2]");
    assert_eq!(b.ask("12.0.0.1"), "blackhole");
    assert!(b.rib.take_audit().contains(&ObjectKind::Nexthops));
    b.link("p0", true, true);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(
        b.ask("11.0.0.1"),
        "[p1 to .9 x2]",
        "the member is gone for good"
    );
}

#[test]
fn carrier_loss_deletes_objects_without_a_word() {
    let mut b = with_objects();
    b.route(NEW, "13.0.0.0/8 via 192.0.2.9 dev p0");
    b.link("p0", true, false);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x2]");
    assert_eq!(
        b.ask("13.0.0.1"),
        "p0 to .9",
        "a route with a path of its own stays"
    );
}

#[test]
fn objects_may_come_after_the_routes_that_use_them() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 nhid 9");
    assert_eq!(b.ask("10.0.0.1"), "kernel", "Linux knows it");
    b.nexthop(9, group(&[(1, 1), (2, 1)]));
    b.nexthop(1, NexthopBody::Single(path("192.0.2.9", "p0")));
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1]");
    b.nexthop(2, NexthopBody::Single(path("198.51.100.9", "p1")));
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1, p1 to .9 x1]");
}

#[test]
fn a_dump_sweeps_objects_and_what_used_them() {
    let mut b = with_objects();
    b.rib.sync_begin(ObjectKind::Nexthops);
    b.nexthop(2, NexthopBody::Single(path("198.51.100.9", "p1")));
    b.nexthop(3, group(&[(2, 2)]));
    assert_eq!(b.rib.sync_end(ObjectKind::Nexthops), 2);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x2]");
}

#[test]
fn a_group_too_large_for_the_tables_is_left_to_linux() {
    let mut b = Box::new();
    let members: Vec<(u32, u16)> = (100..700).map(|id| (id, 1)).collect();
    for &(id, _) in &members {
        let gateway = format!("192.0.{}.{}", 2 + id / 256, id % 256);
        b.nexthop(id, NexthopBody::Single(path(&gateway, "p0")));
    }
    b.nexthop(9, group(&members));
    b.route(NEW, "10.0.0.0/8 nhid 9");
    assert_eq!(b.commit().refused, 1);
    assert_eq!(b.ask("10.0.0.1"), "kernel");
    b.nexthop(9, group(&members[..2]));
    assert_eq!(b.ask("10.0.0.1"), "[glean p0 x1, glean p0 x1]");
}
