//! What the naive kernel answers: it looks at every route.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::harness::ip;
use super::kernel::{Kernel, address_text};
use super::objects::Object;
use crate::{RouteKind, TableId};

/// What was found: legs that are alive by gateway, port and weight, or a verdict.
struct Found {
    kind: RouteKind,
    legs: Vec<(String, u8, u16)>,
    nhid: Option<u8>,
    multipath: bool,
    prefix: IpNet,
}

/// Addresses at which answers may change.
pub(super) fn probes(kernel: &Kernel) -> Vec<IpAddr> {
    let mut nets: Vec<IpNet> = Vec::new();
    nets.extend(
        kernel
            .ip4
            .iter()
            .map(|route| route.prefix.parse::<IpNet>().unwrap()),
    );
    nets.extend(
        kernel
            .ip6
            .iter()
            .map(|route| route.prefix.parse::<IpNet>().unwrap()),
    );
    let mut probes: Vec<IpAddr> = kernel
        .neighbours
        .keys()
        .map(|(address, _)| *address)
        .collect();
    for net in nets {
        let (first, last) = (net.network(), net.broadcast());
        probes.extend([
            first,
            last,
            step(first, false),
            step(last, true),
            step(first, true),
        ]);
    }
    for port in 0..3 {
        probes.extend([0, 1].map(|which| ip(&address_text(port, which))));
    }
    probes.sort();
    probes.dedup();
    probes
}

fn step(address: IpAddr, up: bool) -> IpAddr {
    match address {
        IpAddr::V4(v4) if up => v4.to_bits().wrapping_add(1).to_be_bytes().into(),
        IpAddr::V4(v4) => v4.to_bits().wrapping_sub(1).to_be_bytes().into(),
        IpAddr::V6(v6) if up => v6.to_bits().wrapping_add(1).to_be_bytes().into(),
        IpAddr::V6(v6) => v6.to_bits().wrapping_sub(1).to_be_bytes().into(),
    }
}

impl Kernel {
    pub(super) fn answer(&self, address: IpAddr) -> String {
        let found = match address {
            IpAddr::V4(_) => {
                let merged = [TableId::LOCAL, TableId::MAIN];
                self.find4(address, &merged)
                    .or_else(|| self.find4(address, &[TableId::DEFAULT]))
            }
            IpAddr::V6(_) => {
                let local = self.find6(address, TableId::LOCAL);
                local.or_else(|| self.find6(address, TableId::MAIN))
            }
        };
        found.map_or_else(|| "no_route".into(), |found| self.words(address, &found))
    }

    /// `fib_table_lookup`; none too if the answer is a throw.
    fn find4(&self, address: IpAddr, tables: &[TableId]) -> Option<Found> {
        let matching = self.ip4.iter().enumerate().filter(|(_, route)| {
            let net: IpNet = route.prefix.parse().unwrap();
            tables.contains(&route.table) && route.tos == 0 && net.contains(&address)
        });
        let order = |(at, route): &(usize, &super::ip4::Route4)| {
            let net: IpNet = route.prefix.parse().unwrap();
            let main = route.table != TableId::LOCAL;
            (std::cmp::Reverse(net.prefix_len()), main, route.metric, *at)
        };
        let (_, best) = matching.min_by_key(order)?;
        let live = best.legs.iter().filter(|leg| !leg.3);
        let found = Found {
            kind: best.kind,
            legs: live
                .map(|(via, port, weight, _)| (via.clone(), *port, *weight))
                .collect(),
            nhid: best.nhid,
            multipath: best.legs.len() > 1,
            prefix: best.prefix.parse().unwrap(),
        };
        (found.kind != RouteKind::Throw).then_some(found)
    }

    fn find6(&self, address: IpAddr, table: TableId) -> Option<Found> {
        let matching = self.ip6.iter().enumerate().filter(|(_, route)| {
            let net: IpNet = route.prefix.parse().unwrap();
            let siblings = self.siblings6(route);
            let dead = siblings.iter().all(|route| route.dead);
            route.table == table && net.contains(&address) && !dead
        });
        let order = |(at, route): &(usize, &super::ip6::Route6)| {
            let net: IpNet = route.prefix.parse().unwrap();
            (std::cmp::Reverse(net.prefix_len()), route.metric, *at)
        };
        let (_, best) = matching.min_by_key(order)?;
        let siblings = self.siblings6(best);
        let live = siblings.iter().filter(|route| !route.dead);
        Some(Found {
            kind: best.kind,
            legs: live
                .map(|route| (route.gateway.to_string(), route.port, 1))
                .collect(),
            nhid: best.nhid,
            multipath: siblings.len() > 1,
            prefix: best.prefix.parse().unwrap(),
        })
    }

    fn words(&self, address: IpAddr, found: &Found) -> String {
        match found.kind {
            RouteKind::Local => return "local".into(),
            RouteKind::Broadcast => return format!("broadcast p{}", found.legs[0].1),
            RouteKind::Unicast => {}
            kind => return kind.name().into(),
        }
        if found.prefix.to_string() == "fe80::/64" {
            return "local".into();
        }
        match found.nhid.map(|id| &self.objects[&id]) {
            Some(Object::Blackhole) => "blackhole".into(),
            Some(Object::Single(gateway, port)) => self.hop(address, gateway, *port),
            Some(Object::Group(members)) => {
                let single = |id: &u8| match &self.objects[id] {
                    Object::Single(gateway, port) => (gateway.clone(), *port),
                    _ => unreachable!("groups are of singles"),
                };
                let legs = members.iter().map(|(id, weight)| {
                    let (gateway, port) = single(id);
                    (gateway, port, *weight)
                });
                self.group(&legs.collect::<Vec<_>>())
            }
            None if found.multipath => self.group(&found.legs),
            None => {
                let (gateway, port, _) = &found.legs[0];
                self.hop(address, gateway, *port)
            }
        }
    }

    fn group(&self, legs: &[(String, u8, u16)]) -> String {
        let carrier = |leg: &&(String, u8, u16)| self.ports[usize::from(leg.1)].carrier;
        let any = legs.iter().any(|leg| carrier(&leg));
        let used = legs.iter().filter(|leg| !any || carrier(leg));
        let words = used.map(|(gateway, port, weight)| {
            // A member without gateway stands for its subnet, not for a host in it.
            let unspecified = ip("0.0.0.0");
            format!("{} x{weight}", self.hop(unspecified, gateway, *port))
        });
        let mut words: Vec<String> = words.collect();
        words.sort();
        format!("[{}]", words.join(", "))
    }

    fn hop(&self, address: IpAddr, gateway: &str, port: u8) -> String {
        if port == 9 {
            return "kernel".into();
        }
        let to = if gateway.is_empty() {
            address
        } else {
            ip(gateway)
        };
        let last = match to {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        };
        // Link-local destinations are never forwarded to a host of their own.
        let confined = gateway.is_empty() && to.to_string().starts_with("fe80");
        match self.neighbours.get(&(to, port)).filter(|_| !confined) {
            Some(true) => format!("p{port} to .{last}"),
            _ => format!("glean p{port}"),
        }
    }
}
