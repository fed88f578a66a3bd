//! What the kernel does and does not say: each row of the table in `docs/mirror.md`, one after
//! another against the tables. No list is read after the first ones, so whatever follows is derived
//! from the event; at the end all are read, and must not know better.

mod mirror;

use std::time::Duration;

use ironlane_control::netlink::{MirrorOptions, PortChange};
use ironlane_fib::AdjacencyKind::{Glean, Kernel, NoRoute};
use mirror::{LIMIT, World, allowed};

/// A mirror that has to do with events alone.
fn without_audits() -> World {
    World::with(MirrorOptions {
        audit_delay: Duration::from_secs(3600),
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    })
}

/// The lists of the kernel, read now, lack nothing that is still in the RIB, and change nothing.
fn confirmed(world: &World) {
    let before = world.status().totals;
    world.handle.with_blocking(|state| state.resync()).unwrap();
    assert!(world.handle.synchronised(LIMIT).unwrap());
    let after = world.status().totals;
    assert!(after.dumps > before.dumps, "nothing was read");
    assert_eq!(after.swept, 0, "gone without an event, and not derived");
    assert_eq!((after.malformed, after.unconfirmed), (0, 0));
    assert_eq!(world.difference(), None);
}

/// Routes of every shape over p0: by a gateway, connected, by an object, multipath, IPv6.
fn with_routes() -> World {
    let world = without_audits();
    for command in [
        "route add 10.1.0.0/16 via 192.0.2.2",
        "route add 10.2.0.0/16 nexthop via 192.0.2.2 nexthop via 198.51.100.2",
        "nexthop add id 10 via 192.0.2.3 dev p0",
        "nexthop add id 11 via 198.51.100.3 dev p1",
        "nexthop add id 20 group 10/11",
        "route add 10.3.0.0/16 nhid 10",
        "route add 10.4.0.0/16 nhid 20",
        "route add 10.5.0.0/16 via 192.0.2.4 metric 10",
        "route add 10.5.0.0/16 via 198.51.100.4 metric 20",
        "-6 route add 2001:db8:a::/48 via 2001:db8:0::2",
        "-6 route add 2001:db8:b::/48 nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2",
    ] {
        world.r.ip(command);
    }
    world.settle("routes");
    assert_eq!(world.leaves_by("10.4.0.1"), [0, 1]);
    world
}

#[test]
fn a_port_set_down_takes_its_ip4_routes_without_an_event() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world.r.ip("link set p0 down");
    world.wait_kind("10.1.0.1", NoRoute);
    world.wait_kind("10.3.0.1", NoRoute);
    world.wait_for("the live leg", || world.leaves_by("10.2.0.1") == [1]);
    world.wait_for("the live member", || world.leaves_by("10.4.0.1") == [1]);
    world.wait_for("the next metric", || world.leaves_by("10.5.0.1") == [1]);
    world.settle("down");
    confirmed(&world);
}

#[test]
fn a_port_set_up_again_revives_legs_without_an_event() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world.r.ip("link set p0 down");
    world.settle("down");
    world.r.ip("link set p0 up");
    world.wait_for("the leg", || world.leaves_by("10.2.0.1") == [0, 1]);
    world.settle("up");
    assert_eq!(
        world.kind("10.1.0.1"),
        NoRoute,
        "routes by gateways do not come back"
    );
    assert_eq!(world.leaves_by("10.4.0.1"), [1], "nor members of groups");
    confirmed(&world);
}

#[test]
fn a_lost_carrier_leaves_routes_and_takes_objects() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world.h.ip("link set q0 down");
    world.wait_for("the member to go", || world.leaves_by("10.4.0.1") == [1]);
    world.settle("carrier lost");
    world.h.ip("link set q0 up");
    world.settle("carrier back");
    assert_eq!(world.leaves_by("10.2.0.1"), [0, 1]);
    confirmed(&world);
}

