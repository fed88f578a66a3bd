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
