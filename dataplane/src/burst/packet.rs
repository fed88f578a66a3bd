//! One packet of a burst, with what is known of it.

use ironlane_fib::{PortId, Resolved};
use ironlane_ipsec::SaId;
use ironlane_packet::eth::Mac;
use ironlane_packet::ip4::Ip4;
use ironlane_packet::ip6::Ip6;

use super::{Arrival, Info, Origin};
use crate::eal::Mbuf;

/// One packet of a burst, as stages see it.
#[derive(Debug)]
pub(crate) struct Packet<'p> {
    /// The buffers.
    pub(crate) mbuf: &'p mut Mbuf,
    /// What is known so far.
    pub(crate) info: &'p mut Info,
    /// What the lookup found, good for this burst alone; `None` before it.
    pub(crate) hop: &'p mut Option<Resolved>,
    /// Where it came from.
    pub(crate) arrival: Arrival,
    /// What [`opened_by`](Self::opened_by) answers, if it came through an SA.
    pub(super) sa: &'p SaId,
}

impl Packet<'_> {
    /// The SA that it came through, if any.
    #[inline]
    pub(crate) fn opened_by(&self) -> Option<SaId> {
        (self.arrival.origin == Origin::Opened).then_some(*self.sa)
    }

    /// The IPsec interface by which it has just left, protected, if it has.
    #[inline]
    pub(crate) fn sealed_by(&self) -> Option<PortId> {
        // The lcore has put it there.
        (self.arrival.origin == Origin::Sealed).then_some(PortId(self.mbuf.user() as u16))
    }

    /// Makes it what the verdicts `Open` and `Seal` want: the IP header behind fourteen bytes, nothing
    /// behind the IP packet, all in one segment if the buffer holds it. Only right before them.
    pub(crate) fn hand_to_ipsec(&mut self) {
        const L2: usize = 14;
        let l3 = usize::from(self.info.l3);
        self.mbuf.truncate(l3 + self.info.ip_len as usize);
        if l3 > L2 {
            self.mbuf.adj(l3 - L2);
        }
        if self.mbuf.nb_segs() > 1 {
            let all = self.mbuf.pkt_len();
            self.mbuf.pullup(all.min(self.mbuf.pullup_max()));
        }
    }

    /// Bytes from the network header on, as far as the first segment goes: after classify
    /// that is the whole packet or at least 128 bytes of it.
    #[inline]
    pub(crate) fn l3(&self) -> &[u8] {
        self.mbuf
            .data()
            .get(usize::from(self.info.l3)..)
            .unwrap_or(&[])
    }

    /// Bytes of the IP packet without padding, as far as the first segment goes; behind a check.
    #[inline]
    pub(crate) fn ip_bytes(&self) -> &[u8] {
        let bytes = self.l3();
        &bytes[..bytes.len().min(self.info.ip_len as usize)]
    }

    /// Makes as much of the IP packet lie in the first segment as its buffer holds, for those who
    /// look at more than classify joined.
    #[cold]
    pub(crate) fn join_more(&mut self) {
        let wanted = usize::from(self.info.l3) + self.info.ip_len as usize;
        let joined = self.mbuf.pullup(wanted.min(self.mbuf.pullup_max()));
        debug_assert!(joined, "no more than there is and than the buffer holds");
    }

    /// Bytes of the frame behind the Ethernet header, over all segments.
    #[inline]
    pub(crate) fn l3_len(&self) -> usize {
        self.mbuf
            .pkt_len()
            .saturating_sub(usize::from(self.info.l3))
    }

    /// True if any of these bits of [`Info::flags`] is set.
    #[inline]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.info.flags & flags != 0
    }

    /// The destination MAC of the frame.
    #[inline]
    pub(crate) fn dst_mac(&self) -> Mac {
        Mac(*self.mbuf.data().first_chunk().unwrap_or(&[0; 6]))
    }

    /// The IPv4 header, behind ip4_check.
    #[inline]
    pub(crate) fn ip4(&self) -> Ip4<'_> {
        Ip4::new(self.l3()).expect("ip4_check saw the header")
    }

    /// The IPv6 header, behind ip6_check.
    #[inline]
    pub(crate) fn ip6(&self) -> Ip6<'_> {
        Ip6::new(self.l3()).expect("ip6_check saw the header")
    }
}
