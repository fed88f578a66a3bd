//! The policies that all packets of a burst meet, found step by step.

use super::{BurstPolicies, Key, Tuple};
use crate::index::Glance;
use crate::{BURST, Flow, Policy, PolicyId};

/// Shapes of policies that are followed ahead; IKE makes few.
const SHAPES: usize = 4;

/// A packet that policies are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Its flow.
    pub flow: Flow,
    /// That of the XFRM interface that it goes through, or 0.
    pub if_id: u32,
    /// Its mark.
    pub mark: u32,
}

/// What the index of a shape knows of a packet.
#[derive(Clone, Copy)]
enum Candidate<'q> {
    /// No policy of the shape has its hash.
    Nobody,
    /// One has.
    One(PolicyId, Option<&'q Policy>),
    /// Several have.
    Several,
}

impl<'q, S: Send + Sync + 'static> BurstPolicies<'q, S> {
    /// The policies that decide about packets, at most 64, as [`find`](Self::find) finds them; `found` is as long as `asked`.
    pub fn find_all(&self, asked: &[Asked], found: &mut [Option<&'q Policy>]) {
        if self.is_empty() {
            found.fill(None);
            return;
        }
        let mut candidates = [Candidate::Nobody; BURST];
        if let [tuple] = self.tuples {
            self.follow(tuple, asked, &mut candidates);
            for ((found, asked), candidate) in found.iter_mut().zip(asked).zip(&candidates) {
                let Asked { flow, if_id, mark } = asked;
                *found = match *candidate {
                    Candidate::Nobody => None,
                    Candidate::One(id, Some(policy)) if policy.id() == id => {
                        policy.is_met_by(flow, *if_id, *mark).then_some(policy)
                    }
                    _ => self.find_among(flow, *if_id, *mark),
                };
            }
            return;
        }
        for tuple in self.tuples.iter().take(SHAPES) {
            self.follow(tuple, asked, &mut candidates);
        }
        for (found, Asked { flow, if_id, mark }) in found.iter_mut().zip(asked) {
            *found = self.find_among(flow, *if_id, *mark);
        }
    }

    /// Finds and fetches the policies of a shape that have the hashes of packets.
    #[inline(never)]
    fn follow(&self, tuple: &Tuple, asked: &[Asked], candidates: &mut [Candidate<'q>; BURST]) {
        let (policies, guard) = (&self.ipsec.policies, self.guard);
        let index = tuple.index.now(guard);
        let mut hashes = [None; BURST];
        for (hash, asked) in hashes.iter_mut().zip(asked) {
            *hash = tuple.shape.hash(&Key::of(&asked.flow, asked.if_id));
            if let Some(hash) = hash {
                index.prefetch(*hash);
            }
        }
        for ((candidate, hash), _) in candidates.iter_mut().zip(&hashes).zip(asked) {
            let glance = hash.map_or(Glance::Nobody, |hash| index.glance(hash));
            *candidate = match glance {
                Glance::Nobody => Candidate::Nobody,
                Glance::One(raw) => {
                    let id = PolicyId::from_raw(raw);
                    policies.prefetch(id.index());
                    Candidate::One(id, None)
                }
                Glance::Several(_) => Candidate::Several,
            };
        }
        for candidate in &mut candidates[..asked.len()] {
            if let Candidate::One(id, policy) = candidate {
                *policy = policies.get(guard, id.index());
                if let Some(policy) = policy {
                    policy.prefetch();
                }
            }
        }
    }
}
