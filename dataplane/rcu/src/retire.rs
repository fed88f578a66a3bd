//! Who frees: garbage waits here until no reader can hold it.
//!
//! The rules named below are those of `README.md`.

use std::collections::VecDeque;
use std::fmt;
use std::ptr::NonNull;

use crate::Domain;
use crate::primitive::{Arc, pause};

/// How many retired things may wait at once, unless [`Retirer::set_limits`] says otherwise.
const PENDING_LIMIT: usize = 65_536;

/// How many bytes may wait at once, unless [`Retirer::set_limits`] says otherwise.
const BYTES_LIMIT: usize = 64 << 20;

/// After how many retirements `retire` tries to reclaim by itself: often enough to keep little
/// memory waiting, seldom enough that the readers' cache lines stay with the readers.
const BATCH: usize = 64;

/// Something to be freed, by a function that knows its type.
pub(crate) struct Garbage {
    pointer: NonNull<()>,
    // SAFETY: of the call: once, with `pointer`, when nobody else can reach it.
    free: unsafe fn(NonNull<()>),
    bytes: usize,
}

// SAFETY: made only of `T: Send` in `Retirer::retire_raw` and `defer`; moved as a whole.
unsafe impl Send for Garbage {}

impl Garbage {
    /// # Safety
    /// `pointer` came from `Box::into_raw`, and nobody else frees it.
    unsafe fn of<T: Send + 'static>(pointer: NonNull<T>, bytes: usize) -> Self {
        /// # Safety
        /// See `Garbage::free`; `T` is the type that the pointer was made with.
        unsafe fn free<T>(pointer: NonNull<()>) {
            // SAFETY: by the contract of `Garbage::of` and of the field `free`.
            drop(unsafe { Box::from_raw(pointer.cast::<T>().as_ptr()) });
        }
        Self {
            pointer: pointer.cast(),
            free: free::<T>,
            bytes,
        }
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        // SAFETY: dropped once, by `reclaim` after the grace period or by the domain's drop,
        // when no reader exists (each keeps the domain alive).
        unsafe { (self.free)(self.pointer) }
    }
}

/// A deferred call; runs when it is dropped as garbage.
struct Deferred<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Deferred<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

/// A point in time of a domain, which is over once every reader has passed a quiescent state
/// after it; made by [`Retirer::grace`].
///
/// ```
/// use ironlane_rcu::{Domain, Retirer};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return Ok(()); }
/// let domain = Domain::new();
/// let mut reader = Domain::register(&domain)?;
/// let mut retirer = Retirer::new(domain);
/// let burst = reader.read();
/// let grace = retirer.grace(); // an index was taken out of use
/// assert!(!retirer.elapsed(grace));
/// drop(burst);
/// assert!(retirer.elapsed(grace)); // it may be used again
/// # Ok::<(), ironlane_rcu::Full>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(u64);

/// Frees what writers have unpublished, after a grace period; one for each writing thread.
///
/// Retiring never waits for readers, unless more than the limits allow is pending: then it waits
/// until there is room, so that memory stays bounded although a reader is preempted. The thread
/// that retires must therefore not hold a guard of the same domain.
///
/// ```
/// use ironlane_rcu::{Domain, Retirer};
///
/// # if ironlane_rcu::primitive::IS_MODEL { return; }
/// let mut retirer = Retirer::new(Domain::new());
/// retirer.retire(Box::new([0; 512]));
/// assert_eq!(retirer.pending(), 1);
/// assert_eq!(retirer.reclaim(), 1); // nobody reads
/// assert_eq!(retirer.pending_bytes(), 0);
/// ```
pub struct Retirer {
    domain: Arc<Domain>,
    /// Retired since the last epoch that we began.
    open: Vec<Garbage>,
    /// Batches that wait for their epoch to be seen by all, oldest first.
    waiting: VecDeque<(Grace, Vec<Garbage>)>,
    pending: usize,
    pending_bytes: usize,
    limit: usize,
    limit_bytes: usize,
    waits: u64,
}

impl Retirer {
    /// A retirer with nothing pending.
    pub fn new(domain: Arc<Domain>) -> Self {
        Self {
            domain,
            open: Vec::new(),
            waiting: VecDeque::new(),
            pending: 0,
            pending_bytes: 0,
            limit: PENDING_LIMIT,
            limit_bytes: BYTES_LIMIT,
            waits: 0,
        }
    }

