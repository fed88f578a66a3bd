//! Which table wins, and throw.

use super::harness::{Box, NEW, REPLACE};

#[test]
fn ip4_looks_up_local_and_main_as_one() {
    let mut b = Box::new();
    b.route(NEW, "local 30.0.0.0/8 dev lo table local scope 254");
    b.route(NEW, "30.1.0.0/16 via 192.0.2.9 dev p0");
    b.route(NEW, "30.0.0.0/8 via 198.51.100.9 dev p1");
    assert_eq!(b.ask("30.1.2.3"), "p0 to .9", "longer in main wins");
    assert_eq!(b.ask("30.2.2.3"), "local", "at one length local wins");
}

#[test]
fn ip6_looks_up_local_first() {
    let mut b = Box::bare();
    b.route(NEW, "2001:db8::/32 dev p0");
    b.route(NEW, "local 2001::/16 dev lo table local");
    assert_eq!(b.ask("2001:db8::1"), "local", "shorter in local wins");
    b.del_route("local 2001::/16 dev lo table local");
    assert_eq!(
        b.ask("2001:db8::1"),
        "glean p0",
        "and what it hid comes back"
    );
    b.route(NEW, "throw 2001::/16 dev lo table local");
    assert_eq!(b.ask("2001:db8::1"), "glean p0");
    assert_eq!(b.ask("2001::1"), "no_route");
}

#[test]
fn the_default_table_answers_what_main_does_not() {
    let mut b = Box::new();
    b.route(NEW, "40.1.0.0/16 via 198.51.100.9 dev p1 table default");
    assert_eq!(b.ask("40.1.0.1"), "p1 to .9");
    b.route(NEW, "40.0.0.0/8 via 192.0.2.9 dev p0");
    assert_eq!(b.ask("40.1.0.1"), "p0 to .9", "shorter, but in main");
    assert_eq!(b.ask("40.2.0.1"), "p0 to .9");
    b.del_route("40.0.0.0/8 via 192.0.2.9 dev p0");
    assert_eq!(b.ask("40.1.0.1"), "p1 to .9");
    assert_eq!(b.ask("40.2.0.1"), "no_route");
}

#[test]
fn throw_goes_on_with_the_default_table() {
    let mut b = Box::new();
    b.route(NEW, "0.0.0.0/0 via 192.0.2.9 dev p0");
    b.route(NEW, "throw 50.0.0.0/8");
    assert_eq!(
        b.ask("50.0.0.1"),
        "no_route",
        "not what main has that is shorter"
    );
    b.route(NEW, "50.1.0.0/16 via 198.51.100.9 dev p1 table default");
    b.route(NEW, "0.0.0.0/0 via 203.0.113.9 dev p2 table default");
    assert_eq!(b.ask("50.0.0.1"), "p2 to .9");
    assert_eq!(b.ask("50.1.0.1"), "p1 to .9");
    b.route(REPLACE, "50.0.0.0/8 via 192.0.2.9 dev p0");
    assert_eq!(b.ask("50.1.0.1"), "p0 to .9");
}

#[test]
fn other_tables_need_rules_that_are_not_honoured() {
    let mut b = Box::new();
    b.route(NEW, "60.0.0.0/8 via 192.0.2.9 dev p0 table 100");
    assert_eq!(b.ask("60.0.0.1"), "no_route");
    assert_eq!(b.rib.route_count(crate::Family::Ip4), 9);
}
