//! Waking a thread that may sleep, without a system call while it does not.
//!
//! The sleeper says that it is about to sleep, looks once more for work, then waits on an
//! eventfd. Who brings work publishes it, then looks whether somebody sleeps, and writes to the
//! eventfd only then. A sequentially consistent fence on each side, between the own store and
//! the look at the other's, makes it impossible that both look too early.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// An eventfd and the word that says whether anybody waits on it.
#[derive(Debug)]
pub struct Waker {
    asleep: AtomicBool,
    fd: EventFd,
}

impl Default for Waker {
    fn default() -> Self {
        Self::new()
    }
}

impl Waker {
    /// A waker of nobody yet.
    ///
    /// # Panics
    ///
    /// When the process may open no more files.
    pub fn new() -> Self {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .expect("an eventfd: the limit of open files is too low (ulimit -n)");
        Self {
            asleep: AtomicBool::new(false),
            fd,
        }
    }

    /// Wakes the sleeper, if it sleeps. To be called after the work for it is visible (put on its
    /// ring). Costs a fence and a load while it is awake.
    #[inline]
    pub fn wake(&self) {
        // With the fence in `prepare`: either this load sees `asleep`, or the sleeper's second
        // look for work sees what was published before this fence.
        fence(Ordering::SeqCst);
        // Pairs with the store in `prepare`.
        if self.asleep.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        // It fails only when the counter is full (EAGAIN): then the sleeper wakes anyway.
        let _ = self.fd.write(1);
    }

    /// Sleeper: announces that it will wait. It must look for work again after this, and then
    /// either wait for [`fd`](Self::fd) to be readable or not, and call [`awake`](Self::awake).
    pub fn prepare(&self) {
        // Pairs with the load in `wake`.
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Sleeper: takes the announcement back, and the signals that came with it. True if there
    /// were any.
    pub fn awake(&self) -> bool {
        // Pairs with the load in `wake`; a late one costs a spare write at most.
        self.asleep.store(false, Ordering::Relaxed);
        self.fd.read().is_ok()
    }

    /// Readable once somebody woke the sleeper. For poll or epoll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sleeper: waits until woken, at most `timeout_ms`. Between `prepare` and `awake`.
    pub fn wait_ms(&self, timeout_ms: u16) {
        let mut fds = [PollFd::new(self.fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(timeout_ms)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => debug_assert!(false, "poll of an eventfd: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn no_wake_is_lost() {
        const ROUNDS: u64 = 20_000;
        let waker = Waker::new();
        let work = AtomicU64::new(0);
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    work.store(round, Ordering::Relaxed);
                    waker.wake();
                }
            });
            while work.load(Ordering::Relaxed) < ROUNDS {
                let seen = work.load(Ordering::Relaxed);
                waker.prepare();
                if work.load(Ordering::Relaxed) == seen && seen < ROUNDS {
                    waker.wait_ms(5_000);
                }
                waker.awake();
            }
        });
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "a wake was lost and timed out"
        );
    }

    #[test]
    fn waking_somebody_awake_does_nothing() {
        let waker = Waker::new();
        waker.wake();
        waker.prepare();
        assert!(!waker.awake());
    }
}
