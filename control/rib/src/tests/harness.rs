//! A kernel's state in few words, and what the tables answer in few words.

use std::net::IpAddr;
use std::sync::Arc;

use ironlane_fib::{Adjacency, AdjacencyKind, NexthopRef, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

use crate::{
    Address, Change, CommitReport, IfIndex, Link, Neighbour, NeighbourState, NexthopBody,
    NexthopId, NexthopMember, NexthopObject, Path, PortBinding, Rib, Route, RouteFlags, RouteKind,
    RouteTarget, TableId,
};

pub(super) const DUMP: u16 = 0;
pub(super) const REPLACE: u16 = 0x100;
/// What the kernel says of a route whose key is new.
pub(super) const NEW: u16 = 0x600;
pub(super) const APPEND: u16 = 0xc00;
pub(super) const PREPEND: u16 = 0x400;

/// Interfaces 1 (lo), 10 (p0), 11 (p1), 12 (p2), all up; the last three are ports 0, 1, 2.
/// Interface 20 (eth9) is up and no port.
pub(super) struct Box {
    pub(super) rib: Rib,
    pub(super) writer: Writer,
    pub(super) tables: Arc<Tables>,
    pub(super) domain: Arc<Domain>,
}

impl Box {
    /// Interfaces only.
    pub(super) fn bare() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let mut this = Self {
            rib: Rib::new(VrfId::DEFAULT),
            writer,
            tables,
            domain,
        };
        this.rib.apply(Change::SetLink(Link {
            loopback: true,
            ..up_link(1, "lo")
        }));
        this.rib.apply(Change::SetLink(up_link(20, "eth9")));
        for port in 0..3 {
            let ifindex = 10 + u32::from(port);
            this.rib
                .apply(Change::SetLink(up_link(ifindex, &format!("p{port}"))));
            this.rib.bind_port(IfIndex(ifindex), binding(port));
        }
        this
    }

    /// With 192.0.2.1/24, 198.51.100.1/24 and 203.0.113.1/24 on the ports, as the kernel tells
    /// it, and a neighbour .9 (MAC 02::port:9) on each.
    pub(super) fn new() -> Self {
        let mut this = Self::bare();
        for (port, net) in ["192.0.2", "198.51.100", "203.0.113"].iter().enumerate() {
            let dev = format!("p{port}");
            this.address(&format!("{net}.1/24"), &dev);
            this.route(
                NEW,
                &format!("local {net}.1/32 dev {dev} table local scope 254"),
            );
            this.route(
                NEW,
                &format!("broadcast {net}.255/32 dev {dev} table local scope 253"),
            );
            this.route(
                NEW,
                &format!("{net}.0/24 dev {dev} proto 2 scope 253 src {net}.1"),
            );
            this.neighbour(&format!("{net}.9"), &dev, NeighbourState::Reachable);
        }
        this.commit();
        this
    }

    pub(super) fn commit(&mut self) -> CommitReport {
        self.rib.commit(&mut self.writer)
    }

    pub(super) fn route(&mut self, flags: u16, text: &str) {
        self.rib
            .apply(Change::SetRoute(route(text), RouteFlags::from_nlmsg(flags)));
    }

    /// As the kernel says it when its nexthop object was replaced.
    pub(super) fn route_again(&mut self, text: &str) {
        let flags = RouteFlags {
            replace: true,
            again: true,
            ..RouteFlags::DUMP
        };
        self.rib.apply(Change::SetRoute(route(text), flags));
    }

    pub(super) fn del_route(&mut self, text: &str) {
        self.rib.apply(Change::DelRoute(route(text)));
    }

    pub(super) fn link(&mut self, dev: &str, up: bool, carrier: bool) {
        let mut link = up_link(ifindex(dev).0, dev);
        (link.up, link.carrier, link.running) = (up, carrier, carrier);
        self.rib.apply(Change::SetLink(link));
    }

    pub(super) fn address(&mut self, cidr: &str, dev: &str) {
        self.rib.apply(Change::SetAddress(address(cidr, dev)));
    }

    pub(super) fn del_address(&mut self, cidr: &str, dev: &str) {
        self.rib.apply(Change::DelAddress(address(cidr, dev)));
    }

    /// A neighbour whose MAC ends with the port and the last byte of its address.
    pub(super) fn neighbour(&mut self, addr: &str, dev: &str, state: NeighbourState) {
        let (address, ifindex) = (ip(addr), ifindex(dev));
        let last = match address {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        };
        let mac = Some([2, 0, 0, 0, (ifindex.0 - 10) as u8, last]).filter(|_| state.is_usable());
        self.rib.apply(Change::SetNeighbour(Neighbour {
            ifindex,
            address,
            mac,
            state,
        }));
    }

    pub(super) fn del_neighbour(&mut self, addr: &str, dev: &str) {
        let (address, ifindex) = (ip(addr), ifindex(dev));
        self.rib.apply(Change::DelNeighbour { ifindex, address });
    }

    pub(super) fn nexthop(&mut self, id: u32, body: NexthopBody) {
        self.rib.apply(Change::SetNexthop(NexthopObject {
            id: NexthopId(id),
            protocol: 4,
            body,
        }));
    }

    pub(super) fn del_nexthop(&mut self, id: u32) {
        self.rib.apply(Change::DelNexthop(NexthopId(id)));
    }

    /// What the tables answer for an address after a commit.
    pub(super) fn ask(&mut self, addr: &str) -> String {
        self.commit();
        self.ask_now(ip(addr))
    }

    /// What the tables answer for an address.
    pub(super) fn ask_now(&self, address: IpAddr) -> String {
        let mut reader = Domain::register(&self.domain).expect("a reader is free");
        let guard = reader.read();
        let index = match address {
            IpAddr::V4(v4) => self
                .tables
                .ip4(&guard, VrfId::DEFAULT)
                .lookup(&guard, v4.to_bits()),
            IpAddr::V6(v6) => self
                .tables
                .ip6(&guard, VrfId::DEFAULT)
                .lookup(&guard, v6.to_bits()),
        };
        match self.tables.nexthops().get(&guard, index) {
            Some(NexthopRef::Adjacency(adjacency)) => words(&adjacency),
            Some(NexthopRef::Group(group)) => {
                let members = group.members().iter().map(|member| {
                    let hop = self.tables.nexthops().get(&guard, member.nexthop);
                    let Some(NexthopRef::Adjacency(hop)) = hop else {
                        panic!("a hollow member")
                    };
                    format!("{} x{}", words(&hop), member.weight)
                });
                let mut members: Vec<String> = members.collect();
                members.sort();
                format!("[{}]", members.join(", "))
            }
            None => panic!("{address} leads to an empty slot"),
        }
    }
}

