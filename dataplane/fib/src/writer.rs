//! The one thread that changes the tables.
#![allow(unsafe_code)] // it says when a block may be written again

mod corrupt;
mod load;
mod quarantine;
mod rows;
mod slots;

#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;

use ipnet::IpNet;
use ironlane_rcu::primitive::Arc;
use ironlane_rcu::{Domain, Retirer};

use crate::table::{Vrf, VrfRoots};
use crate::trie::{Edit, Memory, TrieWriter};
use crate::{FibError, Nexthop, NexthopIndex, Tables, VrfId};
use quarantine::Quarantine;
use slots::NexthopSlots;

/// Changes the tables while lcores read them; one for each [`Tables`], on one thread.
///
/// No change waits for readers, unless so much is waiting for a grace period that memory would
/// grow without bound; so this thread must hold no guard of the same domain while it writes.
/// Call [`reclaim`](Writer::reclaim) after a batch, and again later while it says that something
/// is pending.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{Adjacency, AdjacencyKind, FibError, PortId, Tables, VrfId, Writer};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let mut writer = Writer::new(Arc::new(Tables::new(&domain)), domain);
/// let vrf = VrfId::DEFAULT;
///
/// let hop = writer.add_nexthop(Adjacency::glean(PortId(0), 1500).into())?;
/// assert_eq!(writer.insert(vrf, "2001:db8::/32".parse()?, hop)?, None);
/// // The neighbour has answered: all routes follow, by one word.
/// writer.replace_nexthop(hop, Adjacency::forward(PortId(0), 1500, [2; 6], [4; 6]).into())?;
///
/// assert_eq!(writer.remove_nexthop(hop), Err(FibError::NexthopInUse { index: hop, users: 1 }));
/// assert_eq!(writer.remove(vrf, "2001:db8::/32".parse()?), Some(hop));
/// writer.remove_nexthop(hop)?;
/// assert_eq!(writer.reclaim(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer {
    tables: Arc<Tables>,
    retirer: Retirer,
    memory: Memory,
    slots: NexthopSlots,
    quarantine: Quarantine,
    vrfs: Vec<Option<VrfState>>,
}

/// What the writer knows about a VRF.
struct VrfState {
    vrf: Arc<Vrf>,
    ip4: TrieWriter<u32>,
    ip6: TrieWriter<u128>,
}

impl VrfState {
    fn new(vrf: Arc<Vrf>, roots: VrfRoots) -> Self {
        Self {
            vrf,
            ip4: TrieWriter::new(roots.ip4),
            ip6: TrieWriter::new(roots.ip6),
        }
    }
}

/// What the writer holds, in numbers.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{Tables, Writer, WriterStats};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let stats = Writer::new(Arc::new(Tables::new(&domain)), domain).stats();
/// assert_eq!((stats.nexthops, stats.nodes, stats.pending), (0, 0, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterStats {
    /// Nexthops that exist, groups included, slot 0 not.
    pub nexthops: usize,
    /// Nexthops that were removed and whose index waits for a grace period.
    pub nexthops_leaving: usize,
    /// Blocks of all tables, those included that wait for a grace period.
    pub nodes: usize,
    /// Bytes of all blocks, free ones included, and of the writer's trie behind them.
    pub node_bytes: usize,
    /// Bytes of the lists of prefixes.
    pub prefix_bytes: usize,
    /// Things that wait for a grace period: blocks, indexes, replaced groups.
    pub pending: usize,
    /// How often a change had to wait for readers, since too much was pending.
    pub waits: u64,
}

/// Runs `$do` with the table of the family of `$prefix`: its writer, an [`Edit`] of it, the
/// address in host order without host bits, and the length.
macro_rules! with_table {
    ($self:ident, $vrf:expr, $prefix:expr, ($table:ident, $edit:ident, $address:ident, $len:ident) => $do:expr) => {{
        let Self {
            memory,
            quarantine,
            retirer,
            vrfs,
            ..
        } = $self;
        let state = vrfs.get_mut(usize::from($vrf.0)).and_then(Option::as_mut);
        match (state, $prefix.trunc()) {
            (None, _) => None,
            (Some(state), IpNet::V4(prefix)) => {
                let trie = &state.vrf.ip4.trie;
                #[allow(unused_mut)]
                let mut $edit = Edit {
                    trie,
                    memory,
                    dead: quarantine.blocks(),
                    retirer,
                };
                let ($address, $len) =
                    (u32::from(prefix.network()), u32::from(prefix.prefix_len()));
                let $table = &mut state.ip4;
                Some($do)
            }
            (Some(state), IpNet::V6(prefix)) => {
                let trie = &state.vrf.ip6.trie;
                #[allow(unused_mut)]
                let mut $edit = Edit {
                    trie,
                    memory,
                    dead: quarantine.blocks(),
                    retirer,
                };
                let ($address, $len) =
                    (u128::from(prefix.network()), u32::from(prefix.prefix_len()));
                let $table = &mut state.ip6;
                Some($do)
            }
        }
    }};
}
use with_table;

