//! Memory is what the routes need, is bounded while it waits, and comes back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;

fn fill(setup: &mut Setup, hop: NexthopIndex, count: u32) -> Vec<IpNet> {
    // One node for each: 18 bits at the root, 6 below; too far apart for a sparse root.
    let prefix = |i: u32| IpNet::new(std::net::Ipv4Addr::from(i << 14 | 0x100).into(), 24);
    let prefixes: Vec<IpNet> = (0..count).map(|i| prefix(i).expect("24 bits")).collect();
    for &prefix in &prefixes {
        setup.writer.insert(VRF, prefix, hop).expect("room");
    }
    prefixes
}

#[test]
fn a_flush_gives_all_blocks_back() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let empty = setup.writer.stats();
    let prefixes = fill(&mut setup, hop, 20_000);
    let stats = setup.look(|tables, guard| tables.ip4(guard, VRF).stats());
    assert_eq!((stats.prefixes, stats.nodes), (20_000, 20_000));
    assert_eq!(stats.bytes, (4 << 18) + 20_000 * 32);
    assert_eq!(setup.writer.stats().nodes, 20_000);
    for prefix in prefixes {
        setup.writer.remove(VRF, prefix);
    }
    setup.writer.synchronize();
    let after = setup.writer.stats();
    assert_eq!(
        (after.nodes, after.node_bytes),
        (empty.nodes, empty.node_bytes)
    );
    assert!(after.prefix_bytes < empty.prefix_bytes + 100_000);
    let stats = setup.look(|tables, guard| tables.ip4(guard, VRF).stats());
    assert!(
        stats.bytes <= 64 * 4096,
        "{} bytes of an empty root",
        stats.bytes
    );
}

#[test]
fn a_sparse_root_has_the_pages_that_routes_need() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let bytes = |setup: &Setup| {
        let stats = |tables: &Tables, guard: &Guard<'_>| {
            (
                tables.ip4(guard, VRF).stats().bytes,
                tables.ip6(guard, VRF).stats().bytes,
            )
        };
        setup.look(stats)
    };
    for (prefix, pages) in [
        ("0.0.0.0/0", (0, 0)), // the default takes no page
        ("::/0", (0, 4)),      // but what is not in 2000::/3
        ("2000::/3", (0, 4)),
        ("10.1.2.0/24", (1, 4)),
        ("10.2.0.0/16", (1, 4)),
        ("10.0.0.0/8", (64, 4)),
        ("2001:db8::/32", (64, 5)),
        ("2001:db8:1::/48", (64, 5)), // and no block, since it has the same nexthop
        ("2001:1000::/21", (64, 6)),
        ("2a00::/12", (64, 262)),
        ("fd00::/8", (64, 262)),
    ] {
        setup.route(prefix, hop);
        assert_eq!(bytes(&setup), (pages.0 * 4096, pages.1 * 4096), "{prefix}");
    }
    // A route that would fill too many pages brings a root of fewer bits; without it, and with so
    // few routes, the sparse one is back.
    setup.route("2400::/6", hop);
    assert!(bytes(&setup).1 > 8 << 20);
    setup.writer.remove(VRF, net("2400::/6"));
    assert!(bytes(&setup).1 < 2 << 20);
    setup.route("128.0.0.0/1", hop);
    assert_eq!(bytes(&setup).0, 4 << 18);
    setup.writer.remove(VRF, net("128.0.0.0/1"));
    assert_eq!(bytes(&setup).0, 64 * 4096);
}

#[test]
fn memory_comes_back_bit_by_bit() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let prefixes = fill(&mut setup, hop, 40_000);
    let full = setup.writer.stats().node_bytes;
    for &prefix in &prefixes[..20_000] {
        setup.writer.remove(VRF, prefix);
    }
    setup.writer.synchronize();
    let half = setup.writer.stats().node_bytes;
    assert!(half <= full * 12 / 20, "{half} of {full} bytes are left");
    let again = fill(&mut setup, hop, 40_000);
    assert_eq!(
        setup.writer.stats().node_bytes,
        full,
        "the gaps are used again"
    );
    assert_eq!(again, prefixes);
}

#[test]
fn a_prefix_alone_needs_its_path_and_no_more() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let count = |setup: &Setup| setup.look(|tables, guard| tables.ip4(guard, VRF).stats().nodes);
    // A sparse root resolves 24 bits, and a root of wide routes 18.
    let sparse = [0, 0, 0, 1, 1, 2];
    let wide = [0, 1, 1, 2, 2, 3];
    for nodes in [sparse, wide] {
        for (len, nodes) in [18, 19, 24, 25, 30, 32].into_iter().zip(nodes) {
            let prefix = format!("10.0.0.0/{len}");
            setup.route(&prefix, hop);
            assert_eq!(count(&setup), nodes, "{prefix}");
            setup.writer.remove(VRF, net(&prefix));
            assert_eq!(count(&setup), 0, "{prefix}");
        }
        setup.route("128.0.0.0/1", hop);
    }
}

