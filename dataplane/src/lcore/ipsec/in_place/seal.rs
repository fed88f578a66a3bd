//! Packets to be protected, where they lie.

use std::net::IpAddr;

use ironlane_fib::{NexthopIndex, PortId};
use ironlane_ipsec::{Sa, SaId, SaSpec, SealRun};
use ironlane_packet::eth::EtherType;

use super::super::L2;
use super::ahead::Ahead;
use super::job;
use super::runs::Runs;
use crate::burst::{BurstStore, Fate, Placed};
use crate::eal::BURST_MAX;
use crate::eal::crypto::{Jobs, Outcome, Session};
use crate::lcore::poll::Lcore;
use crate::reason::{DropReason, StageId};
use crate::stage::{Entrance, StageMeter, TablesView, is_ordinary};

/// What packets of an SA in a row have in common.
struct Run<'v> {
    seal: SealRun<'v, Session>,
    /// The Ethernet header of what leaves.
    ethernet: [u8; L2],
    port: PortId,
    /// The longest packet that leaves whole.
    longest: usize,
}

/// Where packets for a next hop go.
#[derive(Clone, Copy)]
struct Way {
    hop: NexthopIndex,
    /// The Ethernet header of what leaves, in which `hop` and this are of one address family.
    ethernet: [u8; L2],
    port: PortId,
    /// The longest packet that is forwarded.
    longest: u16,
}

/// What is to be remembered of a packet while the engine has it.
#[derive(Clone, Copy, Default)]
struct Before {
    place: u8,
    /// Its length before.
    len: u16,
}

impl Lcore {
    /// Seals packets of the straight path that nothing stands in the way of; they then leave.
    pub(in super::super) fn seal_in_place(
        &mut self,
        store: &mut BurstStore,
        view: &TablesView<'_>,
    ) {
        let wanted = store.to_seal();
        let Some(engine) = self.crypto.engine.as_ref().filter(|_| wanted != 0) else {
            return;
        };
        let mut jobs = Jobs::new(engine);
        let Placed {
            packets,
            sas,
            fates,
            ports,
        } = store.placed();
        let mut ahead = Ahead::nothing();
        if view.ipsec.has_many() {
            ahead.find(wanted, &sas[..packets.len()], view);
        }
        let mut way = None;
        let mut befores = [Before::default(); BURST_MAX];
        let mut room = [const { None }; BURST_MAX];
        let mut runs = Runs::new(&mut room);
        for (place, mbuf) in packets.iter_mut().enumerate() {
            if wanted >> place & 1 == 0 {
                continue;
            }
            let sa = sas[place];
            let known = (ahead.sas[place], ahead.hops[place]);
            let begin = |run: &mut _| self.begin_seal(sa, known, &mut way, view, run);
            let Some(run) = runs.of(sa, jobs.len(), begin) else {
                break;
            };
            let len = mbuf.data_len() - L2;
            let (head, tail) = (run.seal.head_len(), run.seal.tail_len(len));
            if head + len + tail > run.longest {
                break;
            }
            let Some(frame) = mbuf.grow_single(head, tail) else {
                break;
            };
            let (ethernet, wire) = frame.split_at_mut(L2);
            let Some(text) = run.seal.seal(wire, len) else {
                mbuf.narrow_single(head, L2 + len);
                break;
            };
            ethernet.copy_from_slice(&run.ethernet);
            // What the device found out was about the headers inside.
            mbuf.set_ol_flags(0);
            let before = &mut befores[jobs.len()];
            *before = Before {
                place: place as u8,
                len: len as u16,
            };
            ports[place] = run.port;
            if jobs
                .push(run.seal.sa().session(), mbuf, &job(text))
                .is_err()
            {
                // It has its number, so it cannot be sealed once more.
                fates[place] = Fate::Drop(DropReason::IpsecDevice);
            }
        }
        if jobs.is_empty() {
            return;
        }
        if let Some(engine) = &mut self.crypto.engine {
            engine.process(&mut jobs);
        }
        let count = jobs.len();
        let mut outcomes = [Outcome::Failed; BURST_MAX];
        for (to, outcome) in outcomes.iter_mut().zip(jobs.outcomes()) {
            *to = outcome;
        }
        let (mut done, events) = (0, view.ipsec.events());
        runs.look_at(
            &outcomes[..count],
            &befores,
            |_, outcome, before, sum| {
                let place = usize::from(before.place) % BURST_MAX;
                match outcome {
                    Outcome::Done => {
                        done |= 1 << place;
                        sum.add(before.len.into());
                    }
                    Outcome::BadIcv | Outcome::Failed => {
                        fates[place] = Fate::Drop(DropReason::IpsecDevice);
                    }
                    Outcome::Lost => fates[place] = Fate::Lost,
                }
            },
            |run, sum| {
                let now_s = view.now_s();
                run.seal.count(sum.packets, sum.bytes, now_s, events);
            },
        );
        store.note_sealed(done);
        self.outlet.counters.lap(StageId::Ipsec, count as u64);
    }

