//! The stages: each decides about the packets of one lane.
//!
//! `README.md` beside this file lists them in packet order and draws the lanes. [`Pipeline::run`] is
//! all that the poll loop calls: receive into a [`BurstStore`], run, then
//! [`settle`](BurstStore::settle).

use ironlane_fib::Tables;
use ironlane_rcu::Guard;

use crate::burst::{Arrival, Arrived, Burst, BurstStore, Lane};
use crate::ipsec::Ipsec;
use crate::reason::{DropReason, PuntReason, StageId};

mod classify;
mod control;
mod glean;
mod graph;
mod guarded;
pub(crate) mod icmp_rules;
mod interfaces;
mod ip4_check;
mod ip4_exception;
mod ip4_local;
mod ip4_lookup;
mod ip4_rewrite;
mod ip6_check;
mod ip6_exception;
mod ip6_local;
mod ip6_lookup;
mod ip6_rewrite;
mod joined;
pub(crate) mod named;
mod policy;
mod simd;
mod straight;
mod tags;
mod upper;

pub use glean::GleanLimit;
pub use graph::graph_svg;
pub(crate) use interfaces::Entrance;
pub use interfaces::{Interface, Interfaces};
pub use joined::JoinedGroups;
pub use simd::HeaderPath;
pub(crate) use simd::is_ordinary;

/// The tables as a stage sees them during one burst.
#[derive(Clone, Copy, Debug)]
pub struct TablesView<'q> {
    /// The shared tables.
    pub tables: &'q Tables,
    /// Keeps what is read from them alive until the burst ends.
    pub guard: &'q Guard<'q>,
    /// Groups beyond the link that the kernel has joined.
    pub joined: &'q JoinedGroups,
    /// SAs and policies.
    pub ipsec: &'q Ipsec,
    /// Ports that are the way to some of them.
    pub interfaces: &'q Interfaces,
    /// Now, in nanoseconds of a clock that only goes forward: for policers.
    pub now_ns: u64,
}

impl TablesView<'_> {
    /// Now, in whole seconds of the same clock: for lifetimes.
    #[inline]
    pub fn now_s(&self) -> u64 {
        self.now_ns / 1_000_000_000
    }
}

/// A stage. It never frees, sends, logs, allocates, locks or waits; it decides.
pub trait Stage {
    /// Its place in counters, traces and `stage show`; stable once released.
    const ID: StageId;
    /// The lane it takes packets from.
    const INPUT: Lane;
    /// The lane that [`Verdict::Next`](crate::burst::Verdict::Next) leads to.
    const NEXT: Option<Lane>;
    /// Lanes it may send packets aside to.
    const LANES: &'static [Lane];
    /// Every reason it may drop for.
    const DROPS: &'static [DropReason];
    /// Every reason it may punt for.
    const PUNTS: &'static [PuntReason];

    /// Decides each packet on [`Self::INPUT`] exactly once. `'q` ends with the burst: what is
    /// read from the tables cannot be kept.
    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>);
}

/// What the pipeline tells about its work; the lcore's counters implement it.
///
/// Reading the time costs some twenty ticks, as much as a packet on the straight path. So a meter
/// keeps the time at which the last lap ended, and there the next one begins.
pub trait StageMeter {
    /// One burst in one stage ends: `packets` met it. The time since the lap before is its own.
    fn lap(&mut self, stage: StageId, packets: u64);
}

/// What a stage may do, for pages, pictures and checks.
#[derive(Clone, Copy, Debug)]
pub struct StageCard {
    /// Which stage.
    pub id: StageId,
    /// The lane it takes packets from.
    pub input: Lane,
    /// Lanes it sends packets to, the next one first.
    pub lanes: &'static [Lane],
    /// The lane after it, if packets go on.
    pub next: Option<Lane>,
    /// Reasons it drops for.
    pub drops: &'static [DropReason],
    /// Reasons it punts for.
    pub punts: &'static [PuntReason],
}

impl StageCard {
    const fn of<S: Stage>() -> Self {
        Self {
            id: S::ID,
            input: S::INPUT,
            lanes: S::LANES,
            next: S::NEXT,
            drops: S::DROPS,
            punts: S::PUNTS,
        }
    }
}

/// Settings of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineConfig {
    /// How many packets one unresolved adjacency may send to the kernel.
    pub glean: GleanLimit,
    /// Carry plain packets, too, through one stage after the other: for tests that compare.
    pub stages_only: bool,
    /// How headers are checked; the fastest way that the CPU has if not given, or if it lacks that.
    pub headers: Option<HeaderPath>,
}

/// All stages in order, with their settings. Shared by lcores; it holds no state.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    glean: glean::Glean,
    stages_only: bool,
    headers: HeaderPath,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new(PipelineConfig::default())
    }
}

