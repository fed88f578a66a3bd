//! Any sequence of inserts, replacements and removals gives the answers of a naive table: after
//! every step at the edges of what changed, at the end everywhere, and nothing is left behind.

mod naive;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use naive::NaiveTable;
use proptest::prelude::*;

const VRF: VrfId = VrfId::DEFAULT;

/// One change.
#[derive(Debug, Clone)]
enum Op {
    /// Install the prefix with one of the nexthops, or replace it.
    Insert(IpNet, usize),
    /// Remove the prefix, which may not be there.
    Remove(IpNet),
    /// Remove the prefix that came in with an earlier step.
    RemoveEarlier(usize),
}

/// Prefixes that overlap: few distinct addresses, and lengths that meet the ends of the strides.
fn ip4_prefix() -> impl Strategy<Value = IpNet> {
    let address = prop_oneof![
        6 => (0usize..4, any::<u8>(), 0u32..32).prop_map(|(base, low, flip)| {
            let base = [0x0a01_0203, 0x0a01_0283, 0xffff_ffff, 0x0000_0000][base];
            (base ^ u32::from(low & 3)) ^ (1 << flip)
        }),
        1 => any::<u32>(),
    ];
    let len = prop_oneof![
        3 => 0u8..=32,
        3 => prop::sample::select(vec![0, 1, 8, 15, 16, 17, 23, 24, 25, 31, 32]),
    ];
    (address, len).prop_map(|(address, len)| {
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), len)) // host bits are left in
    })
}

fn ip6_prefix() -> impl Strategy<Value = IpNet> {
    const BASE: u128 = 0x2001_0db8_0001_0002_0000_0000_0000_0003;
    let address = prop_oneof![
        6 => (prop::sample::select(vec![BASE, BASE ^ (1 << 70), 0, u128::MAX]), 0u32..128, any::<bool>())
            .prop_map(|(base, flip, whether)| base ^ (u128::from(whether) << flip)),
        1 => any::<u128>(),
    ];
    let len = prop_oneof![
        3 => 0u8..=128,
        3 => prop::sample::select(vec![0, 1, 16, 17, 24, 25, 32, 48, 56, 63, 64, 65, 96, 127, 128]),
    ];
    (address, len)
        .prop_map(|(address, len)| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(address), len)))
}

fn ops(prefix: impl Strategy<Value = IpNet> + Clone) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (prefix.clone(), 0usize..5).prop_map(|(prefix, hop)| Op::Insert(prefix, hop)),
        1 => prefix.prop_map(Op::Remove),
        3 => any::<usize>().prop_map(Op::RemoveEarlier),
    ];
    prop::collection::vec(op, 1..60)
}

/// Both tables, changed alike and compared.
struct Pair {
    tables: Arc<Tables>,
    writer: Writer,
    naive: NaiveTable,
    hops: Vec<NexthopIndex>,
    width: u32,
}

