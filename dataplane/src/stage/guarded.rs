//! The straight path while there are SAs or policies: plain packets are sent, opened or sealed without
//! going from stage to stage.
//!
//! As in `straight`, which this is a sister of: whatever is judged here must be what the stages would do,
//! with the same bytes, the same marks and the same counts; a test holds that for any burst. What is dropped, punted, asked
//! of IKE, for a group without hops or in a fragment is left as it arrived, to the stage `policy`.

use ironlane_fib::{AdjacencyKind, BurstNexthops, NexthopIndex, PortId};
use ironlane_ipsec::{Action, Flow, Policy, PolicyDirection, Protocol, Sa, SaId, admits};
use ironlane_packet::proto::ip;

use super::TablesView;
use super::named::Named;
use super::policy::{find_rule, if_id_and_mark};
use super::simd::HeaderPath;
use super::straight::{Family, L2, V4, V6, all, member, rewrite, settle_plain, sort_plain};
use crate::burst::{Arrival, BurstStore, Fate, Given, Origin, PlainList};
use crate::eal::{BURST_MAX, Mbuf};

/// Sends, opens and seals what is plain, and says which packets it left.
pub(super) fn run(
    path: HeaderPath,
    store: &mut BurstStore,
    arrival: Arrival,
    view: &TablesView<'_>,
) -> u64 {
    let mut way = store.straightway();
    let sorted = sort_plain(path, &mut way, arrival.mac);
    let (ip4, ip6) = (
        sorted.ip4.count_ones() as usize,
        sorted.ip6.count_ones() as usize,
    );
    let guarded = Guarded { arrival, view };
    let mut done = Given::NOTHING;
    if ip4 != 0 {
        let list = &mut *way.ip4;
        let fib = view.tables.ip4(view.guard, arrival.vrf);
        fib.lookup_bulk(view.guard, &list.addresses[..ip4], &mut list.answers[..ip4]);
    }
    if ip6 != 0 {
        let list = &mut *way.ip6;
        let fib = view.tables.ip6(view.guard, arrival.vrf);
        fib.lookup_bulk(view.guard, &list.addresses[..ip6], &mut list.answers[..ip6]);
    }
    if ip4 != 0 {
        guarded.judge_all::<V4>(way.packets, way.ip4, ip4, way.sas, &mut done, way.ports);
    }
    if ip6 != 0 {
        guarded.judge_all::<V6>(way.packets, way.ip6, ip6, way.sas, &mut done, way.ports);
    }
    let gone = done.opened | done.sealed;
    settle_plain(&mut way, sorted, (ip4, ip6), done.sent, gone);
    let mut left = gone;
    while left != 0 {
        let place = left.trailing_zeros() as usize % BURST_MAX;
        left &= left - 1;
        way.fates[place] = match done.opened >> place & 1 {
            0 => Fate::Seal,
            _ => Fate::Open,
        };
    }
    *way.given = done;
    all(way.packets.len()) & !(done.sent | gone)
}

/// What becomes of one packet.
enum Fork {
    /// It leaves as it would without IPsec.
    Send,
    Open(SaId),
    Seal(SaId),
    /// The stages know.
    Leave,
}

/// A burst whose packets meet SAs and policies.
struct Guarded<'a, 'q> {
    arrival: Arrival,
    view: &'a TablesView<'q>,
}

