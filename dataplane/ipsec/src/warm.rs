//! Finding what the packets of a burst are about to meet, step by step.
//!
//! From a name or a flow to the keys of an SA lead half a dozen loads, each of them waiting for the one before. With a
//! thousand tunnels few of them are in a cache of the core, with 100,000 none. So they are made for a whole burst: the
//! loads of one step do not wait for each other, and what the next step needs is fetched ahead.

use std::net::IpAddr;

use ironlane_fib::VrfId;
use ironlane_rcu::Guard;

use crate::index::Glance;
use crate::{BURST, Ipsec, Protocol, Sa, SaId, hash};

/// So many SAs and policies are in the first cache anyway, and often packets of the same ones come in a row: one by one is
/// faster. With 4 tunnels in random order either way costs as much, with 16 this one is 5 % faster, with 100 a fifth.
const FEW: u32 = 8;

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// Whether there are so many SAs or policies that finding those of a burst step by step pays.
    #[inline]
    pub fn has_many(&self) -> bool {
        self.policy_count() > FEW || self.sa_count() > FEW
    }

    /// The SAs that packets name, SPI and destination, as [`find_sa`](Self::find_sa) finds them; `found` is as long as `names`, of
    /// which there are at most 64. What they share is fetched, to be looked at soon.
    pub fn find_sas<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        protocol: Protocol,
        names: &[(u32, IpAddr)],
        vrf: VrfId,
        found: &mut [Option<&'q Sa<S>>],
    ) {
        let index = self.sad.now(guard);
        let mut hashes = [0; BURST];
        for (hash, &(spi, dst)) in hashes.iter_mut().zip(names) {
            *hash = hash::of_sa(protocol.number(), spi, dst, vrf.0);
            index.prefetch(*hash);
        }
        let mut ids = [None; BURST];
        for ((id, &hash), _) in ids.iter_mut().zip(&hashes).zip(names) {
            if let Glance::One(raw) | Glance::Several(raw) = index.glance(hash) {
                let first = SaId::from_raw(raw);
                self.sas.prefetch(first.index());
                *id = Some(first);
            }
        }
        for ((found, id), _) in found.iter_mut().zip(&ids).zip(names) {
            *found = id.and_then(|id| self.sas.get(guard, id.index()));
            if let Some(sa) = found {
                sa.prefetch();
            }
        }
        for ((found, &id), &(spi, dst)) in found.iter_mut().zip(&ids).zip(names) {
            let is_named =
                |sa: &&Sa<S>| Some(sa.id()) == id && sa.spec().is_named_by(protocol, spi, dst, vrf);
            *found = match found.filter(is_named) {
                Some(sa) => Some(sa),
                // Another one has the same bits of a hash, or there is none.
                None => self.find_sa(guard, protocol, spi, dst, vrf),
            };
            if let Some(sa) = found {
                sa.prefetch_shared();
            }
        }
    }

    /// The SAs of these ids, as [`sa`](Self::sa) gives them, of which there are at most 64; `found` is as long. They and what
    /// they share are fetched, to be looked at soon.
    pub fn sas_of<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        ids: &[SaId],
        found: &mut [Option<&'q Sa<S>>],
    ) {
        for id in ids {
            self.sas.prefetch(id.index());
        }
        for (found, id) in found.iter_mut().zip(ids) {
            *found = self.sas.get(guard, id.index());
            if let Some(sa) = found {
                sa.prefetch();
            }
        }
        for (found, &id) in found.iter_mut().zip(ids) {
            *found = found.filter(|sa| sa.id() == id);
            if let Some(sa) = found {
                sa.prefetch_shared();
            }
        }
    }

    /// Fetches SAs, the first 64, and what they share. A hint: whoever needs them looks anew.
    pub fn warm_sas(&self, guard: &Guard<'_>, ids: &[SaId]) {
        let mut found = [None; BURST];
        self.sas_of(guard, ids, &mut found);
    }
}
