//! Policies as a burst meets them.

use std::fmt;

use ironlane_fib::VrfId;
use ironlane_rcu::Guard;

use super::{Key, Tuple};
use crate::{Flow, Ipsec, Policy, PolicyDirection, PolicyId};

/// The policies of one VRF and direction, for the packets of a burst. Made by [`Ipsec::policies_of`].
///
/// Packets of a burst often meet the same policy. Where all policies have one shape, it is remembered what the last
/// packet met: for another packet of the same hash no table is looked at.
pub struct BurstPolicies<'q, S> {
    pub(super) ipsec: &'q Ipsec<S>,
    pub(super) guard: &'q Guard<'q>,
    pub(super) tuples: &'q [Tuple],
    pub(super) last: Option<Last<'q>>,
}

/// What a packet met: the only policy of its hash, which is for packets of this `if_id` and mark.
pub(super) struct Last<'q> {
    hash: u64,
    if_id: u32,
    mark: u32,
    pub(super) policy: &'q Policy,
}

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// The policies of a VRF and direction. Lcores, under the guard of their burst.
    #[inline]
    pub fn policies_of<'q>(
        &'q self,
        guard: &'q Guard<'q>,
        vrf: VrfId,
        direction: PolicyDirection,
    ) -> BurstPolicies<'q, S> {
        BurstPolicies {
            ipsec: self,
            guard,
            tuples: self.spd.load(guard).tuples(vrf, direction),
            last: None,
        }
    }
}

impl<'q, S: Send + Sync + 'static> BurstPolicies<'q, S> {
    /// Whether there is none, so that nothing has to be known of packets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tuples.is_empty()
    }

    /// As [`Ipsec::find_policy`].
    #[inline]
    pub fn find(&mut self, flow: &Flow, if_id: u32, mark: u32) -> Option<&'q Policy> {
        let tuple = match self.tuples {
            [] => return None,
            [tuple] => tuple,
            _ => return self.find_among(flow, if_id, mark),
        };
        let hash = tuple.shape.hash(&Key::of(flow, if_id))?;
        if let Some(last) = &self.last
            && (last.hash, last.if_id, last.mark) == (hash, if_id, mark)
        {
            return last
                .policy
                .spec()
                .selector
                .matches(flow)
                .then_some(last.policy);
        }
        self.find_by(hash, flow, if_id, mark)
    }

    /// Finds a policy of the only shape, and remembers it if no other has the hash.
    #[inline(never)]
    fn find_by(&mut self, hash: u64, flow: &Flow, if_id: u32, mark: u32) -> Option<&'q Policy> {
        let [tuple] = self.tuples else {
            return None;
        };
        let (ipsec, guard) = (self.ipsec, self.guard);
        let ids = tuple.index.find(guard, hash);
        let mut of_hash = ids.filter_map(|id| ipsec.policy(guard, PolicyId::from_raw(id)));
        if let (Some(policy), None) = (of_hash.next(), of_hash.next())
            && policy.is_met_by(flow, if_id, mark)
        {
            self.last = Some(Last {
                hash,
                if_id,
                mark,
                policy,
            });
            return Some(policy);
        }
        self.find_among(flow, if_id, mark)
    }

    #[inline(never)]
    pub(super) fn find_among(&self, flow: &Flow, if_id: u32, mark: u32) -> Option<&'q Policy> {
        let (ipsec, guard) = (self.ipsec, self.guard);
        let key = Key::of(flow, if_id);
        let mut found: Option<&Policy> = None;
        for tuple in self.tuples {
            if found.is_some_and(|policy| policy.rank < tuple.best) {
                break;
            }
            let Some(hash) = tuple.shape.hash(&key) else {
                continue;
            };
            for id in tuple.index.find(guard, hash) {
                let Some(policy) = ipsec.policy(guard, PolicyId::from_raw(id)) else {
                    continue;
                };
                if found.is_none_or(|other| policy.rank < other.rank)
                    && policy.is_met_by(flow, if_id, mark)
                {
                    found = Some(policy);
                }
            }
        }
        found
    }
}

impl<S> fmt::Debug for BurstPolicies<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BurstPolicies")
            .field("shapes", &self.tuples.len())
            .finish_non_exhaustive()
    }
}
