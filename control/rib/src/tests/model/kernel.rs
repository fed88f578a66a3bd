//! A kernel in lists: what it has, and what it says when it changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::harness::{Box, DUMP, ifindex, ip, up_link};
use super::ip4::Route4;
use super::ip6::Route6;
use super::objects::Object;
use crate::{Address, Change, Family, NeighbourState, NexthopId, ObjectKind, Path};

/// Something that happens to a kernel; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Route4 {
        how: u8,
        prefix: u8,
        target: u8,
        key: u8,
    },
    DelRoute4(u8),
    Route6 {
        how: u8,
        prefix: u8,
        target: u8,
        key: u8,
    },
    DelRoute6(u8),
    Admin {
        port: u8,
        up: bool,
    },
    Carrier {
        port: u8,
        on: bool,
    },
    Address {
        port: u8,
        second: bool,
        there: bool,
    },
    Nexthop {
        id: u8,
        target: u8,
    },
    DelNexthop(u8),
    Neighbour {
        port: u8,
        which: u8,
        state: u8,
    },
    /// Everything is listed, as after an overrun.
    Dump,
    /// The port goes to another namespace, and comes back with nothing.
    Leave(u8),
    Compare,
}

/// An event, or a mark between events.
pub(super) enum Say {
    Change(Change),
    Begin(ObjectKind),
    End(ObjectKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    pub up: bool,
    pub carrier: bool,
    /// 192.0.2.1/24 and so on; 172.16.PORT.1/24.
    pub addresses: [bool; 2],
}

pub(super) const NETS: [&str; 3] = ["192.0.2", "198.51.100", "203.0.113"];

pub(super) struct Kernel {
    pub ports: [Port; 3],
    pub ip4: Vec<Route4>,
    pub ip6: Vec<Route6>,
    pub objects: BTreeMap<u8, Object>,
    /// By address and port: usable or not.
    pub neighbours: BTreeMap<(IpAddr, u8), bool>,
    pub said: Vec<Say>,
}

pub(super) fn dev(port: u8) -> String {
    format!("p{port}")
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self {
            ports: [Port {
                up: true,
                carrier: true,
                addresses: [false; 2],
            }; 3],
            ip4: Vec::new(),
            ip6: Vec::new(),
            objects: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, change: Change) {
        self.said.push(Say::Change(change));
    }

    /// Sends what it has to say.
    pub(super) fn tell(&mut self, b: &mut Box) {
        self.tell_and(b, |_| ());
    }

    /// Nobody heard what it had to say.
    pub(super) fn forget_said(&mut self) {
        self.said.clear();
    }

    /// As [`tell`](Self::tell); after each word `then` follows.
    pub(super) fn tell_and(&mut self, b: &mut Box, then: impl Fn(&mut Box)) {
        for said in self.said.drain(..) {
            match said {
                Say::Change(change) => b.rib.apply(change),
                Say::Begin(kind) => b.rib.sync_begin(kind),
                Say::End(kind) => assert_eq!(b.rib.sync_end(kind), 0, "nothing was missed"),
            }
            then(b);
        }
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Route4 {
                how,
                prefix,
                target,
                key,
            } => self.route4(how, prefix, target, key),
            Op::DelRoute4(which) => self.del_route4(which),
            Op::Route6 {
                how,
                prefix,
                target,
                key,
            } => self.route6(how, prefix, target, key),
            Op::DelRoute6(which) => self.del_route6(which),
            Op::Admin { port, up } => self.admin(port, up),
            Op::Carrier { port, on } => self.carrier(port, on),
            Op::Address {
                port,
                second,
                there,
            } => self.address(port, second, there),
            Op::Nexthop { id, target } => self.nexthop(id, target),
            Op::DelNexthop(id) => {
                if self.objects.contains_key(&id) {
                    self.say(Change::DelNexthop(NexthopId(id.into())));
                    self.lose_object(id);
                }
            }
            Op::Neighbour { port, which, state } => self.neighbour(port, which, state),
            Op::Dump => self.list(),
            Op::Leave(port) => self.leave(port),
            Op::Compare => {}
        }
    }

    fn say_link(&mut self, port: u8) {
        let state = self.ports[usize::from(port)];
        let mut link = up_link(10 + u32::from(port), &dev(port));
        link.up = state.up;
        link.carrier = state.up && state.carrier;
        link.running = link.carrier;
        self.say(Change::SetLink(link));
    }

    fn admin(&mut self, port: u8, up: bool) {
        let state = &mut self.ports[usize::from(port)];
        if state.up == up {
            return;
        }
        state.up = up;
        self.say_link(port);
        if up {
            self.port_up4(port);
            if self.ports[usize::from(port)].carrier {
                self.revive6(port);
            } else {
                self.lose_objects_of(port);
            }
            return;
        }
        self.lose_neighbours(port);
        self.lose_objects_of(port);
        self.port_down4(port, false);
        self.port_down6(port, false);
    }

    fn carrier(&mut self, port: u8, on: bool) {
        let state = &mut self.ports[usize::from(port)];
        if state.carrier == on {
            return;
        }
        state.carrier = on;
        if !state.up {
            return;
        }
        self.say_link(port);
        if on {
            self.revive6(port);
        } else {
            self.lose_neighbours(port);
            self.lose_objects_of(port);
        }
    }