impl Writer {
    /// The writer of these tables.
    ///
    /// # Panics
    /// If the tables have, or had, another writer, or belong to another domain.
    pub fn new(tables: Arc<Tables>, domain: Arc<Domain>) -> Self {
        assert!(
            Arc::ptr_eq(tables.domain(), &domain),
            "the tables are of another RCU domain"
        );
        let roots = tables.take_writer();
        let roots = roots.expect("tables have one writer for all their life");
        let default = Arc::clone(tables.default_vrf());
        let vrfs = vec![Some(VrfState::new(default, roots))];
        let slots = NexthopSlots::new(tables.nexthops().capacity());
        Self {
            retirer: Retirer::new(domain),
            memory: Memory::new(),
            slots,
            quarantine: Quarantine::default(),
            vrfs,
            tables,
        }
    }

    /// The tables that this writer changes.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Makes tables for a VRF; nothing happens if it has some.
    pub fn add_vrf(&mut self, vrf: VrfId) {
        let place = usize::from(vrf.0);
        if self.vrfs.get(place).is_some_and(Option::is_some) {
            return;
        }
        let known = self
            .vrfs
            .iter()
            .map(|state| Some(Arc::clone(&state.as_ref()?.vrf)))
            .collect();
        let (made, roots) = self.tables.publish_vrf(known, vrf, &mut self.retirer);
        self.vrfs
            .resize_with(self.vrfs.len().max(place + 1), || None);
        self.vrfs[place] = Some(VrfState::new(made, roots));
    }

    /// Puts a nexthop in a free slot.
    ///
    /// # Errors
    /// [`FibError::NexthopsExhausted`], [`FibError::EgressesExhausted`]; for a group also
    /// [`FibError::NoSuchNexthop`] and [`FibError::NestedGroup`] about its members.
    pub fn add_nexthop(&mut self, nexthop: Nexthop) -> Result<NexthopIndex, FibError> {
        if self.slots.is_full() {
            self.reclaim();
        }
        self.find_row(&nexthop);
        let (index, row) = self.slots.add(&nexthop)?;
        self.tables.nexthops().publish(index, nexthop, row);
        Ok(index)
    }

    /// Swaps what a slot holds, for all prefixes and groups that use it, by one word.
    ///
    /// # Errors
    /// [`FibError::NoSuchNexthop`], [`FibError::EgressesExhausted`]; [`FibError::NestedGroup`] if a
    /// group would contain a group.
    pub fn replace_nexthop(
        &mut self,
        index: NexthopIndex,
        nexthop: Nexthop,
    ) -> Result<(), FibError> {
        self.find_row(&nexthop);
        let row = self.slots.replace(index, &nexthop)?;
        self.tables
            .nexthops()
            .replace(index, nexthop, row, &mut self.retirer);
        Ok(())
    }

    /// Waits for readers if all rows are taken, then frees those that nothing refers to.
    fn find_row(&mut self, nexthop: &Nexthop) {
        if self.slots.lacks_row(nexthop) {
            // What was removed still has its row; and readers may be about to look at one that was
            // left just now.
            self.synchronize();
            self.retirer.synchronize();
            self.slots.recycle_rows();
        }
    }

    /// Removes a nexthop that nothing uses. Packets in flight may still resolve it; the slot is
    /// emptied, and the index given to another nexthop, after a grace period.
    ///
    /// # Errors
    /// [`FibError::NoSuchNexthop`], [`FibError::NexthopInUse`].
    pub fn remove_nexthop(&mut self, index: NexthopIndex) -> Result<(), FibError> {
        self.slots.remove(index)?;
        self.quarantine.nexthops().push(index);
        self.settle();
        Ok(())
    }

    /// Installs or replaces a route, and returns the nexthop it had; bits of the address behind
    /// the prefix's length are ignored. A route that is there with the same nexthop is written
    /// again.
    ///
    /// # Errors
    /// [`FibError::NoSuchVrf`], [`FibError::NoSuchNexthop`], [`FibError::NodesExhausted`].
    pub fn insert(
        &mut self,
        vrf: VrfId,
        prefix: IpNet,
        nexthop: NexthopIndex,
    ) -> Result<Option<NexthopIndex>, FibError> {
        self.slots.check(nexthop)?;
        let old = with_table!(self, vrf, prefix, (table, edit, address, len) =>
            table.insert(&mut edit, address, len, nexthop));
        let old = old.ok_or(FibError::NoSuchVrf(vrf))??;
        self.slots.use_by_prefix(nexthop);
        if let Some(old) = old {
            self.slots.unuse_by_prefix(old);
        }
        self.settle();
        Ok(old)
    }

