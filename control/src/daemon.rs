//! The daemon: its parts put together, in order, and taken apart in the other one.
//!
//! ```text
//! lock -> EAL, data plane -> kernel ends -> taps -> exception thread, link thread -> IPsec -> mirror -> API
//! ```
//!
//! Each step needs those before it, and what fails takes back all that was made: taps and ports go
//! when their owners are dropped. The end is the way back: nobody asks any more (API), nothing is
//! written any more (mirror), nothing goes to Linux (exception thread, and with it the taps),
//! then lcores, ports and memory.

mod faces;
mod ipsec;
mod kernel;
mod lock;
mod notify;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, DataplaneError, StopReport};
use ironlane_dataplane::eal::crypto::CryptoError;
use ironlane_dataplane::eal::{Eal, EalError};
use ironlane_fib::{Tables, Writer};
use ironlane_rcu::Domain;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api::{Parts, ServeError, Service, Socket, serve};
use crate::config::{Config, machine};
use crate::exception::{ExceptionError, ExceptionThread, LinkError, LinkFollower};
use crate::ipsec::vici::Vici;
use crate::ipsec::{Ipsec, IpsecError, too_big};
use crate::log::LogControl;
use crate::netlink::{Mirror, NetlinkError};

pub use faces::{Face, FaceError};
pub use lock::{LockError, RunLock};

/// How often it is looked whether all parts run.
const LOOK: Duration = Duration::from_secs(1);

