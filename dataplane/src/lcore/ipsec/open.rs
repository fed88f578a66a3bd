//! Packets that arrived protected.

use std::array;

use ironlane_fib::PortId;
use ironlane_ipsec::{Layout, OPEN_ROOM_BYTES, Reject, Sa};
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6};
use ironlane_packet::ip6_ext::{Walk, walk_for_ipsec};
use ironlane_packet::proto::ip;
use ironlane_packet::udp;

use super::{L2, SaBatch, Step, Tag, write_ethernet};
use crate::burst::{BurstStore, Origin};
use crate::eal::crypto::Session;
use crate::eal::{BURST_MAX, Mbuf};
use crate::lcore::poll::Lcore;
use crate::reason::{DropReason, StageId};
use crate::stage::{Entrance, StageMeter, TablesView};

impl Lcore {
    /// Opens a batch and runs what was inside through the stages, in order.
    pub(super) fn open(&mut self, batch: SaBatch, store: &mut BurstStore, view: &TablesView<'_>) {
        if batch.is_empty() {
            return;
        }
        let (mut batch, sas) = self.own(batch, Tag::OPEN, view);
        let count = batch.packets.len();
        let mut steps: [Step; BURST_MAX] = array::from_fn(|_| Step::Failed);
        for ((mbuf, sa), step) in batch
            .packets
            .as_mut_slice()
            .iter_mut()
            .zip(sas)
            .zip(&mut steps)
        {
            if let Some(sa) = sa {
                *step = lay_out(sa, mbuf).into();
            }
        }
        self.crypto
            .process(batch.packets.as_mut_slice(), &sas, &mut steps, L2 as u16);
        let events = view.ipsec.events();
        let mut port = None;
        for (place, mut mbuf) in batch.packets.drain().enumerate() {
            let on_wire = Tag::port(mbuf.port());
            let (came_by, is_open) = self.entrance(sas[place], on_wire, view);
            let own = self.crypto.arrival(came_by).map(|arrival| arrival.mac);
            let mut step = steps[place];
            if let (Step::Ready(layout), Some(sa), Some(own)) = (step, sas[place], own) {
                match take_out(sa, &layout, &mut mbuf, own, view.now_s(), events) {
                    Ok(()) if !is_open => {
                        let reason = DropReason::IpsecInterfaceDown;
                        self.outlet.lose(came_by, reason, mbuf);
                        continue;
                    }
                    Ok(()) => {
                        if came_by != on_wire {
                            let len = mbuf.pkt_len() - L2;
                            self.outlet.counters.opened(came_by, len as u64);
                        }
                        if port.is_some_and(|port| port != came_by) {
                            self.run_again(store, port.unwrap_or(came_by), Origin::Opened, view);
                        }
                        port = Some(came_by);
                        if let Err(mbuf) = store.push_opened(sa.id(), mbuf) {
                            self.outlet.lose_at(Step::Failed, mbuf);
                        }
                        continue;
                    }
                    Err(reject) => step = Step::Refused(reject),
                }
            }
            self.outlet.lose_at(step, mbuf);
        }
        self.outlet.counters.lap(StageId::Ipsec, count as u64);
        // Inner packets are looked up where the outer ones arrived: an SA says where those are routed, and
        // nothing says where these are. An XFRM interface in a VRF would, by the SA's `if_id`.
        if let Some(port) = port {
            self.run_again(store, port, Origin::Opened, view);
        }
    }

    /// The port by which a packet of an SA arrives that came to `on_wire`, and whether it may.
    fn entrance(
        &self,
        sa: Option<&Sa<Session>>,
        on_wire: PortId,
        view: &TablesView<'_>,
    ) -> (PortId, bool) {
        match sa.map_or(Entrance::Wire, |sa| view.interfaces.of_sa(sa.spec())) {
            Entrance::Wire => (on_wire, true),
            Entrance::Interface(port) => (port, self.shared.is_admin_up(port)),
            Entrance::Nowhere => (on_wire, false),
        }
    }
}

/// Lays a packet out for the engine.
fn lay_out(sa: &Sa<Session>, mbuf: &mut Mbuf) -> Result<Layout, Reject> {
    let refused = |reason| {
        sa.reject(reason);
        Err(reason)
    };
    if mbuf.nb_segs() != 1 {
        return refused(Reject::NoRoom);
    }
    let len = mbuf.data_len() - L2;
    let Some((at, in_udp)) = header_at(&mbuf.data()[L2..]) else {
        return refused(Reject::Malformed);
    };
    if in_udp != sa.spec().encap.is_some() {
        return refused(Reject::Mode);
    }
    let room = mbuf.tailroom().min(OPEN_ROOM_BYTES);
    let _ = mbuf.append(room);
    let layout = sa.open(&mut mbuf.data_mut()[L2..], len, at);
    mbuf.truncate(L2 + len);
    layout
}

/// Where the ESP or AH header is in a packet that begins with its IP header, and whether it is in UDP.
pub(super) fn header_at(packet: &[u8]) -> Option<(usize, bool)> {
    let (protocol, at) = if packet.first()? >> 4 == 4 {
        let header = Ip4::new(packet)?;
        (header.protocol(), header.header_len_bytes())
    } else {
        let next = Ip6::new(packet)?.next_header();
        match walk_for_ipsec(next, packet.get(IP6_LEN..)?) {
            Walk::Upper {
                protocol,
                offset_bytes,
                ..
            } => (protocol, IP6_LEN + offset_bytes),
            Walk::LaterFragment { .. } | Walk::Truncated | Walk::TooMany => return None,
        }
    };
    match protocol {
        ip::UDP => Some((at + udp::HEADER_LEN_BYTES, true)),
        _ => Some((at, false)),
    }
}

/// Makes a frame for `own` of what was inside.
fn take_out(
    sa: &Sa<Session>,
    layout: &Layout,
    mbuf: &mut Mbuf,
    own: Mac,
    now_s: u64,
    events: &ironlane_ipsec::Events,
) -> Result<(), Reject> {
    let src = Mac(*mbuf.data()[6..]
        .first_chunk()
        .unwrap_or(&[2, 0, 0, 0, 0, 0]));
    let len = mbuf.data_len();
    let room = mbuf.tailroom().min(OPEN_ROOM_BYTES);
    let _ = mbuf.append(room);
    let inner = sa.opened(layout, &mut mbuf.data_mut()[L2..], now_s, events);
    mbuf.truncate(len);
    let range = inner?.range();
    // The Ethernet header goes right before the inner packet, over what was there.
    mbuf.truncate(L2 + range.end);
    mbuf.adj(range.start);
    // What the device found out was about the outer headers.
    mbuf.set_ol_flags(0);
    match write_ethernet(mbuf, own, src) {
        true => Ok(()),
        false => {
            sa.reject(Reject::Inner);
            Err(Reject::Inner)
        }
    }
}
