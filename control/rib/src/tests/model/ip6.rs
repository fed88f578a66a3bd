//! IPv6 routes of the naive kernel (`ip6_fib.c`, `route.c`): one entry for each path.

use super::super::harness::{APPEND, DUMP, NEW, PREPEND, REPLACE};
use super::kernel::{Kernel, path};
use crate::{Change, NexthopId, Route, RouteFlags, RouteKind, RouteTarget, TableId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route6 {
    pub prefix: &'static str,
    pub table: TableId,
    pub metric: u32,
    pub kind: RouteKind,
    /// None if empty.
    pub gateway: &'static str,
    pub port: u8,
    pub nhid: Option<u8>,
    pub dead: bool,
}

const PREFIXES: [&str; 5] = [
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1::3/128",
    "fe80::/64",
];

impl Route6 {
    fn same_key(&self, other: &Self) -> bool {
        (self.prefix, self.table, self.metric) == (other.prefix, other.table, other.metric)
    }

    /// `rt6_qualify_for_ecmp`.
    fn joins(&self) -> bool {
        self.nhid.is_none() && !self.gateway.is_empty()
    }

    fn same_nexthop(&self, other: &Self) -> bool {
        (self.gateway, self.port, self.nhid, self.kind)
            == (other.gateway, other.port, other.nhid, other.kind)
    }
}

/// The message for entries that are one route.
fn message(routes: &[&Route6]) -> Route {
    let first = routes[0];
    let target = match first.nhid {
        Some(id) => RouteTarget::Object(NexthopId(id.into())),
        None => {
            let legs = routes.iter().map(|route| crate::Path {
                dead: route.dead,
                ..path(route.gateway, route.port)
            });
            RouteTarget::Paths(legs.collect())
        }
    };
    Route {
        table: first.table,
        metric: first.metric,
        kind: first.kind,
        target,
        ..Route::new(first.prefix.parse().unwrap(), Vec::new())
    }
}

impl Kernel {
    /// All entries that are one multipath route with this one.
    pub(super) fn siblings6<'a>(&'a self, route: &'a Route6) -> Vec<&'a Route6> {
        if !route.joins() {
            return vec![route];
        }
        self.ip6
            .iter()
            .filter(|other| other.same_key(route) && other.joins())
            .collect()
    }

    pub(super) fn route6(&mut self, how: u8, prefix: u8, target: u8, key: u8) {
        let base = Route6 {
            prefix: PREFIXES[usize::from(prefix) % PREFIXES.len()],
            table: TableId::MAIN,
            metric: [1024, 20, 1024][usize::from(key) % 3],
            kind: RouteKind::Unicast,
            gateway: "",
            port: 0,
            nhid: None,
            dead: false,
        };
        let via = |port| Route6 {
            gateway: "fe80::9",
            port,
            ..base.clone()
        };
        let paths = match target % 12 {
            port @ 0..3 => vec![via(port)],
            3 => vec![via(0), via(1)],
            4 => vec![via(1), via(2)],
            5 => vec![via(0), via(1), via(2)],
            6 | 7 => vec![Route6 {
                port: target % 12 - 6,
                ..base.clone()
            }],
            8 | 9 => vec![Route6 {
                nhid: Some(target % 12 - 7),
                ..base.clone()
            }],
            10 => vec![Route6 {
                kind: RouteKind::Blackhole,
                port: 8,
                ..base.clone()
            }],
            _ => {
                let local = Route6 {
                    kind: RouteKind::Local,
                    table: TableId::LOCAL,
                    ..base.clone()
                };
                vec![Route6 { port: 8, ..local }]
            }
        };
        let down = |route: &Route6| match route.nhid {
            // Objects of IPv4 gateways do not serve IPv6.
            Some(id) => !matches!(
                self.objects.get(&id),
                Some(super::objects::Object::Single(gateway, _)) if !gateway.contains('.')
            ),
            None => route.port < 3 && !self.ports[usize::from(route.port)].up,
        };
        if paths.iter().any(down) {
            return;
        }
        self.insert6(&paths, how);
    }

    /// `fib6_add_rt2node`, for one path or for all of a multipath route, with one message.
    fn insert6(&mut self, paths: &[Route6], how: u8) {
        let first = &paths[0];
        let new = !self.ip6.iter().any(|other| other.same_key(first));
        let replace = how == 1 && !new;
        let exists = |path: &Route6| {
            self.ip6
                .iter()
                .any(|other| other.same_key(path) && other.same_nexthop(path))
        };
        if !replace && !new && (how == 0 || paths.iter().any(exists)) {
            return;
        }
        let mut place = self.ip6.len();
        if replace && !first.joins() && exists(first) {
            // It would then be there twice, or nothing would change.
            return;
        }
        if replace {
            let key = |other: &Route6| other.same_key(first);
            let sort = |other: &Route6| key(other) && other.joins() == first.joins();
            let met = self
                .ip6
                .iter()
                .position(sort)
                .or_else(|| self.ip6.iter().position(key));
            place = met.unwrap();
            if self.ip6[place].joins() {
                let gone: Vec<Route6> = self
                    .siblings6(&self.ip6[place])
                    .into_iter()
                    .cloned()
                    .collect();
                self.ip6.retain(|other| !gone.contains(other));
            } else {
                self.ip6.remove(place);
            }
        }
        for (at, path) in paths.iter().enumerate() {
            self.ip6
                .insert((place + at).min(self.ip6.len()), path.clone());
        }
        let flags = match (replace, new, how) {
            (true, ..) => REPLACE,
            (_, true, _) if paths.len() == 1 => NEW,
            (_, true, _) => PREPEND,
            _ => APPEND,
        };
        let route = message(&self.siblings6(first));
        self.say(Change::SetRoute(route, RouteFlags::from_nlmsg(flags)));
    }

    pub(super) fn del_route6(&mut self, which: u8) {
        if self.ip6.is_empty() {
            return;
        }
        let at = usize::from(which) % self.ip6.len();
        let route = self.ip6[at].clone();
        if which & 1 == 0 {
            self.ip6.remove(at);
            self.say(Change::DelRoute(message(&[&route])));
            return;
        }
        let all: Vec<Route6> = self.siblings6(&route).into_iter().cloned().collect();
        self.say(Change::DelRoute(message(&all.iter().collect::<Vec<_>>())));
        match route.joins() {
            true => self.ip6.retain(|other| !all.contains(other)),
            false => drop(self.ip6.remove(at)),
        }
    }

    /// `fib6_ifdown`: of an interface that is down, or (`gone`) has left.
    pub(super) fn port_down6(&mut self, port: u8, gone: bool) {
        let over = |route: &Route6| route.nhid.is_none() && route.port == port;
        let mut gone_routes = Vec::new();
        for route in self.ip6.clone().iter().filter(|route| over(route)) {
            let siblings = self.siblings6(route);
            let all_dead = siblings.iter().all(|other| other.dead || over(other));
            if gone {
                gone_routes.push(route.clone());
            } else if all_dead {
                gone_routes.extend(siblings.into_iter().cloned());
            }
        }
        let mut said = Vec::new();
        self.ip6.retain(|route| {
            let lost = gone_routes.contains(route);
            if lost {
                said.push(Change::DelRoute(message(&[route])));
            }
            !lost
        });
        said.into_iter().for_each(|change| self.say(change));
        let legs = self.ip6.iter_mut().filter(|route| over(route));
        legs.for_each(|route| route.dead = true);
    }

    pub(super) fn revive6(&mut self, port: u8) {
        let own = self
            .ip6
            .iter_mut()
            .filter(|route| route.nhid.is_none() && route.port == port);
        own.for_each(|route| route.dead = false);
    }

    /// Routes that use an object go with it, and are said to.
    pub(super) fn lose_object6(&mut self, id: u8) {
        let mut said = Vec::new();
        self.ip6.retain(|route| {
            if route.nhid == Some(id) {
                said.push(Change::DelRoute(message(&[route])));
            }
            route.nhid != Some(id)
        });
        said.into_iter().for_each(|change| self.say(change));
    }

    pub(super) fn list6(&mut self) {
        let mut done: Vec<Route6> = Vec::new();
        for route in self.ip6.clone() {
            if done.contains(&route) {
                continue;
            }
            let siblings: Vec<Route6> = self.siblings6(&route).into_iter().cloned().collect();
            let listed = message(&siblings.iter().collect::<Vec<_>>());
            self.say(Change::SetRoute(listed, RouteFlags::from_nlmsg(DUMP)));
            done.extend(siblings);
        }
    }
}
