//! The tables against what they should hold, address by address.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use ironlane_fib::{Adjacency, NexthopIndex, NexthopRef, Run, Tables, VrfId};
use ironlane_rcu::{Domain, Guard};
use ironlane_rib::{Expectation, Expected, ExpectedRun};

/// The first difference, in words.
pub fn difference(
    tables: &Arc<Tables>,
    domain: &Arc<Domain>,
    expected: &Expectation,
) -> Option<String> {
    let mut reader = Domain::register(domain).unwrap();
    let guard = reader.read();
    let answers = |index| content(tables, &guard, index);
    let ip4 = tables.ip4(&guard, VrfId::DEFAULT).runs(&guard);
    let ip6 = tables.ip6(&guard, VrfId::DEFAULT).runs(&guard);
    let nexthops = &expected.nexthops;
    in_runs(ip4, &expected.ip4, nexthops, answers, |a| {
        IpAddr::from(a.to_be_bytes())
    })
    .or_else(|| {
        in_runs(ip6, &expected.ip6, nexthops, answers, |a| {
            IpAddr::from(a.to_be_bytes())
        })
    })
}

fn in_runs<K: Copy + Ord + Debug>(
    mut found: impl Iterator<Item = Run<K>>,
    expected: &[ExpectedRun<K>],
    nexthops: &[Expected],
    answers: impl Fn(NexthopIndex) -> Vec<(Adjacency, u16)>,
    to_ip: impl Fn(K) -> IpAddr,
) -> Option<String> {
    let mut run = found.next()?;
    for wanted in expected {
        while run.last < wanted.first {
            run = found.next()?;
        }
        loop {
            let first = wanted.first.max(run.first);
            let (got, want) = (answers(run.nexthop), sorted(&nexthops[wanted.nexthop]));
            if got != want {
                let (first, len) = (to_ip(first), wanted.prefix_len);
                return Some(format!(
                    "{first} of a /{len} is {got:?}, and should be {want:?}"
                ));
            }
            if run.last >= wanted.last {
                break;
            }
            run = found.next()?;
        }
    }
    None
}

fn sorted(expected: &Expected) -> Vec<(Adjacency, u16)> {
    match expected {
        Expected::Adjacency(adjacency) => vec![(*adjacency, 1)],
        Expected::Group(members) => in_order(members.clone()),
    }
}

fn in_order(mut members: Vec<(Adjacency, u16)>) -> Vec<(Adjacency, u16)> {
    members.sort_by_key(|(a, weight)| (a.port().0, a.rewrite(), a.kind(), a.mtu(), *weight));
    members
}

fn content(tables: &Tables, guard: &Guard<'_>, index: NexthopIndex) -> Vec<(Adjacency, u16)> {
    match tables.nexthops().get(guard, index) {
        None => Vec::new(),
        Some(NexthopRef::Adjacency(adjacency)) => vec![(adjacency, 1)],
        Some(NexthopRef::Group(group)) => {
            let member = |member: &ironlane_fib::Member| {
                let inner = content(tables, guard, member.nexthop).into_iter().next();
                inner.map(|(adjacency, _)| (adjacency, member.weight))
            };
            in_order(group.members().iter().filter_map(member).collect())
        }
    }
}

fn index_of(tables: &Tables, guard: &Guard<'_>, address: IpAddr) -> NexthopIndex {
    match address {
        IpAddr::V4(v4) => tables
            .ip4(guard, VrfId::DEFAULT)
            .lookup(guard, v4.to_bits()),
        IpAddr::V6(v6) => tables
            .ip6(guard, VrfId::DEFAULT)
            .lookup(guard, v6.to_bits()),
    }
}

/// All adjacencies that packets to an address may meet.
pub fn lookup(tables: &Tables, guard: &Guard<'_>, address: IpAddr) -> Vec<Adjacency> {
    let members = content(tables, guard, index_of(tables, guard, address));
    members
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(adjacency, _)| adjacency)
        .collect()
}

/// Marks the adjacency as lcores do.
pub fn mark_used(tables: &Tables, guard: &Guard<'_>, address: IpAddr) {
    let index = index_of(tables, guard, address);
    let hop = tables.nexthops().resolve(guard, index, 0).index;
    tables.nexthops().of_burst(guard).mark_used(hop);
}
