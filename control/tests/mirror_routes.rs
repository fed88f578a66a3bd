//! Everything that `ip route` can do, against the tables, for both families.

mod mirror;

use ironlane_fib::AdjacencyKind;
use mirror::{World, allowed};

/// Runs `ip route` commands one after another; after each the tables must become what a fresh
/// look at the kernel says, without an audit having mended anything.
fn each(world: &World, commands: &[&str]) {
    let before = world.status().totals;
    for command in commands {
        world.r.ip(command);
        world.settle(command);
    }
    let after = world.status().totals;
    assert_eq!(after.swept, before.swept, "an event was not understood");
    assert_eq!(after.malformed, 0);
}

#[test]
fn ip4_routes_are_added_replaced_changed_and_deleted() {
    if !allowed() {
        return;
    }
    let world = World::new();
    each(
        &world,
        &[
            "route add 10.1.0.0/16 via 192.0.2.2",
            "route replace 10.1.0.0/16 via 198.51.100.2",
            "route change 10.1.0.0/16 via 192.0.2.3",
            "route add 10.1.0.0/16 via 192.0.2.4 metric 50",
            "route replace 10.1.0.0/16 via 198.51.100.3 metric 50",
            "route del 10.1.0.0/16 via 192.0.2.3",
            "route add 10.1.2.0/24 dev p1",
            "route replace 10.1.2.0/24 dev p0 mtu 1400",
            "route add 10.1.2.3/32 via 203.0.113.9",
            "route del 10.1.2.3",
            "route del 10.1.2.0/24",
            "route del 10.1.0.0/16",
            "route add default via 192.0.2.2",
            "route replace default via 198.51.100.2",
            "route del default",
        ],
    );
    assert_eq!(world.kind("10.1.2.3"), AdjacencyKind::NoRoute);
}

#[test]
fn ip4_routes_with_the_same_key_stand_in_a_row() {
    if !allowed() {
        return;
    }
    let world = World::new();
    each(
        &world,
        &[
            "route add 10.2.0.0/16 via 192.0.2.2",
            "route append 10.2.0.0/16 via 198.51.100.2",
            "route append 10.2.0.0/16 via 203.0.113.9",
            "route prepend 10.2.0.0/16 via 198.51.100.3",
            "route del 10.2.0.0/16 via 198.51.100.3",
            "route replace 10.2.0.0/16 via 192.0.2.4",
            "route del 10.2.0.0/16 via 192.0.2.4",
        ],
    );
    assert_eq!(
        world.leaves_by("10.2.0.1"),
        [1],
        "the appended route is used when the first went"
    );
    each(&world, &["route del 10.2.0.0/16", "route del 10.2.0.0/16"]);
    assert_eq!(world.kind("10.2.0.1"), AdjacencyKind::NoRoute);
}

#[test]
fn ip4_multipath_blackholes_throw_and_onlink() {
    if !allowed() {
        return;
    }
    let world = World::new();
    each(
        &world,
        &[
            "route add 10.3.0.0/16 nexthop via 192.0.2.2 weight 3 nexthop via 198.51.100.2 weight 1",
            "route replace 10.3.0.0/16 nexthop via 192.0.2.3 nexthop dev d0",
            "route add blackhole 10.3.1.0/24",
            "route add unreachable 10.3.2.0/24",
            "route add prohibit 10.3.3.0/24",
            "route add throw 10.3.4.0/24",
            "route add 10.4.0.0/16 via 10.99.9.9 dev p1 onlink",
            "route add 10.5.0.0/16 via inet6 2001:db8:1::2 dev p1",
            "route add table default 10.6.0.0/16 via 192.0.2.2",
            "route add table 100 10.7.0.0/16 via 192.0.2.2",
            "route add local 10.8.0.0/16 dev lo",
            "route add broadcast 10.9.0.0/16 dev p0",
            "route add 10.10.0.0/16 via 192.0.2.2 tos 0x10",
            "route add 10.10.0.0/16 via 198.51.100.2",
        ],
    );
    for (address, kind) in [
        ("10.3.1.1", AdjacencyKind::Blackhole),
        ("10.3.2.1", AdjacencyKind::Unreachable),
        ("10.3.3.1", AdjacencyKind::Prohibit),
        ("10.4.0.1", AdjacencyKind::Glean),
        ("10.5.0.1", AdjacencyKind::Glean),
        ("10.6.0.1", AdjacencyKind::Glean),
        ("10.7.0.1", AdjacencyKind::NoRoute),
        ("10.8.0.1", AdjacencyKind::Local),
        ("203.0.113.9", AdjacencyKind::Kernel),
        ("192.0.2.1", AdjacencyKind::Local),
    ] {
        assert_eq!(world.kind(address), kind, "{address}");
    }
    let before = world.status().totals.swept;
    world.r.ip("route flush root 10.0.0.0/8");
    world.settle("flush");
    assert_eq!(world.status().totals.swept, before);
}

