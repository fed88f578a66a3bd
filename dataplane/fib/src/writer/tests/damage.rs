//! Every kind of damage shows to who walks the live structures, and is cured.

use super::*;

#[test]
fn a_poked_leaf_shows_in_lookup_and_walk_and_is_mended() {
    let mut setup = Setup::new();
    let (right, wrong) = (setup.add(port(1)), setup.add(port(2)));
    setup.route("10.1.0.0/16", right);
    setup.route("10.1.2.0/24", right);
    setup.route("2001:db8::/32", right);
    for (address, prefix) in [
        ("10.1.2.3", "10.1.2.0/24"),      // in a node
        ("10.1.9.9", "10.1.0.0/16"),      // a slot that a shorter prefix fills
        ("192.0.2.1", "192.0.2.0/24"),    // where there is no route
        ("2001:db8::5", "2001:db8::/32"), // IPv6
    ] {
        let before = setup.lookup(VRF, address);
        setup
            .writer
            .poke_leaf(VRF, address.parse().expect("an address"), wrong);
        assert_eq!(setup.lookup(VRF, address), wrong, "{address}");
        let runs = setup.look(|tables, guard| {
            let mut runs = 0;
            tables
                .ip4(guard, VRF)
                .walk(guard, |_, _, nexthop| runs += u32::from(nexthop == wrong));
            tables
                .ip6(guard, VRF)
                .walk(guard, |_, _, nexthop| runs += u32::from(nexthop == wrong));
            runs
        });
        assert_eq!(runs, 1, "{address}");
        assert_eq!(setup.writer.mend(VRF, net(prefix)), 1, "{address}");
        assert_eq!(setup.lookup(VRF, address), before, "{address}");
    }
    assert_eq!(setup.writer.mend(VRF, net("0.0.0.0/0")), 0);
    assert_eq!(setup.writer.mend(VRF, net("::/0")), 0);
}

#[test]
fn inserting_a_route_again_mends_its_leaves() {
    let mut setup = Setup::new();
    let (right, wrong) = (setup.add(port(1)), setup.add(port(2)));
    setup.route("10.1.2.0/24", right);
    setup
        .writer
        .poke_leaf(VRF, "10.1.2.3".parse().expect("an address"), wrong);
    setup.route("10.1.2.0/24", right);
    assert_eq!(setup.lookup(VRF, "10.1.2.3"), right);
}

#[test]
fn a_poke_within_a_wide_leaf_is_mended_from_any_prefix_there() {
    let mut setup = Setup::new();
    let wrong = setup.add(port(2));
    setup
        .writer
        .poke_leaf(VRF, "10.1.2.3".parse().expect("an address"), wrong);
    assert_eq!(
        setup.lookup(VRF, "10.1.2.255"),
        wrong,
        "the leaf is that of the /24"
    );
    assert_eq!(setup.writer.mend(VRF, net("10.1.2.3/32")), 1);
    assert_eq!(setup.lookup(VRF, "10.1.2.255"), NexthopIndex::NONE);
}

#[test]
fn poked_nexthops_show_and_are_replaced() {
    let mut setup = Setup::new();
    let (hop, other) = (setup.add(port(1)), setup.add(port(2)));
    let both = setup.add(group(&[(hop, 1), (other, 1)]));

    setup
        .writer
        .poke_nexthop(hop, Adjacency::simple(AdjacencyKind::Blackhole).into());
    assert_eq!(setup.resolve(hop, 0).kind(), AdjacencyKind::Blackhole);
    setup
        .writer
        .replace_nexthop(hop, port(1).into())
        .expect("it exists");

    let mut rewrite = port(1).rewrite();
    rewrite[5] ^= 0x40;
    assert!(setup.writer.poke_rewrite(hop, rewrite));
    assert_eq!(setup.resolve(hop, 0).rewrite(), rewrite);
    assert_ne!(setup.resolve(hop, 0), port(1));
    setup
        .writer
        .replace_nexthop(hop, port(1).into())
        .expect("it exists");
    assert_eq!(setup.resolve(hop, 0), port(1));

    assert!(setup.writer.poke_bucket(both, 1, hop));
    let buckets = |setup: &Setup| {
        setup.look(|tables, guard| match tables.nexthops().get(guard, both) {
            Some(NexthopRef::Group(group)) => group.buckets().to_vec(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(buckets(&setup), [hop, hop]);
    setup
        .writer
        .replace_nexthop(both, group(&[(hop, 1), (other, 1)]).into())
        .expect("it exists");
    assert_eq!(buckets(&setup), [hop, other]);

    assert!(
        !setup.writer.poke_rewrite(both, rewrite),
        "a group has none"
    );
    assert!(
        !setup.writer.poke_bucket(hop, 0, hop),
        "an adjacency has none"
    );
    assert!(!setup.writer.poke_bucket(both, 2, hop), "there are two");
}

#[test]
fn a_poked_group_within_a_group_is_no_route() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let one = setup.add(group(&[(hop, 1)]));
    setup.writer.poke_nexthop(hop, group(&[(one, 1)]).into());
    assert_eq!(setup.resolve(one, 5).kind(), AdjacencyKind::NoRoute);
}