    /// Sets how many things and how many bytes may be pending before retiring waits.
    pub fn set_limits(&mut self, pending: usize, bytes: usize) {
        self.limit = pending;
        self.limit_bytes = bytes;
    }

    /// Frees `value` after a grace period.
    pub fn retire<T: Send + 'static>(&mut self, value: Box<T>) {
        // SAFETY: a Box belongs to us alone.
        unsafe { self.retire_raw(NonNull::from(Box::leak(value))) }
    }

    /// Frees what a reader may still hold by reference, after a grace period.
    ///
    /// It stays a raw pointer until then, since a `Box` would claim that nobody else reads it.
    ///
    /// # Safety
    /// `pointer` came from [`Box::into_raw`]; it is retired once, and can no longer be found by
    /// readers that begin a burst from now on.
    pub unsafe fn retire_raw<T: Send + 'static>(&mut self, pointer: NonNull<T>) {
        let bytes = size_of::<T>();
        // SAFETY: by our contract.
        self.push(unsafe { Garbage::of(pointer, bytes) });
    }

    /// Calls `call` after a grace period, on the thread that reclaims. `bytes` is what it will
    /// give back, for [`pending_bytes`](Retirer::pending_bytes).
    pub fn defer<F: FnOnce() + Send + 'static>(&mut self, bytes: usize, call: F) {
        let deferred = NonNull::from(Box::leak(Box::new(Deferred(Some(call)))));
        // SAFETY: a Box that belongs to us alone; its drop makes the call.
        self.push(unsafe { Garbage::of(deferred, bytes) });
    }

    fn push(&mut self, garbage: Garbage) {
        self.pending += 1;
        self.pending_bytes += garbage.bytes;
        self.open.push(garbage);
        if self.open.len() >= BATCH {
            self.reclaim();
        }
        if self.over_limit() {
            self.waits += 1;
            let mut turn = 0;
            while self.over_limit() {
                if self.reclaim() == 0 {
                    pause(turn);
                    turn += 1;
                }
            }
        }
    }

    fn over_limit(&self) -> bool {
        self.pending > self.limit || self.pending_bytes > self.limit_bytes
    }

    /// Frees what may be freed and returns how many things that was. Never waits.
    pub fn reclaim(&mut self) -> usize {
        if !self.open.is_empty() {
            let grace = self.grace();
            self.waiting
                .push_back((grace, std::mem::take(&mut self.open)));
        }
        if self.waiting.is_empty() {
            return 0;
        }
        let oldest = self.domain.oldest();
        let mut freed = 0;
        while self
            .waiting
            .front()
            .is_some_and(|(grace, _)| grace.0 <= oldest)
        {
            let (_, batch) = self.waiting.pop_front().expect("looked at above");
            freed += batch.len();
            self.pending -= batch.len();
            self.pending_bytes -= batch.iter().map(|garbage| garbage.bytes).sum::<usize>();
        }
        freed
    }

    /// Begins a grace period for what this thread has unpublished so far (rule 3), for writers
    /// that recycle something else than memory, such as an index.
    pub fn grace(&mut self) -> Grace {
        Grace(self.domain.advance())
    }

    /// Whether the grace period is over (rule 4). Never waits.
    pub fn elapsed(&self, grace: Grace) -> bool {
        grace.0 <= self.domain.oldest()
    }

    /// Waits until every reader has passed a quiescent state, then frees all that is pending.
    /// Not for the path of a single route: batch instead.
    pub fn synchronize(&mut self) {
        let grace = self.grace();
        let mut turn = 0;
        while !self.elapsed(grace) {
            pause(turn);
            turn += 1;
        }
        while self.pending > 0 {
            self.reclaim();
            pause(0);
        }
    }

    /// How many retired things wait for readers.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// How many bytes wait for readers, not counting what the values themselves own.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// How often retiring had to wait because a limit was reached.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// Whether this retirer waits for the readers of `domain`.
    pub fn serves(&self, domain: &Arc<Domain>) -> bool {
        Arc::ptr_eq(&self.domain, domain)
    }
}

impl Drop for Retirer {
    /// Frees what it may; the rest goes to the domain, which frees it when the last reader is
    /// gone. Never waits.
    fn drop(&mut self) {
        self.reclaim();
        let left = self.waiting.drain(..).flat_map(|(_, batch)| batch);
        self.domain.adopt(left);
    }
}

impl fmt::Debug for Retirer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Retirer");
        debug
            .field("pending", &self.pending)
            .field("pending_bytes", &self.pending_bytes)
            .finish()
    }
}
