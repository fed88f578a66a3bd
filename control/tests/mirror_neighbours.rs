//! Gleans, neighbours that come and go, and neighbours in use that stay fresh.

mod mirror;

use std::time::Duration;

use ironlane_control::netlink::MirrorOptions;
use ironlane_fib::AdjacencyKind::{Forward, Glean};
use ironlane_rib::NeighbourState;
use mirror::{AUDIT_DELAY, World, allowed};

fn options(refresh: Option<Duration>) -> MirrorOptions {
    MirrorOptions {
        audit_delay: AUDIT_DELAY,
        audit_interval: None,
        refresh_interval: refresh,
        ..MirrorOptions::default()
    }
}

fn state(world: &World, address: &str) -> Option<NeighbourState> {
    let (ifindex, address) = (world.r.ifindex("p0"), address.parse().unwrap());
    let neighbour = move |state: &mut ironlane_control::netlink::MirrorState| {
        state
            .rib
            .neighbour(ifindex, address)
            .map(|neighbour| neighbour.state)
    };
    world.handle.with_blocking(neighbour).unwrap()
}

#[test]
fn a_neighbour_completes_the_adjacency_of_every_route_and_its_failure_undoes_that() {
    if !allowed() {
        return;
    }
    let world = World::with(options(None));
    world.r.ip("route add 10.1.0.0/16 via 192.0.2.2");
    world.r.ip("-6 route add 2001:db8:a::/48 via 2001:db8:0::2");
    world.settle("routes");
    for address in ["10.1.0.1", "2001:db8:a::1", "192.0.2.2", "2001:db8:0::2"] {
        assert_eq!(world.kind(address), Glean, "{address}");
    }
    // The kernel resolves what it is given to send, as it does with the packets of a glean.
    world.r.run("ping -c1 -W5 192.0.2.2");
    world.r.run("ping -c1 -W5 2001:db8:0::2");
    for address in ["10.1.0.1", "2001:db8:a::1", "192.0.2.2", "2001:db8:0::2"] {
        world.wait_kind(address, Forward);
        assert_eq!(
            world.lookup(address)[0].dst_mac(),
            [2, 0, 0, 0, 0, 2],
            "{address}"
        );
        assert_eq!(
            world.lookup(address)[0].src_mac(),
            [2, 0, 0, 0, 0, 1],
            "{address}"
        );
    }
    world.settle("resolved");
    world.r.ip("neigh change 192.0.2.2 dev p0 nud failed");
    world.wait_kind("10.1.0.1", Glean);
    world
        .r
        .ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:55 dev p0 nud reachable");
    world.wait_for("the new MAC", || {
        world.lookup("10.1.0.1")[0].dst_mac()[5] == 0x55
    });
    world.r.ip("neigh del 192.0.2.2 dev p0");
    world.wait_kind("10.1.0.1", Glean);
    world.settle("deleted");
}

#[test]
fn neighbours_of_a_port_that_goes_down_or_loses_its_address_are_forgotten() {
    if !allowed() {
        return;
    }
    let world = World::with(options(None));
    world
        .r
        .ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev p0 nud reachable");
    world
        .r
        .ip("neigh add 192.0.2.3 lladdr 02:00:00:00:00:03 dev p0 nud permanent");
    world.wait_kind("192.0.2.2", Forward);
    world.r.ip("link set p0 down");
    world.settle("down");
    world.r.ip("link set p0 up");
    world.settle("up");
    world
        .r
        .ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev p0 nud reachable");
    world.wait_kind("192.0.2.2", Forward);
    world.r.ip("address del 192.0.2.1/24 dev p0");
    world.settle("no address");
}

#[test]
fn a_stale_neighbour_in_use_is_probed_and_one_that_is_not_is_left() {
    if !allowed() {
        return;
    }
    let world = World::with(options(Some(Duration::from_millis(50))));
    world
        .r
        .run("sysctl -qw net.ipv4.neigh.p0.delay_first_probe_time=1");
    world.r.ip("route add 10.1.0.0/16 via 192.0.2.2");
    for host in [2, 3] {
        world.r.ip(&format!(
            "neigh add 192.0.2.{host} lladdr 02:00:00:00:00:02 dev p0 nud stale"
        ));
    }
    world.wait_kind("10.1.0.1", Forward);
    world.wait_kind("192.0.2.3", Forward);
    assert_eq!(state(&world, "192.0.2.2"), Some(NeighbourState::Stale));
    world.use_adjacency("10.1.0.1");
    world.wait_for("the probe's answer", || {
        state(&world, "192.0.2.2") == Some(NeighbourState::Reachable)
    });
    assert_eq!(world.kind("10.1.0.1"), Forward, "never a glean meanwhile");
    assert_eq!(
        state(&world, "192.0.2.3"),
        Some(NeighbourState::Stale),
        "nobody uses it"
    );
    assert!(world.status().totals.probes > 0);
}

#[test]
fn a_neighbour_in_use_that_left_goes_back_to_glean_and_is_found_when_it_returns() {
    if !allowed() {
        return;
    }
    let world = World::with(options(Some(Duration::from_millis(50))));
    for setting in [
        "delay_first_probe_time=1",
        "retrans_time_ms=50",
        "ucast_solicit=1",
    ] {
        world
            .r
            .run(&format!("sysctl -qw net.ipv4.neigh.p0.{setting}"));
    }
    world.r.ip("route add 10.1.0.0/16 via 192.0.2.44");
    world
        .r
        .ip("neigh add 192.0.2.44 lladdr 02:00:00:00:00:02 dev p0 nud stale");
    world.wait_kind("10.1.0.1", Forward);
    world.use_adjacency("10.1.0.1");
    world.wait_kind("10.1.0.1", Glean);
    world.h.ip("address add 192.0.2.44/24 dev q0");
    // As long as packets hit the glean, the kernel is asked again.
    world.wait_for("the neighbour", || {
        world.use_adjacency("10.1.0.1");
        world.kind("10.1.0.1") == Forward
    });
}

#[test]
fn a_permanent_neighbour_in_use_stays_permanent() {
    if !allowed() {
        return;
    }
    let world = World::with(options(Some(Duration::from_millis(20))));
    world
        .r
        .ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent");
    world
        .r
        .ip("neigh add 192.0.2.3 lladdr 02:00:00:00:00:02 dev p0 nud stale");
    world.wait_kind("192.0.2.2", Forward);
    world.wait_kind("192.0.2.3", Forward);
    world.wait_for("a look at both", || {
        world.use_adjacency("192.0.2.2");
        world.use_adjacency("192.0.2.3");
        world.status().totals.probes >= 5
    });
    assert!(world.r.ip("neigh show 192.0.2.2").contains("PERMANENT"));
}
