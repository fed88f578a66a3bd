//! A million routes: taken from a list, and followed as they come. Figures are printed as lines of
//! JSON; a run by hand asks for many routes and a release build:
//!
//! ```sh
//! IRONLANE_ROUTES=1000000 cargo test --release -p ironlane-control --test mirror_speed -- --nocapture
//! ```

mod mirror;

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_control::netlink::{Mirror, MirrorOptions, MirrorState, kernel_rib_in};
use ironlane_fib::{Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use ironlane_rib::Family;
use mirror::{World, allowed};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use serde_json::json;

/// Rounds of which the median counts.
const ROUNDS: usize = 5;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds on a CPU, so far, of the threads of this process that have this name.
fn cpu_seconds(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::fs::DirEntry| {
        let path = task.path();
        let own = std::fs::read_to_string(path.join("comm")).ok()?;
        let ran = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let ns: f64 = ran.split(' ').next()?.parse().ok()?;
        (own.trim() == name).then_some(ns / 1e9)
    };
    tasks.filter_map(|task| of(task.ok()?)).sum()
}

/// Seconds to read the list of IPv4 routes and throw it away: what any list costs at least.
fn bare_list(world: &World) -> (f64, usize) {
    let path = world.r.path();
    let inside = std::thread::spawn(move || {
        let file = std::fs::File::open(path).unwrap();
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        let mut request = [0u8; 28];
        request[0] = 28;
        request[4] = 26; // RTM_GETROUTE
        request[6..8].copy_from_slice(&0x301u16.to_ne_bytes());
        request[16] = 2;
        let start = Instant::now();
        socket.send_to(&request, &SocketAddr::new(0, 0), 0).unwrap();
        let (mut buffer, mut total) = (vec![0u8; 256 << 10], 0);
        loop {
            let len = socket.recv(&mut &mut buffer[..], 0).unwrap();
            total += len;
            // NLMSG_DONE, alone or as the last.
            if buffer[4] == 3 || buffer[len - 20 + 4] == 3 && buffer[len - 20] == 20 {
                return (start.elapsed().as_secs_f64(), total);
            }
        }
    });
    inside.join().unwrap()
}

/// Seconds until a new mirror of the namespace has all in its tables. `compared` looks at them for every address
/// behind that.
fn whole_mirror(world: &World, compared: bool) -> f64 {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let bindings: Vec<_> = world
        .handle
        .with_blocking(|state| state.rib.bindings().collect())
        .unwrap();
    let options = MirrorOptions {
        netns: Some(world.r.path()),
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    };
    let start = Instant::now();
    let mirror = Mirror::start(options, writer, Box::new(|_| ())).unwrap();
    assert!(mirror.handle().synchronised(mirror::LIMIT * 5).unwrap());
    let seconds = start.elapsed().as_secs_f64();
    if compared {
        // Without its ports Linux forwards all, and every gateway looks like the others.
        let bound = bindings.clone();
        let bind = move |state: &mut MirrorState| {
            for (ifindex, binding) in bound {
                state.bind_port(ifindex, binding);
            }
            state.commit();
        };
        mirror.handle().with_blocking(bind).unwrap();
        let path = world.r.path();
        let mut kernel = kernel_rib_in(Some(&path), VrfId::DEFAULT, bindings).unwrap();
        let difference = mirror::compare::difference(&tables, &domain, &kernel.expectation());
        assert_eq!(difference, None, "a new mirror, compared for every address");
    }
    mirror.stop();
    seconds
}

#[test]
fn many_routes_are_followed_and_listed_at_speed() {
    if !allowed() {
        return;
    }
    let count: u32 = std::env::var("IRONLANE_ROUTES")
        .ok()
        .map_or(50_000, |text| text.parse().unwrap());
    let world = World::with(MirrorOptions {
        audit_delay: Duration::from_secs(3600),
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    });
    let mut commands = String::new();
    for number in 0..count {
        let gateway = ["192.0.2.2", "198.51.100.2", "192.0.2.3"][number as usize % 3];
        let prefix = Ipv4Addr::from_bits((20 << 24) + (number << 8));
        writeln!(commands, "route add {prefix}/24 via {gateway}").unwrap();
    }
    let routes = || {
        let count = world
            .handle
            .with_blocking(|s| s.rib.route_count(Family::Ip4));
        count.unwrap()
    };
    let (before, cpu, start) = (routes(), cpu_seconds("mirror"), Instant::now());
    world.r.batch(&commands);
    let added = start.elapsed();
    world.wait_for("all routes", || routes() == before + count as usize);
    let visible = start.elapsed();
    let cpu = cpu_seconds("mirror") - cpu;
    let totals = world.status().totals;
    assert_eq!(
        (totals.overruns, totals.resyncs, totals.malformed),
        (0, 0, 0)
    );
    assert_eq!(world.difference(), None, "compared for every address");
    let line = json!({
        "name": "live", "routes": count, "batch_s": added.as_secs_f64(),
        "routes_per_s": f64::from(count) / added.as_secs_f64(),
        "visible_after_ms": (visible - added).as_secs_f64() * 1e3,
        "mirror_cpu_s": cpu, "mirror_cpu_share": cpu / visible.as_secs_f64(),
        "commits": totals.commits, "coalesced": totals.coalesced, "overruns": totals.overruns,
        "difference": null,
    });
    println!("{line}");

    let (mut bare, mut rib, mut whole, mut again) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let (seconds, len) = bare_list(&world);
        bare.push(seconds);
        bytes = len;
        let start = Instant::now();
        let fresh = kernel_rib_in(Some(&world.r.path()), VrfId::DEFAULT, Vec::new()).unwrap();
        rib.push(start.elapsed().as_secs_f64());
        assert!(fresh.route_count(Family::Ip4) >= count as usize);
        drop(fresh);
        whole.push(whole_mirror(&world, round == 0));
        let start = Instant::now();
        world.handle.with_blocking(|state| state.resync()).unwrap();
        assert!(world.handle.synchronised(mirror::LIMIT * 5).unwrap());
        again.push(start.elapsed().as_secs_f64());
    }
    let ratio = |other: &[f64]| {
        let pairs = other.iter().zip(&bare).map(|(other, bare)| other / bare);
        median(pairs.collect())
    };
    let line = json!({
        "name": "list", "routes": count, "bytes": bytes, "rounds": ROUNDS,
        "rib_to_bare": ratio(&rib), "mirror_to_bare": ratio(&whole), "again_to_bare": ratio(&again),
        "bare_s": median(bare), "rib_s": median(rib), "mirror_s": median(whole),
        "again_s": median(again),
    });
    println!("{line}");
    assert_eq!(world.status().totals.swept, 0);
    world.settle("many routes");

    let start = Instant::now();
    world.r.ip("route flush proto boot");
    world.wait_for("none", || routes() < 100);
    let line = json!({ "name": "flush", "routes": count, "s": start.elapsed().as_secs_f64() });
    println!("{line}");
}
