//! Policers: how many packets of each punt reason may reach the kernel.
//!
//! One for each reason, shared by all lcores: a port with one receive queue brings all its punts to
//! one of them, which must then have the whole rate. GCRA, as the gleans of an adjacency: one word
//! that says until when the packets admitted so far fill the rate. Only an admitted packet
//! writes it, and those are as rare as the rate says; a flood above it costs a load a packet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::dataplane::PolicerConfig;
use crate::reason::PuntReason;

/// Times are in sixteenths of a nanosecond, so that high rates round by little. They last for 36
/// years.
const PER_NS: u64 = 16;
const PER_SECOND: u64 = 1_000_000_000 * PER_NS;

/// The policer of one reason, in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Policer {
    rate_pps: AtomicU32,
    burst: AtomicU32,
    /// Time from one packet to the next.
    interval: AtomicU64,
    /// How far ahead of now `filled_to` may be.
    tolerance: AtomicU64,
    /// Until when admitted packets fill the rate: the theoretical arrival time of the next.
    filled_to: AtomicU64,
}

/// All policers, for all lcores; their rates may change while lcores run.
#[derive(Debug)]
pub(crate) struct Policers([Policer; PuntReason::COUNT]);

impl Policers {
    pub(crate) fn new(changes: &[PolicerConfig]) -> Arc<Self> {
        let policers = Self(std::array::from_fn(|_| Policer::default()));
        for &reason in PuntReason::ALL {
            let rate_pps = reason.default_rate_pps();
            policers.set(PolicerConfig {
                reason,
                rate_pps,
                burst: None,
            });
        }
        changes.iter().for_each(|&change| policers.set(change));
        Arc::new(policers)
    }

    /// Changes a rate, and starts it with a whole burst. Lcores see it with the next packet of
    /// that reason.
    pub(crate) fn set(&self, change: PolicerConfig) {
        let policer = &self.0[change.reason.index()];
        let burst = match change.rate_pps {
            0 => 0,
            rate_pps => change.burst.unwrap_or((rate_pps / 4).max(1)),
        };
        let interval = PER_SECOND / u64::from(change.rate_pps.max(1));
        // All pair with the loads in `get` and `admit`, which may see some of them before the
        // others: a packet more or less in that moment.
        policer.rate_pps.store(change.rate_pps, Ordering::Relaxed);
        policer.burst.store(burst, Ordering::Relaxed);
        policer.interval.store(interval, Ordering::Relaxed);
        let tolerance = interval.saturating_mul(u64::from(burst));
        policer.tolerance.store(tolerance, Ordering::Relaxed);
        policer.filled_to.store(0, Ordering::Relaxed);
    }

    /// Rate and burst.
    pub(crate) fn get(&self, reason: PuntReason) -> PolicerConfig {
        let policer = &self.0[reason.index()];
        // Pair with the stores in `set`.
        PolicerConfig {
            reason,
            rate_pps: policer.rate_pps.load(Ordering::Relaxed),
            burst: Some(policer.burst.load(Ordering::Relaxed)),
        }
    }

    /// Whether one more packet of this reason may pass now.
    #[inline]
    pub(crate) fn admit(&self, reason: PuntReason, now_ns: u64) -> bool {
        let policer = &self.0[reason.index()];
        let now = now_ns * PER_NS;
        // Pair with the stores in `set`.
        let interval = policer.interval.load(Ordering::Relaxed);
        let tolerance = policer.tolerance.load(Ordering::Relaxed);
        // Relaxed: the time is all there is; it orders nothing else.
        let admitted =
            policer
                .filled_to
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |filled_to| {
                    let next = filled_to.max(now).saturating_add(interval);
                    (next - now <= tolerance).then_some(next)
                });
        admitted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SECOND_NS: u64 = 1_000_000_000;

    fn policers(rate_pps: u32, burst: u32) -> Arc<Policers> {
        let change = PolicerConfig {
            reason: PuntReason::Arp,
            rate_pps,
            burst: Some(burst),
        };
        Policers::new(&[change])
    }

    #[test]
    fn a_flood_passes_at_the_rate_after_its_burst() {
        let policers = policers(1000, 10);
        // A million packets over ten seconds.
        let passed = (0..1_000_000u64)
            .filter(|i| policers.admit(PuntReason::Arp, i * 10_000))
            .count();
        assert!((10_005..=10_010).contains(&passed), "{passed}");
    }

    #[test]
    fn high_rates_are_met_within_a_percent() {
        for rate_pps in [700_000, 3_000_000, 70_000_000] {
            let policers = policers(rate_pps, 1000);
            let passed = (0..2_000_000u64)
                .filter(|i| policers.admit(PuntReason::Arp, i * 5))
                .count() as f64;
            // A hundredth of a second.
            let expected = f64::from(rate_pps) / 100.0 + 1000.0;
            assert!(
                (passed / expected - 1.0).abs() < 0.01,
                "{passed}, not {expected}"
            );
        }
    }

    #[test]
    fn one_lcore_may_have_the_whole_rate_and_all_together_have_no_more() {
        let policers = policers(1000, 40);
        let passed: usize = thread::scope(|scope| {
            let lcores: Vec<_> = (0..4)
                .map(|_| {
                    let flood = || {
                        (0..100_000u64)
                            .filter(|i| policers.admit(PuntReason::Arp, i * 10_000))
                            .count()
                    };
                    scope.spawn(flood)
                })
                .collect();
            lcores.into_iter().map(|l| l.join().unwrap()).sum()
        });
        assert!((1_035..=1_040).contains(&passed), "{passed}");
    }

    #[test]
    fn reasons_do_not_share_a_rate() {
        let policers = policers(0, 0);
        assert!(!policers.admit(PuntReason::Arp, SECOND_NS));
        assert!(policers.admit(PuntReason::Bgp, SECOND_NS));
    }

    #[test]
    fn a_rate_changes_while_it_runs() {
        let policers = policers(0, 100);
        let admit = |quarters| policers.admit(PuntReason::Arp, quarters * SECOND_NS / 4);
        assert!(!admit(0) && !admit(100));
        let change = |rate_pps, burst| {
            policers.set(PolicerConfig {
                reason: PuntReason::Arp,
                rate_pps,
                burst,
            });
        };
        change(4, None);
        assert!(admit(100) && !admit(100) && admit(101));
        assert_eq!(policers.get(PuntReason::Arp).burst, Some(1));
        // A long debt at a low rate is forgotten.
        change(1, Some(1000));
        assert!((0..1000).all(|_| admit(101)) && !admit(101));
        change(1000, Some(1));
        assert!(admit(101) && !admit(101) && admit(102));
    }
}
