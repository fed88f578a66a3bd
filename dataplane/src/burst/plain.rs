//! What the straight path works on: lists of the plain packets of a burst, by family.

use ironlane_fib::{NexthopIndex, PortId, SlotWord};
use ironlane_ipsec::SaId;

use super::{Fate, Given, Names};
use crate::eal::{BURST_MAX, HeadRoom, Mbuf, TAG_STRIPPED};

/// The plain packets of one family. What a list holds beyond its end, which is kept apart from it, is
/// left from bursts before: nothing is cleared.
#[derive(Debug)]
pub(crate) struct PlainList<K> {
    /// Places in the burst.
    pub(crate) places: [u8; BURST_MAX],
    /// Lengths of the IP packets.
    pub(crate) lens: [u16; BURST_MAX],
    /// The word that holds TTL or hop limit, as it will be sent, the first byte the lowest.
    pub(crate) words: [u32; BURST_MAX],
    /// Destinations, host order.
    pub(crate) addresses: [K; BURST_MAX],
    /// What the lookup answers.
    pub(crate) answers: [NexthopIndex; BURST_MAX],
    /// What their slots say.
    pub(crate) slots: [SlotWord; BURST_MAX],
}

/// What is known of a plain packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<K> {
    /// Destination, host order.
    pub(crate) address: K,
    /// Length of the IP packet.
    pub(crate) len: u16,
    /// See [`PlainList::words`].
    pub(crate) word: u32,
}

impl<K: Copy> PlainList<K> {
    pub(super) const fn new(nowhere: K) -> Self {
        Self {
            places: [0; BURST_MAX],
            lens: [0; BURST_MAX],
            words: [0; BURST_MAX],
            addresses: [nowhere; BURST_MAX],
            answers: [NexthopIndex::NONE; BURST_MAX],
            slots: [SlotWord::EMPTY; BURST_MAX],
        }
    }

    /// Adds a packet behind the first `count`, each of another place of the burst.
    #[inline]
    pub(crate) fn push(&mut self, count: &mut usize, place: u8, plain: Plain<K>) {
        let at = *count % BURST_MAX;
        self.places[at] = place;
        self.lens[at] = plain.len;
        self.words[at] = plain.word;
        self.addresses[at] = plain.address;
        *count = at + 1;
    }

    /// Place and length of the first `count`.
    pub(crate) fn lens_by_place(&self, count: usize) -> impl Iterator<Item = (u8, u16)> + '_ {
        let (places, lens) = (&self.places[..count], &self.lens[..count]);
        places.iter().copied().zip(lens.iter().copied())
    }

    /// Place, new word and slot of the first `count`.
    #[inline]
    pub(crate) fn hops(&self, count: usize) -> impl Iterator<Item = (u8, u32, SlotWord)> + '_ {
        let lists = self.places[..count].iter().zip(&self.words[..count]);
        let lists = lists.zip(&self.slots[..count]);
        lists.map(|((&place, &word), &slot)| (place, word, slot))
    }

    /// The longest of the first `count`.
    #[inline]
    pub(crate) fn longest(&self, count: usize) -> u16 {
        // Without an exit on the way it is done in vectors.
        let lens = self.lens[..count].iter();
        lens.fold(0, |longest, &len| longest.max(len))
    }

    /// Sum of the lengths of the first `count`.
    #[inline]
    pub(crate) fn len_bytes(&self, count: usize) -> usize {
        let lens = self.lens[..count].iter();
        lens.map(|&len| u32::from(len)).sum::<u32>() as usize
    }
}

/// What a burst was when it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Bytes of all packets.
    pub(crate) bytes: u64,
    /// Whether the device took the VLAN tag off any.
    pub(crate) stripped: bool,
}

impl Arrived {
    /// Of these packets, one after the other.
    pub(crate) fn of(packets: &[Mbuf]) -> Self {
        packets.iter().fold(Self::default(), |arrived, mbuf| Self {
            bytes: arrived.bytes + mbuf.pkt_len() as u64,
            stripped: arrived.stripped | (mbuf.ol_flags() & TAG_STRIPPED != 0),
        })
    }
}

/// All packets of a burst that the straight path sends leave by one port, each in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sole {
    pub(crate) port: PortId,
    /// Of all packets that are sent.
    pub(crate) bytes: u64,
    /// The places of the others: a bit for each.
    pub(crate) left: u64,
}

/// What the straight path works on.
#[derive(Debug)]
pub(crate) struct Straightway<'s> {
    /// The packets of the burst.
    pub(crate) packets: &'s mut [Mbuf],
    /// Room to note where their frames begin.
    pub(crate) heads: &'s mut HeadRoom,
    /// What the burst was when it came; to be set.
    pub(crate) arrived: &'s mut Arrived,
    /// Their fates, left from bursts before until they are set.
    pub(crate) fates: &'s mut [Fate; BURST_MAX],
    /// Room for the list of IPv4 packets.
    pub(crate) ip4: &'s mut PlainList<u32>,
    /// Room for the list of IPv6 packets.
    pub(crate) ip6: &'s mut PlainList<u128>,
    /// Ports of those that are sent.
    pub(crate) ports: &'s mut [PortId; BURST_MAX],
    /// The port that all leave by which are sent, to be set.
    pub(crate) sole: &'s mut Option<Sole>,
    /// The SAs that packets came through; to be set where they are to be opened or sealed.
    pub(crate) sas: &'s mut [SaId; BURST_MAX],
    /// What becomes of packets that meet SAs and policies, to be set.
    pub(crate) given: &'s mut Given,
    /// Room for what SAs and policies are asked with.
    pub(crate) names: &'s mut Names,
}
