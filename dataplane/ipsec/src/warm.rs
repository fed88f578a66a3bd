//! Fetching what a burst is about to look at.
//!
//! From a flow to the keys of its SA lead half a dozen loads, each of them waiting for the one before. With 100,000
//! tunnels none of them is in a cache near the core. So they are made for a whole burst, step by step: the loads of one
//! step do not wait for each other. What is fetched is only a hint; whoever decides looks at it anew.

use std::net::IpAddr;

use ironlane_fib::VrfId;
use ironlane_rcu::Guard;

use crate::spd::Key;
use crate::{Flow, Ipsec, PolicyDirection, PolicyId, Protocol, Sa, SaId, hash};

/// So many SAs and policies are in caches anyway, and steps in vain cost some ticks a packet.
const FEW: u32 = 2048;

/// Packets that are carried from step to step together.
const BURST: usize = 64;

/// Shapes of policies that are followed; IKE makes few.
const SHAPES: usize = 4;

/// An index that no slot has.
const NOTHING: usize = usize::MAX;

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// Whether there are so many SAs or policies that fetching them ahead pays.
    #[inline]
    pub fn has_many(&self) -> bool {
        self.policy_count() > FEW || self.sa_count() > FEW
    }

    /// Fetches the policies that packets of these flows meet, those of the first 64.
    pub fn warm_policies(
        &self,
        guard: &Guard<'_>,
        vrf: VrfId,
        direction: PolicyDirection,
        flows: &[Option<Flow>],
    ) {
        let flows = &flows[..flows.len().min(BURST)];
        for tuple in self
            .spd
            .load(guard)
            .tuples(vrf, direction)
            .iter()
            .take(SHAPES)
        {
            let mut hashes = [0; BURST];
            for (hash, flow) in hashes.iter_mut().zip(flows) {
                let key = flow.as_ref().map(|flow| Key::of(flow, 0));
                *hash = key.and_then(|key| tuple.shape.hash(&key)).unwrap_or(0);
                tuple.index.prefetch(guard, *hash);
            }
            let mut found = [NOTHING; BURST];
            for (found, &hash) in found[..flows.len()].iter_mut().zip(&hashes) {
                if let Some(id) = tuple.index.find(guard, hash).next() {
                    *found = PolicyId::from_raw(id).index();
                    self.policies.prefetch(*found);
                }
            }
            for &index in &found[..flows.len()] {
                if let Some(policy) = self.policies.get(guard, index) {
                    policy.prefetch();
                }
            }
        }
    }

    /// Fetches the inbound SAs that packets name, the first 64 of them.
    pub fn warm_named(
        &self,
        guard: &Guard<'_>,
        protocol: Protocol,
        names: &[Option<(u32, IpAddr)>],
        vrf: VrfId,
    ) {
        let names = &names[..names.len().min(BURST)];
        let mut hashes = [0; BURST];
        for (hash, name) in hashes.iter_mut().zip(names) {
            let of = |(spi, dst)| hash::of_sa(protocol.number(), spi, dst, vrf.0);
            *hash = name.map_or(0, of);
            self.sad.prefetch(guard, *hash);
        }
        let ids = hashes[..names.len()].iter().filter_map(|&hash| {
            let id = self.sad.find(guard, hash).next();
            id.map(SaId::from_raw)
        });
        self.warm(guard, ids);
    }

    /// Fetches SAs, the first 64.
    pub fn warm_sas(&self, guard: &Guard<'_>, ids: &[SaId]) {
        self.warm(guard, ids.iter().copied());
    }

    #[inline]
    fn warm(&self, guard: &Guard<'_>, ids: impl Iterator<Item = SaId>) {
        let mut indexes = [NOTHING; BURST];
        let mut count = 0;
        for (index, id) in indexes.iter_mut().zip(ids) {
            *index = id.index();
            self.sas.prefetch(*index);
            count += 1;
        }
        let mut found: [Option<&Sa<S>>; BURST] = [None; BURST];
        for (found, &index) in found.iter_mut().zip(&indexes[..count]) {
            *found = self.sas.get(guard, index);
            if let Some(sa) = found {
                sa.prefetch();
            }
        }
        for sa in found[..count].iter().flatten() {
            sa.prefetch_shared();
        }
    }
}
