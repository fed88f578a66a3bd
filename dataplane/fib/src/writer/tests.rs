//! The books about nexthops, VRFs, memory; damage and its cure.

mod damage;
mod memory;

use super::*;
use crate::{Adjacency, AdjacencyKind, Group, Member, NexthopRef, PortId};
use ironlane_rcu::Guard;

const VRF: VrfId = VrfId::DEFAULT;

/// Tables, their writer, and a look at them as an lcore has it.
struct Setup {
    tables: Arc<Tables>,
    writer: Writer,
}

impl Setup {
    fn new() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        Self {
            writer: Writer::new(Arc::clone(&tables), domain),
            tables,
        }
    }

    fn add(&mut self, nexthop: impl Into<Nexthop>) -> NexthopIndex {
        self.writer.add_nexthop(nexthop.into()).expect("room")
    }

    fn route(&mut self, prefix: &str, nexthop: NexthopIndex) {
        self.writer.insert(VRF, net(prefix), nexthop).expect("room");
    }

    fn look<T>(&self, look: impl FnOnce(&Tables, &Guard<'_>) -> T) -> T {
        let mut reader = Domain::register(self.tables.domain()).expect("room");
        look(&self.tables, &reader.read())
    }

    fn lookup(&self, vrf: VrfId, address: &str) -> NexthopIndex {
        self.look(|tables, guard| match address.parse().expect("an address") {
            std::net::IpAddr::V4(a) => tables.ip4(guard, vrf).lookup(guard, a.into()),
            std::net::IpAddr::V6(a) => tables.ip6(guard, vrf).lookup(guard, a.into()),
        })
    }

    fn resolve(&self, index: NexthopIndex, flow_hash: u32) -> Adjacency {
        self.look(|tables, guard| tables.nexthops().resolve(guard, index, flow_hash).adjacency)
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn port(number: u16) -> Adjacency {
    Adjacency::forward(PortId(number), 1500, [2, 0, 0, 0, 0, number as u8], [4; 6])
}

fn group(members: &[(NexthopIndex, u16)]) -> Group {
    let members = members
        .iter()
        .map(|&(nexthop, weight)| Member { nexthop, weight });
    Group::new(&members.collect::<Vec<_>>()).expect("few")
}

fn index(raw: u32) -> NexthopIndex {
    NexthopIndex::from_raw(raw).expect("20 bits")
}

#[test]
fn what_is_not_there_resolves_to_no_route() {
    let setup = Setup::new();
    for nowhere in [NexthopIndex::NONE, index(1), index(NexthopIndex::LIMIT - 1)] {
        assert_eq!(setup.resolve(nowhere, 7).kind(), AdjacencyKind::NoRoute);
    }
    assert!(setup.lookup(VRF, "192.0.2.1").is_none());
    assert!(setup.lookup(VRF, "2001:db8::1").is_none());
}

#[test]
fn slot_0_can_be_used_and_not_changed() {
    let mut setup = Setup::new();
    let none = NexthopIndex::NONE;
    let hop = setup.add(port(1));
    setup.route("10.0.0.0/8", hop);
    setup.route("10.1.0.0/16", none); // hides the shorter one
    assert_eq!(setup.lookup(VRF, "10.1.0.1"), none);
    assert_eq!(
        setup.writer.replace_nexthop(none, port(1).into()),
        Err(FibError::NoSuchNexthop(none))
    );
    assert_eq!(
        setup.writer.remove_nexthop(none),
        Err(FibError::NoSuchNexthop(none))
    );
}

#[test]
fn routes_need_a_nexthop_and_a_vrf_that_exist() {
    let mut setup = Setup::new();
    let (hop, prefix) = (setup.add(port(1)), net("10.0.0.0/8"));
    let missing = index(99);
    assert_eq!(
        setup.writer.insert(VRF, prefix, missing),
        Err(FibError::NoSuchNexthop(missing))
    );
    let vrf = VrfId(3);
    assert_eq!(
        setup.writer.insert(vrf, prefix, hop),
        Err(FibError::NoSuchVrf(vrf))
    );
    assert_eq!(setup.writer.remove(vrf, prefix), None);
    assert_eq!(
        (
            setup.writer.get(vrf, prefix),
            setup.writer.mend(vrf, prefix)
        ),
        (None, 0)
    );
    assert_eq!(setup.writer.prefixes(vrf).count(), 0);
    setup
        .writer
        .remove_nexthop(hop)
        .expect("nothing came of it");
}

#[test]
fn a_nexthop_in_use_stays() {
    let mut setup = Setup::new();
    let (hop, other) = (setup.add(port(1)), setup.add(port(2)));
    setup.route("10.0.0.0/8", hop);
    setup.route("2001:db8::/32", hop);
    setup.route("2001:db8::/32", hop); // again: counted once
    let both = setup.add(group(&[(hop, 1), (other, 1)]));
    let refused = |index, users| Err(FibError::NexthopInUse { index, users });
    assert_eq!(setup.writer.remove_nexthop(hop), refused(hop, 3));
    assert_eq!(setup.writer.remove_nexthop(other), refused(other, 1));
    setup
        .writer
        .replace_nexthop(both, group(&[(other, 1)]).into())
        .expect("it exists");
    assert_eq!(setup.writer.remove_nexthop(hop), refused(hop, 2));
    setup.route("10.0.0.0/8", other);
    setup.writer.remove(VRF, net("2001:db8::/32"));
    assert_eq!(setup.writer.remove_nexthop(hop), Ok(()));
    assert_eq!(
        setup.writer.remove_nexthop(hop),
        Err(FibError::NoSuchNexthop(hop))
    );
    setup.writer.remove_nexthop(both).expect("no route uses it");
    assert_eq!(setup.writer.remove_nexthop(other), refused(other, 1));
}

#[test]
fn a_removed_nexthop_serves_packets_in_flight_and_then_nobody() {
    let mut setup = Setup::new();
    let hop = setup.add(port(5));
    let mut reader = Domain::register(setup.tables.domain()).expect("room");
    let burst = reader.read();
    setup.writer.remove_nexthop(hop).expect("no route uses it");
    assert_eq!(setup.writer.reclaim(), 1);
    let flying = setup.tables.nexthops().resolve(&burst, hop, 0);
    assert_eq!(flying.port(), PortId(5));
    let fresh = setup.add(port(6));
    assert_ne!(fresh, hop, "the index is not free yet");
    assert_eq!(
        setup.writer.insert(VRF, net("::/0"), hop),
        Err(FibError::NoSuchNexthop(hop))
    );
    drop(burst);
    reader.offline();
    setup.writer.reclaim();
    assert_eq!(setup.resolve(hop, 0).kind(), AdjacencyKind::NoRoute);
    assert_eq!(setup.add(port(7)), hop, "now it is");
    assert_eq!(setup.resolve(hop, 0).port(), PortId(7));
}

#[test]
fn a_change_of_a_nexthop_is_seen_by_all_its_routes() {
    let mut setup = Setup::new();
    let hop = setup.add(Adjacency::glean(PortId(1), 1500));
    for third in 0..200 {
        setup.route(&format!("10.0.{third}.0/24"), hop);
    }
    setup
        .writer
        .replace_nexthop(hop, port(1).into())
        .expect("it exists");
    for third in 0..200 {
        let found = setup.lookup(VRF, &format!("10.0.{third}.9"));
        assert_eq!(setup.resolve(found, 0), port(1));
    }
}

#[test]
fn a_group_chooses_by_flow_and_weight() {
    let mut setup = Setup::new();
    let (one, other) = (setup.add(port(1)), setup.add(port(2)));
    let both = setup.add(group(&[(one, 3), (other, 1)]));
    setup.route("0.0.0.0/0", both);
    let found = setup.lookup(VRF, "198.51.100.7");
    let flows = |setup: &Setup| {
        let ports = (0..4000u32).map(|hash| setup.resolve(found, hash * 7919).port().0);
        ports.filter(|&port| port == 1).count()
    };
    assert!((2800..3200).contains(&flows(&setup)), "{}", flows(&setup));
    setup
        .writer
        .replace_nexthop(other, port(1).into())
        .expect("it exists"); // a member changes
    assert_eq!(flows(&setup), 4000);
}

#[test]
fn a_group_without_members_is_no_route() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    for empty in [group(&[]), group(&[(hop, 0)])] {
        let empty = setup.add(empty);
        assert_eq!(setup.resolve(empty, 9).kind(), AdjacencyKind::NoRoute);
    }
}

#[test]
fn groups_do_not_nest() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    let inner = setup.add(group(&[(hop, 1)]));
    let outer = group(&[(inner, 1)]);
    let nested = |index| Err(FibError::NestedGroup(index));
    assert_eq!(
        setup.writer.add_nexthop(outer.into()),
        nested(inner).map(|()| inner)
    );
    let of_inner = group(&[(hop, 1)]);
    assert_eq!(
        setup.writer.replace_nexthop(hop, of_inner.into()),
        nested(hop)
    );
    setup
        .writer
        .remove_nexthop(inner)
        .expect("no route uses it");
    assert_eq!(
        setup.writer.replace_nexthop(hop, group(&[(hop, 1)]).into()),
        nested(hop)
    );
    let missing = index(77);
    assert_eq!(
        setup.writer.add_nexthop(group(&[(missing, 1)]).into()),
        Err(FibError::NoSuchNexthop(missing))
    );
    setup
        .writer
        .remove_nexthop(hop)
        .expect("refused groups use nothing");
}

