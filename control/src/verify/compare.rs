//! The walk: every address of the live tables against what it should be answered.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ironlane_fib::{
    Address, Adjacency, Fib, Group, NexthopIndex, NexthopRef, Nexthops, Tables, VrfId,
};
use ironlane_rcu::Guard;
use ironlane_rib::{Expectation, Expected, ExpectedRun};

use super::words::Names;

/// Places that are named; others are counted.
const NAMED: usize = 1000;

/// Addresses that are not answered as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    /// The prefix that should answer.
    pub prefix: IpNet,
    /// The first of the addresses.
    pub address: IpAddr,
    /// The last of them.
    pub last: IpAddr,
    /// The slot that answers.
    pub index: NexthopIndex,
    /// What should be answered, in words.
    pub expected: String,
    /// What is answered.
    pub found: String,
    /// Both are about a neighbour's MAC.
    pub about_neighbour: bool,
}

impl Suspect {
    /// The longest prefix that has all its addresses.
    pub(super) fn span(&self) -> IpNet {
        let mut span = IpNet::from(self.address);
        while !span.contains(&self.last) {
            let Some(wider) = span.supernet() else { break };
            span = wider;
        }
        span
    }

    /// The same, named by the prefix that answers where that is longer: a route that should not
    /// be there.
    pub(super) fn at_longer(self, answers: Option<IpNet>) -> Self {
        let longer = answers.filter(|answers| answers.prefix_len() > self.prefix.prefix_len());
        Self {
            prefix: longer.unwrap_or(self.prefix),
            ..self
        }
    }

    /// Whether a later comparison found the same, if in more or fewer addresses.
    fn lasts_as(&self, later: &Self) -> bool {
        let overlap = self.address <= later.last && later.address <= self.last;
        overlap && (&self.expected, &self.found) == (&later.expected, &later.found)
    }
}

/// What a comparison found.
pub(super) struct Comparison {
    pub suspects: Vec<Suspect>,
    /// First address and slot of suspects beyond those that are named.
    pub untold: Vec<(IpAddr, NexthopIndex)>,
    /// Prefixes compared.
    pub prefixes: usize,
}

impl Comparison {
    /// Whether all is as it should be.
    pub(super) fn is_clean(&self) -> bool {
        self.suspects.is_empty() && self.untold.is_empty()
    }

    /// Leaves only what an earlier comparison found too.
    pub(super) fn keep_lasting(&mut self, before: &Self) {
        let known = |suspect: &Suspect| before.suspects.iter().any(|b| b.lasts_as(suspect));
        let counted: HashSet<_> = before.untold.iter().copied().collect();
        // Which ones are named depends on how many come first.
        self.suspects.retain(|suspect| {
            known(suspect) || counted.contains(&(suspect.address, suspect.index))
        });
        let named: HashSet<_> = before
            .suspects
            .iter()
            .map(|b| (b.address, b.index))
            .collect();
        self.untold
            .retain(|place| counted.contains(place) || named.contains(place));
    }
}

/// Numbers that are addresses.
trait Key: Address + Copy + Ord {
    fn ip(self) -> IpAddr;
    fn after(self) -> Option<Self>;
}

impl Key for u32 {
    fn ip(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self).into()
    }

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Compares both families of a VRF.
pub(super) fn compare(
    tables: &Tables,
    guard: &Guard<'_>,
    vrf: VrfId,
    expectation: &Expectation,
    names: &Names,
) -> Comparison {
    let mut walk = Walk {
        nexthops: tables.nexthops(),
        guard,
        expected: &expectation.nexthops,
        names,
        known: HashMap::new(),
        suspects: Vec::new(),
        untold: Vec::new(),
    };
    walk.family(tables.ip4(guard, vrf), &expectation.ip4);
    walk.family(tables.ip6(guard, vrf), &expectation.ip6);
    Comparison {
        suspects: walk.suspects,
        untold: walk.untold,
        prefixes: expectation.prefixes,
    }
}

struct Walk<'a> {
    nexthops: &'a Nexthops,
    guard: &'a Guard<'a>,
    expected: &'a [Expected],
    names: &'a Names,
    /// Whether a slot is what is expected: there are few pairs, and many prefixes.
    known: HashMap<(usize, NexthopIndex), bool>,
    suspects: Vec<Suspect>,
    untold: Vec<(IpAddr, NexthopIndex)>,
}

