//! What the mirror counts, and how long its changes take.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::decode::kind_name;

/// Message types are below this.
const KINDS: usize = 128;
/// Longest latency that is told from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// What the mirror counts; written by its thread alone.
#[derive(Debug)]
pub(super) struct Counters {
    kinds: [u64; KINDS],
    pub totals: Totals,
    latency_ns: Histogram<u64>,
}

/// Counters without a breakdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Messages that no kernel sends; each is skipped.
    pub malformed: u64,
    /// Messages of other families and kinds.
    pub ignored: u64,
    /// Times that the kernel dropped messages since the receive buffer was full (`ENOBUFS`).
    pub overruns: u64,
    /// Times that everything was dumped again, after an overrun or an error.
    pub resyncs: u64,
    /// Lists read from the kernel.
    pub dumps: u64,
    /// Lists that changed while they were read (`NLM_F_DUMP_INTR`), and were read again.
    pub dumps_interrupted: u64,
    /// Lists that were read again since events of their kind arrived meanwhile.
    pub dumps_repeated: u64,
    /// Objects that a list did not name any more, though no event had said so.
    pub swept: u64,
    /// Routes in a list that differ from what a later event said.
    pub unconfirmed: u64,
    /// Commits that wrote to the tables.
    pub commits: u64,
    /// Messages that shared their commit with an earlier one.
    pub coalesced: u64,
    /// Neighbours in use that the kernel was asked to keep fresh.
    pub probes: u64,
}

/// Time from a message's arrival to its change being visible to lcores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latency {
    /// How many changes were timed.
    pub count: u64,
    /// Half were faster.
    pub p50_ns: u64,
    /// 99 of 100 were faster.
    pub p99_ns: u64,
    /// 999 of 1000 were faster.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
}

/// The state of the mirror and what it counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorStatus {
    /// The first synchronisation is done, and no other is going on.
    pub synchronised: bool,
    /// What it does, in words.
    pub doing: String,
    /// Events by type, such as `newroute`.
    pub messages: BTreeMap<&'static str, u64>,
    /// The other counters.
    #[serde(flatten)]
    pub totals: Totals,
    /// From arrival to visible.
    pub latency: Latency,
}

impl Counters {
    pub fn new() -> Self {
        let max_ns = LATENCY_MAX.as_nanos() as u64;
        Self {
            kinds: [0; KINDS],
            totals: Totals::default(),
            latency_ns: Histogram::new_with_bounds(1, max_ns, 3).expect("the bounds are in order"),
        }
    }

    /// Counts an event by its type.
    pub fn message(&mut self, kind: u16) {
        self.kinds[usize::from(kind).min(KINDS - 1)] += 1;
    }

    /// Times `changes` changes that became visible together.
    pub fn visible(&mut self, changes: u64, after: Duration) {
        let ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.latency_ns.saturating_record_n(ns, changes);
        self.totals.coalesced += changes.saturating_sub(1);
    }

    pub fn messages(&self) -> BTreeMap<&'static str, u64> {
        let mut by_name = BTreeMap::new();
        for (kind, &count) in self
            .kinds
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            *by_name.entry(kind_name(kind as u16)).or_default() += count;
        }
        by_name
    }

    pub fn latency(&self) -> Latency {
        Latency {
            count: self.latency_ns.len(),
            p50_ns: self.latency_ns.value_at_quantile(0.5),
            p99_ns: self.latency_ns.value_at_quantile(0.99),
            p999_ns: self.latency_ns.value_at_quantile(0.999),
            max_ns: self.latency_ns.max(),
        }
    }

    /// Starts to count from nothing.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Forgets how long changes took, and nothing else.
    pub fn clear_latency(&mut self) {
        self.latency_ns.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_commit_is_timed() {
        let mut counters = Counters::new();
        counters.visible(99, Duration::from_micros(50));
        counters.visible(1, Duration::from_millis(5));
        let latency = counters.latency();
        assert_eq!((latency.count, counters.totals.coalesced), (100, 98));
        assert!((50_000..51_000).contains(&latency.p99_ns), "{latency:?}");
        assert!(latency.max_ns >= 5_000_000, "{latency:?}");
    }

    #[test]
    fn latency_is_cleared_by_itself_or_with_the_rest() {
        let mut counters = Counters::new();
        counters.message(24);
        counters.totals.commits = 1;
        counters.visible(1, Duration::from_micros(80));
        counters.clear_latency();
        assert_eq!(counters.latency(), Latency::default());
        assert_eq!((counters.totals.commits, counters.messages().len()), (1, 1));
        counters.visible(1, Duration::from_micros(80));
        counters.clear();
        assert_eq!(counters.latency(), Latency::default());
        assert_eq!(counters.totals, Totals::default());
        assert!(counters.messages().is_empty());
    }
}