#[test]
fn walkers_see_every_nexthop() {
    let mut setup = Setup::new();
    let hops: Vec<_> = (1..=5).map(|number| setup.add(port(number))).collect();
    let both = setup.add(group(&[(hops[0], 1), (hops[4], 1)]));
    setup
        .writer
        .remove_nexthop(hops[2])
        .expect("no route uses it");
    setup.writer.synchronize();
    setup.look(|tables, guard| {
        let found: Vec<_> = tables.nexthops().iter(guard).collect();
        let indexes: Vec<_> = found.iter().map(|(index, _)| *index).collect();
        assert_eq!(
            indexes,
            [NexthopIndex::NONE, hops[0], hops[1], hops[3], hops[4], both]
        );
        assert_eq!(found[1].1, NexthopRef::Adjacency(port(1)));
        assert_eq!(
            found[5].1.to_owned(),
            group(&[(hops[0], 1), (hops[4], 1)]).into()
        );
    });
    let stats = setup.writer.stats();
    assert_eq!((stats.nexthops, stats.nexthops_leaving), (5, 0));
}

#[test]
fn vrfs_are_apart() {
    let mut setup = Setup::new();
    let (hop, red, blue) = (setup.add(port(1)), VrfId(7), VrfId(2));
    setup.writer.add_vrf(red);
    setup.writer.add_vrf(blue);
    setup
        .writer
        .insert(red, net("10.0.0.0/8"), hop)
        .expect("room");
    setup
        .writer
        .insert(blue, net("2001:db8::/32"), hop)
        .expect("room");
    setup.writer.add_vrf(red); // again: nothing is lost
    assert_eq!(
        setup.look(|tables, guard| tables.vrfs(guard)),
        [VRF, blue, red]
    );
    for (vrf, ip4, ip6) in [
        (VRF, 0, 0),
        (red, hop.raw(), 0),
        (blue, 0, hop.raw()),
        (VrfId(9), 0, 0),
    ] {
        assert_eq!(setup.lookup(vrf, "10.1.1.1"), index(ip4), "{vrf}");
        assert_eq!(setup.lookup(vrf, "2001:db8::1"), index(ip6), "{vrf}");
    }
}

