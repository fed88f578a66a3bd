//! What an lcore does that finds nothing: poll on, poll with pauses, sleep.
//!
//! Sleeping is a `ppoll` on the lcore's eventfd and on the files of those receive queues whose
//! devices have one (`net_tap`). Other devices are looked at after a time that doubles from
//! `sleep_min_us` to `sleep_max_us`.

use std::hint;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::poll::RxLane;
use super::wake::Waker;
use crate::dataplane::IdleConfig;
use crate::eal::{Clock, ticks};

/// Longest sleep of an lcore whose devices all wake it: it still looks about now and then.
const LONGEST: Duration = Duration::from_millis(100);

/// Longest sleep while a device's file is broken.
const BROKEN: Duration = Duration::from_millis(1);

/// Files that a sleep can wait on: the lcore's eventfd and one for each queue that has one.
const FILES_MAX: usize = 1 + 64;

/// Whether all devices of an lcore can wake it, by how many queues it has and how many of them have
/// a file. Those that do not fit are looked at like those without.
fn is_wakeable(queues: usize, files: usize) -> bool {
    files == queues && queues < FILES_MAX
}

/// The longest that an lcore with these queues sleeps between two looks at them; `None` if it never
/// sleeps.
pub(crate) fn longest_sleep(config: &IdleConfig, queues: &[RxLane]) -> Option<Duration> {
    if config.sleep_min_us == 0 {
        return None;
    }
    let files = queues.iter().filter(|lane| lane.queue.fd().is_some());
    if is_wakeable(queues.len(), files.count()) {
        return Some(LONGEST);
    }
    let us = config.sleep_max_us.max(config.sleep_min_us);
    Some(Duration::from_micros(us.into()))
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Poll again.
    Poll,
    /// Sleep at most this long.
    Sleep(Duration),
}

/// The state of backing off.
#[derive(Debug)]
pub(super) struct Idle {
    spin_ticks: u64,
    pause_ticks: u64,
    sleep_min: Duration,
    /// `None`: it never sleeps.
    sleep_max: Option<Duration>,
    /// When the last packet was seen.
    busy_at: u64,
    /// How long to sleep next time.
    next: Duration,
}

impl Idle {
    /// Of an lcore with these queues.
    pub(super) fn new(config: &IdleConfig, clock: Clock, queues: &[RxLane]) -> Self {
        let sleep_min = Duration::from_micros(config.sleep_min_us.into());
        Self {
            spin_ticks: clock.ticks_of_us(config.spin_us),
            pause_ticks: clock.ticks_of_us(config.pause_us),
            sleep_min,
            sleep_max: longest_sleep(config, queues),
            busy_at: ticks(),
            next: sleep_min,
        }
    }

    /// The turn found packets.
    #[inline]
    pub(super) fn busy(&mut self, now: u64) {
        self.busy_at = now;
        self.next = self.sleep_min;
    }

    /// The turn found none. Waits a few pauses at most.
    #[inline]
    pub(super) fn idle(&mut self, now: u64) -> Step {
        let quiet = now.wrapping_sub(self.busy_at);
        if quiet < self.spin_ticks {
            return Step::Poll;
        }
        let waits = self.spin_ticks.saturating_add(self.pause_ticks);
        match self.sleep_max {
            Some(longest) if quiet >= waits => {
                let sleep = self.next;
                self.next = (sleep * 2).min(longest);
                Step::Sleep(sleep)
            }
            _ => {
                for _ in 0..32 {
                    hint::spin_loop();
                }
                Step::Poll
            }
        }
    }
}

/// Waits until woken, a device has packets, or the time is over. To be called between
/// [`Waker::prepare`] and [`Waker::awake`]. True if a device ended it.
pub(super) fn sleep(waker: &Waker, queues: &[RxLane], longest: Duration) -> bool {
    let mut fds: [PollFd<'_>; FILES_MAX] =
        std::array::from_fn(|_| PollFd::new(waker.fd(), PollFlags::empty()));
    fds[0] = PollFd::new(waker.fd(), PollFlags::POLLIN);
    let mut count = 1;
    let files = queues.iter().filter_map(|lane| lane.queue.fd());
    for (slot, fd) in fds[1..].iter_mut().zip(files) {
        *slot = PollFd::new(fd, PollFlags::POLLIN);
        count += 1;
    }
    // An interrupted or failed call is a short sleep.
    let _ = ppoll(
        &mut fds[..count],
        Some(TimeSpec::from_duration(longest)),
        None,
    );
    // The tap of a namespace that is gone would not let anybody sleep.
    let gone = PollFlags::POLLERR | PollFlags::POLLNVAL | PollFlags::POLLHUP;
    let any = |flags| {
        let has = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| events.intersects(flags));
        fds[1..count].iter().any(has)
    };
    if any(gone) {
        thread::sleep(longest.min(BROKEN));
    }
    any(PollFlags::POLLIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(spin_ticks: u64, pause_ticks: u64, min_us: u64, max_us: u64) -> Idle {
        let sleep_min = Duration::from_micros(min_us);
        Idle {
            spin_ticks,
            pause_ticks,
            sleep_min,
            sleep_max: (max_us > 0).then(|| Duration::from_micros(max_us)),
            busy_at: 0,
            next: sleep_min,
        }
    }

    #[test]
    fn it_backs_off_and_starts_over_when_busy() {
        let mut idle = idle(100, 100, 50, 150);
        assert_eq!(idle.idle(99), Step::Poll);
        assert_eq!(idle.idle(199), Step::Poll);
        let us = |n| Step::Sleep(Duration::from_micros(n));
        assert_eq!(
            [idle.idle(200), idle.idle(201), idle.idle(202)],
            [us(50), us(100), us(150)]
        );
        assert_eq!(idle.idle(203), us(150));
        idle.busy(300);
        assert_eq!(idle.idle(350), Step::Poll);
        assert_eq!(idle.idle(500), us(50));
    }

    #[test]
    fn an_lcore_is_woken_only_if_all_its_queues_can_and_fit() {
        assert!(is_wakeable(0, 0) && is_wakeable(32, 32) && is_wakeable(64, 64));
        assert!(!is_wakeable(65, 65), "the last would wake nobody");
        assert!(!is_wakeable(2, 1), "a device without a file");
    }

    #[test]
    fn a_minimum_of_zero_never_sleeps() {
        assert_eq!(longest_sleep(&IdleConfig::busy(), &[]), None);
        assert_eq!(idle(0, 0, 0, 0).idle(u64::MAX), Step::Poll);
    }

    #[test]
    fn an_lcore_without_queues_sleeps_until_it_is_woken() {
        assert_eq!(longest_sleep(&IdleConfig::default(), &[]), Some(LONGEST));
    }
}
