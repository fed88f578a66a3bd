//! Packets to be protected.

use std::array;

use ironlane_fib::{PortId, VrfId};
use ironlane_ipsec::{Layout, Mode, Reject, Room, Sa};
use ironlane_packet::checksum;
use ironlane_packet::eth::Mac;

use super::fit::Fitting;
use super::{L2, SaBatch, Step, Tag, write_ethernet};
use crate::burst::{BurstStore, Origin};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf, MbufBatch};
use crate::lcore::poll::Lcore;
use crate::reason::StageId;
use crate::stage::{Entrance, StageMeter, TablesView};

/// Source MAC of a protected packet while it passes the stages: one that no port has.
pub(super) const NOBODY: Mac = Mac([2, 0, 0, 0, 0, 0]);

/// What is to be remembered of a packet while the engine has it.
#[derive(Clone, Copy)]
struct Before {
    /// The Ethernet header that the kernel wrote.
    ethernet: [u8; L2],
    inner_len: usize,
}

/// A sealed packet that leaves, or its pieces.
#[derive(Clone, Copy)]
struct Leaving {
    /// What its mbuf says it is.
    word: u16,
    /// The IPsec interface of its SA.
    by: PortId,
    /// The MAC of the port that it came by.
    own: Mac,
    /// Where its outer header is routed.
    vrf: VrfId,
    /// It has its Ethernet header already: the kernel sent it in transport mode.
    ethernet: Option<[u8; L2]>,
    /// It gets a hop more. The rewrite takes one from every packet, and from these it should not: the
    /// router is where they begin. What was forwarded in transport mode has not had it taken yet.
    more_hops: bool,
}

impl Lcore {
    /// Seals a batch and runs it through the stages, in order. What the kernel sent in transport mode
    /// has its Ethernet header already and leaves at once.
    pub(super) fn seal(&mut self, batch: SaBatch, store: &mut BurstStore, view: &TablesView<'_>) {
        if batch.is_empty() {
            return;
        }
        let (mut batch, sas) = self.own(batch, Tag::SEAL, view);
        let (mut fitting, mut answers, mut known) = (Fitting::new(), MbufBatch::new(), None);
        // Each packet that was kept has its SA.
        for (mbuf, sa) in batch.packets.drain().zip(sas.into_iter().flatten()) {
            self.fit(
                mbuf,
                sa,
                &mut known,
                &mut fitting,
                &mut answers,
                store,
                view,
            );
        }
        self.seal_fitting(&mut fitting, store, view);
        // Errors to senders are packets of the router.
        self.run_by_port(&mut answers, Origin::Own, store, view);
    }

