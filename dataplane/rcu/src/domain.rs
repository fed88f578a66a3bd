//! Who reads: a domain, its readers, and the guard that spans a burst.
//!
//! The rules named below are those of `README.md`.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crossbeam::utils::CachePadded;

use crate::primitive::{Arc, AtomicBool, AtomicU64, MAX_READERS, Mutex, Ordering, fence};
use crate::retire::Garbage;

/// What the slot of a reader says while it promises to hold no reference. It is larger than any
/// epoch, so that a scan needs no special case for it.
const OFFLINE: u64 = u64::MAX;

/// The first epoch.
const FIRST: u64 = 1;

/// One reader's word, on cache lines of its own: written by the reader, read by writers.
struct Slot {
    /// The newest epoch that the reader has reported, or [`OFFLINE`].
    seen: AtomicU64,
    /// Whether a [`Reader`] owns this slot.
    taken: AtomicBool,
}

/// A set of readers and the data they read; usually one a process.
///
/// ```
/// use ironlane_rcu::{Domain, Published, Retirer};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return Ok(()); }
/// let domain = Domain::new();
/// let table = Published::new(&domain, Box::new(vec![1, 2, 3]));
/// let mut reader = Domain::register(&domain)?;
/// let mut retirer = Retirer::new(domain.clone());
///
/// let burst = reader.read();
/// assert_eq!(table.load(&burst).len(), 3);
/// table.swap(Box::new(vec![]), &mut retirer);
/// assert_eq!(retirer.reclaim(), 0); // the burst may still use the old one
/// drop(burst);
/// assert_eq!(retirer.reclaim(), 1);
/// # Ok::<(), ironlane_rcu::Full>(())
/// ```
pub struct Domain {
    epoch: CachePadded<AtomicU64>,
    slots: Box<[CachePadded<Slot>]>,
    /// What retirers left behind when they were dropped; freed with the domain, which every
    /// reader keeps alive.
    orphans: Mutex<Vec<Garbage>>,
}

impl Domain {
    /// A domain without readers.
    pub fn new() -> Arc<Self> {
        let slot = || Slot {
            seen: AtomicU64::new(OFFLINE),
            taken: AtomicBool::new(false),
        };
        Arc::new(Self {
            epoch: CachePadded::new(AtomicU64::new(FIRST)),
            slots: (0..MAX_READERS).map(|_| CachePadded::new(slot())).collect(),
            orphans: Mutex::new(Vec::new()),
        })
    }

    /// Takes a slot for one reading thread; the slot comes back when the [`Reader`] is dropped.
    /// The reader starts offline. Any thread.
    ///
    /// # Errors
    /// [`Full`] if [`MAX_READERS`] readers exist already.
    pub fn register(domain: &Arc<Self>) -> Result<Reader, Full> {
        for (index, slot) in domain.slots.iter().enumerate() {
            // Acquire pairs with the Release in `Reader::drop` (rule 6): what the former owner
            // wrote to `seen` is behind us before we write there.
            let won =
                slot.taken
                    .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            if won.is_ok() {
                let domain = Arc::clone(domain);
                return Ok(Reader {
                    domain,
                    index,
                    seen: OFFLINE,
                    not_sync: PhantomData,
                });
            }
        }
        Err(Full)
    }

    /// How many readers are registered now, offline ones included.
    pub fn readers(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.taken.load(Ordering::Relaxed))
            .count()
    }

    /// How many readers are online and have not yet reported the newest epoch: those that
    /// reclamation waits for.
    pub fn lagging(&self) -> usize {
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.slots
            .iter()
            .filter(|slot| slot.seen.load(Ordering::Relaxed) < epoch)
            .count()
    }

    /// Begins a new epoch and returns its number (rule 3).
    pub(crate) fn advance(&self) -> u64 {
        // Release pairs with the Acquire in `quiescent` and `online`: who sees this epoch, or a
        // later one (a read-modify-write continues the release sequence), sees all that this
        // thread unpublished before.
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The oldest epoch that a reader may still be in; everything retired at or before it is
    /// out of sight (rule 4).
    pub(crate) fn oldest(&self) -> u64 {
        // Pairs with the fence in `online` (rule 5): either the scan below sees a reader that
        // comes online, or that reader sees what was unpublished before this fence.
        fence(Ordering::SeqCst);
        // Acquire pairs with the Release stores of the readers: their uses of the old data
        // happen before our freeing it.
        self.slots
            .iter()
            .map(|slot| slot.seen.load(Ordering::Acquire))
            .min()
            .unwrap_or(OFFLINE)
    }

    /// Keeps garbage whose retirer goes away before its grace period is over.
    pub(crate) fn adopt(&self, garbage: impl Iterator<Item = Garbage>) {
        // A poisoned lock only says that another retirer panicked; the list is still a list.
        let mut orphans = self
            .orphans
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        orphans.extend(garbage);
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epoch = self.epoch.load(Ordering::Relaxed);
        f.debug_struct("Domain")
            .field("epoch", &epoch)
            .field("readers", &self.readers())
            .finish()
    }
}

