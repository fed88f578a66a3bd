//! IPv4 routes of the naive kernel (`fib_trie.c`, `fib_semantics.c`, `fib_frontend.c`).

use super::super::harness::{APPEND, NEW, PREPEND, REPLACE};
use super::kernel::{Kernel, NETS, address, address_text, path};
use crate::{Change, NexthopId, Route, RouteFlags, RouteKind, RouteTarget, TableId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route4 {
    pub prefix: String,
    pub table: TableId,
    pub tos: u8,
    pub metric: u32,
    pub kind: RouteKind,
    /// Gateway (none if empty), port (8 lo, 9 eth9), weight, dead.
    pub legs: Vec<(String, u8, u16, bool)>,
    pub nhid: Option<u8>,
    pub source: Option<String>,
    pub scope: u8,
}

const PREFIXES: [&str; 7] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "192.0.2.0/25",
    "192.0.2.9/32",
];

impl Route4 {
    fn same_key(&self, other: &Self) -> bool {
        (&self.prefix, self.table, self.tos, self.metric)
            == (&other.prefix, other.table, other.tos, other.metric)
    }

    /// Equal but for what link state sets.
    fn same(&self, other: &Self) -> bool {
        let plain = |route: &Self| {
            let legs = route
                .legs
                .iter()
                .map(|(via, port, weight, _)| (via.clone(), *port, *weight));
            (
                legs.collect::<Vec<_>>(),
                route.kind,
                route.nhid,
                route.source.clone(),
                route.scope,
            )
        };
        self.same_key(other) && plain(self) == plain(other)
    }

    pub(super) fn say(&self, flags: u16) -> Change {
        Change::SetRoute(self.route(), RouteFlags::from_nlmsg(flags))
    }

    fn route(&self) -> Route {
        let leg = |(gateway, port, weight, dead): &(String, u8, u16, bool)| crate::Path {
            weight: *weight,
            dead: *dead,
            ..path(gateway, *port)
        };
        let target = match self.nhid {
            Some(id) => RouteTarget::Object(NexthopId(id.into())),
            None => RouteTarget::Paths(self.legs.iter().map(leg).collect()),
        };
        Route {
            table: self.table,
            tos: self.tos,
            metric: self.metric,
            kind: self.kind,
            scope: self.scope,
            prefsrc: self.source.as_ref().map(|source| source.parse().unwrap()),
            target,
            ..Route::new(self.prefix.parse().unwrap(), Vec::new())
        }
    }
}

impl Kernel {
    pub(super) fn route4(&mut self, how: u8, prefix: u8, target: u8, key: u8) {
        let via = |port: u8| (format!("{}.9", NETS[usize::from(port)]), port, 1, false);
        let mut route = Route4 {
            prefix: PREFIXES[usize::from(prefix) % PREFIXES.len()].into(),
            table: if key == 5 {
                TableId::DEFAULT
            } else {
                TableId::MAIN
            },
            tos: if key == 4 { 16 } else { 0 },
            metric: if key % 2 == 1 { 20 } else { 0 },
            kind: RouteKind::Unicast,
            legs: Vec::new(),
            nhid: None,
            source: None,
            scope: 0,
        };
        match target % 18 {
            port @ 0..3 => route.legs = vec![via(port)],
            3 => route.legs = vec![via(0), via(1)],
            4 => route.legs = vec![via(0), via(1), (via(2).0, 2, 3, false)],
            5 => route.legs = vec![via(1), via(2)],
            6 | 7 => route.legs = vec![(String::new(), target % 18 - 6, 1, false)],
            8 => route.legs = vec![("172.16.0.9".into(), 9, 1, false)],
            9 => route.legs = vec![("fe80::9".into(), 2, 1, false)],
            id @ 10..14 => route.nhid = Some(id - 9),
            14 => route.kind = RouteKind::Blackhole,
            15 => route.kind = RouteKind::Throw,
            16 => {
                (route.legs, route.source) = (vec![via(1)], Some(address_text(0, 0)));
            }
            _ => {
                (route.kind, route.table, route.scope) = (RouteKind::Local, TableId::LOCAL, 254);
                route.legs = vec![(String::new(), 8, 1, false)];
            }
        }
        let down = |port: u8| port < 3 && !self.ports[usize::from(port)].up;
        let refused = route.legs.iter().any(|leg| down(leg.1))
            || route.nhid.is_some_and(|id| !self.objects.contains_key(&id))
            || route.source.is_some() && !self.ports[0].addresses[0];
        if !refused {
            self.insert4(route, how);
        }
    }