    /// Finds out what packets of this SA in a row have in common; `None` where one by one is to be looked at them. What is
    /// `known` already need not be found, nor the way that the SA before took. In its place: what has just been written in
    /// pieces is slow to copy.
    #[inline(never)]
    fn begin_seal<'v>(
        &self,
        id: SaId,
        known: (Option<&'v Sa<Session>>, Option<NexthopIndex>),
        way: &mut Option<Way>,
        view: &TablesView<'v>,
        run: &mut Option<Run<'v>>,
    ) -> Option<()> {
        let sa = match known.0 {
            Some(sa) => sa,
            None => view.ipsec.sa(view.guard, id)?,
        };
        let owner = sa.state().owner_or(self.index as u32); // at most 128
        let (seal, spec) = (sa.seal_run()?, sa.spec());
        let is_plain = owner as usize == self.index
            && view.interfaces.of_sa(spec) == Entrance::Wire
            && is_ordinary(seal.src())
            && is_ordinary(spec.dst);
        if !is_plain {
            return None;
        }
        let ethertype = match spec.dst {
            IpAddr::V4(_) => EtherType::IP4,
            IpAddr::V6(_) => EtherType::IP6,
        };
        let hop = known.1.unwrap_or_else(|| look_up(spec, view));
        let way = match way {
            Some(way) if way.hop == hop && way.ethernet[12..] == ethertype.0.to_be_bytes() => way,
            _ => way.insert(Way::by(hop, ethertype, view)?),
        };
        // What is not forwarded to takes no packet, however short.
        let longest = self.mtu_behind(way.longest, spec.dst, view);
        if longest == 0 {
            return None;
        }
        *run = Some(Run {
            seal,
            ethernet: way.ethernet,
            port: way.port,
            longest,
        });
        Some(())
    }
}

/// The next hop to the peer of an SA.
#[inline]
fn look_up(spec: &SaSpec, view: &TablesView<'_>) -> NexthopIndex {
    let (tables, guard) = (view.tables, view.guard);
    match spec.dst {
        IpAddr::V4(dst) => tables.ip4(guard, spec.vrf).lookup(guard, dst.to_bits()),
        IpAddr::V6(dst) => tables.ip6(guard, spec.vrf).lookup(guard, dst.to_bits()),
    }
}

impl Way {
    /// By a next hop, which is so marked as used; `None` if it is no single one.
    #[inline]
    fn by(hop: NexthopIndex, ethertype: EtherType, view: &TablesView<'_>) -> Option<Self> {
        let nexthops = view.tables.nexthops().of_burst(view.guard);
        let slot = nexthops.word(hop);
        if !slot.is_adjacency() {
            return None;
        }
        let egress = nexthops.egress(slot);
        let longest = egress.forwards_up_to();
        if longest != 0 && !slot.is_used() {
            nexthops.mark_used(hop);
        }
        let (first, last) = slot.addresses(egress);
        let mut ethernet = [0; L2];
        ethernet[..8].copy_from_slice(&first);
        ethernet[8..12].copy_from_slice(&last);
        ethernet[12..].copy_from_slice(&ethertype.0.to_be_bytes());
        Some(Self {
            hop,
            ethernet,
            port: egress.port(),
            longest,
        })
    }
}
