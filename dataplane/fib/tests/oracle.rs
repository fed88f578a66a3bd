//! Real tables against answers that were computed elsewhere, by brute force.

mod rib;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ironlane_fib::{Adjacency, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

const VRF: VrfId = VrfId::DEFAULT;

/// A table whose nexthops carry the numbers of the file: as the number of a port and as bytes of
/// the rewrite, so that what an lcore would write is compared and not an index.
struct Table {
    tables: Arc<Tables>,
    writer: Writer,
    hops: HashMap<u32, NexthopIndex>,
}

impl Table {
    fn new() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        Self {
            writer: Writer::new(Arc::clone(&tables), domain),
            tables,
            hops: HashMap::new(),
        }
    }

    fn load(text: &str) -> Self {
        let mut table = Self::new();
        let mut count = 0;
        for (prefix, hop) in rib::routes(text) {
            assert_eq!(table.insert(prefix, hop), None, "{prefix}");
            count += 1;
        }
        assert_eq!(table.prefixes(), count);
        table
    }

    fn insert(&mut self, prefix: IpNet, hop: u32) -> Option<NexthopIndex> {
        let index = *self.hops.entry(hop).or_insert_with(|| {
            let [a, b, c, d] = hop.to_be_bytes();
            let adjacency = Adjacency::forward(PortId(1), 1500, [2, 0, a, b, c, d], [2; 6]);
            self.writer
                .add_nexthop(adjacency.into())
                .expect("20 bits of them")
        });
        self.writer
            .insert(VRF, prefix, index)
            .expect("room for all")
    }

    fn prefixes(&self) -> u64 {
        let mut reader = Domain::register(self.tables.domain()).expect("room");
        let guard = reader.read();
        let ip4 = self.tables.ip4(&guard, VRF).stats().prefixes;
        ip4 + self.tables.ip6(&guard, VRF).stats().prefixes
    }

    fn check(&self, answers: &str) {
        let mut reader = Domain::register(self.tables.domain()).expect("room");
        let guard = reader.read();
        let (ip4, ip6) = (self.tables.ip4(&guard, VRF), self.tables.ip6(&guard, VRF));
        let (mut checked, mut found) = (0, 0);
        for (address, expected) in rib::answers(answers) {
            let index = match address {
                IpAddr::V4(address) => ip4.lookup(&guard, address.into()),
                IpAddr::V6(address) => ip6.lookup(&guard, address.into()),
            };
            let mac = self.tables.nexthops().resolve(&guard, index, 0).dst_mac();
            let hop = u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]);
            assert_eq!((!index.is_none()).then_some(hop), expected, "{address}");
            found += usize::from(expected.is_some());
            checked += 1;
        }
        assert!(
            checked >= 3_000 && found > 0,
            "{checked} answers, {found} with a route"
        );
    }

    /// Takes all routes out again: nothing may be left.
    fn flush(&mut self) {
        let prefixes: Vec<_> = self.writer.prefixes(VRF).collect();
        for (prefix, nexthop) in prefixes {
            assert_eq!(self.writer.remove(VRF, prefix), Some(nexthop));
        }
        for (_, nexthop) in self.hops.drain() {
            self.writer
                .remove_nexthop(nexthop)
                .expect("no route uses it");
        }
        self.writer.synchronize();
        let stats = self.writer.stats();
        assert_eq!(
            (stats.nodes, stats.node_bytes, stats.nexthops, stats.pending),
            (0, 0, 0, 0)
        );
        assert!(stats.prefix_bytes < 1 << 20, "{stats:?}");
        assert_eq!(self.prefixes(), 0);
    }
}

#[test]
fn the_small_ip4_table_answers_as_the_oracle() {
    let mut table = Table::load(&rib::own("v4-sample.txt"));
    table.check(&rib::own("v4-sample.oracle.txt"));
    table.flush();
}

#[test]
fn the_small_ip6_table_answers_as_the_oracle() {
    let mut table = Table::load(&rib::own("v6-sample.txt"));
    table.check(&rib::own("v6-sample.oracle.txt"));
    table.flush();
}

/// A full table of the larger collection, if it is there.
fn full(name: &str) {
    let Some(routes) = rib::shared(&format!("{name}.txt.xz")) else {
        return;
    };
    let Some(answers) = rib::shared(&format!("oracle/{name}.oracle.txt.xz")) else {
        return;
    };
    let mut table = Table::load(&routes);
    table.check(&answers);
    table.flush();
}

#[test]
fn the_ip4_table_of_2002_answers_as_the_oracle() {
    full("v4-20020722");
}

#[test]
fn the_ip4_table_of_2010_answers_as_the_oracle() {
    full("v4-20100701");
}

#[test]
fn the_ip4_table_of_2015_with_a_default_route_answers_as_the_oracle() {
    full("v4-20151023");
}

#[test]
fn the_ip4_table_of_2026_answers_as_the_oracle() {
    full("v4-20260511");
}

#[test]
fn the_ip6_table_of_2026_answers_as_the_oracle() {
    full("v6-20260511");
}

/// A table after every update of a day; a withdrawal of what is not there is harmless.
fn a_day_of_updates(family: &str) {
    let Some(routes) = rib::shared(&format!("{family}-20260511.txt.xz")) else {
        return;
    };
    let Some(updates) = rib::shared(&format!("updates-{family}-20260511.txt.xz")) else {
        return;
    };
    let answers = rib::shared(&format!("oracle/{family}-20260511-final.oracle.txt.xz"));
    let Some(answers) = answers else { return };
    let mut table = Table::load(&routes);
    for (prefix, hop) in rib::updates(&updates) {
        match hop {
            Some(hop) => _ = table.insert(prefix, hop),
            None => _ = table.writer.remove(VRF, prefix),
        }
    }
    table.check(&answers);
    table.writer.synchronize();
    assert_eq!(
        table
            .writer
            .mend(VRF, "0.0.0.0/0".parse().expect("a prefix")),
        0
    );
    assert_eq!(table.writer.mend(VRF, "::/0".parse().expect("a prefix")), 0);
}

#[test]
fn a_day_of_ip4_updates_ends_in_the_final_table() {
    a_day_of_updates("v4");
}

#[test]
fn a_day_of_ip6_updates_ends_in_the_final_table() {
    a_day_of_updates("v6");
}
