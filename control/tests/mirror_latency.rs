//! How long a change takes, from inside and from outside. Figures are printed; what is asserted
//! leaves room for a busy machine.

mod mirror;

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ironlane_control::netlink::MirrorOptions;
use ironlane_rcu::Domain;
use mirror::{AUDIT_DELAY, World, allowed, compare};
use rtnetlink::RouteMessageBuilder;

/// Changes that are timed.
const ROUNDS: usize = 1_000;

fn world() -> World {
    World::with(MirrorOptions {
        audit_delay: AUDIT_DELAY,
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    })
}

/// A connection inside a namespace: its socket is opened by a thread that went there.
fn connect(world: &World) -> (tokio::runtime::Runtime, rtnetlink::Handle) {
    let path = world.r.path();
    std::thread::spawn(move || {
        let file = std::fs::File::open(path).unwrap();
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let handle = runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            handle
        });
        (runtime, handle)
    })
    .join()
    .unwrap()
}

#[test]
fn one_route_is_visible_within_a_millisecond() {
    if !allowed() {
        return;
    }
    let world = world();
    world.r.ip("route add 10.1.0.0/16 via 192.0.2.2");
    world.settle("the route");
    world
        .handle
        .with_blocking(|state| state.clear_counters())
        .unwrap();
    let (runtime, handle) = connect(&world);
    let mut reader = Domain::register(&world.domain).unwrap();
    let address = "10.1.0.1".parse().unwrap();
    let mut outside = Vec::new();
    for round in 0..ROUNDS {
        let (gateway, port) = [("198.51.100.2", 1), ("192.0.2.2", 0)][round % 2];
        let gateway: Ipv4Addr = gateway.parse().unwrap();
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(Ipv4Addr::new(10, 1, 0, 0), 16)
            .gateway(gateway)
            .build();
        let request = handle.route().add(route).replace().execute();
        let start = Instant::now();
        let asked = runtime.spawn(request);
        // As an lcore would: until the table answers the new port.
        loop {
            let guard = reader.read();
            if compare::lookup(&world.tables, &guard, address)[0].port().0 == port {
                break;
            }
            drop(guard);
            assert!(start.elapsed() < mirror::LIMIT, "round {round}");
            std::thread::yield_now();
        }
        outside.push(start.elapsed());
        runtime.block_on(asked).unwrap().unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    reader.offline();
    outside.sort();
    let inside = world.status().latency;
    let at = |share: f64| outside[((outside.len() - 1) as f64 * share) as usize];
    println!("inside, message to table: {inside:?}");
    println!(
        "outside, request to table: p50 {:?} p99 {:?} max {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(inside.count >= ROUNDS as u64 * 9 / 10, "{inside:?}");
    assert!(inside.p50_ns < 1_000_000, "{inside:?}");
}

#[test]
fn changes_that_wait_share_a_commit_and_are_counted() {
    if !allowed() {
        return;
    }
    let world = world();
    let before = world.status().totals;
    // Keeps the mirror from its work until all events wait.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begun, begin) = std::sync::mpsc::channel();
    let handle = world.handle.clone();
    let holder = std::thread::spawn(move || {
        handle.with_blocking(move |_| {
            begun.send(()).unwrap();
            let _ = released.recv();
        })
    });
    begin.recv().unwrap();
    let mut commands = String::new();
    for net in 0..100 {
        writeln!(commands, "route add 20.0.{net}.0/24 via 192.0.2.2").unwrap();
    }
    world.r.batch(&commands);
    drop(release);
    holder.join().unwrap().unwrap();
    world.settle("the routes");
    let after = world.status().totals;
    let coalesced = after.coalesced - before.coalesced;
    let commits = after.commits - before.commits;
    assert!(
        coalesced >= 99 && commits < 50,
        "{coalesced} in {commits} commits"
    );
    assert!(world.status().latency.count >= 100, "{:?}", world.status());
}
