//! What `verify` finds: nothing where all is right, else each fault by its name.

mod bench;
mod damage;

use ironlane_dataplane::lcore::{
    CounterSnapshot, LcoreSnapshot, LoopCounts, PortCounts, RingCounts,
};
use ironlane_fib::VrfId;
use ironlane_rib::{Change, Route, RouteFlags, RouteKind, Rule, TableId};

use super::*;
use bench::{Bench, P0, P1, ip, neighbour, route};

#[test]
fn a_missed_route_is_the_mirrors_fault() {
    let bench = Bench::new();
    bench
        .kernel
        .borrow_mut()
        .push(route("10.2.0.0/16", &[("198.51.100.9", P1)]));
    bench.expect_one(Object::Neighbour, Cause::Mirror, "10.2.0.0/16");
}

#[test]
fn a_missed_deletion_is_the_mirrors_fault() {
    let bench = Bench::new();
    bench.kernel.borrow_mut().retain(
        |change| !matches!(change, Change::SetRoute(r, _) if r.prefix.to_string() == "11.0.0.0/8"),
    );
    let difference = bench.expect_one(Object::Leaf, Cause::Mirror, "11.0.0.0/8");
    assert_eq!(difference.expected, "no_route");
}

#[test]
fn a_missed_neighbour_is_named_as_one() {
    let bench = Bench::new();
    bench
        .kernel
        .borrow_mut()
        .push(neighbour("198.51.100.7", P1, 7));
    bench.expect_one(Object::Neighbour, Cause::Mirror, "198.51.100.7/32");
}

#[test]
fn several_faults_are_all_named_and_mended() {
    let bench = Bench::new();
    let (elsewhere, _) = bench.live.borrow().0.answer(ip("198.51.100.9"));
    bench.damage("10.0.0.1", |writer, index| {
        writer.poke_rewrite(index, [0; 14]);
        writer.poke_leaf(VrfId::DEFAULT, ip("10.1.2.3"), index);
        writer.poke_leaf(VrfId::DEFAULT, ip("192.0.2.200"), elsewhere);
    });
    bench
        .kernel
        .borrow_mut()
        .push(route("12.0.0.0/8", &[("", P1)]));
    let report = bench.verify(true);
    let mut named: Vec<_> = report
        .differences
        .iter()
        .map(|d| (d.object, d.cause, d.repaired))
        .collect();
    named.sort();
    let expected = [
        (Object::Leaf, Cause::Tables, true),
        (Object::Leaf, Cause::Tables, true),
        (Object::Leaf, Cause::Mirror, true),
        (Object::Adjacency, Cause::Tables, true),
    ];
    assert_eq!(named, expected, "{report:#?}");
    assert!(report.is_clean() && bench.verify(false).differences.is_empty());
}

#[test]
fn more_faults_than_are_named_are_counted_and_mended() {
    let bench = Bench::new();
    for number in 0..1200_u32 {
        let [_, _, high, low] = (number * 2).to_be_bytes();
        let missed = route(&format!("30.{high}.{low}.0/24"), &[("192.0.2.9", P0)]);
        bench.kernel.borrow_mut().push(missed);
    }
    let report = bench.verify(false);
    assert_eq!(
        (report.differences.len(), report.summary.untold),
        (1000, 200)
    );
    assert!(!report.is_clean() && report.summary.differences == 1200);
    let mended = bench.verify(true);
    assert!(mended.is_clean(), "{:#?}", mended.summary);
    assert_eq!(
        (mended.summary.differences, mended.summary.repaired),
        (1200, 1200)
    );
    assert!(bench.verify(false).differences.is_empty());
}

#[test]
fn what_changes_meanwhile_is_no_difference() {
    let bench = Bench::new();
    // The kernel goes on after each of the first two dumps, and the mirror with it.
    *bench.later.borrow_mut() = vec![
        vec![route("13.0.0.0/8", &[("192.0.2.9", P0)])],
        vec![route("14.0.0.0/8", &[("192.0.2.9", P0)])],
    ];
    let report = bench.verify(false);
    assert!(
        report.is_clean() && report.summary.differences == 0,
        "{report:#?}"
    );
    assert_eq!(
        bench.dumps.get(),
        2,
        "the second dump shows what the first had not"
    );
}

#[test]
fn rules_and_tos_are_noted() {
    let bench = Bench::new();
    let rule = Rule {
        ipv6: false,
        priority: 100,
        table: Some(TableId(100)),
        condition: "from 192.0.2.0/24".into(),
    };
    let mut tos = Route::new("15.0.0.0/8".parse().unwrap(), Vec::new());
    (tos.tos, tos.kind) = (0x10, RouteKind::Blackhole);
    let main = Rule::defaults(Family::Ip6).nth(1).unwrap();
    bench.kernel.borrow_mut().push(Change::DelRule(main));
    bench.kernel.borrow_mut().push(Change::SetRule(rule));
    bench
        .kernel
        .borrow_mut()
        .push(Change::SetRoute(tos, RouteFlags::DUMP));
    let report = bench.verify(false);
    assert!(report.is_clean());
    assert_eq!(
        report.summary.notes,
        [
            "IPv4 rule 100: from 192.0.2.0/24 lookup 100: rules beyond the default ones are not \
             honoured",
            "IPv6 rule 32766: from all lookup main is not there: it is honoured all the same",
            "route 15.0.0.0/8 tos 0x10 of table main: TOS and source are not honoured",
        ]
    );
}

#[test]
fn counters_that_do_not_add_up_are_named() {
    let bench = Bench::new();
    let lcore = |cpu| LcoreSnapshot {
        cpu,
        running: true,
        exact: true,
        ports: vec![PortCounts::default()],
        stages: Vec::new(),
        turns: LoopCounts::default(),
        held: 0,
        held_before: 0,
    };
    let mut snapshot = CounterSnapshot {
        at: std::time::SystemTime::now(),
        lcores: vec![lcore(3), lcore(4)],
        rings: RingCounts {
            exact: true,
            ..RingCounts::default()
        },
    };
    let options = VerifyOptions::default();
    let good = verify(&bench, &options, Some(&snapshot)).unwrap();
    assert!(good.is_clean() && good.summary.counters_identity_holds);

    snapshot.lcores[1].ports[0].rx_packets = 7;
    snapshot.lcores[0].exact = false;
    let bad = verify(&bench, &options, Some(&snapshot)).unwrap();
    assert_eq!(bad.differences.len(), 1);
    assert_eq!(bad.differences[0].subject, "lcore 4");
    assert!(!bad.is_clean() && !bad.summary.counters_identity_holds);
    assert!(bad.summary.notes[0].starts_with("lcore 3 did not answer"));

    snapshot.lcores[0].ports[0].handoff_out = 7;
    snapshot.lcores[0].ports[0].rx_packets = 7;
    snapshot.lcores[1].ports[0].tx_packets = 7;
    snapshot.rings.handoff = 3;
    let lost = verify(&bench, &options, Some(&snapshot)).unwrap();
    let [difference] = &lost.differences[..] else {
        panic!("{:?}", lost.differences);
    };
    assert_eq!(difference.subject, "hand-off rings");
    assert_eq!(difference.expected, "7 packets, by the lcores");
    assert_eq!(difference.found, "3 in the rings");
    snapshot.rings.handoff = 7;
    let held = verify(&bench, &options, Some(&snapshot)).unwrap();
    assert!(held.is_clean());
}
