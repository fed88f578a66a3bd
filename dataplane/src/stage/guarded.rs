//! The straight path while there are SAs or policies: plain packets are sent, opened or sealed without
//! going from stage to stage.
//!
//! As in `straight`, which this is a sister of: whatever is judged here must be what the stages would do,
//! with the same bytes, the same marks and the same counts; a test holds that for any burst. What is dropped, punted, asked
//! of IKE, for a group without hops or in a fragment is left as it arrived, to the stage `policy`.

mod alike;
mod family;
mod many;

use ironlane_fib::{AdjacencyKind, BurstNexthops, Egress, Ip6Fib, NexthopIndex, PortId, SlotWord};
use ironlane_ipsec::{
    Action, BurstPolicies, Deciding, Flow, Policy, PolicyDirection, PolicyId, Sa, SaId, admits,
};
use ironlane_packet::proto::ip;
use ironlane_rcu::Guard;

use super::TablesView;
use super::named::{Named, NamedSa};
use super::policy::if_id_and_mark;
use super::simd::HeaderPath;
use super::straight::{Family, L2, V4, V6, member, rewrite, settle_plain, sort_plain};
use crate::burst::{Arrival, BurstStore, Fate, Given, Names, Origin, PlainList, places};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf};
use alike::{Alike, Mask};
use family::Guardable;

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
    let mut guarded = Guarded::new(arrival, view, way.names);
    let mut done = Given::NOTHING;
    if ip4 != 0 {
        let list = &mut *way.ip4;
        let fib = view.tables.ip4(view.guard, arrival.vrf);
        fib.lookup_bulk(view.guard, &list.addresses[..ip4], &mut list.answers[..ip4]);
    }
    if ip6 != 0 {
        let list = &mut *way.ip6;
        let fib = view.tables.ip6(view.guard, arrival.vrf);
        look_up(
            fib,
            view.guard,
            &list.addresses[..ip6],
            &mut list.answers[..ip6],
        );
    }
    if ip4 != 0 {
        guarded.judge_all::<V4, 3>(way.packets, way.ip4, ip4, way.sas, &mut done, way.ports);
    }
    if ip6 != 0 {
        guarded.judge_all::<V6, 6>(way.packets, way.ip6, ip6, way.sas, &mut done, way.ports);
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
    places(way.packets.len()) & !(done.sent | gone)
}

/// Looks destinations up, and only once if all are the same: so are those of packets that come by tunnels, and a lookup of
/// IPv6 takes longer than to see that.
#[inline]
fn look_up(fib: &Ip6Fib, guard: &Guard<'_>, addresses: &[u128], answers: &mut [NexthopIndex]) {
    let Some(&first) = addresses.first() else {
        return;
    };
    // Without an exit on the way it is done in vectors.
    let differing = addresses
        .iter()
        .fold(0, |bits, address| bits | address ^ first);
    match differing {
        0 => answers.fill(fib.lookup(guard, first)),
        _ => fib.lookup_bulk(guard, addresses, answers),
    }
}

/// Where a single hop's word leads.
#[inline]
fn egress(nexthops: BurstNexthops<'_>, slot: SlotWord) -> Egress {
    match slot.is_adjacency() {
        true => nexthops.egress(slot),
        // Changed a moment ago.
        false => Egress::NOWHERE,
    }
}

/// What becomes of one packet.
#[derive(Clone, Copy)]
enum Fork {
    /// It leaves as it would without IPsec.
    Send,
    Open(SaId),
    Seal(SaId),
    /// The stages know.
    Leave,
}

/// A burst whose packets meet SAs and policies, and what the last of them met.
struct Guarded<'a, 'q> {
    arrival: Arrival,
    view: &'a TablesView<'q>,
    fwd: BurstPolicies<'q, Session>,
    out: BurstPolicies<'q, Session>,
    knows_policies: bool,
    now_s: u64,
    /// The SA that has opened the last packet, and the policy that then admitted it.
    by: Option<&'q Sa<Session>>,
    admitted: Option<(PolicyId, SaId)>,
    /// What the last packet met on its way in and out, if its policies were asked.
    met: Option<Met>,
    /// Room, while nobody works in it.
    names: Option<&'a mut Names>,
}

/// Policies that a packet met.
type Met = [Option<PolicyId>; 2];

/// What becomes of packets that are like one, and of the same kind.
struct Known<const N: usize> {
    alike: Alike<N>,
    kind: AdjacencyKind,
    /// The SA that opened it, if one did.
    opened_by: SaId,
    fork: Fork,
}