/// All [`MAX_READERS`] slots of a domain are taken.
///
/// ```
/// use ironlane_rcu::{Domain, Full, MAX_READERS};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return; }
/// let domain = Domain::new();
/// let mut readers: Vec<_> = (0..MAX_READERS).map(|_| Domain::register(&domain)).collect();
/// assert_eq!(Domain::register(&domain).err(), Some(Full));
/// readers.pop(); // one lcore ends
/// assert!(Domain::register(&domain).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "all {MAX_READERS} reader slots of the RCU domain are taken; run fewer lcores"
        )
    }
}

impl std::error::Error for Full {}

/// A thread's right to read. It may move to another thread, and belongs to one at a time.
///
/// A reader that is online holds up reclamation until its next quiescent point; one that is
/// [`offline`](Reader::offline) never does. Dropping it deregisters it.
///
/// ```
/// use ironlane_rcu::{Domain, Retirer};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return Ok(()); }
/// let domain = Domain::new();
/// let mut reader = Domain::register(&domain)?;
/// let mut retirer = Retirer::new(domain.clone());
/// drop(reader.read()); // one burst; the reader stays online
/// retirer.retire(Box::new(7));
/// assert_eq!((retirer.reclaim(), domain.lagging()), (0, 1));
/// reader.offline(); // nothing to do: it sleeps
/// assert_eq!((retirer.reclaim(), domain.lagging()), (1, 0));
/// # Ok::<(), ironlane_rcu::Full>(())
/// ```
///
/// A reader cannot be shared:
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<ironlane_rcu::Reader>();
/// ```
pub struct Reader {
    domain: Arc<Domain>,
    index: usize,
    /// Copy of what our slot says; only we write there.
    seen: u64,
    not_sync: PhantomData<Cell<()>>,
}

impl Reader {
    /// Begins a burst, online first if need be. Dropping the guard reports a quiescent state.
    /// Costs one branch while online.
    ///
    /// A reference cannot outlive its burst:
    /// ```compile_fail,E0505
    /// # use ironlane_rcu::{Domain, Published};
    /// # let domain = Domain::new();
    /// # let table = Published::new(&domain, Box::new(7));
    /// # let mut reader = Domain::register(&domain).unwrap();
    /// let burst = reader.read();
    /// let seven = table.load(&burst);
    /// drop(burst);
    /// assert_eq!(*seven, 7);
    /// ```
    /// and bursts do not nest:
    /// ```compile_fail,E0499
    /// # use ironlane_rcu::Domain;
    /// # let domain = Domain::new();
    /// # let mut reader = Domain::register(&domain).unwrap();
    /// let first = reader.read();
    /// let second = reader.read();
    /// drop((first, second));
    /// ```
    #[inline]
    pub fn read(&mut self) -> Guard<'_> {
        if self.seen == OFFLINE {
            self.online();
        }
        Guard { reader: self }
    }

    /// Promises to hold no reference until the next [`read`](Reader::read); to be called before
    /// sleeping, blocking or leaving the poll loop. It cannot be called inside a burst.
    pub fn offline(&mut self) {
        self.seen = OFFLINE;
        // Release pairs with the Acquire in `Domain::oldest`: our reads are over before.
        self.slot().seen.store(OFFLINE, Ordering::Release);
    }

    /// The domain that this reader reads in.
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    #[cold]
    fn online(&mut self) {
        // Acquire pairs with the Release in `Domain::advance`. An old value is harmless: it
        // makes writers wait longer.
        self.seen = self.domain.epoch.load(Ordering::Acquire);
        self.slot().seen.store(self.seen, Ordering::Release);
        // Pairs with the fence in `Domain::oldest` (rule 5).
        fence(Ordering::SeqCst);
    }

    /// Reports that no reference of the burst is left (rule 2).
    #[inline]
    fn quiescent(&mut self) {
        // Acquire pairs with the Release in `Domain::advance`: once we have seen an epoch, our
        // later loads see what was published before it, never what was unpublished.
        let epoch = self.domain.epoch.load(Ordering::Acquire);
        if epoch != self.seen {
            self.seen = epoch;
            // Release pairs with the Acquire in `Domain::oldest`: the burst's reads are over.
            self.slot().seen.store(epoch, Ordering::Release);
        }
    }

    fn slot(&self) -> &Slot {
        &self.domain.slots[self.index]
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.offline();
        // Release pairs with the Acquire in `Domain::register` (rule 6).
        self.slot().taken.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let online = self.seen != OFFLINE;
        f.debug_struct("Reader")
            .field("slot", &self.index)
            .field("online", &online)
            .finish()
    }
}

/// One burst: while it lives, nothing that is loaded with it is freed.
///
/// Made by [`Reader::read`]; see the example of [`Domain`]. Leaking a guard is harmless; it only
/// reports nothing.
#[derive(Debug)]
pub struct Guard<'r> {
    reader: &'r mut Reader,
}

impl Guard<'_> {
    /// Whether this guard protects data that is retired in `domain`. Every load checks it, since
    /// a guard of another domain protects nothing; that is one comparison of two pointers.
    #[inline]
    pub fn protects(&self, domain: &Arc<Domain>) -> bool {
        Arc::ptr_eq(&self.reader.domain, domain)
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.reader.quiescent();
    }
}
