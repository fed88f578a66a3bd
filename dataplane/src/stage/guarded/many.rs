//! Deciding about a burst where there are many SAs or policies: each packet meets others than the one before, and few of
//! them are in a cache near the core. So what all packets name is found step by step, and then all are decided about.

use std::array;
use std::net::{IpAddr, Ipv4Addr};

use ironlane_fib::{AdjacencyKind, NexthopIndex, PortId};
use ironlane_ipsec::{Asked, Direction, Flow, Protocol, Sa, SaId};
use ironlane_packet::proto::ip;

use super::family::Guardable;
use super::{Fork, Guarded, L2, egress};
use crate::burst::{Given, Origin, PlainList};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf};
use crate::stage::named::Named;
use crate::stage::policy::if_id_and_mark;

/// Numbers of packets of a list, with what was taken of each.
struct Some64<T> {
    count: usize,
    of: [u8; BURST_MAX],
    what: [T; BURST_MAX],
}

impl<T: Copy> Some64<T> {
    #[inline]
    fn new(nothing: T) -> Self {
        Self {
            count: 0,
            of: [0; BURST_MAX],
            what: [nothing; BURST_MAX],
        }
    }

    #[inline]
    fn push(&mut self, of: usize, what: T) {
        let at = self.count % BURST_MAX;
        (self.of[at], self.what[at]) = (of as u8, what);
        self.count = at + 1;
    }

    #[inline]
    fn whats(&self) -> &[T] {
        &self.what[..self.count]
    }

    #[inline]
    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.of[..self.count]
            .iter()
            .map(|&of| usize::from(of) % BURST_MAX)
    }
}

const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A packet of which nothing is asked.
const NOTHING: Asked = Asked {
    flow: Flow {
        src: NOWHERE,
        dst: NOWHERE,
        proto: 0,
        ports: None,
    },
    if_id: 0,
    mark: 0,
};

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
        let mut names = Some64::new((0, NOWHERE));
        let mut through = Some64::new(NOTHING);
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
                        names.push(at, (spi, F::address(list.addresses[at])));
                    }
                }
                AdjacencyKind::Forward if self.knows_policies => {
                    if let Some(flow) = F::flow(packet) {
                        through.push(at, Asked { flow, ..NOTHING });
                    }
                }
                _ => {}
            }
        }
        let mut forks = [Fork::Leave; BURST_MAX];
        if names.count != 0 {
            self.find_named(&names, &mut forks);
        }
        if through.count != 0 {
            let places = &list.places;
            let opened_by = array::from_fn(|at| sas[usize::from(places[at]) % BURST_MAX]);
            self.find_rules(&mut through, &opened_by, &mut forks);
        }
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
        opened_by: &[SaId; BURST_MAX],
        forks: &mut [Fork; BURST_MAX],
    ) {
        let mut found = [None; BURST_MAX];
        if self.arrival.origin != Origin::Own {
            let mut bys: [Option<&'q Sa<Session>>; BURST_MAX] = [None; BURST_MAX];
            if self.arrival.origin == Origin::Opened {
                for (n, at) in through.numbers().enumerate() {
                    bys[n] = self.view.ipsec.sa(self.view.guard, opened_by[at]);
                }
                for (asked, by) in through.what.iter_mut().zip(bys) {
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
                    through.of[kept] = through.of[n];
                    through.what[kept] = Asked {
                        flow: through.what[n].flow,
                        ..NOTHING
                    };
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
