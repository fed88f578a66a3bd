//! The tables as lcores see them: by VRF and family.

use std::fmt;

use ironlane_rcu::primitive::{Arc, Mutex};
use ironlane_rcu::{Domain, Guard, Published, Retirer};

use crate::trie::{Address, Arena, BURST, LookupPath, RootHandle, Runs, Trie};
use crate::{NexthopIndex, Nexthops, VrfId};

/// A lookup structure for one family of one VRF; see the README for how it works.
///
/// Addresses are numbers in host order. Read by any thread with a guard, changed by the
/// [`Writer`](crate::Writer) alone.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_fib::{Adjacency, AdjacencyKind, NexthopIndex, Run, Tables, VrfId, Writer};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let tables = Arc::new(Tables::new(&domain));
/// let mut writer = Writer::new(tables.clone(), domain.clone());
/// let hop = writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())?;
/// writer.insert(VrfId::DEFAULT, "128.0.0.0/1".parse()?, hop)?;
///
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let fib = tables.ip4(&burst, VrfId::DEFAULT);
/// let mut answers = [NexthopIndex::NONE; 2];
/// fib.lookup_bulk(&burst, &[0x7fff_ffff, 0x8000_0000], &mut answers);
/// assert_eq!(answers, [NexthopIndex::NONE, hop]);
/// assert_eq!(fib.stats().prefixes, 1);
/// let low = Run { first: 0, last: 0x7fff_ffff, nexthop: NexthopIndex::NONE };
/// let high = Run { first: 0x8000_0000, last: u32::MAX, nexthop: hop };
/// assert_eq!(fib.runs(&burst).collect::<Vec<_>>(), [low, high]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fib<K> {
    pub(crate) trie: Trie<K>,
}

/// IPv4: addresses are `u32` in host order, as of `u32::from(Ipv4Addr)`.
pub type Ip4Fib = Fib<u32>;

/// IPv6: addresses are `u128` in host order, as of `u128::from(Ipv6Addr)`.
pub type Ip6Fib = Fib<u128>;

impl<K: Address> Fib<K> {
    fn new(domain: &Arc<Domain>, arena: &Arc<Arena>, large: bool) -> (Self, RootHandle) {
        let (trie, root) = Trie::new(domain, arena, large);
        (Self { trie }, root)
    }

