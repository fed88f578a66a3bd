//! IPv6 rewrite: the one stage that changes an IPv6 packet. Hop limit and Ethernet header; bytes
//! beyond the payload are cut off (RFC 8200 3).

use ironlane_packet::eth::EtherType;
use ironlane_packet::ip6::Ip6Mut;

use super::ip4_rewrite::send;
use super::{Stage, TablesView};
use crate::burst::{Burst, Lane};
use crate::reason::{DropReason, PuntReason, StageId};

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ip6Rewrite;

impl Stage for Ip6Rewrite {
    const ID: StageId = StageId::Ip6Rewrite;
    const INPUT: Lane = Lane::Ip6Rewrite;
    const NEXT: Option<Lane> = None;
    const LANES: &'static [Lane] = &[];
    const DROPS: &'static [DropReason] = &[];
    const PUNTS: &'static [PuntReason] = &[];

    fn run<'q>(&self, burst: &mut Burst<'q>, view: &TablesView<'q>) {
        burst.decide(Self::INPUT, Self::INPUT, |packet| {
            let l3 = usize::from(packet.info.l3);
            let header = packet.mbuf.data_mut().get_mut(l3..).and_then(Ip6Mut::new);
            header.expect("ip6_check saw the header").lower_hop_limit();
            send(packet, EtherType::IP6, view)
        });
    }
}
