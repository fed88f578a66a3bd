//! The only place that chooses between std and loom, and the sizes that shrink under a model
//! checker so that full tables and rare paths are met often.
//!
//! Public, yet hidden: the lookup structures of `ironlane-fib` and the model tests use the same
//! switch, so that one source runs under both.

#[cfg(not(loom))]
pub use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    },
    thread,
};

#[cfg(loom)]
pub use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    },
    thread,
};

/// How many readers a [`Domain`](crate::Domain) has room for: lcores, and a few walkers.
#[cfg(not(loom))]
pub const MAX_READERS: usize = 128;

/// How many readers a [`Domain`](crate::Domain) has room for: lcores, and a few walkers.
#[cfg(loom)]
pub const MAX_READERS: usize = 2;

/// Waits a little for another thread; longer the more often it was called in a row.
///
/// Starts with spinning (a reader passes a quiescent point every few microseconds), then gives
/// the CPU away, then sleeps, since a reader that the host preempted is away for milliseconds.
#[cfg(not(loom))]
pub fn pause(turn: u32) {
    match turn {
        0..64 => std::hint::spin_loop(),
        64..128 => thread::yield_now(),
        _ => thread::sleep(std::time::Duration::from_micros(50)),
    }
}

/// Tells the model checker that this thread waits for another one.
#[cfg(loom)]
pub fn pause(_turn: u32) {
    thread::yield_now();
}

/// Whether this is a build for the model checker, in which nothing runs outside a model.
pub const IS_MODEL: bool = cfg!(loom);

/// Runs a model: under loom through all interleavings with few preemptions (`LOOM_MAX_PREEMPTIONS`
/// changes how few), under std many times.
#[cfg(not(loom))]
pub fn model(test: impl Fn() + Send + Sync + 'static) {
    let times = if cfg!(miri) { 4 } else { 400 };
    (0..times).for_each(|_| test());
}

/// Runs a model through all interleavings.
#[cfg(loom)]
pub fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(test);
}

/// A cell whose accesses the model checker watches.
pub mod cell {
    #[cfg(loom)]
    pub use loom::cell::UnsafeCell;

    /// The cell of std, with the interface of loom's.
    #[cfg(not(loom))]
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    #[cfg(not(loom))]
    impl<T> UnsafeCell<T> {
        /// A cell with a value.
        pub fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Lends a pointer to read by.
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// Lends a pointer to write by.
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}
