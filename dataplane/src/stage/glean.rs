//! Glean: the nexthop has no link-layer address yet. The packet goes to the tap, where the kernel
//! resolves the neighbour and sends the packet itself, so none is lost; meanwhile the adjacency is
//! completed for those that follow.
//!
//! One unresolved neighbour must not take the kernel's attention from the others, so each
//! adjacency has a policer of its own (GCRA, shared by all lcores). The mark of use is set here
//! too, so that a neighbour lost under traffic is asked for again.

use super::{Stage, TablesView};
use crate::burst::{Burst, Lane, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// How many packets one unresolved adjacency may send to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GleanLimit {
    /// Packets a second in the long run; 0 lets none through.
    pub rate_pps: u32,
    /// Packets at once.
    pub burst: u32,
}

impl Default for GleanLimit {
    /// Enough for the start of many flows: what arrives while a neighbour is resolved (a
    /// millisecond or two) at some 100 000 packets a second.
    fn default() -> Self {
        Self {
            rate_pps: 1_000,
            burst: 256,
        }
    }
}

/// The stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glean {
    interval_ns: u64,
    burst: u32,
}

impl Glean {
    pub(super) const fn new(limit: GleanLimit) -> Self {
        let (interval_ns, burst) = match limit.rate_pps {
            0 => (1, 0),
            rate_pps => (1_000_000_000 / rate_pps as u64, limit.burst),
        };
        Self { interval_ns, burst }
    }
}

impl Default for Glean {
    fn default() -> Self {
        Self::new(GleanLimit::default())
    }
}

impl Stage for Glean {
    const ID: StageId = StageId::Glean;
    const INPUT: Lane = Lane::Glean;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[DropReason::GleanPoliced];
    const PUNTS: &'static [PuntReason] = &[PuntReason::Glean];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| {
            let nexthops = view.tables.nexthops().of_burst(view.guard);
            let admitted = packet.hop.is_some_and(|hop| {
                nexthops.mark_used(hop.index);
                nexthops.admits(hop.index, view.now_ns, self.interval_ns, self.burst)
            });
            match admitted {
                true => Verdict::Punt(PuntReason::Glean),
                false => Verdict::Drop(DropReason::GleanPoliced),
            }
        });
    }
}
