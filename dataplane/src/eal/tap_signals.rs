//! Keeps `net_tap` from having the kernel send a signal for each frame.
//!
//! The driver asks for signals to save itself reads of empty queues: it reads a queue only after its
//! handler has run since the last time. Some thread that does not block the signal is so interrupted
//! at the rate of frames, and a frame waits until that thread has had its turn: an lcore that its
//! queue's file wakes finds nothing to receive before, for milliseconds on a busy machine. Reads
//! of empty queues cost less.
//!
//! There is no argument to say so, but a driver that finds no signal free does without and reads
//! its queues whenever they are polled. Which signals it looks at depends on DPDK: SIGIO in older ones,
//! now the first real-time signal without a handler. So all of them get one that does nothing.

use std::mem::MaybeUninit;
use std::ptr;

/// Takes every signal that the driver might, for the rest of the program's life: it looks for one
/// whenever a tap or a queue of it is made. Handlers that the program has are left alone, and keep
/// the driver away as well. To be called before the first device is made.
pub(super) fn take() {
    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).chain([libc::SIGIO]) {
        take_one(signal);
    }
}

/// Whether a line of DPDK's log tells of what [`take`] brought about: the driver warns of it.
pub(super) fn is_told_of(line: &str) -> bool {
    ["rt-signals are in use", "No Rx trigger signal"]
        .iter()
        .any(|words| line.contains(words))
}

fn take_one(signal: i32) {
    extern "C" fn nothing(_: i32) {}
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; `old` is written if the answer is 0, and all zero is a valid value anyway.
    let old = unsafe {
        libc::sigaction(signal, ptr::null(), old.as_mut_ptr());
        old.assume_init()
    };
    if ![libc::SIG_DFL, libc::SIG_IGN].contains(&old.sa_sigaction) {
        return;
    }
    let mut new = old;
    new.sa_sigaction = nothing as *const () as usize;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, which is safe in any context; `new` is fully initialised.
    if unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) } != 0 {
        tracing::debug!("signal {signal}: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_a_tap_may_want_has_a_handler() {
        take();
        for signal in [libc::SIGIO, libc::SIGRTMIN() + 1, libc::SIGRTMAX()] {
            let mut now = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: only asks; all zero is a valid value.
            let now = unsafe {
                assert_eq!(libc::sigaction(signal, ptr::null(), now.as_mut_ptr()), 0);
                now.assume_init()
            };
            assert_ne!(now.sa_sigaction, libc::SIG_DFL, "signal {signal}");
            // SAFETY: its handler does nothing: the one that was just seen to be there.
            let rc = unsafe { libc::raise(signal) };
            assert_eq!(rc, 0, "and one that ends nothing");
        }
    }
}