#[test]
fn a_node_that_says_no_more_than_its_parent_costs_readers_nothing() {
    let mut setup = Setup::new();
    let (hop, other) = (setup.add(port(1)), setup.add(port(2)));
    let blocks = |setup: &Setup| setup.look(|tables, guard| tables.ip4(guard, VRF).stats().nodes);
    setup.route("10.0.0.0/8", hop);
    setup.route("10.1.2.0/28", hop);
    assert_eq!(blocks(&setup), 0);
    setup.route("10.1.2.0/28", other);
    assert_eq!(blocks(&setup), 1);
    setup.route("10.0.0.0/8", other);
    assert_eq!(blocks(&setup), 0);
    setup.writer.remove(VRF, net("10.0.0.0/8"));
    assert_eq!(blocks(&setup), 1);
    assert_eq!(setup.lookup(VRF, "10.1.2.3"), other);
    assert!(setup.lookup(VRF, "10.1.2.16").is_none());
}

#[test]
fn what_waits_for_a_preempted_lcore_is_bounded() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let mut lcore = Domain::register(setup.tables.domain()).expect("room");
    let (ready, go) = std::sync::mpsc::channel();
    let full = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let full = &full;
        scope.spawn(move || {
            let burst = lcore.read();
            ready.send(()).expect("the writer waits");
            while !full.load(Relaxed) {
                std::thread::yield_now();
            }
            drop(burst);
            lcore.offline();
        });
        go.recv().expect("the lcore is in its burst");
        for turn in 0..12_000 {
            setup.route("10.0.0.0/32", hop);
            setup.writer.remove(VRF, net("10.0.0.0/32")); // two blocks
            let pending = setup.writer.pending();
            assert!(pending <= 16_386, "turn {turn}");
            if !full.load(Relaxed) {
                assert_eq!((pending, setup.writer.stats().waits), (2 * (turn + 1), 0));
                // The next blocks have to wait until the lcore has gone.
                full.store(pending + 2 > 16_384, Relaxed);
            }
        }
    });
    assert!(full.into_inner());
    let stats = setup.writer.stats();
    assert!(stats.waits >= 1, "{stats:?}");
    setup.writer.synchronize();
    assert_eq!(
        (setup.writer.stats().nodes, setup.writer.stats().pending),
        (0, 0)
    );
}

#[test]
fn the_last_index_is_the_last() {
    let mut setup = Setup::new();
    let mut count = 0;
    let error = loop {
        match setup
            .writer
            .add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())
        {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error, count),
        (FibError::NexthopsExhausted, NexthopIndex::LIMIT - 1)
    );
    let last = index(NexthopIndex::LIMIT - 1);
    assert_eq!(setup.resolve(last, 0).kind(), AdjacencyKind::Local);
    setup.writer.remove_nexthop(last).expect("no route uses it");
    assert_eq!(
        setup.add(port(1)),
        last,
        "what was removed is found when all else is taken"
    );
}

#[test]
fn a_writer_may_go_while_readers_stay() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    setup.route("10.0.0.0/32", hop);
    let mut lcore = Domain::register(setup.tables.domain()).expect("room");
    let burst = lcore.read();
    setup.writer.remove(VRF, net("10.0.0.0/32"));
    setup
        .writer
        .replace_nexthop(hop, port(2).into())
        .expect("it exists");
    let Setup { tables, writer } = setup;
    drop(writer);
    assert_eq!(tables.nexthops().resolve(&burst, hop, 0).port(), PortId(2));
    assert!(
        tables
            .ip4(&burst, VRF)
            .lookup(&burst, 0x0a00_0000)
            .is_none()
    );
}

#[test]
fn blocks_are_flat_while_routes_are_few() {
    let mut setup = Setup::new();
    let (hop, other) = (setup.add(port(1)), setup.add(port(2)));
    let stats = |setup: &Setup| setup.look(|tables, guard| tables.ip6(guard, VRF).stats());
    let prefix = |i: u32| net(&format!("2001:db8:{i:x}::/48"));
    let add = |setup: &mut Setup, i: u32| {
        setup
            .writer
            .insert(VRF, prefix(i), [hop, other][i as usize % 2])
    };
    add(&mut setup, 0).expect("room");
    assert_eq!(
        (stats(&setup).nodes, stats(&setup).bytes),
        (3, 4096 + 3 * 320)
    );
    (1..2000).for_each(|i| _ = add(&mut setup, i).expect("room"));
    let flat = stats(&setup);
    assert_eq!(flat.bytes, 4096 + 320 * flat.nodes);
    add(&mut setup, 2000).expect("room");
    let dense = stats(&setup);
    assert_eq!(dense.nodes, flat.nodes);
    assert!(dense.bytes < flat.bytes, "{dense:?}");
    (499..=2000).for_each(|i| _ = setup.writer.remove(VRF, prefix(i)));
    let again = stats(&setup);
    assert_eq!(again.bytes, 4096 + 320 * again.nodes);
}
