//! More than the mirror can take at once: it must end where the kernel ends.

mod mirror;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_control::netlink::MirrorOptions;
use ironlane_fib::AdjacencyKind;
use ironlane_rib::Family;
use mirror::{AUDIT_DELAY, World, allowed, route_get};

const ROUTES: u32 = 100_000;

/// Commands for routes of different lengths, below 10.0.0.0/8 and 20.0.0.0/6.
fn routes(verb: &str, count: u32) -> String {
    let mut commands = String::new();
    for number in 0..count {
        let gateway =
            ["192.0.2.2", "198.51.100.2", "192.0.2.3", "203.0.113.9"][number as usize % 4];
        let prefix = Ipv4Addr::from_bits((20 << 24) + (number << 9));
        let len = 23 + number % 3;
        writeln!(commands, "route {verb} {prefix}/{len} via {gateway}").unwrap();
    }
    commands
}

fn route_count(world: &World, family: Family) -> usize {
    world
        .handle
        .with_blocking(move |state| state.rib.route_count(family))
        .unwrap()
}

fn kernel_count(world: &World) -> usize {
    world
        .r
        .ip("-4 route show table all | wc -l")
        .trim()
        .parse()
        .unwrap()
}

/// A generator of addresses that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn a_hundred_thousand_routes_come_and_go() {
    if !allowed() {
        return;
    }
    let world = World::new();
    let base = kernel_count(&world);
    let start = Instant::now();
    world.r.batch(&routes("add", ROUTES));
    let added = start.elapsed();
    world.wait_for("all routes", || {
        route_count(&world, Family::Ip4) == base + ROUTES as usize
    });
    println!(
        "{ROUTES} routes added by ip -batch in {added:?}, all in the RIB after {:?}",
        start.elapsed()
    );
    world.settle("added");
    world
        .r
        .batch(&routes("replace", ROUTES).replace("192.0.2.2", "198.51.100.3"));
    world.settle("replaced");
    let start = Instant::now();
    world.r.ip("route flush root 20.0.0.0/6");
    println!("flushed in {:?}", start.elapsed());
    world.settle("flushed");
    assert_eq!(route_count(&world, Family::Ip4), base);
    let status = world.status();
    assert_eq!(
        (status.totals.malformed, status.totals.swept),
        (0, 0),
        "{status:#?}"
    );
    println!("{status:#?}");
}

#[test]
fn an_overrun_on_purpose_ends_in_step() {
    if !allowed() {
        return;
    }
    let world = World::with(MirrorOptions {
        receive_buffer_bytes: 16 << 10,
        audit_delay: AUDIT_DELAY,
        audit_interval: None,
        refresh_interval: None,
        ..MirrorOptions::default()
    });
    // While the mirror does not look, the kernel has to drop messages.
    let pause = |millis| {
        let sleep = move |_: &mut _| std::thread::sleep(Duration::from_millis(millis));
        world.handle.with_blocking(sleep).unwrap();
    };
    for verb in ["add", "del", "add", "replace"] {
        let handle = world.handle.clone();
        let sleeper = std::thread::spawn(move || {
            let sleep = |_: &mut _| std::thread::sleep(Duration::from_millis(100));
            handle.with_blocking(sleep).unwrap();
        });
        world.r.batch(&routes(verb, 5_000));
        sleeper.join().unwrap();
    }
    pause(0);
    world.settle("after the overrun");
    let totals = world.status().totals;
    assert!(totals.overruns > 0 && totals.resyncs > 0, "{totals:?}");
}

#[test]
fn links_flap_while_routes_change() {
    if !allowed() {
        return;
    }
    let world = World::new();
    let r = world.r.0.clone();
    let flapper = std::thread::spawn(move || {
        for round in 0..30 {
            mirror::sh(&format!("ip -n {r} link set p{} down", round % 2));
            mirror::sh(&format!("ip -n {r} link set p{} up", round % 2));
        }
    });
    while !flapper.is_finished() {
        // Some fail, for want of the port that is down.
        let commands = routes("replace", 2_000);
        let _ = std::process::Command::new("sh")
            .args([
                "-c",
                &format!(
                    "ip -n {} -force -batch - 2>/dev/null <<'E'\n{commands}E",
                    world.r.0
                ),
            ])
            .status();
    }
    flapper.join().unwrap();
    world.settle("flapped");
    assert_eq!(world.status().totals.malformed, 0);
}

#[test]
fn events_go_on_while_long_lists_are_read() {
    if !allowed() {
        return;
    }
    let world = World::new();
    world.r.batch(&routes("add", 50_000));
    world.settle("added");
    let before = world.status().totals.dumps;
    let ping = |round: u32| {
        world.r.ip(&format!(
            "route replace 10.1.0.0/16 via 192.0.2.{}",
            2 + round % 3
        ));
        world.r.ip(&format!(
            "route replace 20.0.0.0/23 via 198.51.100.{}",
            2 + round % 3
        ));
        world.r.ip(&format!(
            "-6 route replace 2001:db8:a::/48 via 2001:db8:1::{}",
            2 + round % 3
        ));
    };
    for round in 0..30 {
        world.handle.with_blocking(|state| state.resync()).unwrap();
        ping(round);
    }
    world.settle("changed");
    let totals = world.status().totals;
    assert!(totals.dumps > before, "{totals:?}");
    assert_eq!(totals.malformed, 0);
}

