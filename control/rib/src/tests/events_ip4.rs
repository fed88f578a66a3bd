//! IPv4: a test for each way in which the kernel changes routes, announced or not.

use super::harness::{APPEND, Box, DUMP, NEW, PREPEND, REPLACE};
use crate::{Change, Family, IfIndex, ObjectKind};

const NET: &str = "10.0.0.0/8";

#[test]
fn a_port_that_goes_down_takes_its_routes_but_local_ones() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(NEW, "10.1.0.0/16 dev p0");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");

    b.link("p0", false, false);

    for gone in [
        "10.0.0.1",
        "10.1.0.1",
        "192.0.2.77",
        "192.0.2.9",
        "192.0.2.255",
    ] {
        assert_eq!(b.ask(gone), "no_route", "{gone}");
    }
    assert_eq!(
        b.ask("192.0.2.1"),
        "local",
        "routes of scope host outlive the link"
    );
    assert_eq!(b.ask("198.51.100.9"), "p1 to .9", "another port");
    assert!(
        b.rib
            .take_audit()
            .contains(&ObjectKind::Routes(Family::Ip4))
    );
}

#[test]
fn a_port_that_comes_back_brings_what_is_announced_and_no_more() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.link("p0", false, false);
    b.commit();

    b.link("p0", true, true);
    b.route(NEW, "192.0.2.0/24 dev p0 proto 2 scope 253 src 192.0.2.1");

    assert_eq!(b.ask("192.0.2.9"), "p0 to .9");
    assert_eq!(
        b.ask("10.0.0.1"),
        "no_route",
        "gateway routes do not come back"
    );
}

#[test]
fn a_multipath_route_loses_the_leg_of_a_port_that_goes_down_and_gets_it_back() {
    let mut b = Box::new();
    b.route(
        NEW,
        "10.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1 weight 3",
    );
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1, p1 to .9 x3]");

    b.link("p0", false, false);
    assert_eq!(b.ask("10.0.0.1"), "[p1 to .9 x3]");

    b.link("p0", true, true);
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1, p1 to .9 x3]");

    b.link("p0", false, false);
    b.link("p1", false, false);
    assert_eq!(
        b.ask("10.0.0.1"),
        "no_route",
        "with its last leg the route goes"
    );
    b.link("p0", true, true);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
}

#[test]
fn a_leg_going_down_writes_one_word_for_any_number_of_prefixes() {
    let mut b = Box::new();
    for number in 0..1000 {
        let legs = "via 192.0.2.9 dev p0 via 198.51.100.9 dev p1";
        b.route(
            NEW,
            &format!("10.{}.{}.0/24 {legs}", number / 256, number % 256),
        );
    }
    b.commit();

    b.link("p0", false, false);
    let report = b.commit();

    // The rest is what p0 had itself: its subnet, broadcast address and neighbour.
    assert_eq!((report.prefixes_added, report.prefixes_changed), (0, 0));
    assert_eq!(report.prefixes_removed, 3);
    assert_eq!(b.ask("10.3.0.1"), "[p1 to .9 x1]");
}

#[test]
fn carrier_loss_keeps_single_paths_and_takes_legs_out() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(
        NEW,
        "11.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1",
    );

    b.link("p0", true, false);
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9", "linkdown, but used");
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x1]");

    b.link("p1", true, false);
    assert_eq!(
        b.ask("11.0.0.1"),
        "[p0 to .9 x1, p1 to .9 x1]",
        "none is better than the other"
    );

    b.link("p0", true, true);
    assert_eq!(b.ask("11.0.0.1"), "[p0 to .9 x1]");
}

#[test]
fn the_last_address_takes_all_routes_of_the_port() {
    let mut b = Box::new();
    b.address("192.0.2.5/24", "p0");
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(
        NEW,
        "11.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1",
    );

    b.del_address("192.0.2.5/24", "p0");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9", "one address is left");

    b.del_address("192.0.2.1/24", "p0");
    b.del_route("192.0.2.0/24 dev p0 proto 2 scope 253 src 192.0.2.1");
    b.del_route("local 192.0.2.1/32 dev p0 table local scope 254");
    b.del_route("broadcast 192.0.2.255/32 dev p0 table local scope 253");
    for gone in ["10.0.0.1", "192.0.2.1", "192.0.2.9"] {
        assert_eq!(b.ask(gone), "no_route", "{gone}");
    }
    assert_eq!(b.ask("11.0.0.1"), "[p1 to .9 x1]", "the leg is dead");

    b.address("192.0.2.1/24", "p0");
    b.route(NEW, "192.0.2.0/24 dev p0 proto 2 scope 253 src 192.0.2.1");
    assert_eq!(
        b.ask("11.0.0.1"),
        "[p0 to .9 x1, p1 to .9 x1]",
        "and revives with an address"
    );
}

#[test]
fn an_address_takes_the_routes_that_have_it_as_source() {
    let mut b = Box::new();
    b.address("192.0.2.5/24", "p0");
    b.route(NEW, "10.0.0.0/8 via 198.51.100.9 dev p1 src 192.0.2.5");
    b.route(NEW, "11.0.0.0/8 via 198.51.100.9 dev p1");

    b.del_address("192.0.2.5/24", "p0");

    assert_eq!(b.ask("10.0.0.1"), "no_route");
    assert_eq!(b.ask("11.0.0.1"), "p1 to .9");
    // Since 6.4 the kernel announces these: nothing is left to delete.
    b.del_route("10.0.0.0/8 via 198.51.100.9 dev p1 src 192.0.2.5");
    assert_eq!(b.ask("10.0.0.1"), "no_route");
}

