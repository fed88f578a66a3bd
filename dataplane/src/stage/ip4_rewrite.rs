//! IPv4 rewrite: the one stage that changes an IPv4 packet. TTL, checksum (RFC 1624), Ethernet
//! header; bytes beyond the datagram are cut off, since they are padding of the link that it
//! came by (RFC 1812 5.2.2).

use ironlane_packet::eth::EtherType;
use ironlane_packet::ip4::Ip4Mut;

use super::{Stage, TablesView};
use crate::burst::{Burst, Lane, Packet, Verdict};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip4Rewrite;

impl Stage for Ip4Rewrite {
    const ID: StageId = StageId::Ip4Rewrite;
    const INPUT: Lane = Lane::Ip4Rewrite;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| {
            let l3 = usize::from(packet.info.l3);
            let header = packet.mbuf.data_mut().get_mut(l3..).and_then(Ip4Mut::new);
            header.expect("ip4_check saw the header").lower_ttl();
            send(packet, EtherType::IP4, view)
        });
    }
}

/// Cuts the padding, writes the Ethernet header and names the port. Both families end so.
#[inline]
pub(super) fn send(
    packet: &mut Packet<'_>,
    ethertype: EtherType,
    view: &TablesView<'_>,
) -> Verdict {
    let adjacency = packet.hop.expect("only the lookup leads here");
    let mbuf = &mut *packet.mbuf;
    let l3 = usize::from(packet.info.l3);
    mbuf.truncate(l3 + packet.info.ip_len as usize);
    let mut header = adjacency.rewrite();
    header[12..].copy_from_slice(&ethertype.0.to_be_bytes());
    // A priority tag goes: the new header is written right before the network header.
    if l3 > header.len() {
        mbuf.adj(l3 - header.len());
    }
    if let Some(place) = mbuf.data_mut().first_chunk_mut() {
        *place = header;
    }
    let nexthops = view.tables.nexthops().of_burst(view.guard);
    nexthops.mark_used(adjacency.index);
    Verdict::Send(adjacency.port())
}