impl<'q> Guarded<'_, 'q> {
    /// Decides about each packet of a list, and rewrites those that are sent or sealed.
    #[inline(never)]
    fn judge_all<F: Family>(
        &self,
        packets: &mut [Mbuf],
        list: &mut PlainList<F::Address>,
        count: usize,
        sas: &mut [SaId; BURST_MAX],
        done: &mut Given,
        ports: &mut [PortId; BURST_MAX],
    ) {
        if self.view.ipsec.has_many() {
            self.warm(packets, &list.places[..count]);
        }
        let nexthops = self.view.tables.nexthops().of_burst(self.view.guard);
        let except = self.arrival.turning_port();
        for at in 0..count {
            let (place, len, word) = (list.places[at], list.lens[at], list.words[at]);
            let place = usize::from(place) % BURST_MAX;
            let Some(mbuf) = packets.get_mut(place) else {
                break;
            };
            let (hop, kind) = self.hop::<F>(mbuf, len, list.answers[at], nexthops);
            let bit = 1 << place;
            match self.fork(mbuf, len, kind, sas[place]) {
                Fork::Leave => {}
                Fork::Open(sa) => {
                    sas[place] = sa;
                    done.opened |= bit;
                }
                // RFC 4301 5.1.2: a packet that is forwarded has a hop less inside.
                Fork::Seal(sa) => {
                    if let Some(at) = mbuf.data_mut().get_mut(F::WORD_AT..) {
                        at[..4].copy_from_slice(&word.to_le_bytes());
                    }
                    sas[place] = sa;
                    done.sealed |= bit;
                }
                Fork::Send => {
                    let slot = nexthops.word(hop);
                    if !slot.is_adjacency() {
                        // Changed a moment ago.
                        continue;
                    }
                    let egress = nexthops.egress(slot);
                    if len > egress.forwards_up_to() || egress.port() == except {
                        continue;
                    }
                    rewrite::<F>(mbuf, word, slot, egress);
                    if !slot.is_used() {
                        nexthops.mark_used(hop);
                    }
                    ports[place] = egress.port();
                    done.sent |= bit;
                }
            }
        }
    }

    /// Fetches what the packets at these places are going to meet, as it seems.
    #[inline(never)]
    fn warm(&self, packets: &[Mbuf], places: &[u8]) {
        let (view, vrf) = (self.view, self.arrival.vrf);
        let mut flows = [None; BURST_MAX];
        let mut names = [None; BURST_MAX];
        let (mut through, mut named) = (0, 0);
        for &place in places {
            let mbuf = packets.get(usize::from(place));
            let packet = mbuf.and_then(|mbuf| mbuf.data().get(L2..)).unwrap_or(&[]);
            match Flow::of(packet) {
                Some(flow) if flow.proto == ip::ESP => {
                    let at = if flow.dst.is_ipv4() { 20 } else { 40 };
                    let spi = packet.get(at..).and_then(<[u8]>::first_chunk);
                    names[named] = spi.map(|spi| (u32::from_be_bytes(*spi), flow.dst));
                    named += 1;
                }
                flow => {
                    flows[through] = flow;
                    through += 1;
                }
            }
        }
        view.ipsec
            .warm_named(view.guard, Protocol::Esp, &names[..named], vrf);
        let flows = &flows[..through];
        if self.arrival.origin != Origin::Own {
            view.ipsec
                .warm_policies(view.guard, vrf, PolicyDirection::Fwd, flows);
        }
        view.ipsec
            .warm_policies(view.guard, vrf, PolicyDirection::Out, flows);
    }

    /// The single hop of a packet, and its kind.
    #[inline]
    fn hop<F: Family>(
        &self,
        mbuf: &Mbuf,
        len: u16,
        answer: NexthopIndex,
        nexthops: BurstNexthops<'_>,
    ) -> (NexthopIndex, AdjacencyKind) {
        let mut hop = answer;
        let mut slot = nexthops.word(hop);
        if !slot.is_adjacency() {
            hop = member::<F>(mbuf, len, answer, self.view);
            slot = nexthops.word(hop);
        }
        match slot.is_adjacency() {
            true => (hop, nexthops.egress(slot).kind()),
            false => (hop, AdjacencyKind::NoRoute),
        }
    }

    #[inline]
    fn fork(&self, mbuf: &Mbuf, len: u16, kind: AdjacencyKind, sa: SaId) -> Fork {
        let packet = mbuf.data().get(L2..L2 + usize::from(len));
        let Some(flow) = packet.and_then(Flow::of) else {
            return Fork::Leave;
        };
        match kind {
            AdjacencyKind::Local if self.arrival.origin != Origin::Own => {
                self.to_router(packet.unwrap_or(&[]), &flow)
            }
            AdjacencyKind::Forward => self.through(&flow, sa),
            _ => Fork::Leave,
        }
    }

    /// ESP for the router, in UDP or not: to its SA. All else is for the stages.
    #[inline]
    fn to_router(&self, packet: &[u8], flow: &Flow) -> Fork {
        const MF_AND_OFFSET: u8 = 0x3f;
        let header_len = match packet.first().map(|byte| byte >> 4) {
            Some(4) if packet[6] & MF_AND_OFFSET == 0 && packet[7] == 0 => 20,
            // Right behind the header, so there is no fragment header.
            Some(6) if packet[6] == flow.proto => 40,
            _ => return Fork::Leave,
        };
        if flow.proto == ip::AH {
            return Fork::Leave;
        }
        match Named::by(flow.proto, packet.get(header_len..).unwrap_or(&[])) {
            Named::Sa(sa) => sa
                .find(flow.dst, self.arrival.vrf, self.view)
                .map_or(Fork::Leave, |sa| Fork::Open(sa.id())),
            Named::Ike | Named::Keepalive | Named::Other => Fork::Leave,
        }
    }

    /// What would be forwarded: in clear, or protected.
    #[inline]
    fn through(&self, flow: &Flow, opened_by: SaId) -> Fork {
        let (view, vrf) = (self.view, self.arrival.vrf);
        if !view.ipsec.knows_policies() {
            return Fork::Leave;
        }
        if self.arrival.origin != Origin::Own {
            let by = match self.arrival.origin {
                Origin::Opened => match view.ipsec.sa(view.guard, opened_by) {
                    Some(sa) => Some(sa),
                    None => return Fork::Leave,
                },
                _ => None,
            };
            let rule = find_rule(vrf, flow, PolicyDirection::Fwd, if_id_and_mark(by), view);
            if admits(rule.map(Policy::spec), by.map(Sa::spec)).is_err() {
                return Fork::Leave;
            }
        }
        let Some(rule) = find_rule(vrf, flow, PolicyDirection::Out, (0, 0), view) else {
            return Fork::Send;
        };
        match (rule.spec().action, rule.sa()) {
            (Action::Bypass, _) => Fork::Send,
            (Action::Protect { .. }, Some(sa)) => Fork::Seal(sa),
            _ => Fork::Leave,
        }
    }
}