#[test]
fn a_port_that_leaves_takes_whole_multipath_routes() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(
        NEW,
        "11.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1",
    );

    b.rib.apply(Change::DelLink(IfIndex(10)));

    for gone in [
        "10.0.0.1",
        "11.0.0.1",
        "192.0.2.1",
        "192.0.2.9",
        "192.0.2.255",
    ] {
        assert_eq!(b.ask(gone), "no_route", "{gone}");
    }
}

#[test]
fn replace_takes_the_place_of_the_first_with_its_metric() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(REPLACE, "10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
    assert_eq!(b.rib.route_count(Family::Ip4), 10);

    b.route(NEW, "10.0.0.0/8 via 203.0.113.9 dev p2 metric 5");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9", "metric 0 is better");
    b.del_route("10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9", "fall back");
}

#[test]
fn append_stands_behind_and_prepend_before() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(APPEND, "10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
    b.route(PREPEND, "10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");

    b.del_route("10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
    b.link("p0", false, false);
    assert_eq!(
        b.ask("10.0.0.1"),
        "p1 to .9",
        "the one behind takes over, with no event"
    );
}

#[test]
fn replace_leaves_those_behind_the_first() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(APPEND, "10.0.0.0/8 via 198.51.100.9 dev p1");
    b.route(REPLACE, "10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");
    b.del_route("10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
}

#[test]
fn a_new_key_sweeps_what_was_lost_without_an_event() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(NEW, "10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
    b.del_route("10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "no_route");
}

#[test]
fn a_dump_keeps_the_order_of_routes_with_one_key() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0");
    b.route(APPEND, "10.0.0.0/8 via 198.51.100.9 dev p1");
    let kind = ObjectKind::Routes(Family::Ip4);

    b.rib.sync_begin(kind);
    b.route(DUMP, "10.0.0.0/8 via 198.51.100.9 dev p1");
    b.route(DUMP, "10.0.0.0/8 via 203.0.113.9 dev p2");
    b.route(DUMP, "10.0.0.0/8 via 192.0.2.9 dev p0");
    let swept = b.rib.sync_end(kind);

    assert_eq!(swept, 9, "what the dump did not name");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
    b.del_route("10.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");
    b.del_route("10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p0 to .9");
}

#[test]
fn a_dump_that_changes_nothing_writes_nothing() {
    let mut b = Box::new();
    b.route(
        NEW,
        "10.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1",
    );
    b.commit();
    let kind = ObjectKind::Routes(Family::Ip4);
    b.rib.sync_begin(kind);
    for view in b.rib.routes(
        &crate::RouteFilter {
            all: true,
            ..Default::default()
        },
        None,
        100,
    ) {
        b.rib
            .apply(Change::SetRoute(view.route, crate::RouteFlags::DUMP));
    }
    assert_eq!(b.rib.sync_end(kind), 0);
    assert!(b.commit().is_empty());
    assert!(!b.rib.is_dirty());
}

#[test]
fn a_dump_says_which_legs_are_dead() {
    let mut b = Box::new();
    b.route(
        DUMP,
        "10.0.0.0/8 via 192.0.2.9 dev p0 dead via 198.51.100.9 dev p1",
    );
    assert_eq!(b.ask("10.0.0.1"), "[p1 to .9 x1]");
    b.route(
        DUMP,
        "10.0.0.0/8 via 192.0.2.9 dev p0 via 198.51.100.9 dev p1",
    );
    assert_eq!(b.ask("10.0.0.1"), "[p0 to .9 x1, p1 to .9 x1]");
}

#[test]
fn the_kinds_without_a_path_answer_as_themselves() {
    let mut b = Box::new();
    for kind in ["blackhole", "unreachable", "prohibit"] {
        b.route(REPLACE, &format!("{kind} {NET}"));
        assert_eq!(b.ask("10.0.0.1"), kind);
        assert_eq!(b.ask("192.0.2.9"), "p0 to .9");
    }
    assert_eq!(b.ask("192.0.2.255"), "broadcast p0");
    assert_eq!(b.ask("192.0.2.1"), "local");
}

#[test]
fn a_tos_is_not_honoured_and_does_not_hide_the_route_without() {
    let mut b = Box::new();
    b.route(NEW, "10.0.0.0/8 via 192.0.2.9 dev p0 tos 16");
    assert_eq!(b.ask("10.0.0.1"), "no_route");
    b.route(NEW, "10.0.0.0/8 via 198.51.100.9 dev p1 metric 50");
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
    b.route(NEW, "10.0.0.0/8 via 203.0.113.9 dev p2");
    assert_eq!(b.ask("10.0.0.1"), "p2 to .9");
    assert_eq!(b.rib.unhonoured_routes(10).len(), 1);
}

#[test]
fn a_flush_ends_where_it_began() {
    let mut b = Box::new();
    let before = (b.rib.nexthop_count(), b.writer.stats().nexthops);
    for number in 0..2000 {
        let gateway = number % 250 + 2;
        b.route(
            NEW,
            &format!(
                "10.{}.{}.0/24 via 192.0.2.{gateway} dev p0",
                number / 256,
                number % 256
            ),
        );
    }
    b.commit();
    for number in 0..2000 {
        let gateway = number % 250 + 2;
        b.del_route(&format!(
            "10.{}.{}.0/24 via 192.0.2.{gateway} dev p0",
            number / 256,
            number % 256
        ));
    }
    let report = b.commit();
    assert_eq!(report.prefixes_removed, 2000);
    assert_eq!((b.rib.nexthop_count(), b.writer.stats().nexthops), before);
    assert_eq!(b.ask("10.0.0.1"), "no_route");
}
