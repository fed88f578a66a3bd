//! What the tables should answer, computed without them: for `verify`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::{Adjacency, AdjacencyKind, Nexthop, NexthopIndex, Writer};

use crate::prefix::{Bits, Prefix};
use crate::resolve::Wanted;
use crate::rib::{HasTable, Rib};
use crate::slot::{Hop, SlotKey};

/// What a nexthop should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// One adjacency.
    Adjacency(Adjacency),
    /// Adjacencies by weight.
    Group(Vec<(Adjacency, u16)>),
}

/// Neighbouring addresses that should get the same answer, from the same prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedRun<K> {
    /// First address, in host order.
    pub first: K,
    /// Last address.
    pub last: K,
    /// Length of the prefix that answers, which has all these addresses.
    pub prefix_len: u8,
    /// Which of [`Expectation::nexthops`] answers.
    pub nexthop: usize,
}

/// What all addresses should be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// IPv4 in address order, without a gap.
    pub ip4: Vec<ExpectedRun<u32>>,
    /// IPv6 in address order, without a gap.
    pub ip6: Vec<ExpectedRun<u128>>,
    /// The answers; the first is that of addresses that no prefix covers.
    pub nexthops: Vec<Expected>,
    /// How many prefixes of both families answer.
    pub prefixes: usize,
}

/// Numbers answers by what decides them.
struct Answers<'a> {
    rib: &'a Rib,
    numbers: BTreeMap<SlotKey, usize>,
    nexthops: Vec<Expected>,
}

impl Answers<'_> {
    fn number(&mut self, key: SlotKey) -> usize {
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let state = &self.rib.state;
        let expected = match state.resolve(key) {
            Wanted::Hop(hop) => Expected::Adjacency(hop.adjacency()),
            Wanted::Group(members) => {
                let member = |(key, weight)| (state.resolve_hop(key).adjacency(), weight);
                Expected::Group(members.into_iter().map(member).collect())
            }
        };
        self.nexthops.push(expected);
        self.numbers.insert(key, self.nexthops.len() - 1);
        self.nexthops.len() - 1
    }
}

impl Rib {
    /// What the tables should answer for every address, from the kernel's state alone: what was
    /// ever written has no part in it.
    pub fn expectation(&mut self) -> Expectation {
        self.ip4.flush(&mut self.state.bodies, usize::MAX);
        self.ip6.flush(&mut self.state.bodies, usize::MAX);
        let none = Expected::Adjacency(Hop::simple(AdjacencyKind::NoRoute).adjacency());
        let mut answers = Answers {
            rib: self,
            numbers: BTreeMap::new(),
            nexthops: vec![none],
        };
        let (ip4, ip4_prefixes) = runs::<u32>(&mut answers);
        let (ip6, ip6_prefixes) = runs::<u128>(&mut answers);
        let nexthops = answers.nexthops;
        Expectation {
            ip4,
            ip6,
            nexthops,
            prefixes: ip4_prefixes + ip6_prefixes,
        }
    }

    /// What the tables answer for an address if they are as they were written, and the prefix
    /// that answers.
    pub fn answer(&self, address: IpAddr) -> (NexthopIndex, Option<IpNet>) {
        match address {
            IpAddr::V4(v4) => self.ip4.written(v4.to_bits()),
            IpAddr::V6(v6) => self.ip6.written(v6.to_bits()),
        }
    }

    /// All nexthop slots as they were written.
    pub fn written_nexthops(&self) -> impl Iterator<Item = (NexthopIndex, Nexthop)> {
        self.slots
            .iter()
            .filter_map(|slot| Some((slot.index?, self.nexthop(slot.content.as_ref()?).ok()?)))
    }

    /// Writes the leaves below a prefix again, as they should be; tells how many were wrong.
    pub fn repair_leaves(&self, prefix: IpNet, writer: &mut Writer) -> usize {
        writer.mend(self.vrf, prefix)
    }

    /// Writes a nexthop slot again, as it should be; false if it is none of ours.
    pub fn repair_nexthop(&self, index: NexthopIndex, writer: &mut Writer) -> bool {
        let slot = self.slots.iter().find(|slot| slot.index == Some(index));
        let content = slot.and_then(|slot| slot.content.as_ref());
        let nexthop = content.and_then(|content| self.nexthop(content).ok());
        nexthop.is_some_and(|nexthop| writer.replace_nexthop(index, nexthop).is_ok())
    }
}

/// Cuts the address space at the ends of all prefixes; an address gets the answer of the longest.
fn runs<A: Bits>(answers: &mut Answers<'_>) -> (Vec<ExpectedRun<A>>, usize)
where
    Rib: HasTable<A>,
{
    let prefixes = prefixes::<A>(answers.rib);
    let mut sweep = Sweep {
        runs: Vec::new(),
        open: Vec::new(),
        next: Some(A::from_bits(0)),
    };
    let count = prefixes.len();
    for (prefix, key) in prefixes {
        let nexthop = answers.number(key);
        sweep.close_before(prefix.first());
        sweep.emit_before(prefix.first());
        sweep.open.push((prefix, nexthop));
    }
    sweep.close_all();
    (sweep.runs, count)
}

/// All prefixes that have an answer of their own, in order.
fn prefixes<A: Bits>(rib: &Rib) -> Vec<(Prefix<A>, SlotKey)>
where
    Rib: HasTable<A>,
{
    let routes = rib.table::<A>().nodes().map(|(prefix, _)| prefix);
    let mut found: Vec<_> = routes
        .filter_map(|prefix| Some((prefix, rib.leaf_key(prefix)?)))
        .collect();
    let neighbours = rib.state.neighbours.iter();
    let hosts = neighbours.filter_map(|neighbour| {
        let prefix = Prefix::host(A::from_ip(neighbour.address)?);
        Some((prefix, SlotKey::Hop(rib.host_key(neighbour.address)?)))
    });
    found.extend(hosts);
    found.sort_unstable_by_key(|&(prefix, _)| prefix);
    found.dedup_by_key(|&mut (prefix, _)| prefix);
    found
}

struct Sweep<A> {
    runs: Vec<ExpectedRun<A>>,
    /// Prefixes that cover where we are, the longest last.
    open: Vec<(Prefix<A>, usize)>,
    /// First address without an answer; none after the last.
    next: Option<A>,
}

impl<A: Bits> Sweep<A> {
    /// Ends prefixes that end before `address`.
    fn close_before(&mut self, address: A) {
        while let Some(&(prefix, _)) = self.open.last().filter(|(open, _)| open.last() < address) {
            self.emit_through(prefix.last());
            self.open.pop();
        }
    }

    fn close_all(&mut self) {
        while let Some(&(prefix, _)) = self.open.last() {
            self.emit_through(prefix.last());
            self.open.pop();
        }
        self.emit_through(A::MAX);
    }

    fn emit_before(&mut self, address: A) {
        if let Some(last) = address.before() {
            self.emit_through(last);
        }
    }

    /// Answers up to and with `last` by the longest open prefix.
    fn emit_through(&mut self, last: A) {
        let Some(first) = self.next.filter(|&first| first <= last) else {
            return;
        };
        let (prefix_len, nexthop) = self
            .open
            .last()
            .map_or((0, 0), |&(prefix, nexthop)| (prefix.len(), nexthop));
        self.runs.push(ExpectedRun {
            first,
            last,
            prefix_len,
            nexthop,
        });
        self.next = last.after();
    }
}
