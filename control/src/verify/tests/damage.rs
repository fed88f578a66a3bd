//! The tables of the fast path damaged on purpose: each kind of damage is named and mended.

use ironlane_fib::{Adjacency, AdjacencyKind, PortId, VrfId};

use super::bench::{Bench, ip};
use super::*;

#[test]
fn what_is_right_is_clean_after_one_dump() {
    let bench = Bench::new();
    let report = bench.verify(false);
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(bench.dumps.get(), 1);
    let summary = report.summary;
    assert_eq!((summary.routes_checked, summary.neighbours_checked), (6, 2));
    assert_eq!(
        summary.prefixes_checked, 8,
        "routes, and neighbours as hosts"
    );
    assert_eq!(
        (summary.nexthops_checked, summary.adjacencies_checked),
        (5, 4)
    );
    assert!(summary.counters_identity_holds && summary.notes.is_empty());
}

#[test]
fn a_damaged_leaf_is_named_by_its_prefix() {
    let bench = Bench::new();
    let (elsewhere, _) = bench.live.borrow().0.answer(ip("10.0.0.1"));
    bench.damage("10.1.2.3", |writer, _| {
        writer.poke_leaf(VrfId::DEFAULT, ip("10.1.2.3"), elsewhere);
    });
    let difference = bench.expect_one(Object::Leaf, Cause::Tables, "10.1.0.0/16 at 10.1.");
    assert!(
        difference
            .expected
            .starts_with("forward by p1 to 02:00:00:00:00:13 ")
    );
    assert!(
        difference
            .found
            .starts_with("forward by p0 to 02:00:00:00:00:09 ")
    );
}

#[test]
fn a_damaged_leaf_of_no_route_is_named_too() {
    let bench = Bench::new();
    let (elsewhere, _) = bench.live.borrow().0.answer(ip("10.0.0.1"));
    bench.damage("2001:dead::", |writer, _| {
        writer.poke_leaf(VrfId::DEFAULT, ip("2001:dead::"), elsewhere);
    });
    let difference = bench.expect_one(Object::Leaf, Cause::Tables, "::/0 at 2001:de");
    assert_eq!(difference.expected, "no_route");
}

#[test]
fn a_nexthop_of_another_kind_is_named_by_its_slot() {
    let bench = Bench::new();
    bench.damage("10.0.0.1", |writer, index| {
        writer.poke_nexthop(index, Adjacency::simple(AdjacencyKind::Drop).into());
    });
    // The group and the neighbour itself use the slot too; it is named once.
    let difference = bench.expect_one(Object::Nexthop, Cause::Tables, "nexthop ");
    assert!(
        difference
            .subject
            .ends_with(" for 192.0.2.9 on p0, of 2 prefixes")
    );
    assert_eq!(difference.found, "drop");
}

#[test]
fn a_nexthop_that_became_a_group_is_named() {
    let bench = Bench::new();
    let (group, _) = bench.live.borrow().0.answer(ip("11.0.0.1"));
    bench.damage("192.0.2.77", |writer, index| {
        let members = [ironlane_fib::Member {
            nexthop: group,
            weight: 1,
        }];
        let nested = ironlane_fib::Group::new(&members).unwrap();
        writer.poke_nexthop(index, nested.into());
    });
    let difference = bench.expect_one(Object::Nexthop, Cause::Tables, "nexthop ");
    assert_eq!(difference.expected, "glean on p0 mtu 1500");
}

#[test]
fn every_part_of_an_adjacency_is_looked_at() {
    let forward = |port, mtu, dst, src| {
        Adjacency::forward(
            PortId(port),
            mtu,
            [2, 0, 0, 0, 0, dst],
            [2, 0xff, 0, 0, 0, src],
        )
    };
    let wrong = [
        forward(0, 1500, 8, 0),
        forward(0, 1500, 9, 1),
        forward(0, 1499, 9, 0),
        forward(1, 1500, 9, 0),
    ];
    for adjacency in wrong {
        let bench = Bench::new();
        bench.damage("10.0.0.1", |writer, index| {
            writer.poke_nexthop(index, adjacency.into())
        });
        bench.expect_one(Object::Adjacency, Cause::Tables, "nexthop ");
    }
}

#[test]
fn one_rewrite_byte_is_enough() {
    let bench = Bench::new();
    bench.damage("192.0.2.9", |writer, index| {
        let mut rewrite = [2, 0, 0, 0, 0, 9, 2, 0xff, 0, 0, 0, 0, 0, 0];
        rewrite[3] ^= 0x10;
        assert!(writer.poke_rewrite(index, rewrite));
    });
    let difference = bench.expect_one(Object::Adjacency, Cause::Tables, "nexthop ");
    assert!(
        difference.found.contains("to 02:00:00:10:00:09 "),
        "{difference:#?}"
    );
}

#[test]
fn a_bucket_that_points_elsewhere_is_named() {
    let bench = Bench::new();
    let (elsewhere, _) = bench.live.borrow().0.answer(ip("192.0.2.77"));
    bench.damage("11.0.0.1", |writer, index| {
        assert!(writer.poke_bucket(index, 1, elsewhere));
    });
    let difference = bench.expect_one(Object::Group, Cause::Tables, "nexthop ");
    assert!(
        difference
            .found
            .ends_with(", its buckets not shared by weight")
    );
}

#[test]
fn another_weight_is_named() {
    let bench = Bench::new();
    bench.damage("11.0.0.1", |writer, index| {
        let mut reader = Domain::register(writer.tables().domain()).unwrap();
        let members = {
            let guard = reader.read();
            let Some(ironlane_fib::NexthopRef::Group(group)) =
                writer.tables().nexthops().get(&guard, index)
            else {
                panic!("11.0.0.0/8 is a group")
            };
            group.members().to_vec()
        };
        let mut members = members;
        members[0].weight = 3;
        writer.poke_nexthop(index, ironlane_fib::Group::new(&members).unwrap().into());
    });
    let difference = bench.expect_one(Object::Group, Cause::Tables, "nexthop ");
    assert!(difference.found.contains(" weight 3"), "{difference:#?}");
}