#[test]
fn host_bits_do_not_count() {
    let mut setup = Setup::new();
    let hop = setup.add(port(1));
    setup.route("10.1.2.3/8", hop);
    assert_eq!(setup.writer.get(VRF, net("10.9.9.9/8")), Some(hop));
    assert_eq!(setup.lookup(VRF, "10.255.255.255"), hop);
    let prefixes: Vec<_> = setup.writer.prefixes(VRF).collect();
    assert_eq!(prefixes, [(net("10.0.0.0/8"), hop)]);
    assert_eq!(setup.writer.remove(VRF, net("10.4.4.4/8")), Some(hop));
    assert_eq!(setup.writer.remove(VRF, net("10.4.4.4/8")), None);
}

#[test]
#[should_panic(expected = "tables have one writer")]
fn a_second_writer_is_refused() {
    let setup = Setup::new();
    Writer::new(Arc::clone(&setup.tables), Arc::clone(setup.tables.domain()));
}

#[test]
#[should_panic(expected = "another RCU domain")]
fn a_writer_of_another_domain_is_refused() {
    Writer::new(Arc::new(Tables::new(&Domain::new())), Domain::new());
}

#[test]
#[should_panic(expected = "another RCU domain")]
fn a_guard_of_another_domain_is_refused() {
    let setup = Setup::new();
    let mut stranger = Domain::register(&Domain::new()).expect("room");
    let guard = stranger.read();
    setup.tables.ip4(&guard, VRF).lookup(&guard, 1);
}