impl<'a, 'q> Guarded<'a, 'q> {
    #[inline]
    fn new(arrival: Arrival, view: &'a TablesView<'q>, names: &'a mut Names) -> Self {
        let policies = |direction| {
            let ipsec = view.ipsec;
            ipsec.policies_of(view.guard, arrival.vrf, direction)
        };
        Self {
            arrival,
            view,
            // Before the policies are looked at, as `policies_are_known` wants it.
            knows_policies: view.ipsec.knows_policies(),
            fwd: policies(PolicyDirection::Fwd),
            out: policies(PolicyDirection::Out),
            now_s: view.now_s(),
            by: None,
            admitted: None,
            met: None,
            names: Some(names),
        }
    }

    /// Decides about each packet of a list, and rewrites those that are sent or sealed.
    #[inline(never)]
    fn judge_all<F: Guardable, const N: usize>(
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
        if self.view.ipsec.has_many() {
            return self.judge_many::<F>(packets, list, count, sas, done, ports);
        }
        let nexthops = self.view.tables.nexthops().of_burst(self.view.guard);
        let common = nexthops.words(&list.answers[..count], &mut list.slots[..count]);
        // Neighbours behind one port, or all for the router, as nearly always.
        let common_kind = common.map(|(egress, _)| egress.kind());
        let except = self.arrival.turning_port();
        let is_opened = self.arrival.origin == Origin::Opened;
        let mut last = None;
        let mut known: Option<Known<N>> = None;
        for at in 0..count {
            let (place, len, word) = (list.places[at], list.lens[at], list.words[at]);
            let place = usize::from(place) % BURST_MAX;
            let Some(mbuf) = packets.get_mut(place) else {
                break;
            };
            let (hop, slot, egress) = match common {
                Some((egress, _)) => (list.answers[at], list.slots[at], egress),
                None => self.hop::<F>(mbuf, len, list.answers[at], nexthops),
            };
            let kind = common_kind.unwrap_or_else(|| egress.kind());
            let packet = mbuf.data().get(L2..L2 + usize::from(len)).unwrap_or(&[]);
            let opened_by = sas[place];
            let fork = match &known {
                Some(known)
                    if known.alike.takes(packet)
                        && known.kind == kind
                        && (known.opened_by == opened_by || !is_opened) =>
                {
                    known.fork
                }
                _ => {
                    let (fork, mask) = match kind {
                        AdjacencyKind::Local if self.arrival.origin != Origin::Own => {
                            self.to_router::<F>(packet, list.addresses[at], &mut last)
                        }
                        AdjacencyKind::Forward => self.through::<F>(packet, opened_by),
                        _ => (Fork::Leave, None),
                    };
                    let alike = mask.and_then(|mask| Alike::of(packet, &mask));
                    if let Some(alike) = alike {
                        known = Some(Known {
                            alike,
                            kind,
                            opened_by,
                            fork,
                        });
                    }
                    fork
                }
            };
            let (packet, to) = ((place, len, word), (hop, slot, egress));
            Self::carry_out::<F>(mbuf, packet, to, except, fork, nexthops, sas, done, ports);
        }
    }

