//! Threads for lcores: pinned, known to DPDK, deaf to signals.

use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use dpdk_sys as c;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use super::error::{errno, strerror};
use super::host::CpuList;
use super::{Eal, EalError};

/// A running thread of [`launch`].
#[derive(Debug)]
pub struct LcoreThread<T> {
    name: String,
    /// `None` comes only from a thread whose preparation failed, which `launch` joins itself.
    handle: JoinHandle<Option<T>>,
}

impl<T> LcoreThread<T> {
    /// Waits for the thread to end. A panic in it becomes an error that tells its message.
    pub fn join(self) -> Result<T, EalError> {
        let reason = match self.handle.join() {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => "not prepared".to_owned(),
            Err(panic) => match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
                (Some(text), _) => (*text).to_owned(),
                (_, Some(text)) => text.clone(),
                _ => "no message".to_owned(),
            },
        };
        Err(EalError::Thread {
            name: self.name,
            what: "it panicked",
            reason,
        })
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// Starts a thread that runs `body` on CPU `cpu` alone, and returns once it runs there.
///
/// DPDK gives the thread an lcore id, so that it has a cache of its own in every mempool.
pub fn launch<T: Send + 'static>(
    _eal: Eal,
    name: &str,
    cpu: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<LcoreThread<T>, EalError> {
    CpuList::allowed().check(cpu)?;
    let failed = |what, reason| EalError::Thread {
        name: name.to_owned(),
        what,
        reason,
    };
    let (reply, ready) = channel();
    let handle = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || match prepare(cpu) {
            Ok(_registered) => {
                let _ = reply.send(Ok(()));
                Some(body())
            }
            Err(why) => {
                let _ = reply.send(Err(why));
                None
            }
        })
        .map_err(|why| failed("cannot start", why.to_string()))?;
    match ready.recv() {
        Ok(Ok(())) => Ok(LcoreThread {
            name: name.to_owned(),
            handle,
        }),
        Ok(Err((what, reason))) => {
            let _ = handle.join();
            Err(failed(what, reason))
        }
        Err(_) => Err(failed("cannot start", "it panicked".to_owned())),
    }
}

/// Makes the calling thread an lcore.
fn prepare(cpu: usize) -> Result<Registered, (&'static str, String)> {
    let _ = SigSet::all().thread_block();
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|errno| ("cannot be pinned to its CPU", errno.desc().to_owned()))?;
    // SAFETY: EAL runs (the caller of `launch` has an `Eal`), and the thread is new to it.
    match unsafe { c::rte_thread_register() } {
        0 => Ok(Registered),
        _ => Err(("cannot be made known to DPDK", strerror(errno()))),
    }
}

/// Takes the thread's lcore id back when the thread ends, also by a panic.
struct Registered;

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the thread registered itself in `prepare`.
        unsafe { c::rte_thread_unregister() };
    }
}
