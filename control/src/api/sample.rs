//! All counters at one moment, and what was counted since another.

use std::collections::HashMap;
use std::time::Instant;

use ironlane_dataplane::dataplane::PortInfo;
use ironlane_dataplane::lcore::CounterSnapshot;
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_fib::PortId;

use crate::exception::{ExceptionCounters, ExceptionCounts, InjectDrop, TapDrop};

/// Counters of lcores and of the exception thread.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) lcores: CounterSnapshot,
    /// By port, in the order of the ports.
    pub(super) exception: Vec<ExceptionCounts>,
}

/// One reason at one port, with its count.
pub(super) struct DropCount {
    pub(super) port: PortId,
    pub(super) reason: &'static str,
    pub(super) stage: &'static str,
    pub(super) meaning: &'static str,
    pub(super) packets: u64,
}

impl Sample {
    pub(super) fn new(
        lcores: CounterSnapshot,
        exception: &ExceptionCounters,
        ports: &[PortInfo],
    ) -> Self {
        let exception = ports
            .iter()
            .map(|port| exception.of_port(port.id.0))
            .collect();
        Self {
            at: Instant::now(),
            lcores,
            exception,
        }
    }

    /// Whether all lcores answered in time.
    pub(super) fn is_exact(&self) -> bool {
        self.lcores.lcores.iter().all(|lcore| lcore.exact)
    }

    /// What was counted since `base`, an earlier sample of the same ports.
    pub(super) fn since(mut self, base: &Self) -> Self {
        self.lcores = self.lcores.since(&base.lcores);
        for (now, then) in self.lcores.lcores.iter_mut().zip(&base.lcores.lcores) {
            now.exact &= then.exact;
        }
        for (now, then) in self.exception.iter_mut().zip(&base.exception) {
            subtract(now, then);
        }
        self
    }

    /// Every reason at every port: those of the lcores, then those of the exception thread.
    pub(super) fn drops(&self, ports: &[PortInfo]) -> Vec<DropCount> {
        let mut counts = Vec::new();
        for (port, exception) in ports.iter().zip(&self.exception) {
            let drops = self.lcores.port(port.id).drops;
            counts.extend(DropReason::ALL.iter().map(|reason| DropCount {
                port: port.id,
                reason: reason.name(),
                stage: reason.stage().name(),
                meaning: reason.help(),
                packets: drops[reason.index()],
            }));
            let mut at_tap = |reason, meaning, packets| {
                let (port, stage) = (port.id, "exception");
                counts.push(DropCount {
                    port,
                    reason,
                    stage,
                    meaning,
                    packets,
                });
            };
            for reason in TapDrop::ALL {
                at_tap(
                    reason.name(),
                    reason.help(),
                    exception.dropped[reason.index()],
                );
            }
            for reason in InjectDrop::ALL {
                at_tap(
                    reason.name(),
                    reason.help(),
                    exception.inject_dropped[reason.index()],
                );
            }
        }
        counts
    }
}

fn subtract(now: &mut ExceptionCounts, then: &ExceptionCounts) {
    let less = |now: &mut [u64], then: &[u64]| {
        now.iter_mut()
            .zip(then)
            .for_each(|(a, b)| *a = a.wrapping_sub(*b));
    };
    less(&mut now.delivered, &then.delivered);
    less(&mut now.dropped, &then.dropped);
    less(&mut now.inject_dropped, &then.inject_dropped);
    now.delivered_bytes = now.delivered_bytes.wrapping_sub(then.delivered_bytes);
    now.read = now.read.wrapping_sub(then.read);
    now.injected = now.injected.wrapping_sub(then.injected);
    now.injected_bytes = now.injected_bytes.wrapping_sub(then.injected_bytes);
}

/// When counts last moved. Lcores keep no time of a drop; looking once a second does.
#[derive(Default)]
pub(super) struct Activity {
    drops: HashMap<(PortId, &'static str), Seen>,
    punts: HashMap<PuntReason, Seen>,
}

struct Seen {
    count: u64,
    at: Instant,
}

fn note<K: std::hash::Hash + Eq>(seen: &mut HashMap<K, Seen>, key: K, count: u64, at: Instant) {
    // A count that was never above zero needs no entry.
    match seen.get_mut(&key) {
        Some(known) if known.count == count => {}
        None if count == 0 => {}
        _ => {
            seen.insert(key, Seen { count, at });
        }
    }
}

impl Activity {
    /// Compares a sample (not one made by [`Sample::since`]) with the one before.
    pub(super) fn note(&mut self, sample: &Sample, ports: &[PortInfo]) {
        for drop in sample.drops(ports) {
            note(
                &mut self.drops,
                (drop.port, drop.reason),
                drop.packets,
                sample.at,
            );
        }
        let punts = sample.lcores.ports().punts;
        for &reason in PuntReason::ALL {
            note(&mut self.punts, reason, punts[reason.index()], sample.at);
        }
    }

    /// Milliseconds before `now` at which this reason was last seen at this port.
    pub(super) fn drop_age_ms(
        &self,
        port: PortId,
        reason: &'static str,
        now: Instant,
    ) -> Option<u64> {
        self.drops
            .get(&(port, reason))
            .map(|seen| age_ms(seen, now))
    }

    /// Milliseconds before `now` at which this reason was last seen.
    pub(super) fn punt_age_ms(&self, reason: PuntReason, now: Instant) -> Option<u64> {
        self.punts.get(&reason).map(|seen| age_ms(seen, now))
    }
}

fn age_ms(seen: &Seen, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(seen.at).as_millis()).unwrap_or(u64::MAX)
}
