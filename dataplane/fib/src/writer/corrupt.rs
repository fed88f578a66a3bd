//! Damage on purpose, so that tests of `verify` have something to find. The writer's books stay
//! right: [`Writer::mend`], [`Writer::insert`] and [`Writer::replace_nexthop`] cure it.

use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_rcu::Domain;

use super::{Writer, with_table};
use crate::nexthop::NO_ROUTE_ROW;
use crate::trie::Edit;
use crate::{Adjacency, Nexthop, NexthopIndex, VrfId};

#[doc(hidden)]
impl Writer {
    /// Makes the leaf that answers for `address`, and so for its neighbours under the same leaf,
    /// answer `nexthop`.
    pub fn poke_leaf(&mut self, vrf: VrfId, address: IpAddr, nexthop: NexthopIndex) {
        let host = IpNet::from(address);
        with_table!(self, vrf, host, (table, edit, address, _len) =>
            table.poke(&edit, address, nexthop));
    }

    /// Makes the slot of a nexthop hold something else.
    pub fn poke_nexthop(&mut self, index: NexthopIndex, nexthop: Nexthop) {
        let row = match &nexthop {
            Nexthop::Adjacency(adjacency) => self.slots.row_beside(adjacency),
            Nexthop::Group(_) => Some(NO_ROUTE_ROW),
        };
        self.tables.nexthops().replace(
            index,
            nexthop,
            row.expect("few are damaged"),
            &mut self.retirer,
        );
    }

    /// Changes both addresses of an adjacency, the first twelve bytes of its rewrite. False if the slot holds none.
    pub fn poke_rewrite(&mut self, index: NexthopIndex, rewrite: [u8; 14]) -> bool {
        let Some(Nexthop::Adjacency(adjacency)) = self.nexthop(index) else {
            return false;
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = rewrite;
        let poked = Adjacency {
            dst_mac: [d0, d1, d2, d3, d4, d5],
            src_mac: [s0, s1, s2, s3, s4, s5],
            ..adjacency
        };
        self.poke_nexthop(index, poked.into());
        true
    }

    /// Makes one bucket of a group point elsewhere. False if the slot holds no group with it.
    pub fn poke_bucket(&mut self, index: NexthopIndex, bucket: usize, to: NexthopIndex) -> bool {
        let Some(Nexthop::Group(group)) = self.nexthop(index) else {
            return false;
        };
        if bucket >= group.buckets().len() {
            return false;
        }
        self.poke_nexthop(index, Nexthop::Group(group.with_bucket(bucket, to)));
        true
    }

    fn nexthop(&self, index: NexthopIndex) -> Option<Nexthop> {
        let mut reader = Domain::register(self.tables.domain()).ok()?;
        let guard = reader.read();
        Some(self.tables.nexthops().get(&guard, index)?.to_owned())
    }
}
