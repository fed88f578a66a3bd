//! Policers: how many packets of each punt reason may reach the kernel.
//!
//! A token bucket for each reason on each lcore, with an lcore's share of the rate. Tokens are
//! counted in packets times 10^9, so that `nanoseconds * rate` adds without rounding.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::dataplane::PolicerConfig;
use crate::reason::PuntReason;

const SCALE: u64 = 1_000_000_000;
/// No bucket is filled for a longer time at once; keeps the product in range.
const LONGEST_NS: u64 = SCALE;

/// Rates and bursts, shared by all lcores and changeable while they run.
#[derive(Debug)]
pub(crate) struct PolicerRates {
    lcores: u32,
    rates_pps: [AtomicU32; PuntReason::COUNT],
    bursts: [AtomicU32; PuntReason::COUNT],
}

impl PolicerRates {
    pub(crate) fn new(lcores: usize, changes: &[PolicerConfig]) -> Arc<Self> {
        let rates = Self {
            lcores: (lcores as u32).max(1),
            rates_pps: std::array::from_fn(|_| AtomicU32::new(0)),
            bursts: std::array::from_fn(|_| AtomicU32::new(0)),
        };
        for &reason in PuntReason::ALL {
            let rate_pps = reason.default_rate_pps();
            rates.set(PolicerConfig {
                reason,
                rate_pps,
                burst: None,
            });
        }
        changes.iter().for_each(|&change| rates.set(change));
        Arc::new(rates)
    }

    /// Changes a rate. Lcores see it with the next packet of that reason.
    pub(crate) fn set(&self, change: PolicerConfig) {
        let index = change.reason.index();
        let burst = change
            .burst
            .unwrap_or((change.rate_pps / 4).max(u32::from(change.rate_pps > 0)));
        // Both pair with the loads in `share`; the two are independent of each other.
        self.rates_pps[index].store(change.rate_pps, Ordering::Relaxed);
        self.bursts[index].store(burst, Ordering::Relaxed);
    }

    /// Rate and burst over all lcores.
    pub(crate) fn get(&self, reason: PuntReason) -> PolicerConfig {
        // Pair with the stores in `set`.
        let rate_pps = self.rates_pps[reason.index()].load(Ordering::Relaxed);
        let burst = Some(self.bursts[reason.index()].load(Ordering::Relaxed));
        PolicerConfig {
            reason,
            rate_pps,
            burst,
        }
    }

    #[inline]
    fn share(&self, index: usize) -> (u64, u64) {
        // Pair with the stores in `set`.
        let rate = self.rates_pps[index].load(Ordering::Relaxed);
        let burst = self.bursts[index].load(Ordering::Relaxed);
        (
            u64::from(rate.div_ceil(self.lcores)),
            u64::from(burst.div_ceil(self.lcores)),
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u64,
    filled_ns: u64,
}

/// One lcore's buckets.
#[derive(Debug)]
pub(crate) struct Policers {
    rates: Arc<PolicerRates>,
    buckets: [Bucket; PuntReason::COUNT],
}

impl Policers {
    /// Full buckets.
    pub(crate) fn new(rates: Arc<PolicerRates>, now_ns: u64) -> Self {
        let buckets = std::array::from_fn(|index| Bucket {
            tokens: rates.share(index).1 * SCALE,
            filled_ns: now_ns,
        });
        Self { rates, buckets }
    }

    /// Whether one more packet of this reason may pass now.
    #[inline]
    pub(crate) fn admit(&mut self, reason: PuntReason, now_ns: u64) -> bool {
        let (rate_pps, burst) = self.rates.share(reason.index());
        let bucket = &mut self.buckets[reason.index()];
        let passed_ns = now_ns.saturating_sub(bucket.filled_ns).min(LONGEST_NS);
        bucket.filled_ns = now_ns;
        bucket.tokens = (bucket.tokens + passed_ns * rate_pps).min(burst * SCALE);
        match bucket.tokens.checked_sub(SCALE) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policer(lcores: usize, rate_pps: u32, burst: u32) -> Policers {
        let change = PolicerConfig {
            reason: PuntReason::Arp,
            rate_pps,
            burst: Some(burst),
        };
        Policers::new(PolicerRates::new(lcores, &[change]), 0)
    }

    #[test]
    fn a_flood_passes_at_the_rate_after_its_burst() {
        let mut policers = policer(1, 1000, 10);
        // A million packets over ten seconds.
        let passed = (0..1_000_000u64)
            .filter(|i| policers.admit(PuntReason::Arp, i * 10_000))
            .count();
        assert!((10_005..=10_010).contains(&passed), "{passed}");
    }

    #[test]
    fn the_rate_is_split_over_lcores() {
        let mut policers = policer(4, 1000, 40);
        let passed = (0..100_000u64)
            .filter(|i| policers.admit(PuntReason::Arp, i * 10_000))
            .count();
        assert!((255..=260).contains(&passed), "{passed}");
    }

    #[test]
    fn reasons_do_not_share_tokens() {
        let mut policers = policer(1, 0, 0);
        assert!(!policers.admit(PuntReason::Arp, SCALE));
        assert!(policers.admit(PuntReason::Bgp, SCALE));
    }

    #[test]
    fn a_rate_changes_while_it_runs() {
        let mut policers = policer(1, 0, 0);
        let change = PolicerConfig {
            reason: PuntReason::Arp,
            rate_pps: 4,
            burst: None,
        };
        policers.rates.set(change);
        assert!(!policers.admit(PuntReason::Arp, SCALE / 8));
        assert!(policers.admit(PuntReason::Arp, SCALE / 2));
        assert_eq!(policers.rates.get(PuntReason::Arp).burst, Some(1));
    }
}
