//! Verify against a real kernel and the running mirror: clean where nothing is wrong, be the
//! kernel at work or not; each fault named and mended.

mod mirror;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use ironlane_control::verify::{
    Cause, Object, Source, VerifyError, VerifyOptions, VerifyReport, verify,
};
use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, VrfId, Writer};
use ironlane_rib::Rib;
use mirror::{World, allowed};

fn with_routes() -> World {
    let world = World::new();
    let mut commands = String::new();
    for net in 0..=255 {
        // One goes another way than those beside it, with which it would share a leaf.
        let via = ["192.0.2.2", "198.51.100.2"][usize::from(net == 5)];
        commands += &format!("route add 20.0.{net}.0/24 via {via}\n");
        commands += &format!("route add 2001:db8:20:{net:x}::/64 via 2001:db8:1::2\n");
    }
    commands += "route add 21.0.0.0/8 nexthop via 192.0.2.2 nexthop via 198.51.100.2 weight 3\n";
    commands += "route add unreachable 22.0.0.0/8\n";
    commands += "nexthop add id 7 via 198.51.100.3 dev p1\n";
    commands += "route add 23.0.0.0/8 nhid 7\n";
    for (host, port) in [("192.0.2.2", 0), ("198.51.100.2", 1), ("2001:db8:1::2", 1)] {
        commands += &format!(
            "neighbour replace {host} dev p{port} lladdr 02:00:00:00:0{port}:02 nud permanent\n"
        );
    }
    world.r.batch(&commands);
    world.settle("the routes");
    world
}

fn look(world: &World, repair: bool) -> VerifyReport {
    let options = VerifyOptions {
        repair,
        ..VerifyOptions::default()
    };
    verify(&world.handle, &options, None).unwrap()
}

fn damage(
    world: &World,
    address: &str,
    with: impl FnOnce(&mut Writer, NexthopIndex) + Send + 'static,
) {
    let address: IpAddr = address.parse().unwrap();
    let damaged = world
        .handle
        .live(move |rib: &mut Rib, writer: &mut Writer| {
            let (index, _) = rib.answer(address);
            with(writer, index);
        });
    damaged.unwrap();
}

#[test]
fn a_quiet_kernel_is_found_clean_and_each_damage_is_named_and_mended() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    let clean = look(&world, false);
    assert!(
        clean.is_clean() && clean.differences.is_empty(),
        "{clean:#?}"
    );
    assert!(clean.summary.routes_checked > 500 && clean.summary.neighbours_checked >= 3);

    let elsewhere = world
        .handle
        .live(|rib, _| rib.answer("22.0.0.1".parse().unwrap()).0);
    let elsewhere = elsewhere.unwrap();
    damage(&world, "20.0.5.0", move |writer, _| {
        writer.poke_leaf(VrfId::DEFAULT, "20.0.5.77".parse().unwrap(), elsewhere);
    });
    damage(&world, "2001:db8:20:7::1", |writer, index| {
        assert!(writer.poke_rewrite(index, [6; 14]));
    });
    damage(&world, "21.0.0.1", move |writer, index| {
        assert!(writer.poke_bucket(index, 0, elsewhere));
    });
    damage(&world, "23.0.0.1", |writer, index| {
        writer.poke_nexthop(index, Adjacency::simple(AdjacencyKind::Drop).into());
    });

    let found = look(&world, false);
    let mut objects: Vec<_> = found
        .differences
        .iter()
        .map(|d| (d.object, d.cause))
        .collect();
    objects.sort();
    let expected = [
        Object::Leaf,
        Object::Nexthop,
        Object::Adjacency,
        Object::Group,
    ];
    assert_eq!(
        objects,
        expected.map(|object| (object, Cause::Tables)),
        "{found:#?}"
    );
    let leaf = found
        .differences
        .iter()
        .find(|d| d.object == Object::Leaf)
        .unwrap();
    assert!(
        leaf.subject.starts_with("20.0.5.0/24 at 20.0.5."),
        "{leaf:#?}"
    );
    assert_eq!(leaf.found, "unreachable");

    let mended = look(&world, true);
    assert!(
        mended.is_clean() && mended.summary.repaired == 4,
        "{mended:#?}"
    );
    assert!(look(&world, false).differences.is_empty());
}

#[test]
fn what_the_mirror_forgot_is_named_and_read_again() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    // A list would find it.
    let following = || world.status().doing == "following";
    world.wait_for("no list to be due", following);
    let forgotten = world.handle.live(|rib, writer| {
        let within = "20.0.9.0/24".parse().ok();
        let filter = ironlane_rib::RouteFilter {
            within,
            ..Default::default()
        };
        for view in rib.routes(&filter, None, 10) {
            rib.apply(ironlane_rib::Change::DelRoute(view.route));
        }
        rib.commit(writer);
    });
    forgotten.unwrap();
    assert_eq!(world.kind("20.0.9.1"), AdjacencyKind::NoRoute);

    let found = look(&world, false);
    assert_eq!(found.differences.len(), 1, "{found:#?}");
    let missing = &found.differences[0];
    assert_eq!(
        (missing.object, missing.cause),
        (Object::Leaf, Cause::Mirror)
    );
    assert_eq!(missing.subject, "20.0.9.0/24");

    let mended = look(&world, true);
    assert!(
        mended.is_clean() && mended.summary.repaired == 1,
        "{mended:#?}"
    );
    assert_eq!(world.kind("20.0.9.1"), AdjacencyKind::Forward);
}

#[test]
fn a_kernel_at_work_is_found_clean() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: tells to stop, and guards nothing.
            while !done.load(Ordering::Relaxed) {
                let mut commands = String::new();
                for net in 0..100 {
                    commands += &format!("route replace 20.0.{net}.0/24 via 198.51.100.2\n");
                    commands += &format!("route add 24.{net}.0.0/16 via 192.0.2.2\n");
                }
                for net in 0..100 {
                    commands += &format!("route replace 20.0.{net}.0/24 via 192.0.2.2\n");
                    commands += &format!("route del 24.{net}.0.0/16\n");
                }
                world.r.batch(&commands);
            }
        });
        let reports: Vec<_> = (0..5).map(|_| look(&world, false)).collect();
        done.store(true, Ordering::Relaxed);
        for report in reports {
            // What flaps faster than verify settles may differ each time it is looked at; only
            // what keeps changing may be named, and the tables are never at fault.
            for difference in &report.differences {
                assert_eq!(difference.cause, Cause::Mirror, "{difference:#?}");
                let flaps = ["20.0.", "24."];
                let subject = &difference.subject;
                assert!(
                    flaps.iter().any(|flap| subject.starts_with(flap)),
                    "{difference:#?}"
                );
            }
        }
    });
    world.settle("the last routes");
    let after = look(&world, false);
    assert!(
        after.is_clean() && after.differences.is_empty(),
        "{after:#?}"
    );
}

#[test]
fn a_namespace_without_its_name_is_still_the_one_that_is_compared() {
    if !allowed() {
        return;
    }
    let world = with_routes();
    let name = &world.r.0;
    mirror::sh(&format!("ip netns del {name} && ip netns add {name}"));
    let report = look(&world, false);
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.summary.routes_checked > 500, "{report:#?}");
}

#[test]
fn a_mirror_that_is_gone_is_an_error() {
    if !allowed() {
        return;
    }
    let World { mirror, handle, .. } = World::new();
    mirror.stop();
    let failed = verify(&handle, &VerifyOptions::default(), None);
    assert!(matches!(failed, Err(VerifyError::Netlink(_))), "{failed:?}");
}