#[test]
fn dead_ip6_legs_wait_for_the_carrier() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    for command in ["q0 down", "q1 down"] {
        world.h.ip(&format!("link set {command}"));
    }
    world.r.ip("link set p0 down");
    world.settle("down");
    world.r.ip("link set p0 up");
    world.settle("up without carrier");
    assert_eq!(world.leaves_by("2001:db8:b::1"), [1]);
    let legs = "nexthop via fe80::2 dev p0 nexthop via 2001:db8:1::2 dev p1";
    world.r.ip(&format!("-6 route add 2001:db8:c::/48 {legs}"));
    world.settle("a younger route");
    assert_eq!(world.leaves_by("2001:db8:c::1"), [0, 1]);
    world.h.ip("link set q0 up");
    world.wait_for("the leg", || world.leaves_by("2001:db8:b::1") == [0]);
    world.h.ip("link set q1 up");
    world.wait_for("the other", || world.leaves_by("2001:db8:b::1") == [0, 1]);
    world.settle("carriers");
    confirmed(&world);
}

#[test]
fn an_ip6_route_among_the_legs_of_another_outlives_its_port() {
    if !allowed() {
        return;
    }
    let world = without_audits();
    for command in [
        "add blackhole 2001:db8:c::/48 metric 20",
        "append 2001:db8:c::/48 dev p0 metric 20",
        "replace 2001:db8:c::/48 metric 20 nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2",
    ] {
        world.r.ip(&format!("-6 route {command}"));
    }
    world.r.ip("link set p0 down");
    world.settle("down");
    world
        .r
        .ip("-6 route del 2001:db8:c::/48 via 2001:db8:1::2 metric 20");
    world.settle("without the last leg");
    world.r.ip("link set p0 up");
    world.settle("up");
    confirmed(&world);
}

#[test]
fn a_route_said_again_for_its_object_is_told_from_a_replacement() {
    if !allowed() {
        return;
    }
    let world = without_audits();
    for command in [
        "nexthop add id 30 via 2001:db8:1::2 dev p1",
        "-6 route add blackhole 2001:db8:c::/48 metric 20",
        "-6 route append 2001:db8:c::/48 nhid 30 metric 20",
        "nexthop replace id 30 via 2001:db8:0::2 dev p0",
        "-6 route replace 2001:db8:c::/48 nhid 30 metric 20",
        "-6 route del 2001:db8:c::/48 nhid 30 metric 20",
    ] {
        world.r.ip(command);
        world.settle(command);
    }
    assert_eq!(world.kind("2001:db8:c::1"), Glean);
    confirmed(&world);
}

#[test]
fn a_nexthop_object_that_is_replaced_moves_its_routes() {
    if !allowed() {
        return;
    }
    for compat_mode in [0, 1] {
        let world = with_routes();
        world.r.run(&format!(
            "sysctl -qw net.ipv4.nexthop_compat_mode={compat_mode}"
        ));
        world.r.ip("nexthop replace id 10 via 198.51.100.2 dev p1");
        world.wait_for("the route to move", || world.leaves_by("10.3.0.1") == [1]);
        world.wait_for("the group to move", || world.leaves_by("10.4.0.1") == [1]);
        world.settle("replaced");
        confirmed(&world);
    }
}

#[test]
fn a_deleted_nexthop_object_takes_its_routes_without_an_event() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    let before = world.status().messages.get("delroute").copied();
    world.r.ip("nexthop del id 10");
    world.wait_kind("10.3.0.1", NoRoute);
    world.wait_for("the group to shrink", || world.leaves_by("10.4.0.1") == [1]);
    world.settle("deleted");
    world.r.ip("nexthop del id 20");
    world.wait_kind("10.4.0.1", NoRoute);
    world.settle("group deleted");
    assert_eq!(
        world.status().messages.get("delroute").copied(),
        before,
        "the kernel said nothing"
    );
    confirmed(&world);
}