    /// The nexthop of the longest prefix that covers the address, or [`NexthopIndex::NONE`].
    ///
    /// The answer is that of the table before or after any change that is under way. Cost: one
    /// load at the root, and two for each level down to the leaf.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn lookup(&self, guard: &Guard<'_>, address: K) -> NexthopIndex {
        self.trie.lookup(guard, address)
    }

    /// Looks up several addresses at once; faster than one by one, since their cache misses
    /// overlap.
    ///
    /// # Panics
    /// If the slices differ in length, or the guard is of another domain.
    #[inline]
    pub fn lookup_bulk(&self, guard: &Guard<'_>, addresses: &[K], answers: &mut [NexthopIndex]) {
        self.trie.lookup_bulk(guard, addresses, answers);
    }

    /// Looks up the first `count` addresses of a burst. What becomes of the other answers is anything: registers
    /// that are not full cost as much as full ones, so more may be looked up.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ironlane_fib::{Adjacency, AdjacencyKind, BURST, NexthopIndex, Tables, VrfId, Writer};
    /// # use ironlane_rcu::Domain;
    /// # let domain = Domain::new();
    /// # let tables = Arc::new(Tables::new(&domain));
    /// # let mut writer = Writer::new(tables.clone(), domain.clone());
    /// # let hop = writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())?;
    /// # writer.insert(VrfId::DEFAULT, "128.0.0.0/1".parse()?, hop)?;
    /// # let mut reader = Domain::register(&domain)?;
    /// # let burst = reader.read();
    /// # let fib = tables.ip4(&burst, VrfId::DEFAULT);
    /// let mut answers = [NexthopIndex::NONE; BURST];
    /// fib.lookup_burst(&burst, &[0x8000_0000; BURST], 3, &mut answers);
    /// assert_eq!(answers[..3], [hop; 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If `count` is above [`BURST`], or the guard is of another domain.
    #[inline]
    pub fn lookup_burst(
        &self,
        guard: &Guard<'_>,
        addresses: &[K; BURST],
        count: usize,
        answers: &mut [NexthopIndex; BURST],
    ) {
        self.trie.lookup_burst(guard, addresses, count, answers);
    }

    /// [`lookup_bulk`](Fib::lookup_bulk) by certain instructions, for tests and measurements.
    ///
    /// # Panics
    /// As [`lookup_bulk`](Fib::lookup_bulk), and if the CPU lacks the instructions.
    #[inline]
    pub fn lookup_bulk_by(
        &self,
        path: LookupPath,
        guard: &Guard<'_>,
        addresses: &[K],
        answers: &mut [NexthopIndex],
    ) {
        self.trie.lookup_bulk_by(path, guard, addresses, answers);
    }

    /// All answers in address order, as runs of addresses that have the same one; the first run
    /// begins with the first address, the last ends with the last. For `verify`: a full table
    /// takes milliseconds, during which nothing is reclaimed.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    pub fn runs<'q>(&'q self, guard: &'q Guard<'_>) -> Runs<'q, K> {
        Runs::new(&self.trie, guard)
    }

    /// Calls `visit` with the first and last address and the answer of each run of
    /// [`runs`](Fib::runs).
    pub fn walk(&self, guard: &Guard<'_>, mut visit: impl FnMut(K, K, NexthopIndex)) {
        self.runs(guard)
            .for_each(|run| visit(run.first, run.last, run.nexthop));
    }

    /// Size of the table. Any thread.
    pub fn stats(&self) -> FibStats {
        FibStats {
            prefixes: self.trie.prefixes(),
            nodes: self.trie.blocks(),
            bytes: self.trie.bytes(),
        }
    }
}

impl<K: Address> fmt::Debug for Fib<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fib").field(&self.stats()).finish()
    }
}

/// The size of one table; see the example of [`Fib`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FibStats {
    /// Prefixes installed.
    pub prefixes: u64,
    /// Blocks below the root.
    pub nodes: u64,
    /// Bytes that lookups may touch: root and blocks.
    pub bytes: u64,
}

/// The tables of one VRF.
pub(crate) struct Vrf {
    pub(crate) ip4: Ip4Fib,
    pub(crate) ip6: Ip6Fib,
}

/// What the writer needs to change the tables of a VRF: their roots.
pub(crate) struct VrfRoots {
    pub(crate) ip4: RootHandle,
    pub(crate) ip6: RootHandle,
}

impl Vrf {
    /// Empty tables. Large ones begin with the root of a full table, and keep it; others change
    /// their root with the number of routes.
    fn new(domain: &Arc<Domain>, arena: &Arc<Arena>, large: bool) -> (Self, VrfRoots) {
        let (ip4, root4) = Fib::new(domain, arena, large);
        let (ip6, root6) = Fib::new(domain, arena, large);
        let roots = VrfRoots {
            ip4: root4,
            ip6: root6,
        };
        (Self { ip4, ip6 }, roots)
    }
}