    fn leave(&mut self, port: u8) {
        self.admin(port, false);
        self.lose_neighbours(port);
        self.ports[usize::from(port)].addresses = [false; 2];
        self.port_down4(port, true);
        self.port_down6(port, true);
        self.say(Change::DelLink(ifindex(&dev(port))));
        self.ports[usize::from(port)] = Port {
            up: true,
            carrier: true,
            addresses: [false; 2],
        };
        self.say_link(port);
    }

    fn lose_neighbours(&mut self, port: u8) {
        let own: Vec<_> = self
            .neighbours
            .keys()
            .filter(|(_, on)| *on == port)
            .copied()
            .collect();
        for (address, port) in own {
            self.neighbours.remove(&(address, port));
            self.say(Change::DelNeighbour {
                ifindex: ifindex(&dev(port)),
                address,
            });
        }
    }

    fn neighbour(&mut self, port: u8, which: u8, state: u8) {
        if !self.ports[usize::from(port)].up {
            return;
        }
        let net = NETS[usize::from(port)];
        let address = match which % 6 {
            0 | 1 => ip(&format!("{net}.9")),
            2 => ip("fe80::9"),
            3 => ip(&format!("172.16.{port}.5")),
            4 => ip("10.1.2.3"),
            _ => ip("2001:db8:1::3"),
        };
        let ifindex = ifindex(&dev(port));
        if state == 0 {
            if self.neighbours.remove(&(address, port)).is_some() {
                self.say(Change::DelNeighbour { ifindex, address });
            }
            return;
        }
        self.neighbours.insert((address, port), state > 1);
        self.say(say_neighbour(address, port, state > 1));
    }

    /// Lists everything.
    fn list(&mut self) {
        for kind in ObjectKind::ALL {
            self.said.push(Say::Begin(kind));
            match kind {
                ObjectKind::Links => {
                    for port in 0..3 {
                        self.say_link(port);
                    }
                    for (index, name) in [(1, "lo"), (20, "eth9")] {
                        self.say(Change::SetLink(up_link(index, name)));
                    }
                }
                ObjectKind::Addresses(Family::Ip4) => {
                    for port in 0..3 {
                        for which in [0, 1] {
                            if self.ports[usize::from(port)].addresses[which] {
                                self.say(Change::SetAddress(address(port, which)));
                            }
                        }
                    }
                }
                ObjectKind::Neighbours(family) => {
                    let all: Vec<_> = self.neighbours.iter().map(|(k, v)| (*k, *v)).collect();
                    for ((address, port), usable) in all {
                        if Family::of(address) == family {
                            self.say(say_neighbour(address, port, usable));
                        }
                    }
                }
                ObjectKind::Nexthops => {
                    for id in self.objects.keys().copied().collect::<Vec<_>>() {
                        let object = self.object(id);
                        self.say(Change::SetNexthop(object));
                    }
                }
                ObjectKind::Routes(Family::Ip4) => {
                    let all: Vec<Change> = self.ip4.iter().map(|route| route.say(DUMP)).collect();
                    all.into_iter().for_each(|change| self.say(change));
                }
                ObjectKind::Routes(Family::Ip6) => self.list6(),
                ObjectKind::Addresses(Family::Ip6) | ObjectKind::Rules(_) => {}
            }
            self.said.push(Say::End(kind));
        }
    }

    /// A RIB that heard nothing but one list of everything.
    pub(super) fn dump(&self) -> Box {
        let mut copy = Self {
            ports: self.ports,
            ip4: self.ip4.clone(),
            ip6: self.ip6.clone(),
            objects: self.objects.clone(),
            neighbours: self.neighbours.clone(),
            said: Vec::new(),
        };
        copy.list();
        let mut fresh = Box::bare();
        copy.tell(&mut fresh);
        fresh
    }

    /// Everything is deleted, and said to be.
    pub(super) fn clear(&mut self) {
        for port in 0..3 {
            self.address(port, false, false);
            self.address(port, true, false);
        }
        while !self.ip4.is_empty() {
            self.del_route4(0);
        }
        while !self.ip6.is_empty() {
            self.del_route6(0);
        }
    }
}

pub(super) fn path(gateway: &str, port: u8) -> Path {
    let ifindex = match port {
        8 => ifindex("lo"),
        9 => ifindex("eth9"),
        port => ifindex(&dev(port)),
    };
    Path {
        gateway: gateway.parse().ok(),
        ..Path::dev(ifindex)
    }
}

pub(super) fn address(port: u8, which: usize) -> Address {
    Address {
        ifindex: ifindex(&dev(port)),
        address: ip(&address_text(port, which)),
        prefix_len: 24,
        peer: None,
        broadcast: None,
        scope: 0,
        tentative: false,
    }
}

pub(super) fn address_text(port: u8, which: usize) -> String {
    match which {
        0 => format!("{}.1", NETS[usize::from(port)]),
        _ => format!("172.16.{port}.1"),
    }
}

fn say_neighbour(address: IpAddr, port: u8, usable: bool) -> Change {
    let last = match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    Change::SetNeighbour(crate::Neighbour {
        ifindex: ifindex(&dev(port)),
        address,
        mac: usable.then_some([2, 0, 0, 0, port, last]),
        state: if usable {
            NeighbourState::Stale
        } else {
            NeighbourState::Failed
        },
    })
}