#[test]
fn the_last_ip4_address_of_a_port_takes_all_its_routes_without_an_event() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world
        .r
        .ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev p0");
    world.r.ip("address add 192.0.2.9/32 dev p0");
    world
        .r
        .ip("route add 10.6.0.0/16 via 198.51.100.2 src 192.0.2.1");
    world.settle("two addresses");
    world.r.ip("address del 192.0.2.1/24 dev p0");
    world.wait_kind("10.6.0.1", NoRoute);
    world.settle("one address");
    world.r.ip("address del 192.0.2.9/32 dev p0");
    world.wait_kind("10.1.0.1", NoRoute);
    world.settle("no address");
    world.r.ip("address add 192.0.2.1/24 dev p0");
    world.settle("an address again");
    confirmed(&world);
}

#[test]
fn an_ip6_address_takes_its_connected_route_alone() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world.r.ip("address del 2001:db8:0::1/64 dev p0");
    world.settle("gone");
    assert_eq!(
        world.kind("2001:db8:a::1"),
        Glean,
        "routes by gateways stay"
    );
    world.r.ip("address add 2001:db8:0::1/64 dev p0 nodad");
    world.settle("back");
    confirmed(&world);
}

#[test]
fn a_port_that_moves_to_another_namespace_takes_its_routes() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    let ifindex = world.r.ifindex("p0");
    world.r.ip(&format!("link set p0 netns {}", world.h.0));
    world.wait_kind("10.1.0.1", NoRoute);
    world.wait_kind("192.0.2.2", NoRoute);
    world.settle("moved");
    let told: Vec<_> = world
        .ports
        .try_iter()
        .filter(|e| e.ifindex == ifindex)
        .collect();
    let last = told.last().map(|event| event.change);
    assert_eq!(last, Some(PortChange::Gone), "{told:?}");
    world.h.ip(&format!("link set p0 netns {} up", world.r.0));
    world.r.ip("address add 192.0.2.1/24 dev p0");
    world.bind(0);
    world.settle("back again");
    assert_eq!(world.kind("192.0.2.2"), Glean);
    confirmed(&world);
}

#[test]
fn a_deleted_link_takes_everything() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    world.r.ip("route add 10.9.0.0/16 via 203.0.113.9");
    world.settle("by d0");
    assert_eq!(world.kind("10.9.0.1"), Kernel);
    world.r.ip("link del p0");
    world.r.ip("link del d0");
    world.wait_kind("10.9.0.1", NoRoute);
    world.settle("deleted");
    confirmed(&world);
}

#[test]
fn what_is_done_to_a_tap_is_told() {
    if !allowed() {
        return;
    }
    let world = without_audits();
    let told = |expected: PortChange| {
        world.wait_for(&format!("{expected:?}"), || {
            world
                .ports
                .try_iter()
                .any(|event| event.port.0 == 0 && event.change == expected)
        });
    };
    told(PortChange::Admin(true));
    world.r.ip("link set p0 down");
    told(PortChange::Admin(false));
    world.r.ip("link set p0 mtu 9000");
    told(PortChange::Mtu(9000));
    world.r.ip("link set p0 address 02:00:00:00:00:77");
    told(PortChange::Mac([2, 0, 0, 0, 0, 0x77]));
    world.r.ip("link set p0 up");
    told(PortChange::Admin(true));
    world.r.ip("link set p0 mtu 1000");
    world.settle("an MTU too small for IPv6");
    world.r.ip("link set p0 mtu 1500");
    world.settle("and one that is not");
    confirmed(&world);
}

#[test]
fn flapping_links_leave_no_trace() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    for round in 0..20 {
        let port = round % 2;
        world.r.ip(&format!("link set p{port} down"));
        world
            .r
            .ip(&format!("route replace 10.7.{round}.0/24 via 203.0.113.9"));
        world.r.ip(&format!("link set p{port} up"));
        world.r.ip(&format!(
            "route replace 10.1.0.0/16 via {}.2",
            ["192.0.2", "198.51.100"][port]
        ));
    }
    world.settle("flapped");
    confirmed(&world);
}