/// All that lcores look up, shared between them and one [`Writer`](crate::Writer).
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::sync::Arc;
///
/// use ironlane_fib::{Adjacency, PortId, Tables, VrfId, Writer};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let tables = Arc::new(Tables::new(&domain));
/// let mut writer = Writer::new(tables.clone(), domain.clone());
/// let hop = writer.add_nexthop(Adjacency::forward(PortId(1), 1500, [2; 6], [4; 6]).into())?;
/// writer.insert(VrfId::DEFAULT, "192.0.2.0/24".parse()?, hop)?;
///
/// let mut reader = Domain::register(&domain)?;
/// let burst = reader.read();
/// let address = u32::from(Ipv4Addr::new(192, 0, 2, 7));
/// let found = tables.ip4(&burst, VrfId::DEFAULT).lookup(&burst, address);
/// let adjacency = tables.nexthops().resolve(&burst, found, 0);
/// assert_eq!(adjacency.port(), PortId(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tables {
    default: Arc<Vrf>,
    /// All VRFs by id, the default one included.
    vrfs: Published<Vec<Option<Arc<Vrf>>>>,
    /// Stands in for a VRF that does not exist: no route to anywhere.
    absent: Vrf,
    nexthops: Nexthops,
    pub(crate) arena: Arc<Arena>,
    domain: Arc<Domain>,
    /// For the writer, until it takes them.
    roots: Mutex<Option<VrfRoots>>,
}

impl Tables {
    /// Empty tables for the default VRF, read by the readers of `domain`.
    pub fn new(domain: &Arc<Domain>) -> Self {
        let arena = Arc::new(Arena::new());
        let (default, roots) = Vrf::new(domain, &arena, true);
        let default = Arc::new(default);
        Self {
            vrfs: Published::new(domain, Box::new(vec![Some(Arc::clone(&default))])),
            default,
            absent: Vrf::new(domain, &arena, false).0,
            nexthops: Nexthops::new(domain),
            arena,
            domain: Arc::clone(domain),
            roots: Mutex::new(Some(roots)),
        }
    }

    /// The IPv4 table of a VRF; without a route if there is no such VRF.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn ip4<'q>(&'q self, guard: &'q Guard<'_>, vrf: VrfId) -> &'q Ip4Fib {
        &self.vrf(guard, vrf).ip4
    }

    /// The IPv6 table of a VRF; without a route if there is no such VRF.
    ///
    /// # Panics
    /// If the guard is of another domain, which would protect nothing.
    #[inline]
    pub fn ip6<'q>(&'q self, guard: &'q Guard<'_>, vrf: VrfId) -> &'q Ip6Fib {
        &self.vrf(guard, vrf).ip6
    }

    /// The nexthops of all VRFs.
    #[inline]
    pub fn nexthops(&self) -> &Nexthops {
        &self.nexthops
    }

    /// The VRFs that have tables, in order.
    pub fn vrfs(&self, guard: &Guard<'_>) -> Vec<VrfId> {
        let vrfs = self.vrfs.load(guard).iter().zip(0..);
        vrfs.filter(|(vrf, _)| vrf.is_some())
            .map(|(_, id)| VrfId(id))
            .collect()
    }

    /// The domain whose readers may read these tables.
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    #[inline]
    fn vrf<'q>(&'q self, guard: &'q Guard<'_>, vrf: VrfId) -> &'q Vrf {
        if vrf == VrfId::DEFAULT {
            return &self.default;
        }
        let found = self.vrfs.load(guard).get(usize::from(vrf.0));
        found.and_then(Option::as_deref).unwrap_or(&self.absent)
    }

    /// Says that there is a writer now; `None` if there was one.
    pub(crate) fn take_writer(&self) -> Option<VrfRoots> {
        self.roots.lock().ok()?.take()
    }

    /// Makes and publishes the tables of one more VRF beside those that the writer knows.
    pub(crate) fn publish_vrf(
        &self,
        mut known: Vec<Option<Arc<Vrf>>>,
        vrf: VrfId,
        retirer: &mut Retirer,
    ) -> (Arc<Vrf>, VrfRoots) {
        let (made, roots) = Vrf::new(&self.domain, &self.arena, false);
        let made = Arc::new(made);
        let place = usize::from(vrf.0);
        known.resize(known.len().max(place + 1), None);
        known[place] = Some(Arc::clone(&made));
        self.vrfs.swap(Box::new(known), retirer);
        (made, roots)
    }

    /// The tables of the default VRF, which always exist.
    pub(crate) fn default_vrf(&self) -> &Arc<Vrf> {
        &self.default
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("nexthops", &self.nexthops)
            .finish_non_exhaustive()
    }
}
