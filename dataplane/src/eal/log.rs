//! DPDK's log lines into `tracing`, and the last of them kept for error messages.
//!
//! Drivers call "error" what they then do without (`net_tap` has half a dozen such lines at each
//! start). So while a call is made whose caller tells what failed, with these lines, they are
//! logged at level debug; at other times as what DPDK calls them.

use std::collections::VecDeque;
use std::ffi::{c_char, c_int};
use std::slice;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as c;

use super::tap_signals;

/// Error lines kept.
const KEPT: usize = 4;

/// The last lines of level error or worse, between [`begin`] and [`end`]; `None` at other times.
static LAST: Mutex<Option<VecDeque<String>>> = Mutex::new(None);

/// Sends what DPDK logs to `tracing`, target `dpdk`. To be called before EAL starts, and again
/// after, since EAL may have chosen another way out.
pub(super) fn redirect() {
    // SAFETY: `line` has the type that the shim asks for, and is there as long as the program.
    if unsafe { c::il_log_to(Some(line)) } != 0 {
        tracing::warn!("DPDK's log stays on stderr: no memory for a stream");
    }
}

/// Keeps lines from here on: they belong to what is tried next.
pub(super) fn begin() {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(VecDeque::new());
}

/// The lines kept since [`begin`].
pub(super) fn end() -> Vec<String> {
    let kept = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
    kept.map(Vec::from).unwrap_or_default()
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
            _ if tap_signals::is_told_of(line) => tracing::debug!(target: "dpdk", "{line}"),
            0..=c::RTE_LOG_ERR if keep(line) => tracing::debug!(target: "dpdk", "{line}"),
            0..=c::RTE_LOG_ERR => tracing::error!(target: "dpdk", "{line}"),
            c::RTE_LOG_WARNING => tracing::warn!(target: "dpdk", "{line}"),
            c::RTE_LOG_NOTICE => tracing::info!(target: "dpdk", "{line}"),
            c::RTE_LOG_INFO => tracing::debug!(target: "dpdk", "{line}"),
            _ => tracing::trace!(target: "dpdk", "{line}"),
        }
    }
}

/// Keeps a line, if somebody asked for it.
fn keep(line: &str) -> bool {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(last) = last.as_mut() else {
        return false;
    };
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(line.to_owned());
    true
}
