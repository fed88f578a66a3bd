//! Packets that the straight path gave to SAs, for the lcore to open and seal them where they lie.

use ironlane_fib::PortId;
use ironlane_ipsec::SaId;

use super::{BurstStore, Fate, Outlet, Sole, hand_out, places};
use crate::eal::{BURST_MAX, Mbuf};

/// What the straight path decided where SAs and policies have a say: words with a bit for each place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    /// Leaves in clear.
    pub(crate) sent: u64,
    /// Whole, to be opened: IP without options, and behind it ESP, in UDP or not.
    pub(crate) opened: u64,
    /// Whole, to be sealed, with a hop less.
    pub(crate) sealed: u64,
}

impl Given {
    pub(crate) const NOTHING: Self = Self {
        sent: 0,
        opened: 0,
        sealed: 0,
    };

    #[inline]
    fn all(self) -> u64 {
        self.sent | self.opened | self.sealed
    }
}

/// The packets of a burst, where they lie, with the SAs that they are given to.
#[derive(Debug)]
pub(crate) struct Placed<'s> {
    pub(crate) packets: &'s mut [Mbuf],
    pub(crate) sas: &'s [SaId; BURST_MAX],
    pub(crate) fates: &'s mut [Fate; BURST_MAX],
    /// Where packets leave by.
    pub(crate) ports: &'s mut [PortId; BURST_MAX],
}

/// The places in a word, in order.
#[inline]
pub(super) fn each(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (place < BURST_MAX).then_some(place)
    })
}

impl BurstStore {
    /// Forgets what the straight path gave to SAs, of a burst before.
    #[inline]
    pub(crate) fn give_nothing(&mut self) {
        self.given = Given::NOTHING;
    }

    /// Adds a packet that another lcore gave to an SA, of the kind that the straight path gives: `fate` says whether it is to be
    /// opened or sealed. With the first one what was given of a burst before is forgotten. Back if there is no room.
    #[inline]
    pub(crate) fn push_given(&mut self, fate: Fate, sa: SaId, mbuf: Mbuf) -> Result<(), Mbuf> {
        let place = self.packets.len();
        self.packets.push(mbuf)?;
        if place == 0 {
            self.give_nothing();
        }
        (self.sas[place], self.fates[place]) = (sa, fate);
        match fate {
            Fate::Open => self.given.opened |= 1 << place,
            _ => self.given.sealed |= 1 << place,
        }
        Ok(())
    }

    /// Whether the straight path gave a packet to an SA.
    #[inline]
    pub(crate) fn has_given(&self) -> bool {
        self.given.opened | self.given.sealed != 0
    }

    /// The packets that may be sealed where they lie. Up to the first that the stages gave to an SA, since a flow keeps its
    /// order: those behind it wait for it.
    #[inline]
    pub(crate) fn to_seal(&self) -> u64 {
        self.given.sealed & self.before_first(Fate::Seal)
    }

    /// The same of those that are to be opened.
    #[inline]
    pub(crate) fn to_open(&self) -> u64 {
        self.given.opened & self.before_first(Fate::Open)
    }

    /// The places before the first of this fate that the straight path left.
    #[inline]
    fn before_first(&self, fate: Fate) -> u64 {
        let left = places(self.packets.len()) & !self.given.all();
        let first = each(left).find(|&place| self.fates[place] == fate);
        first.map_or(u64::MAX, |first| (1 << first) - 1)
    }

    /// The packets, to be opened and sealed where they lie.
    #[inline]
    pub(crate) fn placed(&mut self) -> Placed<'_> {
        Placed {
            packets: self.packets.as_mut_slice(),
            sas: &self.sas,
            fates: &mut self.fates,
            ports: &mut self.ports,
        }
    }

    /// Says that the packets at these places are sealed, and leave by the ports that were put down for them.
    #[inline]
    pub(crate) fn note_sealed(&mut self, done: u64) {
        if done == 0 {
            return;
        }
        self.given.sent |= done;
        self.given.sealed &= !done;
        let packets = self.packets.as_slice();
        let (sent, all) = (self.given.sent, places(packets.len()));
        let port = self.ports[sent.trailing_zeros() as usize % BURST_MAX];
        let left = all & !sent;
        let is_sole = match left {
            // Without an exit on the way it is done in vectors.
            0 => self.ports[..packets.len()]
                .iter()
                .fold(true, |is_sole, &other| is_sole & (other == port)),
            _ => each(sent).all(|place| self.ports[place] == port),
        };
        self.sole = is_sole.then(|| {
            let len = |mbuf: &Mbuf| mbuf.pkt_len() as u64;
            let bytes = match left {
                0 => packets.iter().map(len).sum(),
                _ => each(sent).map(|place| len(&packets[place])).sum(),
            };
            Sole { port, bytes, left }
        });
        if is_sole && left == 0 {
            return;
        }
        // Looked at where not all leaves by one port.
        for place in each(done) {
            self.fates[place] = Fate::Send(self.ports[place]);
        }
    }

    /// Hands out all packets but those at these places, which close up with their SAs.
    pub(crate) fn settle_but(&mut self, kept: u64, outlet: &mut impl Outlet) {
        self.sole = None;
        let count = self.packets.len();
        let others = places(count) & !kept;
        if others == 0 {
            return;
        }
        self.packets.take_out(others, |place, mbuf| {
            let (fate, sa) = (self.fates[place], self.sas[place]);
            hand_out(outlet, fate, sa, &self.info[place], mbuf);
        });
        for (to, place) in each(kept).enumerate() {
            self.sas[to] = self.sas[place];
        }
    }

    /// Whether any of these places has a packet to be sent.
    #[inline]
    pub(super) fn sends_any(&self, places: u64) -> bool {
        each(places).any(|place| matches!(self.fates[place], Fate::Send(_)))
    }
}