/// Makes [`Pipeline::run`] and the cards from one list, in packet order.
macro_rules! stages {
    ($($stage:ty = $pick:expr;)+) => {
        impl Pipeline {
            /// Whether plain packets have a path of their own.
            pub(crate) const fn has_straight_path(&self) -> bool {
                !self.stages_only
            }

            /// What each stage may do, in packet order.
            pub const CARDS: &'static [StageCard] = &[straight::CARD, $(StageCard::of::<$stage>(),)+];

            /// Decides every packet of `store`; returns the bytes of all of them, as they came. Lcores, once a
            /// burst; it neither allocates nor calls DPDK but to join split headers. A stage without packets
            /// costs one compare.
            pub fn run<'q>(
                &self,
                store: &'q mut BurstStore,
                arrival: Arrival,
                view: &TablesView<'q>,
                meter: &mut impl StageMeter,
            ) -> u64 {
                let count = store.packets_mut().len();
                store.give_nothing();
                let left = match policy::is_needed(arrival.origin, view) {
                    _ if self.stages_only => {
                        store.look();
                        u64::MAX
                    }
                    true => guarded::run(self.headers, store, arrival, view),
                    false => straight::run(self.headers, store, arrival, view),
                };
                meter.lap(StageId::Straight, count as u64);
                let Arrived { bytes, stripped } = store.arrived();
                if left == 0 {
                    return bytes;
                }
                if stripped {
                    tags::put_back(store.packets_mut().as_mut_slice());
                }
                let mut burst = Burst::new(store, arrival, left);
                $({
                    let pick: fn(&Self) -> &$stage = $pick;
                    step(pick(self), &mut burst, view, meter);
                })+
                debug_assert_eq!(burst.balance(), (0, burst.len()), "waiting, decided");
                bytes
            }
        }
    };
}

stages! {
    classify::Classify = |_| &classify::Classify;
    control::Control = |_| &control::Control;
    ip4_check::Ip4Check = |_| &ip4_check::Ip4Check;
    ip4_lookup::Ip4Lookup = |_| &ip4_lookup::Ip4Lookup;
    ip6_check::Ip6Check = |_| &ip6_check::Ip6Check;
    ip6_lookup::Ip6Lookup = |_| &ip6_lookup::Ip6Lookup;
    policy::Policy = |_| &policy::Policy;
    ip4_local::Ip4Local = |_| &ip4_local::Ip4Local;
    ip4_exception::Ip4Exception = |_| &ip4_exception::Ip4Exception;
    ip6_local::Ip6Local = |_| &ip6_local::Ip6Local;
    ip6_exception::Ip6Exception = |_| &ip6_exception::Ip6Exception;
    glean::Glean = |pipeline| &pipeline.glean;
    ip4_rewrite::Ip4Rewrite = |_| &ip4_rewrite::Ip4Rewrite;
    ip6_rewrite::Ip6Rewrite = |_| &ip6_rewrite::Ip6Rewrite;
}

impl Pipeline {
    /// The stages with these settings.
    pub fn new(config: PipelineConfig) -> Self {
        let wanted = config.headers.filter(|path| path.is_available());
        Self {
            glean: glean::Glean::new(config.glean),
            stages_only: config.stages_only,
            headers: wanted.unwrap_or_else(HeaderPath::fastest),
        }
    }
}

/// Runs one stage if packets wait for it.
#[inline]
fn step<'q, S: Stage>(
    stage: &S,
    burst: &mut Burst<'q>,
    view: &TablesView<'q>,
    meter: &mut impl StageMeter,
) {
    let waiting = burst.waiting(S::INPUT);
    if waiting == 0 {
        return;
    }
    stage.run(burst, view);
    debug_assert_eq!(burst.waiting(S::INPUT), 0, "{} left packets", S::ID);
    debug_assert_eq!(
        {
            let (on_lanes, decided) = burst.balance();
            on_lanes + decided
        },
        burst.len(),
        "{} lost or doubled a packet",
        S::ID
    );
    meter.lap(S::ID, waiting as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drop_reason_is_given_by_the_stage_that_it_names() {
        for card in Pipeline::CARDS {
            for reason in card.drops {
                assert_eq!(reason.stage(), card.id, "{reason}");
            }
            let of_stage = DropReason::ALL.iter().filter(|r| r.stage() == card.id);
            for reason in of_stage {
                assert!(
                    card.drops.contains(reason),
                    "{reason} is not in {}'s DROPS",
                    card.id
                );
            }
        }
    }

    #[test]
    fn each_punt_reason_is_given_by_a_stage() {
        for reason in PuntReason::ALL {
            assert!(
                Pipeline::CARDS.iter().any(|c| c.punts.contains(reason)),
                "{reason}"
            );
        }
    }

    #[test]
    fn lanes_lead_forward_to_a_stage() {
        let order = |lane| Pipeline::CARDS.iter().position(|card| card.input == lane);
        for (place, card) in Pipeline::CARDS.iter().enumerate() {
            assert_eq!(order(card.input), Some(place), "two stages take one lane");
            for &lane in card.lanes.iter().chain(&card.next) {
                assert!(
                    order(lane) > Some(place),
                    "{} leads back to {lane:?}",
                    card.id
                );
            }
        }
    }

    #[test]
    fn stages_run_in_the_order_of_the_list() {
        let ids: Vec<_> = Pipeline::CARDS.iter().map(|card| card.id).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn the_readme_lists_the_stages_in_packet_order() {
        let readme = include_str!("README.md");
        let mut at = 0;
        for card in Pipeline::CARDS {
            let row = format!("| `{}` | ", card.id);
            at += readme[at..]
                .find(&row)
                .unwrap_or_else(|| panic!("no row {row:?} in order"));
        }
    }
}
