//! What waits in the rings between threads, asked of the rings themselves.

use crate::eal::RingGauge;

/// The rings between threads.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    pub(crate) handoff: Vec<RingGauge>,
    pub(crate) inject: Vec<RingGauge>,
    pub(crate) punt: Vec<RingGauge>,
}

impl Rings {
    pub(super) fn read(&self) -> RingCounts {
        let sum = |rings: &[RingGauge]| rings.iter().map(|ring| ring.read() as u64).sum();
        RingCounts {
            handoff: sum(&self.handoff),
            inject: sum(&self.inject),
            punt: sum(&self.punt),
            exact: false,
        }
    }
}

/// Packets in the rings between threads, counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// From lcore to lcore: received, and not yet sent.
    pub handoff: u64,
    /// From the exception thread to lcores: not yet counted as injected.
    pub inject: u64,
    /// From lcores to the exception thread: counted as punted.
    pub punt: u64,
    /// Whether nothing was handed off between the counters and this, so that they must agree.
    pub exact: bool,
}