    /// Does to a packet what was decided about it: at its place of the burst, so long, with its word of TTL or hop limit.
    ///
    /// In line: with many registers spared it costs as much as all else here.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // what a packet may meet
    fn carry_out<F: Family>(
        mbuf: &mut Mbuf,
        (place, len, word): (usize, u16, u32),
        (hop, slot, egress): (NexthopIndex, SlotWord, Egress),
        except: PortId,
        fork: Fork,
        nexthops: BurstNexthops<'_>,
        sas: &mut [SaId; BURST_MAX],
        done: &mut Given,
        ports: &mut [PortId; BURST_MAX],
    ) {
        let bit = 1 << place;
        match fork {
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
                if len > egress.forwards_up_to() || egress.port() == except {
                    return;
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

    /// The single hop of a packet, its word, and where that leads.
    #[inline]
    fn hop<F: Family>(
        &self,
        mbuf: &Mbuf,
        len: u16,
        answer: NexthopIndex,
        nexthops: BurstNexthops<'_>,
    ) -> (NexthopIndex, SlotWord, Egress) {
        let mut hop = answer;
        let mut slot = nexthops.word(hop);
        if !slot.is_adjacency() {
            hop = member::<F>(mbuf, len, answer, self.view);
            slot = nexthops.word(hop);
        }
        (hop, slot, egress(nexthops, slot))
    }

    /// ESP for the router, in UDP or not: to its SA. All else is for the stages. `last` is what the packet before
    /// named. With it the bits by which others are for the same SA, once two were.
    #[inline]
    fn to_router<F: Guardable>(
        &self,
        packet: &[u8],
        dst: F::Address,
        last: &mut Option<(NamedSa, F::Address, SaId)>,
    ) -> (Fork, Option<Mask>)
    where
        F::Address: PartialEq,
    {
        let Some(protocol) = F::protocol(packet).filter(|&protocol| protocol != ip::AH) else {
            return (Fork::Leave, None);
        };
        let upper = packet.get(F::HEADER_LEN..).unwrap_or(&[]);
        let Named::Sa(named) = Named::by(protocol, upper) else {
            return (Fork::Leave, None);
        };
        if let Some((last_named, last_dst, sa)) = last
            && (*last_named, *last_dst) == (named, dst)
        {
            let mask = (protocol == ip::ESP).then(F::esp_mask);
            return (Fork::Open(*sa), mask);
        }
        let found = named.find(F::address(dst), self.arrival.vrf, self.view);
        let fork = found.map_or(Fork::Leave, |sa| {
            *last = Some((named, dst, sa.id()));
            Fork::Open(sa.id())
        });
        (fork, None)
    }

    /// What would be forwarded: in clear, or protected. With it the bits by which others are, too, once two have met
    /// the same policies.
    #[inline(never)]
    fn through<F: Guardable>(&mut self, packet: &[u8], opened_by: SaId) -> (Fork, Option<Mask>) {
        const LEAVE: (Fork, Option<Mask>) = (Fork::Leave, None);
        if !self.knows_policies {
            return LEAVE;
        }
        let Some(flow) = F::flow(packet) else {
            return LEAVE;
        };
        let (came, at_fwd) = match self.arrival.origin {
            Origin::Own => (None, Some(Deciding::NOTHING)),
            _ => match self.came_by(&flow, opened_by) {
                Some(came) => (came, self.fwd.deciding(came)),
                None => return LEAVE,
            },
        };
        let rule = self.out.find(&flow, 0, 0);
        let met = [came.map(Policy::id), rule.map(Policy::id)];
        let mask = match self.met.replace(met) == Some(met) {
            true => at_fwd
                .zip(self.out.deciding(rule))
                .and_then(|(fwd, out)| F::policy_mask(fwd.with(out))),
            false => None,
        };
        match self.by_rule(rule) {
            Fork::Leave => LEAVE,
            fork => (fork, mask),
        }
    }

    /// What becomes of a packet that would leave and meets this policy.
    #[inline]
    fn by_rule(&self, rule: Option<&Policy>) -> Fork {
        let Some(rule) = rule else {
            return Fork::Send;
        };
        rule.touch(self.now_s);
        match (rule.spec().action, rule.sa()) {
            (Action::Bypass, _) => Fork::Send,
            (Action::Protect { .. }, Some(sa)) => Fork::Seal(sa),
            _ => Fork::Leave,
        }
    }

    /// The policy that it came by, or that there is none, if it came as the policies want what is forwarded; `opened_by`
    /// counts if an SA has opened it.
    #[inline]
    fn came_by(&mut self, flow: &Flow, opened_by: SaId) -> Option<Option<&'q Policy>> {
        let by = match self.arrival.origin {
            Origin::Opened => {
                if self.by.is_none_or(|by| by.id() != opened_by) {
                    self.by = self.view.ipsec.sa(self.view.guard, opened_by);
                }
                // It may have been deleted a moment ago.
                Some(self.by?)
            }
            _ => None,
        };
        let (if_id, mark) = if_id_and_mark(by);
        let rule = self.fwd.find(flow, if_id, mark);
        self.admits(rule, by).then_some(rule)
    }

    /// Whether what was opened by this SA, or by none, may have come as this policy wants it.
    #[inline]
    fn admits(&mut self, rule: Option<&Policy>, by: Option<&Sa<Session>>) -> bool {
        let Some(rule) = rule else {
            return admits(None, by.map(Sa::spec)).is_ok();
        };
        rule.touch(self.now_s);
        let both = by.map(|by| (rule.id(), by.id()));
        if both.is_some() && both == self.admitted {
            return true;
        }
        let admitted = admits(Some(rule.spec()), by.map(Sa::spec)).is_ok();
        if admitted {
            self.admitted = both;
        }
        admitted
    }
}
