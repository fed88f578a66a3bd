//! Starting DPDK's environment, once in a process.
//!
//! `rte_eal_init` pins its caller, and threads started later inherit that. So it runs on a
//! thread of its own, `eal-main`, which stays as EAL's main lcore, floats over all CPUs that the
//! process may use, and later opens and closes devices: some (net_tap) are made in the network
//! namespace of the thread that opens them. It blocks all signals; those are for the threads of
//! the program.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use dpdk_sys as c;
use nix::sys::signal::SigSet;

use super::error::{errno, strerror};
use super::{EalConfig, EalError, Memory, host, log, tap_signals};

type Job = Box<dyn FnOnce() + Send>;

/// Proof that EAL runs: what needs EAL takes one.
#[derive(Clone, Copy, Debug)]
pub struct Eal {
    main: &'static Main,
}

#[derive(Debug)]
struct Main {
    config: EalConfig,
    /// Work for the thread `eal-main`; `None` after shutdown.
    jobs: Mutex<Option<Sender<Job>>>,
}

static MAIN: OnceLock<Main> = OnceLock::new();
/// EAL refused to start, and would refuse again for the wrong reasons. Used under `LOCK` alone.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Held while EAL starts, and while devices come and go.
static LOCK: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Eal {
    /// Starts EAL. Called again with the same settings it returns the EAL that runs.
    pub fn start(config: &EalConfig) -> Result<Self, EalError> {
        let _lock = lock();
        if let Some(main) = MAIN.get() {
            if main
                .jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
            {
                return Err(EalError::StartedBefore);
            }
            if main.config != *config {
                return Err(EalError::StartedDifferently);
            }
            return Ok(Self { main });
        }
        if FAILED.load(Ordering::Relaxed) {
            return Err(EalError::StartedBefore);
        }
        let args = config.args()?;
        if let Some(prefix) = &config.file_prefix
            && let Some(pid) = host::prefix_holder(prefix)
        {
            return Err(EalError::PrefixInUse {
                prefix: prefix.clone(),
                pid,
            });
        }
        if let Memory::NoHuge { mib } = config.memory {
            tracing::warn!(
                "no hugepages: {mib} MiB of ordinary memory, slower, and physical NICs do not work"
            );
        }
        tracing::debug!(args = args.join(" "), "starting EAL");
        let jobs = spawn(args).inspect_err(|_| FAILED.store(true, Ordering::Relaxed))?;
        let main = MAIN.get_or_init(|| Main {
            config: config.clone(),
            jobs: Mutex::new(Some(jobs)),
        });
        tracing::info!("{} started", version());
        Ok(Self { main })
    }

    /// Runs `job` on the thread `eal-main` and waits for it.
    ///
    /// # Panics
    ///
    /// When `job` panics, or after [`shutdown`](Self::shutdown).
    pub(super) fn call<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (reply, result) = channel();
        let jobs = self
            .main
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let job: Job = Box::new(move || {
            let _ = reply.send(job());
        });
        jobs.expect("EAL was shut down while in use")
            .send(job)
            .expect("eal-main runs");
        result.recv().expect("a call on eal-main panicked")
    }

    /// As [`call`](Self::call), one at a time over all threads, with what DPDK logged
    /// as an error meanwhile.
    pub(super) fn call_logged<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> (R, Vec<String>) {
        let _lock = lock();
        log::begin();
        let result = self.call(job);
        (result, log::end())
    }

    /// Whether packet memory is in hugepages.
    pub fn has_hugepages(&self) -> bool {
        matches!(self.main.config.memory, Memory::Hugepages { .. })
    }

    /// Gives back all that EAL holds, its files included. Ports, pools and rings must be gone.
    /// EAL cannot be started again in this process.
    pub fn shutdown(self) {
        let jobs = self
            .main
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(jobs) = jobs else { return };
        let (reply, done) = channel();
        let job: Job = Box::new(move || {
            // SAFETY: on the thread that called `rte_eal_init`; nothing of DPDK is used after,
            // since `jobs` is gone and `call` refuses.
            let rc = unsafe { c::rte_eal_cleanup() };
            let _ = reply.send(rc);
        });
        if jobs.send(job).is_ok() {
            match done.recv() {
                Ok(0) => {}
                Ok(rc) => tracing::warn!("EAL cleanup: {}", strerror(rc)),
                Err(_) => tracing::warn!("EAL cleanup did not end"),
            }
        }
    }
}

/// DPDK's name and version, as in `DPDK 22.11.11`.
pub fn version() -> String {
    // SAFETY: returns a constant string.
    unsafe { CStr::from_ptr(c::rte_version()) }
        .to_string_lossy()
        .into_owned()
}

/// Starts `eal-main` and waits until EAL is up.
fn spawn(args: Vec<String>) -> Result<Sender<Job>, EalError> {
    let (jobs, inbox) = channel::<Job>();
    let (reply, result) = channel();
    let name = "eal-main".to_owned();
    let failed = |what, reason: String| EalError::Thread {
        name: name.clone(),
        what,
        reason,
    };
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            // EAL's own threads inherit the mask.
            let _ = SigSet::all().thread_block();
            tap_signals::take();
            let outcome = init(&args);
            let up = outcome.is_ok();
            let _ = reply.send(outcome);
            if up {
                for job in inbox {
                    job();
                }
            }
        })
        .map_err(|why| failed("start", why.to_string()))?;
    result
        .recv()
        .map_err(|_| failed("start EAL", "it panicked".to_owned()))??;
    Ok(jobs)
}

fn init(args: &[String]) -> Result<(), EalError> {
    let owned: Vec<CString> = args
        .iter()
        .map(|arg| CString::new(arg.as_str()))
        .collect::<Result<_, _>>()?;
    // EAL moves pointers about in its array, and getopt may keep them: the strings stay for good.
    let mut argv: Vec<*mut c_char> = owned.into_iter().map(CString::into_raw).collect();
    argv.push(std::ptr::null_mut());
    log::begin();
    log::redirect();
    // SAFETY: `argv` has as many strings as said, ends with a null pointer, and is writable.
    let rc = unsafe { c::rte_eal_init(args.len() as i32, argv.as_mut_ptr()) };
    log::redirect();
    let reason = strerror(errno());
    let log = log::end();
    if rc < 0 {
        let args = args[1..].join(" ");
        return Err(EalError::Init { args, reason, log });
    }
    Ok(())
}
