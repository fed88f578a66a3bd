//! How long a change takes, from inside and from outside. Figures are printed; what is asserted
//! leaves room for a busy machine.

mod mirror;

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ironlane_control::netlink::{MirrorOptions, kernel_rib_in};
use ironlane_fib::VrfId;
use ironlane_rcu::Domain;
use ironlane_rib::Family;
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
fn a_list_of_many_routes_is_read_and_written_at_speed() {
    if !allowed() {
        return;
    }
    let count: u32 = std::env::var("IRONLANE_ROUTES")
        .ok()
        .map_or(50_000, |text| text.parse().unwrap());
    let world = world();
    let mut commands = String::new();
    for number in 0..count {
        let gateway = ["192.0.2.2", "198.51.100.2", "192.0.2.3"][number as usize % 3];
        let prefix = Ipv4Addr::from_bits((20 << 24) + (number << 8));
        writeln!(commands, "route add {prefix}/24 via {gateway}").unwrap();
    }
    let start = Instant::now();
    world.r.batch(&commands);
    let added = start.elapsed();
    let routes = |world: &World| {
        world
            .handle
            .with_blocking(|state| state.rib.route_count(Family::Ip4))
            .unwrap()
    };
    world.wait_for("all routes", || routes(&world) >= count as usize);
    println!(
        "{count} routes by ip -batch: {added:?}, in the tables after {:?}",
        start.elapsed()
    );

    let start = Instant::now();
    world.r.run("ip -4 route show table all > /dev/null");
    println!("ip route show: {:?}", start.elapsed());
    let start = Instant::now();
    let bare = bare_dump(&world);
    println!("bare dump: {bare} bytes in {:?}", start.elapsed());
    let start = Instant::now();
    let fresh = kernel_rib_in(Some(&world.r.path()), VrfId::DEFAULT, Vec::new()).unwrap();
    println!("dump into a fresh RIB: {:?}", start.elapsed());
    assert!(fresh.route_count(Family::Ip4) >= count as usize);
    let start = Instant::now();
    world.handle.with_blocking(|state| state.resync()).unwrap();
    assert!(world.handle.synchronised(mirror::LIMIT * 5).unwrap());
    println!("resync of the mirror: {:?}", start.elapsed());
    world.settle("many routes");
    let start = Instant::now();
    world.r.ip("route flush proto boot");
    world.wait_for("none", || routes(&world) < 100);
    println!("flushed: {:?}", start.elapsed());
}

/// Reads the list of IPv4 routes and throws it away: what any dump costs at least.
fn bare_dump(world: &World) -> usize {
    let path = world.r.path();
    let inside = std::thread::spawn(move || {
        let file = std::fs::File::open(path).unwrap();
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let mut socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        let mut request = [0u8; 28];
        request[0] = 28;
        request[4] = 26; // RTM_GETROUTE
        request[6..8].copy_from_slice(&0x301u16.to_ne_bytes());
        request[16] = 2;
        socket
            .send_to(&request, &netlink_sys::SocketAddr::new(0, 0), 0)
            .unwrap();
        let (mut buffer, mut total) = (vec![0u8; 1 << 20], 0);
        loop {
            let len = socket.recv(&mut &mut buffer[..], 0).unwrap();
            total += len;
            // NLMSG_DONE
            if buffer[4] == 3 || len == 20 || buffer[len - 20 + 4] == 3 && buffer[len - 20] == 20 {
                return total;
            }
        }
    });
    inside.join().unwrap()
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
