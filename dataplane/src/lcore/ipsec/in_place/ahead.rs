//! What is found out for all packets of a burst at once, where there are many SAs: a packet's SA and the way to its peer are
//! seldom those of the packet before. Looked up one by one each lookup would be waited for.

use std::net::IpAddr;

use ironlane_fib::NexthopIndex;
use ironlane_ipsec::{Sa, SaId};

use crate::burst::places;
use crate::eal::BURST_MAX;
use crate::eal::crypto::Session;
use crate::stage::TablesView;

/// The SA of each place that is to be sealed, and the next hop to its peer, as far as they have been found.
pub(super) struct Ahead<'v> {
    pub(super) sas: [Option<&'v Sa<Session>>; BURST_MAX],
    pub(super) hops: [Option<NexthopIndex>; BURST_MAX],
}

impl<'v> Ahead<'v> {
    /// Nothing is known.
    #[inline]
    pub(super) fn nothing() -> Self {
        Self {
            sas: [None; BURST_MAX],
            hops: [None; BURST_MAX],
        }
    }

    /// Finds SAs by their ids, and looks up where they send `wanted` places if all do by the same table.
    #[inline(never)]
    pub(super) fn find(&mut self, wanted: u64, ids: &[SaId], view: &TablesView<'v>) {
        view.ipsec
            .sas_of(view.guard, ids, &mut self.sas[..ids.len()]);
        let mut left = wanted & places(ids.len());
        let (mut of, mut count) = ([0; BURST_MAX], 0);
        let (mut ip4, mut ip6) = ([0; BURST_MAX], [0; BURST_MAX]);
        let mut table = None;
        while left != 0 {
            let place = left.trailing_zeros() as usize % BURST_MAX;
            left &= left - 1;
            let Some(sa) = self.sas[place] else { continue };
            let spec = sa.spec();
            match spec.dst {
                IpAddr::V4(dst) => ip4[count] = dst.to_bits(),
                IpAddr::V6(dst) => ip6[count] = dst.to_bits(),
            }
            let its = (spec.vrf, spec.dst.is_ipv4());
            if *table.get_or_insert(its) != its {
                return;
            }
            of[count] = place as u8;
            count += 1;
        }
        let Some((vrf, is_ip4)) = table else { return };
        let mut hops = [NexthopIndex::NONE; BURST_MAX];
        let (tables, guard, hops) = (view.tables, view.guard, &mut hops[..count]);
        match is_ip4 {
            true => tables
                .ip4(guard, vrf)
                .lookup_bulk(guard, &ip4[..count], hops),
            false => tables
                .ip6(guard, vrf)
                .lookup_bulk(guard, &ip6[..count], hops),
        }
        for (&place, &mut hop) in of.iter().zip(hops) {
            self.hops[usize::from(place)] = Some(hop);
        }
    }
}