impl Walk<'_> {
    /// Both lists cover all addresses, in order and without a gap.
    fn family<K: Key>(&mut self, fib: &Fib<K>, expected: &[ExpectedRun<K>]) {
        let mut runs = fib.runs(self.guard);
        let Some(mut live) = runs.next() else { return };
        for run in expected {
            let mut first = run.first;
            loop {
                let last = live.last.min(run.last);
                self.check(run, first, last, live.nexthop);
                if live.last == last
                    && let Some(next) = runs.next()
                {
                    live = next;
                }
                match last.after().filter(|_| last < run.last) {
                    Some(next) => first = next,
                    None => break,
                }
            }
        }
    }

    fn check<K: Key>(&mut self, run: &ExpectedRun<K>, first: K, last: K, index: NexthopIndex) {
        let found = self.nexthops.get(self.guard, index);
        let expected = &self.expected[run.nexthop];
        let key = (run.nexthop, index);
        let right = match self.known.get(&key) {
            Some(&right) => right,
            None => {
                let right = matches(self.nexthops, self.guard, expected, found);
                self.known.insert(key, right);
                right
            }
        };
        if right {
            return;
        }
        if self.suspects.len() >= NAMED {
            self.untold.push((first.ip(), index));
            return;
        }
        let prefix = IpNet::new(first.ip(), run.prefix_len).expect("a length of this family");
        self.suspects.push(Suspect {
            prefix: prefix.trunc(),
            address: first.ip(),
            last: last.ip(),
            index,
            expected: self.names.expected(expected),
            found: self.names.found(self.nexthops, self.guard, found),
            about_neighbour: is_hop(expected) && found.is_some_and(|found| is_found_hop(&found)),
        });
    }
}

fn is_hop(expected: &Expected) -> bool {
    matches!(expected, Expected::Adjacency(adjacency) if waits_for_mac(adjacency))
}

fn is_found_hop(found: &NexthopRef<'_>) -> bool {
    matches!(found, NexthopRef::Adjacency(adjacency) if waits_for_mac(adjacency))
}

fn waits_for_mac(adjacency: &Adjacency) -> bool {
    use ironlane_fib::AdjacencyKind::{Forward, Glean};
    matches!(adjacency.kind(), Forward | Glean)
}

/// Whether what a slot holds is what is expected.
fn matches(
    nexthops: &Nexthops,
    guard: &Guard<'_>,
    expected: &Expected,
    found: Option<NexthopRef<'_>>,
) -> bool {
    match (expected, found) {
        (Expected::Adjacency(expected), Some(NexthopRef::Adjacency(found))) => *expected == found,
        (Expected::Group(expected), Some(NexthopRef::Group(found))) => {
            let member = |m: &ironlane_fib::Member| match nexthops.get(guard, m.nexthop)? {
                NexthopRef::Adjacency(adjacency) => Some(sort_key(&adjacency, m.weight)),
                NexthopRef::Group(_) => None,
            };
            let Some(mut found_keys) = found
                .members()
                .iter()
                .map(member)
                .collect::<Option<Vec<_>>>()
            else {
                return false;
            };
            let mut keys: Vec<_> = expected
                .iter()
                .map(|(a, weight)| sort_key(a, *weight))
                .collect();
            keys.sort_unstable();
            found_keys.sort_unstable();
            let shares = Group::new(found.members());
            keys == found_keys && shares.is_ok_and(|fresh| fresh.buckets() == found.buckets())
        }
        _ => false,
    }
}

type SortKey = (u8, u16, u16, [u8; 14], u16);

/// All that a packet sees of an adjacency, and its weight.
fn sort_key(adjacency: &Adjacency, weight: u16) -> SortKey {
    let (kind, port) = (adjacency.kind() as u8, adjacency.port().0);
    (kind, port, adjacency.mtu(), adjacency.rewrite(), weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(address: &str, last: &str) -> Suspect {
        Suspect {
            prefix: IpNet::from(IpAddr::from([0, 0, 0, 0])),
            address: address.parse().unwrap(),
            last: last.parse().unwrap(),
            index: NexthopIndex::NONE,
            expected: String::new(),
            found: String::new(),
            about_neighbour: false,
        }
    }

    #[test]
    fn a_span_has_both_ends_and_is_no_wider() {
        let span = |first: &str, last: &str| suspect(first, last).span().to_string();
        assert_eq!(span("10.0.0.0", "10.0.0.0"), "10.0.0.0/32");
        assert_eq!(span("10.0.0.0", "10.0.0.255"), "10.0.0.0/24");
        assert_eq!(span("10.0.0.255", "10.0.1.0"), "10.0.0.0/23");
        assert_eq!(span("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
        assert_eq!(span("2001:db8::", "2001:db8::1"), "2001:db8::/127");
    }

    #[test]
    fn only_what_is_found_again_lasts() {
        let comparison = |suspects, untold| Comparison {
            suspects,
            untold,
            prefixes: 0,
        };
        let far = ("12.0.0.0".parse().unwrap(), NexthopIndex::NONE);
        let before = comparison(vec![suspect("10.0.0.0", "10.0.0.9")], vec![far]);
        let found = vec![
            suspect("10.0.0.9", "10.0.0.20"),
            suspect("11.0.0.0", "11.0.0.1"),
        ];
        let mut later = comparison(
            found.clone(),
            vec![far, ("13.0.0.0".parse().unwrap(), far.1)],
        );
        later.keep_lasting(&before);
        assert_eq!(later.suspects, found[..1]);
        assert_eq!(later.untold, [far]);
    }
}
