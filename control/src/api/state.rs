//! What the service answers from: the parts of the daemon, and the counters as they were cleared.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ironlane_dataplane::dataplane::Dataplane;
use ironlane_fib::Tables;
use ironlane_rcu::{Domain, Reader};
use ironlane_rib::NexthopView;
use tonic::Status as Refusal;

use super::ports::{self, DeviceCounts};
use super::routes::Slots;
use super::sample::{Activity, Sample};
use crate::config::Config;
use crate::exception::ExceptionHandle;
use crate::ipsec::charon::Shared;
use crate::ipsec::vici::ViciHandle;
use crate::ipsec::xfrm::XfrmReports;
use crate::log::LogControl;
use crate::netlink::MirrorHandle;

/// Time between two looks at which counters moved.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(1);

/// How often a clear asks lcores that do not answer in time.
const CLEAR_TRIES: u32 = 5;

/// What the service answers from.
pub struct Parts {
    /// The configuration in force.
    pub config: Config,
    /// The file that it came from.
    pub config_file: PathBuf,
    /// Whose log level it changes.
    pub log: LogControl,
    /// Ports, lcores, counters.
    pub dataplane: Arc<Dataplane>,
    /// What the lcores read.
    pub tables: Arc<Tables>,
    /// Counters of the exception thread.
    pub exception: ExceptionHandle,
    /// What the kernel says.
    pub mirror: MirrorHandle,
    /// SAs and policies, where `[ipsec]` is configured.
    pub ipsec: Option<Shared>,
    /// What of the kernel's XFRM is taken, where `[ipsec] xfrm` is on.
    pub xfrm: Option<XfrmReports>,
    /// The way to charon, where `[ipsec] vici` is configured.
    pub vici: Option<ViciHandle>,
}

/// What all calls share.
pub(super) struct State {
    pub(super) parts: Parts,
    pub(super) started: Instant,
    /// What the counters were when they were cleared.
    base: Mutex<Base>,
    pub(super) activity: Mutex<Activity>,
}

/// Counters at the time of a clear; nothing before the first.
struct Base {
    sample: Option<Sample>,
    devices: DeviceCounts,
    since: Instant,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch_activity(state: Weak<State>) {
    let mut ticks = tokio::time::interval(ACTIVITY_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(state) = state.upgrade() else {
            return;
        };
        // A snapshot may wait for an lcore that the host holds up: not on a runtime thread.
        let _ = tokio::task::spawn_blocking(move || state.sample()).await;
    }
}

impl State {
    /// The state over the parts of a daemon, and a task on this runtime that looks once a second
    /// which counters moved, as long as the state lives.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let now = Instant::now();
        let base = Base {
            sample: None,
            devices: DeviceCounts::new(),
            since: now,
        };
        let state = Arc::new(Self {
            parts,
            started: now,
            base: Mutex::new(base),
            activity: Mutex::default(),
        });
        tokio::spawn(watch_activity(Arc::downgrade(&state)));
        state
    }

    /// The counters as they are. Notes which ones moved.
    pub(super) fn sample(&self) -> Sample {
        let dataplane = &self.parts.dataplane;
        let snapshot = dataplane.counters().snapshot();
        let sample = Sample::new(snapshot, self.parts.exception.counters(), dataplane.ports());
        lock(&self.activity).note(&sample, dataplane.ports());
        sample
    }

    /// The counters since they were cleared, and the time since then.
    pub(super) fn since_clear(&self) -> (Sample, Duration) {
        let sample = self.sample();
        let base = lock(&self.base);
        let elapsed = base.since.elapsed();
        match &base.sample {
            Some(base) => (sample.since(base), elapsed),
            None => (sample, elapsed),
        }
    }

    /// What the devices had counted when the counters were cleared.
    pub(super) fn cleared_devices(&self) -> DeviceCounts {
        lock(&self.base).devices.clone()
    }

    /// Counts from now on: what the counters are is subtracted from now on. Underneath they go on,
    /// so that their identity stays exact.
    pub(super) fn clear(&self) {
        let sample = exact(|| self.sample());
        let devices = ports::device_counts(&self.parts.dataplane);
        let since = sample.at;
        *lock(&self.base) = Base {
            sample: Some(sample),
            devices,
            since,
        };
    }

    fn reader(&self) -> Result<Reader, Refusal> {
        Domain::register(self.parts.tables.domain())
            .map_err(|e| Refusal::resource_exhausted(format!("too many readers at once: {e}")))
    }

    /// Runs `look` with the live nexthop slots.
    pub(super) fn with_slots<R>(
        &self,
        views: &[NexthopView],
        look: impl FnOnce(&Slots<'_>) -> R,
    ) -> Result<R, Refusal> {
        let mut reader = self.reader()?;
        let guard = reader.read();
        let (tables, ports) = (&*self.parts.tables, self.parts.dataplane.ports());
        Ok(look(&Slots {
            tables,
            guard: &guard,
            ports,
            views,
        }))
    }

    pub(super) async fn nexthop_views(&self) -> Result<Vec<NexthopView>, Refusal> {
        self.parts
            .mirror
            .with(|state| state.rib.nexthops())
            .await
            .map_err(gone)
    }

    pub(super) fn known_port(&self, name: &str) -> Result<(), Refusal> {
        let ports = self.parts.dataplane.ports();
        if name.is_empty() || ports.iter().any(|port| port.name == name) {
            return Ok(());
        }
        let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        let there = if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        };
        Err(Refusal::not_found(format!(
            "there is no port {name}; there is {there}"
        )))
    }
}

/// A sample in which all lcores answered, for what is counted from it on; the last of a few, if the
/// host holds one up for so long.
fn exact(mut take: impl FnMut() -> Sample) -> Sample {
    let mut sample = take();
    for _ in 1..CLEAR_TRIES {
        if sample.is_exact() {
            break;
        }
        sample = take();
    }
    sample
}

/// The mirror's thread has ended, so the daemon is about to.
pub(super) fn gone(error: impl std::fmt::Display) -> Refusal {
    Refusal::unavailable(format!("the daemon is stopping: {error}"))
}

/// Runs what may wait for an lcore away from the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    state: &Arc<State>,
    work: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let state = Arc::clone(state);
    away(move || work(&state)).await
}

/// As [`blocking`] for what may take longer than the daemon waits at its end: without the state,
/// which keeps the data plane from being stopped.
pub(super) async fn away<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Refusal::internal(format!("the answer could not be made: {e}")))
}

#[cfg(test)]
mod tests {
    use ironlane_dataplane::lcore::{CounterSnapshot, LcoreSnapshot, LoopCounts, RingCounts};

    use super::*;

    #[test]
    fn a_clear_waits_for_lcores_but_not_for_ever() {
        let sample = |exact| {
            let lcore = LcoreSnapshot {
                cpu: 0,
                running: true,
                exact,
                ports: Vec::new(),
                stages: Vec::new(),
                turns: LoopCounts::default(),
                held: 0,
                held_before: 0,
            };
            Sample {
                at: Instant::now(),
                lcores: CounterSnapshot {
                    at: std::time::SystemTime::now(),
                    lcores: vec![lcore],
                    rings: RingCounts::default(),
                },
                exception: Vec::new(),
            }
        };
        let tries = |answers: u32| {
            let mut asked = 0;
            let found = exact(|| {
                asked += 1;
                sample(asked >= answers)
            });
            (asked, found.is_exact())
        };
        assert_eq!(tries(1), (1, true));
        assert_eq!(tries(3), (3, true));
        assert_eq!(tries(99), (CLEAR_TRIES, false));
    }
}