/// How long the end waits for answers under way that read the data plane.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Logs cannot be written.
    #[error("{0}")]
    Log(String),
    /// The machine lacks something, each in a line with its cure.
    #[error("{}", .0.join("\n"))]
    Machine(Vec<String>),
    /// Another daemon runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// DPDK did not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// A port, or an lcore.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// A tap, or the kernel end of a device.
    #[error(transparent)]
    Face(#[from] FaceError),
    /// The exception thread.
    #[error(transparent)]
    Exception(#[from] ExceptionError),
    /// The link thread.
    #[error("link thread: {0}")]
    Link(#[from] LinkError),
    /// The mirror.
    #[error(transparent)]
    Mirror(#[from] NetlinkError),
    /// What encrypts for IPsec.
    #[error("[ipsec] crypto_device: {0}")]
    Crypto(#[from] CryptoError),
    /// The control side of IPsec.
    #[error(transparent)]
    Ipsec(#[from] IpsecError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// A thread pool or a signal handler.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// How it failed.
        source: std::io::Error,
    },
    /// It ran, and something was wrong at the end.
    #[error("{0}")]
    Unclean(String),
    /// The lcores run on, so that neither ports nor EAL may be closed under them.
    #[error("lcores were not stopped: an answer of the API used the data plane for {} s more", .0.as_secs())]
    LcoresRun(Duration),
}

/// Runs the daemon until SIGTERM, SIGINT or SIGHUP; one that comes while it starts counts, too.
///
/// `file` is where `config` came from. Blocks; must not be called on an async runtime.
pub fn run(config: Config, file: &Path) -> Result<(), DaemonError> {
    let log = LogControl::start(&config.daemon.log).map_err(DaemonError::Log)?;
    // First of all: without root even the lock fails, by a message that leads nowhere.
    if let Some(lack) = machine::not_root() {
        return Err(DaemonError::Machine(vec![lack]));
    }
    // Before there is anything that a signal could leave behind.
    let (runtime, signals) = runtime()?;
    let lock = RunLock::take(&config.daemon.run_dir)?;
    let lacks = machine::check(&config);
    if !lacks.is_empty() {
        return Err(DaemonError::Machine(lacks));
    }
    tracing::info!(
        "ironlane {} starts from {}",
        env!("CARGO_PKG_VERSION"),
        file.display()
    );
    let eal = Eal::start(&config.eal())?;
    let outcome = run_parts(eal, config, file, log, runtime, signals);
    if !matches!(outcome, Err(DaemonError::LcoresRun(_))) {
        eal.shutdown();
    }
    drop(lock);
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    outcome
}

/// Threads for the API, and the signals that end the daemon.
fn runtime() -> Result<(Runtime, Signals), DaemonError> {
    let failed = |what| move |source| DaemonError::System { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("api")
        .enable_all()
        .build()
        .map_err(failed("threads of the API"))?;
    let entered = runtime.enter();
    let signals = Signals::install().map_err(failed("signals"))?;
    drop(entered);
    Ok((runtime, signals))
}

/// The signals that end the daemon. None is lost once they are installed.
struct Signals {
    term: Signal,
    int: Signal,
    /// The terminal went.
    hup: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
            _ = self.hup.recv() => "SIGHUP",
        }
    }
}

/// All that needs EAL.
fn run_parts(
    eal: Eal,
    config: Config,
    file: &Path,
    log: LogControl,
    runtime: Runtime,
    mut signals: Signals,
) -> Result<(), DaemonError> {
    let running = Running::start(eal, config, file, log, runtime)?;
    notify::notify("READY=1");
    let outcome = running.wait(&mut signals);
    notify::notify("STOPPING=1");
    let report = running.stop().and_then(|report| judge(&report));
    match (outcome, report) {
        (Err(ended), Err(running_on @ DaemonError::LcoresRun(_))) => {
            tracing::error!("{ended}");
            Err(running_on)
        }
        // What ended by itself, and with what message.
        (Err(ended), Err(fault)) => Err(DaemonError::Unclean(format!("{ended}\n{fault}"))),
        (outcome, report) => outcome.and(report),
    }
}

/// What the stop report says, in words if it is not good.
fn judge(report: &StopReport) -> Result<(), DaemonError> {
    for pool in &report.pools {
        tracing::debug!(
            pool = pool.name,
            size = pool.size,
            before = pool.in_use_before,
            after = pool.in_use,
            "packet buffers in use"
        );
    }
    if report.is_clean() {
        return Ok(());
    }
    let mut faults = report.failed.clone();
    let leaks = report.pools.iter().filter(|pool| pool.in_use > 0);
    faults.extend(leaks.map(|pool| format!("mempool {}: {} buffers lost", pool.name, pool.in_use)));
    if faults.is_empty() {
        faults.push("the counters of lcores do not balance".to_owned());
    }
    Err(DaemonError::Unclean(faults.join("\n")))
}

/// The running parts. Fields are dropped in this order, should a later one not start.
struct Running {
    runtime: Runtime,
    api: JoinHandle<Result<(), ServeError>>,
    stop_api: oneshot::Sender<()>,
    ipsec: Option<Ipsec>,
    vici: Option<Vici>,
    mirror: Mirror,
    follower: LinkFollower,
    exception: ExceptionThread,
    dataplane: Arc<Dataplane>,
}

impl Running {
    fn start(
        eal: Eal,
        config: Config,
        file: &Path,
        log: LogControl,
        runtime: Runtime,
    ) -> Result<Self, DaemonError> {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let lanes = DataplaneConfig {
            ipsec: ipsec::setup(&config.ipsec, eal, config.dataplane().lcores.len(), &domain)?,
            ..config.dataplane()
        };
        let mut dataplane = Dataplane::start(eal, &lanes, Arc::clone(&tables), &domain)?;
        faces::arrange_peers(&config, dataplane.ports())?;
        let channel = dataplane.take_exception();
        let dataplane = Arc::new(dataplane);
        let taps = faces::make_taps(&config, &dataplane)?;
        let faces = faces::faces(dataplane.ports(), &taps);
        let links: Vec<_> = taps.iter().map(|tap| tap.tap.link().clone()).collect();
        // A data plane that has just started has its channel.
        let channel = channel.ok_or(DataplaneError::NoLcores)?;
        let (ear, heard) = too_big::ear();
        let exception = ExceptionThread::start(channel, taps, Some(Box::new(ear)))?;
        let followed = faces::followed(&dataplane, links, &exception.handle());
        let follower = LinkFollower::start(&faces::namespace(&config), followed)?;
        // Before there is any route to forward by: policies should come first.
        let ipsec = ipsec::start(
            &config,
            &faces,
            lanes.ipsec.as_ref(),
            &dataplane,
            heard,
            runtime.handle(),
        )?;
        let mirror = kernel::mirror(&config, &faces, writer, follower.changes(), &dataplane)?;
        let socket = Socket::bind(&config.daemon.socket, config.daemon.socket_group.as_deref())?;
        let vici = config.ipsec.vici.as_deref();
        let vici = vici.map(|path| Vici::start(runtime.handle(), path));
        let parts = Parts {
            config,
            config_file: file.to_owned(),
            log,
            dataplane: Arc::clone(&dataplane),
            tables,
            exception: exception.handle(),
            mirror: mirror.handle(),
            ipsec: ipsec.as_ref().map(|ipsec| ipsec.shared().clone()),
            xfrm: ipsec.as_ref().and_then(Ipsec::xfrm),
            vici: vici.as_ref().map(Vici::handle),
        };
        let (stop_api, stopped) = oneshot::channel();
        let api = runtime.spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            serve(Service::new(parts), socket, stop).await
        });
        Ok(Self {
            runtime,
            api,
            stop_api,
            ipsec,
            vici,
            mirror,
            follower,
            exception,
            dataplane,
        })
    }

    /// Waits for a signal to stop, or for a part to end that should not.
    fn wait(&self, signals: &mut Signals) -> Result<(), DaemonError> {
        self.runtime.block_on(async {
            let mut look = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    name = signals.next() => tracing::info!("{name}: stopping"),
                    _ = look.tick() => match self.ended() {
                        None => continue,
                        Some(part) => {
                            let message = format!("{part} has ended by itself: stopping");
                            return Err(DaemonError::Unclean(message));
                        }
                    }
                }
                return Ok(());
            }
        })
    }

    /// A part that does not run any more, though it should. A router without it would pretend to
    /// work, and nobody would start it again.
    fn ended(&self) -> Option<&'static str> {
        let parts = [
            (self.dataplane.is_running(), "an lcore"),
            (self.exception.is_running(), "the exception thread"),
            (self.follower.is_running(), "the link thread"),
            (self.mirror.is_running(), "the mirror"),
            (
                self.ipsec.as_ref().is_none_or(Ipsec::is_running),
                "the control side of IPsec",
            ),
            (!self.api.is_finished(), "the API"),
        ];
        parts
            .into_iter()
            .find(|(runs, _)| !runs)
            .map(|(_, part)| part)
    }

    /// Takes all apart.
    fn stop(self) -> Result<StopReport, DaemonError> {
        let _ = self.stop_api.send(());
        // Nobody installs SAs any more; charon keeps what it has, for the next run, and so does the kernel.
        drop(self.ipsec);
        // Answers that come from charon end with it; the API waits for its answers.
        drop(self.vici);
        if let Ok(Err(e)) = self.runtime.block_on(self.api) {
            tracing::error!("{e}");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(2));
        tracing::debug!("the API has ended");
        self.mirror.stop();
        tracing::debug!("the mirror has ended");
        self.follower.stop();
        self.exception.stop();
        tracing::debug!("taps are gone");
        let dataplane = sole(self.dataplane, LAST_ANSWERS);
        dataplane
            .map(Dataplane::stop)
            .ok_or(DaemonError::LcoresRun(LAST_ANSWERS))
    }
}

/// What nobody else uses any more; `None` if somebody does so for longer than `limit`.
fn sole<T>(mut shared: Arc<T>, limit: Duration) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        match Arc::try_unwrap(shared) {
            Ok(sole) => return Some(sole),
            Err(_) if Instant::now() > end => return None,
            Err(used) => shared = used,
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_is_waited_for_and_not_for_ever() {
        let shared = Arc::new(7);
        let user = Arc::clone(&shared);
        assert_eq!(sole(Arc::clone(&shared), Duration::from_millis(20)), None);
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(user);
        });
        assert_eq!(sole(shared, Duration::from_secs(20)), Some(7));
        other.join().unwrap();
    }
}
