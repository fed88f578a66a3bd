//! Deciding about a burst where there are many SAs or policies: each packet meets others than the one before, and few of
//! them are in a cache near the core. So what all packets name is found step by step, and then all are decided about.

use std::net::IpAddr;

use ironlane_fib::{AdjacencyKind, NexthopIndex, PortId};
use ironlane_ipsec::{Asked, Direction, Protocol, Sa, SaId};
use ironlane_packet::proto::ip;

use super::family::Guardable;
use super::{Fork, Guarded, L2, egress};
use crate::burst::{Given, NOTHING_ASKED, Origin, PlainList, Some64};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf};
use crate::stage::named::Named;
use crate::stage::policy::if_id_and_mark;

impl<'q> Guarded<'_, 'q> {
    /// As [`judge_all`](Self::judge_all), with the same outcome.
    #[inline(never)]
    pub(super) fn judge_many<F: Guardable>(
        &mut self,
        packets: &mut [Mbuf],
        list: &mut PlainList<F::Address>,
        count: usize,
        sas: &mut [SaId; BURST_MAX],
        done: &mut Given,
        ports: &mut [PortId; BURST_MAX],
    ) where
        F::Address: PartialEq,
    {
        let nexthops = self.view.tables.nexthops().of_burst(self.view.guard);
        let common = nexthops.words(&list.answers[..count], &mut list.slots[..count]);
        let common = common.map(|(egress, _)| egress.kind());
        let mut hops = [NexthopIndex::NONE; BURST_MAX];
        let Some(names) = self.names.take() else {
            return;
        };
        names.clear();
        for (at, hop) in hops.iter_mut().enumerate().take(count) {
            let len = list.lens[at];
            let Some(mbuf) = packets.get(usize::from(list.places[at])) else {
                break;
            };
            let kind = match common {
                Some(kind) => {
                    *hop = list.answers[at];
                    kind
                }
                None => {
                    let (single, _, egress) = self.hop::<F>(mbuf, len, list.answers[at], nexthops);
                    *hop = single;
                    egress.kind()
                }
            };
            let packet = mbuf.data().get(L2..L2 + usize::from(len)).unwrap_or(&[]);
            match kind {
                AdjacencyKind::Local if self.arrival.origin != Origin::Own => {
                    if let Some(spi) = named::<F>(packet) {
                        names.sas.push(at, (spi, F::address(list.addresses[at])));
                    }
                }
                AdjacencyKind::Forward if self.knows_policies => {
                    if let Some(flow) = F::flow(packet) {
                        names.flows.push(
                            at,
                            Asked {
                                flow,
                                ..NOTHING_ASKED
                            },
                        );
                    }
                }
                _ => {}
            }
        }
        let mut forks = [Fork::Leave; BURST_MAX];
        if names.sas.count != 0 {
            self.find_named(&names.sas, &mut forks);
        }
        if names.flows.count != 0 {
            let opened_by = |at: usize| sas[usize::from(list.places[at]) % BURST_MAX];
            self.find_rules(&mut names.flows, opened_by, &mut forks);
        }
        self.names = Some(names);
        let except = self.arrival.turning_port();
        for (at, (&hop, &fork)) in hops.iter().zip(&forks).enumerate().take(count) {
            let place = usize::from(list.places[at]) % BURST_MAX;
            let Some(mbuf) = packets.get_mut(place) else {
                break;
            };
            let packet = (place, list.lens[at], list.words[at]);
            let slot = nexthops.word(hop);
            let to = (hop, slot, egress(nexthops, slot));
            Self::carry_out::<F>(mbuf, packet, to, except, fork, nexthops, sas, done, ports);
        }
    }

    /// Packets for the router: to the SAs that they name.
    fn find_named(&self, names: &Some64<(u32, IpAddr)>, forks: &mut [Fork; BURST_MAX]) {
        let (view, vrf) = (self.view, self.arrival.vrf);
        let mut found: [Option<&Sa<Session>>; BURST_MAX] = [None; BURST_MAX];
        let found = &mut found[..names.count];
        view.ipsec
            .find_sas(view.guard, Protocol::Esp, names.whats(), vrf, found);
        for (at, sa) in names.numbers().zip(found) {
            if let Some(sa) = sa
                && sa.spec().direction == Direction::In
            {
                forks[at] = Fork::Open(sa.id());
            }
        }
    }

    /// Packets that would be forwarded: what the policies want of them. `opened_by` counts if SAs have opened them.
    fn find_rules(
        &mut self,
        through: &mut Some64<Asked>,
        opened_by: impl Fn(usize) -> SaId,
        forks: &mut [Fork; BURST_MAX],
    ) {
        let mut found = [None; BURST_MAX];
        let is_free = match self.arrival.origin {
            Origin::Own => true,
            Origin::Opened => false,
            // What came in clear and meets no policy is admitted.
            _ => self.fwd.is_empty(),
        };
        if !is_free {
            let mut bys: [Option<&'q Sa<Session>>; BURST_MAX] = [None; BURST_MAX];
            if self.arrival.origin == Origin::Opened {
                for (n, at) in through.numbers().enumerate() {
                    bys[n] = self.view.ipsec.sa(self.view.guard, opened_by(at));
                }
                for (asked, by) in through.what[..through.count].iter_mut().zip(bys) {
                    (asked.if_id, asked.mark) = if_id_and_mark(by);
                }
            }
            let count = through.count;
            self.fwd.find_all(through.whats(), &mut found[..count]);
            let mut kept = 0;
            for n in 0..count {
                // It may have been deleted a moment ago.
                let is_gone = self.arrival.origin == Origin::Opened && bys[n].is_none();
                if !is_gone && self.admits(found[n], bys[n]) {
                    if kept != n {
                        through.of[kept] = through.of[n];
                        through.what[kept].flow = through.what[n].flow;
                    }
                    let asked = &mut through.what[kept];
                    (asked.if_id, asked.mark) = (0, 0);
                    kept += 1;
                }
            }
            through.count = kept;
        }
        self.out
            .find_all(through.whats(), &mut found[..through.count]);
        for (n, at) in through.numbers().enumerate() {
            forks[at] = self.by_rule(found[n]);
        }
    }
}

/// The SPI that a packet for the router names, in UDP or not.
#[inline]
fn named<F: Guardable>(packet: &[u8]) -> Option<u32> {
    let protocol = F::protocol(packet).filter(|&protocol| protocol != ip::AH)?;
    match Named::by(protocol, packet.get(F::HEADER_LEN..).unwrap_or(&[])) {
        Named::Sa(sa) => sa.spi(),
        _ => None,
    }
}