/// An adjacency in few words.
pub(super) fn words(adjacency: &Adjacency) -> String {
    match adjacency.kind() {
        AdjacencyKind::Forward => {
            let [.., port, last] = adjacency.dst_mac();
            assert_eq!(
                adjacency.src_mac(),
                binding(adjacency.port().0).mac.unwrap()
            );
            assert_eq!(
                u16::from(port),
                adjacency.port().0,
                "the MAC tells the port"
            );
            format!("p{} to .{last}", adjacency.port())
        }
        AdjacencyKind::Glean => format!("glean p{}", adjacency.port()),
        AdjacencyKind::Broadcast => format!("broadcast p{}", adjacency.port()),
        AdjacencyKind::Ipsec => format!("ipsec p{} mtu {}", adjacency.port(), adjacency.mtu()),
        kind => kind.name().to_string(),
    }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn ifindex(dev: &str) -> IfIndex {
    IfIndex(match dev {
        "lo" => 1,
        "eth9" => 20,
        port => {
            10 + port
                .strip_prefix('p')
                .expect("p0")
                .parse::<u32>()
                .expect("a number")
        }
    })
}

pub(super) fn up_link(index: u32, name: &str) -> Link {
    Link {
        name: name.into(),
        up: true,
        carrier: true,
        running: true,
        ..Link::new(IfIndex(index))
    }
}

pub(super) fn binding(port: u16) -> PortBinding {
    PortBinding {
        port: PortId(port),
        mac: Some([2, 0xff, 0, 0, 0, port as u8]),
        mtu: 1500,
    }
}

fn address(cidr: &str, dev: &str) -> Address {
    let net: ipnet::IpNet = cidr.parse().expect("address/length");
    Address {
        ifindex: ifindex(dev),
        address: net.addr(),
        prefix_len: net.prefix_len(),
        peer: None,
        broadcast: None,
        scope: 0,
        tentative: false,
    }
}

/// A path by its gateway, if not empty, and its interface.
pub(super) fn path(gateway: &str, dev: &str) -> Path {
    let dev = Path::dev(ifindex(dev));
    Path {
        gateway: gateway.parse().ok(),
        ..dev
    }
}

pub(super) fn group(members: &[(u32, u16)]) -> NexthopBody {
    let member = |&(id, weight)| NexthopMember {
        id: NexthopId(id),
        weight,
    };
    NexthopBody::Group(members.iter().map(member).collect())
}

/// A route in words like those of `ip route`: `[KIND] PREFIX [nhid N] ([via G] dev D [weight W]
/// [dead])... [metric M] [table T] [proto P] [scope S] [tos T] [src A] [mtu M]`.
pub(super) fn route(text: &str) -> Route {
    let mut words = text.split_whitespace().peekable();
    let kind = (1..10)
        .filter_map(RouteKind::from_rtn)
        .find(|k| words.peek() == Some(&k.name()));
    if kind.is_some() {
        words.next();
    }
    let prefix = words.next().expect("a prefix").parse().expect("a prefix");
    let mut route = Route {
        kind: kind.unwrap_or(RouteKind::Unicast),
        ..Route::new(prefix, vec![])
    };
    let mut paths: Vec<Path> = Vec::new();
    let mut gateway = None;
    while let Some(word) = words.next() {
        if word == "dead" {
            paths.last_mut().expect("a path").dead = true;
            continue;
        }
        let value = words
            .next()
            .unwrap_or_else(|| panic!("{word} of {text} needs a value"));
        let number = || value.parse::<u32>().expect("a number");
        match word {
            "via" => gateway = Some(ip(value)),
            "dev" => {
                paths.push(Path {
                    gateway: gateway.take(),
                    ..Path::dev(ifindex(value))
                });
            }
            "weight" => paths.last_mut().expect("a path").weight = number() as u16,
            "nhid" => route.target = RouteTarget::Object(NexthopId(number())),
            "metric" => route.metric = number(),
            "table" => {
                route.table = match value {
                    "local" => TableId::LOCAL,
                    "default" => TableId::DEFAULT,
                    _ => TableId(number()),
                }
            }
            "proto" => route.protocol = number() as u8,
            "scope" => route.scope = number() as u8,
            "tos" => route.tos = number() as u8,
            "src" => route.prefsrc = Some(ip(value)),
            "mtu" => route.mtu = Some(number()),
            other => panic!("{other} of {text}"),
        }
    }
    if let RouteTarget::Paths(own) = &mut route.target {
        *own = paths;
    }
    route
}