    /// `fib_table_insert`.
    fn insert4(&mut self, mut route: Route4, how: u8) {
        // Routes with one `fib_info` share what is dead.
        if let Some(twin) = self.ip4.iter().find(|other| {
            let key = Route4 {
                prefix: route.prefix.clone(),
                table: route.table,
                tos: route.tos,
                metric: route.metric,
                ..(*other).clone()
            };
            key.same(&route)
        }) {
            route.legs = twin.legs.clone();
        }
        let first = self.ip4.iter().position(|other| other.same_key(&route));
        let Some(first) = first else {
            self.say(route.say(NEW));
            self.ip4.push(route);
            return;
        };
        let exact = self.ip4.iter().any(|other| other.same(&route));
        match how {
            _ if exact => {}
            0 => {}
            1 => {
                self.say(route.say(REPLACE));
                self.ip4[first] = route;
            }
            2 => {
                self.say(route.say(APPEND));
                let last = self.ip4.iter().rposition(|other| other.same_key(&route));
                self.ip4.insert(last.unwrap() + 1, route);
            }
            _ => {
                self.say(route.say(PREPEND));
                self.ip4.insert(first, route);
            }
        }
    }

    pub(super) fn del_route4(&mut self, which: u8) {
        if self.ip4.is_empty() {
            return;
        }
        let route = self.ip4.remove(usize::from(which) % self.ip4.len());
        self.say(Change::DelRoute(route.route()));
    }

    fn automatic4(&self, port: u8, which: usize) -> [Route4; 3] {
        let source = address_text(port, which);
        let net = source.strip_suffix(".1").unwrap().to_owned();
        let base = |prefix: String, kind, table, scope| Route4 {
            prefix,
            table,
            tos: 0,
            metric: 0,
            kind,
            legs: vec![(String::new(), port, 1, false)],
            nhid: None,
            source: Some(source.clone()),
            scope,
        };
        [
            base(
                format!("{source}/32"),
                RouteKind::Local,
                TableId::LOCAL,
                254,
            ),
            base(
                format!("{net}.0/24"),
                RouteKind::Unicast,
                TableId::MAIN,
                253,
            ),
            base(
                format!("{net}.255/32"),
                RouteKind::Broadcast,
                TableId::LOCAL,
                253,
            ),
        ]
    }

    /// `fib_add_ifaddr`.
    fn add_automatic4(&mut self, port: u8, which: usize) {
        let up = self.ports[usize::from(port)].up;
        let routes = self.automatic4(port, which);
        for route in routes.into_iter().take(if up { 3 } else { 1 }) {
            self.insert4(route, 2);
        }
    }

    /// `fib_netdev_event`, up.
    pub(super) fn port_up4(&mut self, port: u8) {
        for which in [0, 1] {
            if self.ports[usize::from(port)].addresses[which] {
                self.add_automatic4(port, which);
            }
        }
        self.revive4(port);
    }

    fn revive4(&mut self, port: u8) {
        let legs = self.ip4.iter_mut().flat_map(|route| &mut route.legs);
        legs.filter(|leg| leg.1 == port)
            .for_each(|leg| leg.3 = false);
    }

    /// `fib_sync_down_dev`: of an interface that is down, or (`gone`) has left.
    pub(super) fn port_down4(&mut self, port: u8, gone: bool) {
        self.sync_down4(port, gone, gone);
    }

    fn sync_down4(&mut self, port: u8, force: bool, gone: bool) {
        self.ip4.retain_mut(|route| {
            let over = route.legs.iter().any(|leg| leg.1 == port);
            if !over || !force && route.scope == 254 {
                return true;
            }
            for leg in route.legs.iter_mut().filter(|leg| leg.1 == port) {
                leg.3 = true;
            }
            !gone && route.legs.iter().any(|leg| !leg.3)
        });
    }

    /// `fib_inetaddr_event`.
    pub(super) fn address(&mut self, port: u8, second: bool, there: bool) {
        let which = usize::from(second);
        let own = &mut self.ports[usize::from(port)].addresses;
        if own[which] == there {
            return;
        }
        own[which] = there;
        if there {
            self.say(Change::SetAddress(address(port, which)));
            self.add_automatic4(port, which);
            if self.ports[usize::from(port)].up {
                self.revive4(port);
            }
            return;
        }
        self.say(Change::DelAddress(address(port, which)));
        for route in self.automatic4(port, which) {
            if let Some(at) = self.ip4.iter().position(|other| other.same(&route)) {
                let gone = self.ip4.remove(at);
                self.say(Change::DelRoute(gone.route()));
            }
        }
        let source = address_text(port, which);
        self.ip4
            .retain(|route| route.source.as_ref() != Some(&source));
        if self.ports[usize::from(port)].addresses == [false; 2] {
            self.sync_down4(port, true, false);
        }
    }
}
