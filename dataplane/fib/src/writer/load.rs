//! Many routes at once, into an empty table.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Writer, with_table};
use crate::trie::{Address, Edit};
use crate::{NexthopIndex, VrfId};

/// An address of one of the families.
trait OfFamily: Address {
    /// First address of a prefix; that of one of the other family is the first of all.
    fn first(prefix: IpNet) -> Self;
}

impl OfFamily for u32 {
    fn first(prefix: IpNet) -> Self {
        match prefix {
            IpNet::V4(prefix) => prefix.addr().to_bits(),
            IpNet::V6(_) => 0,
        }
    }
}

impl OfFamily for u128 {
    fn first(prefix: IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => 0,
            IpNet::V6(prefix) => prefix.addr().to_bits(),
        }
    }
}

impl Writer {
    /// Whether the table of a family of a VRF has no route.
    pub fn is_empty(&self, vrf: VrfId, ipv6: bool) -> bool {
        let state = self.vrfs.get(usize::from(vrf.0)).and_then(Option::as_ref);
        state.is_none_or(|state| match ipv6 {
            false => state.ip4.is_empty(),
            true => state.ip6.is_empty(),
        })
    }

    /// Fills an empty table with routes of one family, several times as fast as
    /// [`insert`](Self::insert) does. They come by address and then by length, each once, without
    /// bits behind the length. Each address is answered as before, and from some time on as by all
    /// of them.
    ///
    /// Returns how many were installed, from the first on. It ends early at one that is not as it
    /// should be or whose nexthop does not exist, and where memory is full; at once if the table
    /// has routes. [`insert`](Self::insert) takes the rest, or tells why not.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ironlane_fib::{Adjacency, PortId, Tables, VrfId, Writer};
    /// # use ironlane_rcu::Domain;
    /// # let domain = Domain::new();
    /// # let mut writer = Writer::new(Arc::new(Tables::new(&domain)), domain);
    /// let hop = writer.add_nexthop(Adjacency::glean(PortId(0), 1500).into())?;
    /// let routes = [("10.0.0.0/8".parse()?, hop), ("10.0.0.0/24".parse()?, hop)];
    /// assert_eq!(writer.load(VrfId::DEFAULT, &routes), 2);
    /// assert_eq!(writer.load(VrfId::DEFAULT, &routes), 0, "it is not empty");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(&mut self, vrf: VrfId, routes: &[(IpNet, NexthopIndex)]) -> usize {
        let of_first = |&(first, _): &(IpNet, _)| self.is_empty(vrf, matches!(first, IpNet::V6(_)));
        if !routes.first().is_some_and(of_first) {
            return 0;
        }
        let loaded = self.fill(vrf, routes);
        self.show(vrf);
        loaded
    }

    /// As [`load`](Self::load), piece by piece: all calls together are one load, and readers find nothing of
    /// it before [`show`](Self::show). Other changes of the table may stand between, and are hidden
    /// as well; they end the filling, so that nothing more is installed by it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ironlane_fib::{Adjacency, PortId, Tables, VrfId, Writer};
    /// # use ironlane_rcu::Domain;
    /// # let domain = Domain::new();
    /// # let mut writer = Writer::new(Arc::new(Tables::new(&domain)), Arc::clone(&domain));
    /// # let vrf = VrfId::DEFAULT;
    /// let hop = writer.add_nexthop(Adjacency::glean(PortId(0), 1500).into())?;
    /// assert_eq!(writer.fill(vrf, &[("10.0.0.0/8".parse()?, hop)]), 1);
    /// assert_eq!(writer.fill(vrf, &[("10.1.0.0/16".parse()?, hop)]), 1);
    /// let mut reader = Domain::register(&domain)?;
    /// let address = u32::from_be_bytes([10, 1, 2, 3]);
    /// let guard = reader.read();
    /// assert!(writer.tables().ip4(&guard, vrf).lookup(&guard, address).is_none());
    /// drop(guard);
    /// writer.show(vrf);
    /// let guard = reader.read();
    /// assert_eq!(writer.tables().ip4(&guard, vrf).lookup(&guard, address), hop);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill(&mut self, vrf: VrfId, routes: &[(IpNet, NexthopIndex)]) -> usize {
        let Some(&(first, _)) = routes.first() else {
            return 0;
        };
        let is_ip4 = |prefix| matches!(prefix, IpNet::V4(_));
        let fits = |&(prefix, nexthop): &(IpNet, NexthopIndex)| {
            let whole = prefix.addr() == prefix.network();
            whole && is_ip4(prefix) == is_ip4(first) && self.slots.check(nexthop).is_ok()
        };
        let end = routes.iter().position(|route| !fits(route));
        let routes = &routes[..end.unwrap_or(routes.len())];
        let loaded = with_table!(self, vrf, first, (table, edit, _address, _len) => {
            let bits = |&(prefix, nexthop): &(IpNet, NexthopIndex)| {
                (OfFamily::first(prefix), u32::from(prefix.prefix_len()), nexthop)
            };
            table.fill(&mut edit, routes.iter().map(bits))
        });
        let loaded = loaded.unwrap_or(0);
        for &(_, nexthop) in &routes[..loaded] {
            self.slots.use_by_prefix(nexthop);
        }
        self.settle();
        loaded
    }

    /// Readers find from now on what the tables of a VRF were filled with, each table by one store. Nothing happens
    /// where nothing is hidden.
    pub fn show(&mut self, vrf: VrfId) {
        for any in [
            IpNet::from(IpAddr::from([0; 4])),
            IpNet::from(IpAddr::from([0; 16])),
        ] {
            with_table!(self, vrf, any, (table, edit, _address, _len) => table.show(&mut edit));
        }
        self.settle();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use ironlane_rcu::Domain;

    use super::*;
    use crate::{Adjacency, PortId, Tables};

    const VRFS: [VrfId; 2] = [VrfId::DEFAULT, VrfId(3)];

    fn writer(nexthops: u16) -> (Writer, Vec<NexthopIndex>) {
        let domain = Domain::new();
        let mut writer = Writer::new(Arc::new(Tables::new(&domain)), domain);
        writer.add_vrf(VRFS[1]);
        let add = |port| {
            let adjacency = Adjacency::glean(PortId(port), 1500);
            writer.add_nexthop(adjacency.into()).expect("room")
        };
        let hops = (0..nexthops).map(add).collect();
        (writer, hops)
    }

    /// Prefixes that nest and touch, of all lengths, with one of a few nexthops.
    fn table(count: u64, ipv6: bool, hops: &[NexthopIndex]) -> Vec<(IpNet, NexthopIndex)> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut routes = BTreeMap::new();
        for _ in 0..count {
            let (bits, pick) = (random(), random());
            let prefix = if ipv6 {
                let address = 0x2001_0db8_u128 << 96 | u128::from(bits & 0xfff_ffff_ffff) << 40;
                IpNet::new(address.to_be_bytes().into(), (pick % 129) as u8)
            } else {
                let address = (bits as u32 & 0x0fff_ffff).to_be_bytes();
                IpNet::new(address.into(), (pick % 33) as u8)
            };
            let hop = hops[(pick >> 32) as usize % hops.len()];
            routes.insert(prefix.expect("a length of the family").trunc(), hop);
        }
        routes.into_iter().collect()
    }

    /// All runs of equal answers, as readers find them.
    fn answers(writer: &Writer, vrf: VrfId, ipv6: bool) -> Vec<(u128, u128, NexthopIndex)> {
        let mut reader = Domain::register(writer.tables().domain()).expect("room");
        let guard = reader.read();
        if ipv6 {
            let runs = writer.tables().ip6(&guard, vrf).runs(&guard);
            runs.map(|run| (run.first, run.last, run.nexthop)).collect()
        } else {
            let runs = writer.tables().ip4(&guard, vrf).runs(&guard);
            runs.map(|run| (run.first.into(), run.last.into(), run.nexthop))
                .collect()
        }
    }

    #[test]
    fn a_loaded_table_is_that_of_single_inserts_and_changes_as_it_does() {
        for (ipv6, vrf) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
            let vrf = VRFS[vrf];
            let (mut loaded, hops) = writer(5);
            let (mut inserted, _) = writer(5);
            let routes = table(if cfg!(miri) { 40 } else { 6000 }, ipv6, &hops);
            assert!(loaded.is_empty(vrf, ipv6));
            assert_eq!(loaded.load(vrf, &routes), routes.len());
            assert!(!loaded.is_empty(vrf, ipv6) && loaded.is_empty(vrf, !ipv6));
            for &(prefix, hop) in routes.iter().rev() {
                inserted.insert(vrf, prefix, hop).expect("room");
            }
            let all: IpNet = if ipv6 { "::/0" } else { "0.0.0.0/0" }
                .parse()
                .expect("all");
            for step in 0..3 {
                let both = [&loaded, &inserted].map(|it| answers(it, vrf, ipv6));
                assert_eq!(both[0], both[1], "IPv6 {ipv6}, {vrf:?}, step {step}");
                assert_eq!(loaded.mend(vrf, all), 0);
                let sizes = [&mut loaded, &mut inserted].map(|writer| {
                    writer.synchronize();
                    let stats = writer.stats();
                    (stats.nodes, stats.nexthops, stats.pending)
                });
                assert_eq!(sizes[0], sizes[1], "IPv6 {ipv6}, {vrf:?}, step {step}");
                for &(prefix, _) in routes.iter().skip(step).step_by(2) {
                    assert_eq!(loaded.remove(vrf, prefix), inserted.remove(vrf, prefix));
                }
            }
            assert!(loaded.is_empty(vrf, ipv6));
            for hop in hops {
                loaded.remove_nexthop(hop).expect("nobody uses it any more");
            }
        }
    }

    #[test]
    fn a_table_is_filled_by_pieces_out_of_sight() {
        for (ipv6, vrf) in [(false, VRFS[0]), (true, VRFS[1])] {
            let (mut filled, hops) = writer(5);
            let (mut inserted, _) = writer(5);
            let mut routes = table(if cfg!(miri) { 40 } else { 6000 }, ipv6, &hops);
            let late = routes.split_off(routes.len() - 5);
            // What comes between ends the filling: a route out of order, another nexthop, a removal.
            let apart = routes.remove(routes.len() / 2);
            let size = routes.len() / 7;
            for piece in routes.chunks(size) {
                assert_eq!(filled.fill(vrf, piece), piece.len());
            }
            assert_eq!(filled.insert(vrf, apart.0, apart.1), Ok(None));
            let (changed, gone) = (routes[3].0, routes[size].0);
            assert!(filled.insert(vrf, changed, hops[0]).is_ok());
            assert!(filled.remove(vrf, gone).is_some());
            assert_eq!(filled.fill(vrf, &late), 0, "it is over");
            assert_eq!(filled.load(vrf, &late), 0, "it is not empty");
            assert_eq!(filled.mend(vrf, apart.0), 0);
            let seen = answers(&filled, vrf, ipv6);
            assert!(seen.iter().all(|(.., hop)| hop.is_none()), "{seen:?}");

            filled.show(vrf);
            for &(prefix, hop) in routes.iter().chain([&apart]) {
                inserted.insert(vrf, prefix, hop).expect("room");
            }
            inserted.insert(vrf, changed, hops[0]).expect("room");
            inserted.remove(vrf, gone);
            for step in 0..2 {
                let both = [&filled, &inserted].map(|it| answers(it, vrf, ipv6));
                assert_eq!(both[0], both[1], "IPv6 {ipv6}, step {step}");
                let sizes = [&mut filled, &mut inserted].map(|writer| {
                    writer.synchronize();
                    (writer.stats().nodes, writer.stats().pending)
                });
                assert_eq!(sizes[0], sizes[1], "IPv6 {ipv6}, step {step}");
                for &(prefix, hop) in &late {
                    for writer in [&mut filled, &mut inserted] {
                        writer.insert(vrf, prefix, hop).expect("room");
                    }
                }
            }
        }
    }

    #[test]
    fn a_load_ends_where_something_is_wrong() {
        let (mut writer, hops) = writer(1);
        let hop = hops[0];
        let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
        let good = [(net("10.0.0.0/8"), hop), (net("10.0.0.0/16"), hop)];
        let stranger = NexthopIndex::from_raw(77).expect("20 bits");
        let wrong = [
            (net("10.0.0.0/16"), hop, "twice"),
            (net("9.0.0.0/8"), hop, "out of order"),
            (net("10.0.0.1/24"), hop, "host bits"),
            (net("2001:db8::/32"), hop, "the other family"),
            (net("11.0.0.0/8"), stranger, "no such nexthop"),
        ];
        for (prefix, nexthop, why) in wrong {
            let routes = [&good[..], &[(prefix, nexthop), (net("12.0.0.0/8"), hop)]].concat();
            assert_eq!(writer.load(VRFS[0], &routes), 2, "{why}");
            assert_eq!(writer.prefixes(VRFS[0]).count(), 2, "{why}");
            for (prefix, _) in good {
                assert_eq!(writer.remove(VRFS[0], prefix), Some(hop), "{why}");
            }
        }
        assert_eq!(writer.load(VrfId(9), &good), 0, "no such VRF");
        assert_eq!(writer.load(VRFS[0], &[]), 0);
    }
}
