//! Damage on purpose, each kind named and mended.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlane_dataplane::lcore::{
    CounterSnapshot, LcoreSnapshot, LoopCounts, PortCounts, RingCounts,
};
use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use ironlane_rib::{
    Change, IfIndex, Link, Neighbour, NeighbourState, ObjectKind, Path, PortBinding, Rib, Route,
    RouteFlags, RouteKind, Rule, TableId,
};

use super::*;

/// A kernel that is a list of what a dump of it says, and a mirror of it.
struct Bench {
    kernel: RefCell<Vec<Change>>,
    live: RefCell<(Rib, Writer)>,
    /// Applied after each dump of the kernel, as if it had gone on meanwhile.
    later: RefCell<Vec<Vec<Change>>>,
    dumps: Cell<u32>,
}

const P0: IfIndex = IfIndex(10);
const P1: IfIndex = IfIndex(11);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route(prefix: &str, paths: &[(&str, IfIndex)]) -> Change {
    let path = |&(gateway, ifindex): &(&str, IfIndex)| Path {
        gateway: gateway.parse().ok(),
        ..Path::dev(ifindex)
    };
    let route = Route::new(prefix.parse().unwrap(), paths.iter().map(path).collect());
    Change::SetRoute(route, RouteFlags::DUMP)
}

fn neighbour(address: &str, ifindex: IfIndex, last: u8) -> Change {
    let mac = Some([2, 0, 0, 0, 0, last]);
    let state = NeighbourState::Reachable;
    Change::SetNeighbour(Neighbour {
        ifindex,
        address: ip(address),
        mac,
        state,
    })
}

fn binding(port: u16) -> PortBinding {
    PortBinding {
        port: PortId(port),
        mac: [2, 0xff, 0, 0, 0, port as u8],
        mtu: 1500,
    }
}

impl Bench {
    fn new() -> Self {
        let link = |index: IfIndex, name: &str| {
            let up = Link {
                up: true,
                carrier: true,
                ..Link::new(index)
            };
            Change::SetLink(Link {
                name: name.into(),
                ..up
            })
        };
        let kernel = vec![
            link(P0, "p0"),
            link(P1, "p1"),
            neighbour("192.0.2.9", P0, 9),
            neighbour("198.51.100.9", P1, 19),
            route("192.0.2.0/24", &[("", P0)]),
            route("198.51.100.0/24", &[("", P1)]),
            route("10.0.0.0/8", &[("192.0.2.9", P0)]),
            route("10.1.0.0/16", &[("198.51.100.9", P1)]),
            route("11.0.0.0/8", &[("192.0.2.9", P0), ("198.51.100.9", P1)]),
            route("2001:db8::/32", &[("", P1)]),
        ];
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let live = (Rib::new(VrfId::DEFAULT), Writer::new(tables, domain));
        let rules = [Family::Ip4, Family::Ip6]
            .into_iter()
            .flat_map(Rule::defaults);
        let kernel = rules.map(Change::SetRule).chain(kernel).collect();
        let this = Self {
            kernel: RefCell::new(kernel),
            live: RefCell::new(live),
            later: RefCell::default(),
            dumps: Cell::new(0),
        };
        this.resync().unwrap();
        this
    }

    fn fill(&self, rib: &mut Rib) {
        rib.bind_port(P0, binding(0));
        rib.bind_port(P1, binding(1));
        for kind in ObjectKind::ALL {
            rib.sync_begin(kind);
        }
        for change in self.kernel.borrow().iter() {
            rib.apply(change.clone());
        }
        for kind in ObjectKind::ALL {
            rib.sync_end(kind);
        }
    }

    /// The slot that answers for an address, and the writer to damage it with.
    fn damage<R>(&self, address: &str, with: impl FnOnce(&mut Writer, NexthopIndex) -> R) -> R {
        let mut live = self.live.borrow_mut();
        let (rib, writer) = &mut *live;
        let (index, _) = rib.answer(ip(address));
        with(writer, index)
    }

    fn verify(&self, repair: bool) -> VerifyReport {
        let options = VerifyOptions {
            repair,
            settle: Duration::ZERO,
            ..VerifyOptions::default()
        };
        verify(self, &options, None).unwrap()
    }

    /// Expects one difference, then that repair mends it.
    fn expect_one(&self, object: Object, cause: Cause, subject: &str) -> Difference {
        let report = self.verify(false);
        assert_eq!(report.differences.len(), 1, "{report:#?}");
        let difference = report.differences[0].clone();
        assert_eq!(
            (difference.object, difference.cause),
            (object, cause),
            "{difference:#?}"
        );
        assert!(difference.subject.starts_with(subject), "{difference:#?}");
        assert!(!report.is_clean() && !difference.repaired);
        let mended = self.verify(true);
        assert!(
            mended.is_clean() && mended.summary.repaired == 1,
            "{mended:#?}"
        );
        let after = self.verify(false);
        assert_eq!(
            (after.differences.len(), after.summary.differences),
            (0, 0),
            "{after:#?}"
        );
        difference
    }
}

impl Source for Bench {
    fn kernel(&self) -> Result<Rib, VerifyError> {
        self.dumps.set(self.dumps.get() + 1);
        let mut rib = Rib::new(VrfId::DEFAULT);
        self.fill(&mut rib);
        let mut later = self.later.borrow_mut();
        if !later.is_empty() {
            let (live, writer) = &mut *self.live.borrow_mut();
            for change in later.remove(0) {
                self.kernel.borrow_mut().push(change.clone());
                live.apply(change);
            }
            live.commit(writer);
        }
        Ok(rib)
    }

    fn live<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Rib, &mut Writer) -> R + Send + 'static,
    ) -> Result<R, VerifyError> {
        let (rib, writer) = &mut *self.live.borrow_mut();
        Ok(f(rib, writer))
    }

    fn resync(&self) -> Result<(), VerifyError> {
        let (rib, writer) = &mut *self.live.borrow_mut();
        self.fill(rib);
        rib.commit(writer);
        Ok(())
    }
}

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