    /// Removes a route and returns the nexthop it had; `None` if there was none.
    pub fn remove(&mut self, vrf: VrfId, prefix: IpNet) -> Option<NexthopIndex> {
        let old = with_table!(self, vrf, prefix, (table, edit, address, len) =>
            table.remove(&mut edit, address, len));
        let old = old.flatten()?;
        self.slots.unuse_by_prefix(old);
        self.settle();
        Some(old)
    }

    /// The nexthop of exactly this prefix.
    pub fn get(&self, vrf: VrfId, prefix: IpNet) -> Option<NexthopIndex> {
        let state = self.vrfs.get(usize::from(vrf.0))?.as_ref()?;
        let len = u32::from(prefix.prefix_len());
        match prefix.trunc() {
            IpNet::V4(prefix) => state.ip4.get(prefix.network().into(), len),
            IpNet::V6(prefix) => state.ip6.get(prefix.network().into(), len),
        }
    }

    /// All prefixes of a VRF with their nexthops, in no order.
    pub fn prefixes(&self, vrf: VrfId) -> impl Iterator<Item = (IpNet, NexthopIndex)> {
        let state = self.vrfs.get(usize::from(vrf.0)).and_then(Option::as_ref);
        state.into_iter().flat_map(|state| {
            let ip4 = state.ip4.iter().map(|(address, len, nexthop)| {
                (
                    ipnet::Ipv4Net::new_assert(address.into(), len as u8).into(),
                    nexthop,
                )
            });
            let ip6 = state.ip6.iter().map(|(address, len, nexthop)| {
                (
                    ipnet::Ipv6Net::new_assert(address.into(), len as u8).into(),
                    nexthop,
                )
            });
            ip4.chain(ip6)
        })
    }

    /// Writes all leaves within `prefix` as the routes say, and returns how many were wrong.
    /// None ever is, but for damaged memory and for tests of `verify`.
    pub fn mend(&mut self, vrf: VrfId, prefix: IpNet) -> usize {
        let mended = with_table!(self, vrf, prefix, (table, edit, address, len) =>
            table.mend(&mut edit, address, len));
        mended.unwrap_or(0)
    }

    /// Recycles what no reader can hold any more, and returns how many things still wait. Never
    /// waits for readers.
    pub fn reclaim(&mut self) -> usize {
        let Self {
            quarantine,
            retirer,
            memory,
            slots,
            tables,
            ..
        } = self;
        quarantine.release(retirer, |retirer, blocks, nexthops| {
            for block in blocks {
                // SAFETY: the quarantine gives out what has waited for a grace period since the
                // last word that led to the block was overwritten.
                unsafe { memory.give_back(&tables.arena, block) };
            }
            for index in nexthops {
                // A walker may hold an index longer than a burst, and so find the object until
                // now: it is freed a grace period after the slot is empty.
                tables.nexthops().clear(index, retirer);
                slots.free(index);
            }
        });
        retirer.reclaim();
        self.pending()
    }

    /// Waits until every reader has passed a quiescent state, and recycles all that is pending.
    pub fn synchronize(&mut self) {
        while self.reclaim() > 0 {
            self.retirer.synchronize();
        }
    }

    /// How many things wait for a grace period.
    pub fn pending(&self) -> usize {
        self.quarantine.len() + self.retirer.pending()
    }

    /// Sizes and counts.
    pub fn stats(&self) -> WriterStats {
        let states = self.vrfs.iter().flatten();
        WriterStats {
            nexthops: self.slots.live(),
            nexthops_leaving: self.slots.leaving(),
            nodes: self.memory.blocks(),
            node_bytes: self.memory.bytes(),
            prefix_bytes: states
                .map(|state| state.ip4.bytes() + state.ip6.bytes())
                .sum(),
            pending: self.pending(),
            waits: self.retirer.waits() + self.quarantine.waits(),
        }
    }

    /// Reclaims now and then, and waits for readers if too much is pending.
    fn settle(&mut self) {
        if self.quarantine.wants_release() {
            self.reclaim();
        }
        if self.quarantine.is_over_limit() {
            self.quarantine.note_wait();
            self.synchronize();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.stats()).finish()
    }
}