#[test]
fn lists_that_change_while_they_are_read_are_read_again() {
    if !allowed() {
        return;
    }
    let world = World::new();
    let address = |number: u32| Ipv4Addr::from_bits((10 << 24) + (9 << 16) + number);
    let commands = |verb: &str, range: std::ops::Range<u32>| {
        range
            .map(|n| format!("address {verb} {}/32 dev d0\n", address(n)))
            .collect::<String>()
    };
    world.r.batch(&commands("add", 0..4_000));
    let r = world.r.0.clone();
    let storm = [commands("add", 4_000..4_500), commands("del", 4_000..4_500)].concat();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let changer = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            mirror::sh(&format!("ip -n {r} -batch - <<'E'\n{storm}E"));
        }
    });
    world.wait_for("an interrupted list", || {
        world.handle.with_blocking(|state| state.resync()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        world.status().totals.dumps_interrupted > 0
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    changer.join().unwrap();
    world.settle("quiet again");
    let count = |state: &mut ironlane_control::netlink::MirrorState| state.rib.addresses().count();
    let kernel: usize = world
        .r
        .ip("-o address show | wc -l")
        .trim()
        .parse()
        .unwrap();
    world.wait_for("all addresses", || {
        world.handle.with_blocking(count).unwrap() == kernel
    });
}

/// The first and the last address of a prefix, and those beside it.
fn edges(prefix: IpNet) -> [IpAddr; 4] {
    match prefix {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpNet::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                .map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

/// `ip route get` answers for multicast, loopback and the like by rules of its own.
fn is_asked(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !v4.is_multicast() && !v4.is_loopback() && (1..240).contains(&v4.octets()[0])
        }
        IpAddr::V6(v6) => v6.segments()[0] == 0x2001,
    }
}

#[test]
fn ten_thousand_addresses_are_answered_as_by_ip_route_get() {
    if !allowed() {
        return;
    }
    let world = World::new();
    let mut random = Random(0x1707_1a9e);
    let mut commands = String::new();
    let mut macs = route_get::Macs::new();
    for (port, host) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        let gateways = [
            format!("{}.{host}", ["192.0.2", "198.51.100"][port]),
            format!("2001:db8:{port}::{host}"),
        ];
        for (family, gateway) in gateways.iter().enumerate() {
            let mac = [2, 0, 0, 1 + family as u8, port as u8, host];
            let text = mac.map(|byte| format!("{byte:02x}")).join(":");
            writeln!(
                commands,
                "neighbour replace {gateway} dev p{port} lladdr {text} nud permanent"
            )
            .unwrap();
            macs.insert((format!("p{port}"), gateway.parse().unwrap()), mac);
        }
    }
    // Connected ones have addresses of ours and broadcasts at their edges.
    let mut prefixes: Vec<IpNet> = [
        "192.0.2.0/24",
        "192.0.2.1/32",
        "198.51.100.0/24",
        "198.51.100.1/32",
        "203.0.113.0/24",
        "203.0.113.1/32",
        "2001:db8:0::/64",
        "2001:db8:1::/64",
        "2001:db8:1::1/128",
    ]
    .map(|text| text.parse().unwrap())
    .into();
    for _ in 0..2_000 {
        let bits = random.next();
        let target = match bits >> 8 & 15 {
            0 => "blackhole",
            1 => "unreachable",
            2 => "prohibit",
            _ => "",
        };
        let (v4, len) = (Ipv4Addr::from_bits((bits >> 32) as u32), 4 + bits % 29);
        let prefix = IpNet::new(v4.into(), len as u8).unwrap().trunc();
        let via = [
            "via 192.0.2.2",
            "via 198.51.100.2",
            "via 203.0.113.9",
            "dev p0",
            "nexthop via 192.0.2.3 nexthop via 198.51.100.3",
        ][(bits >> 16) as usize % 5];
        let via = if target.is_empty() { via } else { "" };
        writeln!(commands, "route replace {target} {prefix} {via}").unwrap();
        prefixes.push(prefix);

        let (len, low) = (16 + bits % 49, random.next() as u32);
        let v6 = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low) << 64);
        let prefix = IpNet::new(v6.into(), len.max(33) as u8).unwrap().trunc();
        let via = [
            "via 2001:db8:0::2",
            "via 2001:db8:1::2",
            "dev p1",
            "nexthop via 2001:db8:0::3 nexthop via 2001:db8:1::3",
        ][(bits >> 16) as usize % 4];
        let via = if target.is_empty() { via } else { "" };
        writeln!(commands, "route replace {target} {prefix} {via}").unwrap();
        prefixes.push(prefix);
    }
    // Some would cut off the gateways of others; the kernel refuses those, and so do we.
    world.r.try_batch(&commands);
    world.settle("random routes");

    let mut addresses: Vec<IpAddr> = prefixes.iter().copied().flat_map(edges).collect();
    addresses.extend(macs.keys().map(|(_, gateway)| *gateway));
    addresses.retain(is_asked);
    let edges = addresses.len();
    while addresses.len() < edges + 10_000 {
        let bits = random.next();
        let v4 = Ipv4Addr::from_bits(bits as u32);
        addresses.extend(Some(IpAddr::from(v4)).filter(is_asked));
        let v6 = u128::from(0x2001_0db8_u32) << 96
            | u128::from(random.next() as u32) << 64
            | u128::from(bits);
        addresses.push(Ipv6Addr::from_bits(v6).into());
    }
    let seen = route_get::compare_all(&world, &macs, &addresses);
    println!("{edges} at edges, {} in all: {seen:?}", addresses.len());
    for kind in [
        AdjacencyKind::Forward,
        AdjacencyKind::Glean,
        AdjacencyKind::Local,
        AdjacencyKind::Broadcast,
        AdjacencyKind::Blackhole,
        AdjacencyKind::Unreachable,
        AdjacencyKind::Prohibit,
        AdjacencyKind::Kernel,
        AdjacencyKind::NoRoute,
    ] {
        assert!(
            seen.get(&kind).copied().unwrap_or(0) > 0,
            "{kind}: {seen:?}"
        );
    }
}