#[test]
fn ip6_routes_are_added_replaced_appended_and_deleted() {
    if !allowed() {
        return;
    }
    let world = World::new();
    each(
        &world,
        &[
            "-6 route add 2001:db8:a::/48 via 2001:db8:0::2",
            "-6 route replace 2001:db8:a::/48 via 2001:db8:1::2",
            "-6 route change 2001:db8:a::/48 via 2001:db8:0::3",
            "-6 route append 2001:db8:a::/48 via 2001:db8:1::3",
            "-6 route append 2001:db8:a::/48 via 2001:db8:1::4",
            "-6 route del 2001:db8:a::/48 via 2001:db8:0::3",
            "-6 route add 2001:db8:a::/48 via 2001:db8:0::4 metric 50",
            "-6 route del 2001:db8:a::/48 metric 50",
            "-6 route replace 2001:db8:a::/48 nexthop via 2001:db8:0::2 weight 2 nexthop via 2001:db8:1::2",
            "-6 route replace 2001:db8:a::/48 via 2001:db8:1::2",
            "-6 route add 2001:db8:a:1::/64 dev p0",
            "-6 route append 2001:db8:a:1::/64 dev p1",
            "-6 route del 2001:db8:a:1::/64 dev p0",
            "-6 route add 2001:db8:b::/48 via fe80::2 dev p0",
            "-6 route add blackhole 2001:db8:a:2::/64",
            "-6 route add unreachable 2001:db8:a:3::/64",
            "-6 route add prohibit 2001:db8:a:4::/64",
            "-6 route add default via 2001:db8:0::2",
            "-6 route append default via 2001:db8:1::2",
            "-6 route replace default via 2001:db8:1::3",
        ],
    );
    for (address, kind) in [
        ("2001:db8:a:2::1", AdjacencyKind::Blackhole),
        ("2001:db8:a:3::1", AdjacencyKind::Unreachable),
        ("2001:db8:a:4::1", AdjacencyKind::Prohibit),
        ("2001:db8:0::1", AdjacencyKind::Local),
        ("2001:db8:ffff::1", AdjacencyKind::Glean),
    ] {
        assert_eq!(world.kind(address), kind, "{address}");
    }
    each(
        &world,
        &[
            "-6 route flush root 2001:db8:a::/48",
            "-6 route del default",
        ],
    );
    assert_eq!(world.kind("2001:db8:a::1"), AdjacencyKind::NoRoute);
}

#[test]
fn routes_by_nexthop_objects_follow_them() {
    if !allowed() {
        return;
    }
    let world = World::new();
    each(
        &world,
        &[
            "nexthop add id 10 via 192.0.2.2 dev p0",
            "nexthop add id 11 via 198.51.100.2 dev p1",
            "nexthop add id 20 group 10,3/11,1",
            "nexthop add id 30 blackhole",
            "nexthop add id 40 via 2001:db8:1::2 dev p1",
            "route add 10.1.0.0/16 nhid 10",
            "route add 10.2.0.0/16 nhid 20",
            "route add 10.3.0.0/16 nhid 30",
            "route add 10.4.0.0/16 nhid 40",
            "-6 route add 2001:db8:a::/48 nhid 40",
            "nexthop replace id 10 via 192.0.2.3 dev p0",
            "nexthop replace id 20 group 11",
            "nexthop replace id 40 via 2001:db8:0::2 dev p0",
        ],
    );
    assert_eq!(world.leaves_by("10.1.0.1"), [0]);
    assert_eq!(world.leaves_by("10.2.0.1"), [1]);
    assert_eq!(world.kind("10.3.0.1"), AdjacencyKind::Blackhole);
    assert_eq!(world.leaves_by("2001:db8:a::1"), [0]);
}

#[test]
fn rules_beyond_the_defaults_are_listed() {
    if !allowed() {
        return;
    }
    let world = World::new();
    world
        .r
        .ip("rule add from 10.0.0.0/8 table 100 priority 1000");
    world
        .r
        .ip("-6 rule add to 2001:db8::/32 fwmark 0x7 blackhole priority 1001");
    let ignored = || {
        let rules = |state: &mut ironlane_control::netlink::MirrorState| {
            state
                .rib
                .ignored_rules()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        world.handle.with_blocking(rules).unwrap()
    };
    let expected = [
        "IPv4 rule 1000: from 10.0.0.0/8 lookup 100",
        "IPv6 rule 1001: to 2001:db8::/32 fwmark 0x7 blackhole",
    ];
    world.wait_for("both rules", || ignored() == expected);
    world.r.ip("rule del priority 1000");
    world.wait_for("one rule", || ignored() == expected[1..]);
}
