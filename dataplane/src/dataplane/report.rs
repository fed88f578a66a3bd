//! What is left when the data plane has stopped: nothing, it is hoped.

use crate::eal::Mempool;
use crate::lcore::CounterSnapshot;

/// Outcome of [`Dataplane::stop`](super::Dataplane::stop).
#[derive(Clone, Debug)]
pub struct StopReport {
    /// The pools, while the data plane ran and after.
    pub pools: Vec<PoolUse>,
    /// The last counts.
    pub counters: CounterSnapshot,
    /// Lcores that ended by a panic, with its message.
    pub failed: Vec<String>,
}

/// Packet buffers of a pool that were not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// The pool.
    pub name: String,
    /// How many buffers it has.
    pub size: u32,
    /// In queues, rings and packets just before the stop.
    pub in_use_before: u32,
    /// Missing after it.
    pub in_use: u32,
}

pub(super) fn uses(pools: &[Mempool]) -> Vec<u32> {
    pools.iter().map(Mempool::in_use).collect()
}

impl StopReport {
    pub(super) fn new(
        before: &[u32],
        pools: &[Mempool],
        counters: CounterSnapshot,
        failed: Vec<String>,
    ) -> Self {
        let pools = pools.iter().zip(before);
        let pools = pools.map(|(pool, &in_use_before)| PoolUse {
            name: pool.name().to_owned(),
            size: pool.size(),
            in_use_before,
            in_use: pool.in_use(),
        });
        Self {
            pools: pools.collect(),
            counters,
            failed,
        }
    }

    /// Packet buffers that did not come back.
    pub fn leaked(&self) -> u32 {
        self.pools.iter().map(|pool| pool.in_use).sum()
    }

    /// True if all buffers came back, no lcore failed, and each lcore's counters balance.
    pub fn is_clean(&self) -> bool {
        self.leaked() == 0
            && self.failed.is_empty()
            && self.counters.handed_off() == 0
            && self
                .counters
                .lcores
                .iter()
                .all(|lcore| lcore.identity().holds())
    }
}
