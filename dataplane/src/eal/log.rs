//! DPDK's log lines into `tracing`, and the last of them kept for error messages.

use std::collections::VecDeque;
use std::ffi::{c_char, c_int};
use std::slice;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as c;

/// Error lines kept.
const KEPT: usize = 4;

/// The last lines of level error or worse, since [`begin`].
static LAST: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Sends what DPDK logs to `tracing`, target `dpdk`. To be called before EAL starts, and again
/// after, since EAL may have chosen another way out.
pub(super) fn redirect() {
    // SAFETY: `line` has the type that the shim asks for, and is there as long as the program.
    if unsafe { c::il_log_to(Some(line)) } != 0 {
        tracing::warn!("DPDK's log stays on stderr: no memory for a stream");
    }
}

/// Forgets the lines kept so far: what follows belongs to what is tried next.
pub(super) fn begin() {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The lines kept since [`begin`].
pub(super) fn end() -> Vec<String> {
    LAST.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
        .collect()
}

/// One piece of output; DPDK ends each message with a newline.
extern "C" fn line(level: c_int, text: *const c_char, len: usize) {
    // SAFETY: stdio hands over `len` bytes that live through the call.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), len) };
    for line in String::from_utf8_lossy(bytes)
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
    {
        match level as u32 {
            0..=c::RTE_LOG_ERR => {
                keep(line);
                tracing::error!(target: "dpdk", "{line}");
            }
            c::RTE_LOG_WARNING => tracing::warn!(target: "dpdk", "{line}"),
            c::RTE_LOG_NOTICE => tracing::info!(target: "dpdk", "{line}"),
            c::RTE_LOG_INFO => tracing::debug!(target: "dpdk", "{line}"),
            _ => tracing::trace!(target: "dpdk", "{line}"),
        }
    }
}

fn keep(line: &str) {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(line.to_owned());
}
