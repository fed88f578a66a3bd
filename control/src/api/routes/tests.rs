//! Answers from a RIB and tables made by hand: one port, two neighbours, a few routes.

use std::sync::Arc;

use ironlane_fib::Writer;
use ironlane_rcu::Domain;
use ironlane_rib::{
    Change, IfIndex, Link, Neighbour, NeighbourState, Path, PortBinding, Route, RouteFlags,
};

use super::*;

const P0: IfIndex = IfIndex(7);

fn info() -> PortInfo {
    PortInfo {
        id: PortId(0),
        name: "p0".into(),
        device: "net_null0".into(),
        driver: "net_null".into(),
        bus: "vdev".into(),
        mac: ironlane_packet::eth::Mac([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        lists_groups: false,
        socket: -1,
        vrf: VrfId::DEFAULT,
        rx_queues: vec![0],
        tx_queues: vec![0],
        interface: None,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct Small {
    rib: Rib,
    writer: Writer,
    domain: Arc<Domain>,
}

impl Small {
    fn new() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(tables, Arc::clone(&domain));
        let mut rib = Rib::new(VrfId::DEFAULT);
        rib.apply(Change::SetLink(Link {
            name: "p0".into(),
            up: true,
            carrier: true,
            mtu: 1500,
            ..Link::new(P0)
        }));
        let mac = Some([2, 0, 0, 0, 0, 1]);
        rib.bind_port(
            P0,
            PortBinding {
                port: PortId(0),
                mac,
                mtu: 1500,
            },
        );
        let neighbour = |last: u8| Neighbour {
            ifindex: P0,
            address: ip(&format!("192.0.2.{last}")),
            mac: Some([2, 0, 0, 0, 9, last]),
            state: NeighbourState::Reachable,
        };
        for last in [9, 10] {
            rib.apply(Change::SetNeighbour(neighbour(last)));
        }
        rib.apply(Change::SetNeighbour(Neighbour {
            address: ip("224.0.0.5"),
            state: NeighbourState::NoArp,
            ..neighbour(5)
        }));
        let via = |last: u8| Path::via(ip(&format!("192.0.2.{last}")), P0);
        let routes = [
            ("192.0.2.0/24", vec![Path::dev(P0)]),
            ("203.0.113.0/24", vec![via(9)]),
            ("198.51.100.0/24", vec![via(9), via(10)]),
            ("10.0.0.0/8", vec![via(77)]),
        ];
        for (prefix, paths) in routes {
            let route = Route {
                protocol: 188,
                ..Route::new(prefix.parse().unwrap(), paths)
            };
            rib.apply(Change::SetRoute(route, RouteFlags::DUMP));
        }
        rib.commit(&mut writer);
        Self {
            rib,
            writer,
            domain,
        }
    }

    fn with_slots<R>(&self, look: impl FnOnce(&Slots<'_>) -> R) -> R {
        let mut reader = Domain::register(&self.domain).unwrap();
        let guard = reader.read();
        let (ports, views) = ([info()], self.rib.nexthops());
        let tables = self.writer.tables();
        look(&Slots {
            tables,
            guard: &guard,
            ports: &ports,
            views: &views,
        })
    }

    fn lookup(&self, address: &str, source: &str) -> proto::RouteLookup {
        let hash = flow(ip(address), source).unwrap();
        self.with_slots(|slots| lookup(self.rib.explain(ip(address)), slots, hash))
    }
}

#[test]
fn a_lookup_names_route_adjacency_and_reason() {
    let found = Small::new().lookup("203.0.113.9", "");
    assert_eq!((&*found.verdict, &*found.vrf), ("forward", "default"));
    let route = found.route.unwrap();
    assert_eq!(
        (&*route.prefix, &*route.protocol, route.table),
        ("203.0.113.0/24", "ospf", 254)
    );
    assert!(route.active && route.nexthop == found.nexthop);
    let [adjacency] = found.adjacencies.as_slice() else {
        panic!("{:?}", found.adjacencies)
    };
    assert_eq!(adjacency.neighbour, "192.0.2.9");
    assert_eq!(adjacency.destination_mac, "02:00:00:00:09:09");
    assert_eq!(adjacency.source_mac, "02:00:00:00:00:01");
    assert_eq!((&*adjacency.port, adjacency.mtu), ("p0", 1500));
    assert!(
        found.why[0].contains("longest prefix: 203.0.113.0/24"),
        "{:?}",
        found.why
    );
}

#[test]
fn a_group_names_its_members_and_a_source_chooses_one() {
    let small = Small::new();
    assert_eq!(small.lookup("198.51.100.1", "").adjacencies.len(), 2);
    let mut chosen = std::collections::BTreeSet::new();
    for last in 1..64 {
        let found = small.lookup("198.51.100.1", &format!("192.0.2.{last}"));
        let [one] = found.adjacencies.as_slice() else {
            panic!("{found:?}")
        };
        assert!(
            found
                .why
                .last()
                .unwrap()
                .contains("choose one of 2 members")
        );
        chosen.insert(one.neighbour.clone());
    }
    assert_eq!(chosen.len(), 2, "different sources take different members");
}

#[test]
fn an_unresolved_gateway_is_a_glean_and_no_route_says_so() {
    let small = Small::new();
    let glean = small.lookup("10.1.2.3", "");
    assert_eq!(
        (&*glean.verdict, &*glean.adjacencies[0].destination_mac),
        ("glean", "")
    );
    let none = small.lookup("8.8.8.8", "");
    assert_eq!(
        (&*none.verdict, none.nexthop, none.route),
        ("no_route", 0, None)
    );
    let none = small.lookup("2001:db8::1", "");
    assert_eq!(none.verdict, "no_route");
}

#[test]
fn slots_tell_kind_members_and_use() {
    let small = Small::new();
    let (nexthops, adjacencies) = small.with_slots(|s| (s.nexthops(), s.adjacencies()));
    let group = nexthops.iter().find(|n| n.kind == "group").unwrap();
    assert_eq!((group.members.len(), group.routes), (2, 1));
    assert!(adjacencies.iter().all(|a| a.kind != "group"));
    let to_9 = |a: &&proto::Adjacency| a.neighbour == "192.0.2.9" && a.kind == "forward";
    assert!(adjacencies.iter().any(|a| to_9(&a)), "{adjacencies:?}");
    assert_eq!(
        nexthops[0].index, 0,
        "slot 0 answers where there is no route"
    );
}

#[test]
fn neighbours_are_those_asked_for() {
    let small = Small::new();
    let list = |interface: &str, all| {
        let interface = interface.into();
        neighbours(&small.rib, &proto::ListNeighboursRequest { interface, all })
    };
    assert_eq!((list("p0", false).len(), list("p1", false).len()), (2, 0));
    assert_eq!(list("", true).len(), 3, "the multicast group too");
    let all = list("", false);
    assert_eq!(
        (&*all[0].address, &*all[0].state),
        ("192.0.2.9", "reachable")
    );
    assert!(all[0].on_port);
}

#[test]
fn requests_are_checked_before_anything_is_looked_up() {
    let request = |prefix: &str, vrf: &str, family| proto::ListRoutesRequest {
        prefix: prefix.into(),
        vrf: vrf.into(),
        family,
        all: false,
    };
    assert!(filter(&request("10.0.0.0/8", "default", 4)).is_ok());
    let told = |r| filter(&r).unwrap_err().message().to_owned();
    assert_eq!(
        told(request("x", "", 0)),
        "\"x\" is not a prefix like 203.0.113.0/24"
    );
    assert_eq!(
        told(request("", "red", 0)),
        "there is no VRF red; there is default"
    );
    assert_eq!(told(request("", "", 5)), "family 5 is neither 4 nor 6");
    assert!(address("203.0.113.300").is_err());
    assert!(flow(ip("203.0.113.9"), "2001:db8::1").is_err());
}
