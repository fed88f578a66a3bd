//! Tables from the words of an operator: addresses, routes, neighbours.
//!
//! This resolves only as far as tests need and knows nothing of the kernel; the mirror and the RIB
//! have tests of their own.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::{
    Adjacency, AdjacencyKind, Group, Member, Nexthop, NexthopIndex, PortId, VrfId, Writer,
};
use ironlane_packet::eth::Mac;

/// A port as the resolver knows it.
#[derive(Clone, Debug)]
pub(crate) struct PortFacts {
    pub(crate) name: String,
    pub(crate) id: PortId,
    pub(crate) mac: Mac,
    pub(crate) mtu: u16,
    pub(crate) vrf: VrfId,
    pub(crate) addresses: Vec<IpNet>,
}

/// The writer with what was said so far.
pub(crate) struct Operator {
    pub(crate) writer: Writer,
    ports: Vec<PortFacts>,
    /// The slot of each gateway or neighbour.
    gateways: HashMap<IpAddr, NexthopIndex>,
}

impl Operator {
    pub(crate) fn new(writer: Writer) -> Self {
        Self {
            writer,
            ports: Vec::new(),
            gateways: HashMap::new(),
        }
    }

    /// Takes up a port with its addresses, as the kernel's local and connected routes would.
    pub(crate) fn add_port(&mut self, port: PortFacts) {
        self.writer.add_vrf(port.vrf);
        for &net in &port.addresses {
            let local = Adjacency::simple(AdjacencyKind::Local);
            self.set(port.vrf, IpNet::from(net.addr()), local);
            if net.prefix_len() == net.max_prefix_len() {
                continue;
            }
            self.set(port.vrf, net.trunc(), Adjacency::glean(port.id, port.mtu));
            match net {
                // The kernel has a route of type broadcast for the last address.
                IpNet::V4(v4) if v4.prefix_len() < 31 => self.set(
                    port.vrf,
                    IpNet::from(IpAddr::from(v4.broadcast())),
                    Adjacency::broadcast(port.id),
                ),
                IpNet::V4(_) => {}
                // And one of type anycast for the first (RFC 4291 2.6.1).
                IpNet::V6(v6) => self.set(port.vrf, IpNet::from(IpAddr::from(v6.network())), local),
            }
        }
        self.ports.push(port);
    }

    fn set(&mut self, vrf: VrfId, prefix: IpNet, adjacency: Adjacency) {
        let nexthop = self
            .writer
            .add_nexthop(adjacency.into())
            .expect("room for a nexthop");
        self.writer
            .insert(vrf, prefix, nexthop)
            .expect("room for a prefix");
    }

    /// `PREFIX via GATEWAY [weight N] [via ...] [mtu N]`, or `PREFIX KIND` with the name of an
    /// adjacency kind, or `PREFIX dev INTERFACE` with an IPsec interface.
    pub(crate) fn route(&mut self, text: &str) {
        let mut words = text.split_whitespace();
        let prefix = words.next().expect("a prefix");
        let prefix: IpNet = match prefix {
            "default" => "0.0.0.0/0",
            "default6" => "::/0",
            other => other,
        }
        .parse()
        .unwrap_or_else(|e| panic!("{prefix}: {e}"));
        let mut members: Vec<Member> = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .unwrap_or_else(|| panic!("{word} what? in {text:?}"))
            };
            match word {
                "via" => {
                    let gateway = value().parse().unwrap_or_else(|e| panic!("{text}: {e}"));
                    members.push(Member {
                        nexthop: self.gateway(gateway),
                        weight: 1,
                    });
                }
                "dev" => {
                    let name = value();
                    let port = self.ports.iter().find(|port| port.name == name);
                    let port = port.unwrap_or_else(|| panic!("{text:?}: no such port"));
                    let adjacency = Adjacency::ipsec(port.id, port.mtu);
                    return self.set(VrfId::DEFAULT, prefix, adjacency);
                }
                "weight" => {
                    let weight = value().parse().expect("a number");
                    members.last_mut().expect("weight after via").weight = weight;
                }
                kind => {
                    let kind = AdjacencyKind::ALL.into_iter().find(|k| k.name() == kind);
                    let kind = kind.unwrap_or_else(|| panic!("{text:?}: what is {word}?"));
                    return self.set(VrfId::DEFAULT, prefix, Adjacency::simple(kind));
                }
            }
        }
        let nexthop = match members[..] {
            [Member { nexthop, .. }] => nexthop,
            _ => {
                let group = Group::new(&members).expect("a group");
                self.writer
                    .add_nexthop(group.into())
                    .expect("room for a group")
            }
        };
        self.writer
            .insert(VrfId::DEFAULT, prefix, nexthop)
            .expect("room for a prefix");
    }

    /// Takes a route away.
    pub(crate) fn no_route(&mut self, prefix: &str) {
        let prefix = prefix.parse().unwrap_or_else(|e| panic!("{prefix}: {e}"));
        self.writer
            .remove(VrfId::DEFAULT, prefix)
            .expect("there was such a route");
    }

    /// The slot of a gateway: a glean on the port that has its subnet until its MAC is known.
    fn gateway(&mut self, address: IpAddr) -> NexthopIndex {
        if let Some(&nexthop) = self.gateways.get(&address) {
            return nexthop;
        }
        let on_link = |port: &&PortFacts| port.addresses.iter().any(|net| net.contains(&address));
        let port = self.ports.iter().find(on_link);
        let port = port.unwrap_or_else(|| panic!("no port has {address} on its link"));
        let glean = Adjacency::glean(port.id, port.mtu);
        let nexthop = self
            .writer
            .add_nexthop(glean.into())
            .expect("room for a nexthop");
        self.gateways.insert(address, nexthop);
        nexthop
    }

    /// `ADDRESS dev PORT lladdr MAC`: completes the adjacency and routes to the host itself. With
    /// `failed` in the place of `lladdr MAC` it is a glean again.
    pub(crate) fn neighbour(&mut self, text: &str) {
        let words: Vec<_> = text.split_whitespace().collect();
        let (address, port, mac) = match words[..] {
            [address, "dev", port, "lladdr", mac] => (address, port, Some(crate::mac(mac))),
            [address, "dev", port, "failed"] => (address, port, None),
            _ => panic!("{text:?} is not ADDRESS dev PORT lladdr MAC"),
        };
        let address: IpAddr = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
        let nexthop = self.gateway(address);
        let port = self.ports.iter().find(|p| p.name == port);
        let port = port.unwrap_or_else(|| panic!("{text:?}: no such port"));
        let vrf = port.vrf;
        let adjacency = match mac {
            Some(mac) => Adjacency::forward(port.id, port.mtu, mac.0, port.mac.0),
            None => Adjacency::glean(port.id, port.mtu),
        };
        self.writer
            .replace_nexthop(nexthop, Nexthop::Adjacency(adjacency))
            .expect("the slot is there");
        self.writer
            .insert(vrf, IpNet::from(address), nexthop)
            .expect("room for a prefix");
    }
}