impl Pair {
    fn new(width: u32) -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), domain);
        let mut hop = || writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into());
        let hops = (0..5).map(|_| hop().expect("room")).collect();
        Self {
            tables,
            writer,
            naive: NaiveTable::default(),
            hops,
            width,
        }
    }

    fn apply(&mut self, op: &Op, earlier: &[Op]) {
        let prefix = match *op {
            Op::Insert(prefix, hop) => {
                let hop = self.hops[hop];
                assert_eq!(
                    self.writer.insert(VRF, prefix, hop),
                    Ok(self.naive.insert(prefix, hop))
                );
                prefix
            }
            Op::Remove(prefix) => {
                assert_eq!(self.writer.remove(VRF, prefix), self.naive.remove(prefix));
                prefix
            }
            Op::RemoveEarlier(step) => {
                let Some(&Op::Insert(prefix, _)) = earlier.get(step % (earlier.len() + 1)) else {
                    return;
                };
                assert_eq!(self.writer.remove(VRF, prefix), self.naive.remove(prefix));
                prefix
            }
        };
        assert_eq!(self.writer.get(VRF, prefix), self.naive.get(prefix));
        let addresses = naive::edges(prefix);
        let answers = self.lookup(&addresses);
        for (address, answer) in addresses.into_iter().zip(answers) {
            assert_eq!(
                answer,
                self.naive.lookup(address),
                "{address:x} after {op:?}"
            );
        }
    }

    /// Single and bulk lookups, which must agree.
    fn lookup(&self, addresses: &[u128]) -> Vec<NexthopIndex> {
        let mut reader = Domain::register(self.tables.domain()).expect("room");
        let guard = reader.read();
        let mut bulk = vec![NexthopIndex::NONE; addresses.len()];
        let single: Vec<_> = if self.width == 32 {
            let addresses: Vec<u32> = addresses
                .iter()
                .map(|address| (address >> 96) as u32)
                .collect();
            let fib = self.tables.ip4(&guard, VRF);
            fib.lookup_bulk(&guard, &addresses, &mut bulk);
            addresses
                .iter()
                .map(|&address| fib.lookup(&guard, address))
                .collect()
        } else {
            let fib = self.tables.ip6(&guard, VRF);
            fib.lookup_bulk(&guard, addresses, &mut bulk);
            addresses
                .iter()
                .map(|&address| fib.lookup(&guard, address))
                .collect()
        };
        assert_eq!(single, bulk);
        single
    }

    fn runs(&self) -> Vec<(u128, u128, NexthopIndex)> {
        let mut reader = Domain::register(self.tables.domain()).expect("room");
        let guard = reader.read();
        let mut runs = Vec::new();
        if self.width == 32 {
            self.tables
                .ip4(&guard, VRF)
                .walk(&guard, |first, last, nexthop| {
                    runs.push((u128::from(first) << 96, u128::from(last) << 96, nexthop));
                });
        } else {
            let fib = self.tables.ip6(&guard, VRF);
            fib.walk(&guard, |first, last, nexthop| {
                runs.push((first, last, nexthop))
            });
        }
        runs
    }

    fn finish(mut self) {
        assert_eq!(self.runs(), self.naive.runs(self.width));
        let edges = self
            .naive
            .runs(self.width)
            .into_iter()
            .flat_map(|run| [run.0, run.1]);
        let edges: Vec<u128> = edges.collect();
        let expected: Vec<_> = edges.iter().map(|&edge| self.naive.lookup(edge)).collect();
        assert_eq!(self.lookup(&edges), expected); // more than one group of lanes
        let everything = if self.width == 32 {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        assert_eq!(
            self.writer.mend(VRF, everything.parse().expect("a prefix")),
            0
        );
        let mut prefixes: Vec<_> = self.writer.prefixes(VRF).collect();
        assert_eq!(prefixes.len(), self.naive.len());
        prefixes.sort_unstable_by_key(|(prefix, _)| naive::bits(prefix.network()).rotate_left(64));
        for (prefix, nexthop) in prefixes {
            assert_eq!(self.writer.remove(VRF, prefix), Some(nexthop));
            self.naive.remove(prefix);
            assert_eq!(
                self.lookup(&naive::edges(prefix))[0],
                self.naive.lookup(naive::edges(prefix)[0])
            );
        }
        self.writer.synchronize();
        let stats = self.writer.stats();
        assert_eq!((stats.nodes, stats.node_bytes, stats.pending), (0, 0, 0));
        assert_eq!(self.runs().len(), 1);
    }
}

/// The harness: for tests, and for anything else that makes lists of changes.
fn updates_match_the_naive_table(ops: &[Op], width: u32) {
    let mut pair = Pair::new(width);
    for (step, op) in ops.iter().enumerate() {
        pair.apply(op, &ops[..step]);
        if step % 16 == 0 {
            pair.writer.reclaim();
        }
    }
    pair.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ip4_updates_match_the_naive_table(ops in ops(ip4_prefix().boxed())) {
        updates_match_the_naive_table(&ops, 32);
    }

    #[test]
    fn ip6_updates_match_the_naive_table(ops in ops(ip6_prefix().boxed())) {
        updates_match_the_naive_table(&ops, 128);
    }
}

#[test]
fn every_length_nests_in_every_other() {
    for width in [32u8, 128] {
        let prefix = |len| match width {
            32 => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 129, 130, 131), len)),
            _ => IpNet::V6(Ipv6Net::new_assert(
                Ipv6Addr::from(0x2001_0db8_8001 << 80 | 0x8181),
                len,
            )),
        };
        let up = (0..=width).map(|len| Op::Insert(prefix(len), usize::from(len) % 5));
        let down = (0..=width)
            .rev()
            .map(|len| Op::Insert(prefix(len), usize::from(len) % 5));
        updates_match_the_naive_table(&up.clone().collect::<Vec<_>>(), u32::from(width));
        updates_match_the_naive_table(&down.collect::<Vec<_>>(), u32::from(width));
        let removed = (0..=width).map(|len| Op::Remove(prefix(len)));
        updates_match_the_naive_table(&up.chain(removed).collect::<Vec<_>>(), u32::from(width));
    }
}