    /// Seals all packets of a list, which is empty then.
    pub(super) fn seal_fitting<'v>(
        &mut self,
        fitting: &mut Fitting<'v>,
        store: &mut BurstStore,
        view: &TablesView<'v>,
    ) {
        let Fitting {
            packets: batch,
            sas,
            split_at,
        } = fitting;
        let count = batch.len();
        let mut steps: [Step; BURST_MAX] = array::from_fn(|_| Step::Failed);
        let mut before = [Before {
            ethernet: [0; L2],
            inner_len: 0,
        }; BURST_MAX];
        let packets = batch.as_mut_slice();
        for (place, mbuf) in packets.iter_mut().enumerate() {
            if let Some(sa) = sas[place] {
                before[place].ethernet = *mbuf.data().first_chunk().unwrap_or(&[0; L2]);
                before[place].inner_len = mbuf.data_len().saturating_sub(L2);
                steps[place] = lay_out(sa, mbuf).into();
            }
        }
        self.crypto.process(packets, sas, &mut steps, 0);
        let mut port = None;
        for (place, mut mbuf) in batch.drain().enumerate() {
            let word = mbuf.port();
            let own = self
                .crypto
                .arrival(Tag::port(word))
                .map(|arrival| arrival.mac);
            let (Step::Ready(layout), Some(sa), Some(own)) = (steps[place], sas[place], own) else {
                self.outlet.lose_at(steps[place], mbuf);
                continue;
            };
            let Before {
                ethernet,
                inner_len,
            } = before[place];
            let events = view.ipsec.events();
            let wire = sa.sealed(&layout, mbuf.data_mut(), inner_len, view.now_s(), events);
            let by = match view.interfaces.of_sa(sa.spec()) {
                Entrance::Interface(by) => {
                    self.outlet.counters.sealed(by, inner_len as u64);
                    by
                }
                Entrance::Wire | Entrance::Nowhere => PortId::NONE,
            };
            mbuf.truncate(wire.end());
            mbuf.adj(wire.at as usize);
            let is_ours = word & Tag::INJECTED != 0;
            let is_transport = sa.spec().mode == Mode::Transport;
            let leaving = Leaving {
                word,
                by,
                own,
                vrf: sa.spec().vrf,
                ethernet: (is_ours && is_transport).then_some(ethernet),
                more_hops: is_ours || !is_transport,
            };
            if mbuf.pkt_len() <= split_at[place] {
                self.leave(mbuf, leaving, &mut port, store, view);
                continue;
            }
            let mut pieces = match self.split(&mbuf, 0, split_at[place]) {
                Ok(pieces) => pieces,
                Err(reason) => {
                    self.outlet.lose(Tag::port(word), reason, mbuf);
                    continue;
                }
            };
            mbuf.free();
            for piece in pieces.drain() {
                self.leave(piece, leaving, &mut port, store, view);
            }
        }
        self.outlet.counters.lap(StageId::Ipsec, count as u64);
        if let Some((port, vrf)) = port {
            self.run_again_in(store, port, Some(vrf), Origin::Sealed, view);
        }
    }

    /// Sends what has its Ethernet header, and gathers the rest for the stages; `from` is where the
    /// packets came from that are gathered, and where they are routed.
    fn leave(
        &mut self,
        mut mbuf: Mbuf,
        leaving: Leaving,
        from: &mut Option<(PortId, VrfId)>,
        store: &mut BurstStore,
        view: &TablesView<'_>,
    ) {
        let came_by = Tag::port(leaving.word);
        if let Some(ethernet) = leaving.ethernet {
            match mbuf.prepend(L2) {
                Some(room) => {
                    room.copy_from_slice(&ethernet);
                    self.outlet.send_by(came_by, mbuf);
                }
                None => self.outlet.lose_at(Step::Refused(Reject::NoRoom), mbuf),
            }
            return;
        }
        if leaving.more_hops {
            add_hop(mbuf.data_mut());
        }
        if mbuf.prepend(L2).is_none() || !write_ethernet(&mut mbuf, leaving.own, NOBODY) {
            return self.outlet.lose_at(Step::Refused(Reject::NoRoom), mbuf);
        }
        mbuf.set_ol_flags(0);
        // For `Packet::sealed_by`.
        mbuf.set_user(leaving.by.0.into());
        let is_full = store.packets_mut().is_full();
        if let Some((port, vrf)) = *from
            && (is_full || (port, vrf) != (came_by, leaving.vrf))
        {
            self.run_again_in(store, port, Some(vrf), Origin::Sealed, view);
        }
        *from = Some((came_by, leaving.vrf));
        if let Err(mbuf) = store.packets_mut().push(mbuf) {
            self.outlet.lose_at(Step::Failed, mbuf);
        }
    }
}

/// Takes the Ethernet header off, makes room, and lays the packet out for the engine.
fn lay_out(sa: &Sa<Session>, mbuf: &mut Mbuf) -> Result<Layout, Reject> {
    let room = make_room(sa, mbuf).inspect_err(|&reason| sa.reject(reason))?;
    sa.seal(&room, mbuf.data_mut())
}

fn make_room(sa: &Sa<Session>, mbuf: &mut Mbuf) -> Result<Room, Reject> {
    if mbuf.nb_segs() != 1 {
        return Err(Reject::NoRoom);
    }
    let room = sa.room(mbuf.data().get(L2..).unwrap_or(&[]))?;
    mbuf.adj(L2);
    if mbuf.headroom() < room.head + L2 || mbuf.tailroom() < room.tail {
        return Err(Reject::NoRoom);
    }
    let _ = mbuf.prepend(room.head);
    let _ = mbuf.append(room.tail);
    Ok(room)
}

/// Gives a packet a hop more than it has, if there is one more to give.
fn add_hop(packet: &mut [u8]) {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= 20 && packet[8] != u8::MAX => {
            let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
            let (old, sum) = (word(8), word(10));
            let sum = checksum::update(sum, old, old + 0x100);
            packet[8] += 1;
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some(6) if packet.len() >= 40 => packet[7] = packet[7].saturating_add(1),
        _ => {}
    }
}
