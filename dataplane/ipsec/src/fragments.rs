//! Fragments of packets that are to be opened, until all of a packet are there (RFC 791 3.2, RFC 8200 4.5).
//!
//! An lcore keeps a table. It holds packets of any kind `T`, up to a number, for a time that begins
//! with the first fragment of each packet, and gives back what has waited too long, or has to make room: a
//! source may have a quarter of the table, and more of it costs its oldest fragments. Nothing is allocated once
//! the table is made.
//!
//! Fragments that overlap make their packet worthless, those included that come later (RFC 5722 4);
//! an exact copy is lost alone. What becomes of a packet whose fragments are not put together is for the
//! caller to say, once, by a decision `D`: then the table gives all of them back.
//!
//! Chosen over `rte_ip_frag`: that keeps eight fragments of a packet at most, lets later ones
//! overlap, and gives no packet back in one piece.

mod datagram;
mod piece;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};

use datagram::{Datagram, NONE, Part};

pub use datagram::PARTS_MAX;
pub use piece::{Key, Piece, Whole, protocol};

/// Why a fragment is lost, or all of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// It is cut, empty, or contradicts itself or others.
    Malformed,
    /// Some of its bytes are in others, too (RFC 5722).
    Overlap,
    /// It came twice.
    Duplicate,
    /// The packet would be longer than IP can say, or has more than [`PARTS_MAX`] fragments.
    TooLong,
}

/// How much a table holds, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Fragments and packets that they are of, together; 272 to 16,384. A source may have a quarter, which is
    /// a packet of [`PARTS_MAX`] fragments at least.
    pub held: u16,
    /// How long the first fragment of a packet waits for the last.
    pub timeout_ns: u64,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self {
            held: 1024,
            timeout_ns: 2_000_000_000,
        }
    }
}

impl FragmentLimits {
    /// The fewest and the most that may be held.
    pub const HELD: std::ops::RangeInclusive<u16> = 272..=16_384;
}

/// Where a packet is in its table, until that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u16);

/// How sources share a table: by so many values of a hash.
const SHARES: usize = 256;

/// The fragments that wait on one lcore.
///
/// ```
/// use ironlane_ipsec::fragments::{FragmentLimits, Fragments, Piece};
/// use ironlane_packet::ip4::{Ip4Fields, MF};
///
/// let mut table = Fragments::<Vec<u8>, ()>::new(FragmentLimits::default(), Default::default());
/// let mut whole = None;
/// for (word, body) in [(MF, b"ESP, in "), (1, b"pieces. ")] {
///     let fields = Ip4Fields { protocol: 50, fragment_word: word, ..Ip4Fields::default() };
///     let packet = [&fields.to_bytes(8)[..], body].concat();
///     let piece = Piece::of(&packet, packet.len(), Default::default()).unwrap();
///     let place = table.find(&piece.key).or_else(|| table.start(piece.key, 0)).unwrap();
///     whole = table.add(place, &piece, packet, |a, b| a == b).unwrap();
///     if whole.is_some() {
///         let mut bodies = Vec::new();
///         table.remove(place, |part| bodies.extend_from_slice(&part[20..]));
///         assert_eq!(bodies, b"ESP, in pieces. ");
///     }
/// }
/// assert_eq!(whole.map(|whole| whole.len()), Some(36));
/// ```
#[derive(Debug)]
pub struct Fragments<T, D> {
    limits: FragmentLimits,
    hasher: RandomState,
    /// The first packet of each hash.
    buckets: Box<[u16]>,
    datagrams: Box<[Datagram<D>]>,
    parts: Box<[Part<T>]>,
    free_datagram: u16,
    free_part: u16,
    oldest: u16,
    newest: u16,
    /// Packets and parts in use.
    used: usize,
    held: usize,
    shares: [u16; SHARES],
}

impl<T, D: Copy> Fragments<T, D> {
    /// An empty table. Those of several lcores that share work by [`hash`](Self::hash) need the same
    /// `hasher`.
    ///
    /// # Panics
    /// If the limits are not between [`FragmentLimits::HELD`].
    pub fn new(limits: FragmentLimits, hasher: RandomState) -> Self {
        assert!(FragmentLimits::HELD.contains(&limits.held), "{limits:?}");
        let next = |place: u16| match place + 1 == limits.held {
            true => NONE,
            false => place + 1,
        };
        let buckets = usize::from(limits.held).next_power_of_two() * 2;
        Self {
            limits,
            hasher,
            buckets: vec![NONE; buckets].into(),
            datagrams: (0..limits.held)
                .map(|place| Datagram::free(next(place)))
                .collect(),
            parts: (0..limits.held)
                .map(|place| Part::free(next(place)))
                .collect(),
            free_datagram: 0,
            free_part: 0,
            oldest: NONE,
            newest: NONE,
            used: 0,
            held: 0,
            shares: [0; SHARES],
        }
    }

    /// A hash that nobody outside can foresee.
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    fn share(&self, key: &Key) -> u8 {
        (self.hasher.hash_one(key.src) >> 56) as u8
    }

    /// How many fragments wait.
    #[inline]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing waits, and no packet is remembered.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// A packet to be removed before a fragment of this key may be added.
    pub fn crowded(&self, key: &Key) -> Option<Place> {
        let most = usize::from(self.limits.held);
        let share = self.share(key);
        // A packet and a fragment may come.
        if usize::from(self.shares[usize::from(share)]) + 2 > most / 4 {
            let mut place = self.oldest;
            while place != NONE && self.datagrams[usize::from(place)].share != share {
                place = self.datagrams[usize::from(place)].newer;
            }
            return (place != NONE).then_some(Place(place));
        }
        (self.used + 2 > most).then_some(Place(self.oldest))
    }

    /// A packet that has waited too long, to be removed.
    #[inline]
    pub fn late(&self, now_ns: u64) -> Option<Place> {
        (self.next_deadline_ns()? <= now_ns).then_some(Place(self.oldest))
    }

    /// When the next packet will have waited too long.
    #[inline]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let oldest = self.datagrams.get(usize::from(self.oldest))?;
        Some(oldest.deadline_ns)
    }

    /// The packet that was there first, to be removed.
    pub fn first(&self) -> Option<Place> {
        (self.oldest != NONE).then_some(Place(self.oldest))
    }

    fn bucket(&self, key: &Key) -> usize {
        self.hash(key) as usize & (self.buckets.len() - 1)
    }

    /// The packet of this key.
    pub fn find(&self, key: &Key) -> Option<Place> {
        let mut place = self.buckets[self.bucket(key)];
        while let Some(datagram) = self.datagrams.get(usize::from(place)) {
            if datagram.key == Some(*key) {
                return Some(Place(place));
            }
            place = datagram.next;
        }
        None
    }

    /// Remembers a packet that is not there yet. `None` if the table is full, which it is not where
    /// [`crowded`](Self::crowded) said so.
    pub fn start(&mut self, key: Key, now_ns: u64) -> Option<Place> {
        let place = self.free_datagram;
        let bucket = self.bucket(&key);
        let share = self.share(&key);
        let datagram = self.datagrams.get_mut(usize::from(place))?;
        self.free_datagram = datagram.next;
        *datagram = Datagram::free(self.buckets[bucket]);
        datagram.key = Some(key);
        datagram.deadline_ns = now_ns.saturating_add(self.limits.timeout_ns);
        datagram.share = share;
        datagram.older = self.newest;
        self.buckets[bucket] = place;
        match self.datagrams.get_mut(usize::from(self.newest)) {
            Some(newest) => newest.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
        self.used += 1;
        self.shares[usize::from(share)] += 1;
        Some(Place(place))
    }

    /// What was decided about the packet, if anything was.
    #[inline]
    pub fn decision(&self, place: Place) -> Option<D> {
        self.datagrams[usize::from(place.0)].decision
    }

    /// The packet's key, and whether its first fragment has come.
    pub fn look(&self, place: Place) -> Option<(Key, bool)> {
        let datagram = &self.datagrams[usize::from(place.0)];
        Some((datagram.key?, datagram.has_first()))
    }

    /// Adds a fragment. The whole packet, if it was the last one missing: it is to be
    /// [removed](Self::remove) then. `same` compares the bytes of two fragments.
    ///
    /// # Errors
    /// Why it cannot be added, with the fragment unless the table has it. All but a [`Loss::Duplicate`] make
    /// the packet worthless.
    pub fn add(
        &mut self,
        place: Place,
        piece: &Piece,
        packet: T,
        same: impl FnOnce(&T, &T) -> bool,
    ) -> Result<Option<Whole>, (Loss, Option<T>)> {
        let datagram = &mut self.datagrams[usize::from(place.0)];
        let before = match datagram.place(piece, &self.parts, |other| same(other, &packet)) {
            Ok(before) => before,
            Err(loss) => return Err((loss, Some(packet))),
        };
        let part = self.free_part;
        let Some(free) = self.parts.get(usize::from(part)) else {
            // Not where `crowded` was asked.
            return Err((Loss::TooLong, Some(packet)));
        };
        self.free_part = free.next;
        datagram.insert((before, part), piece, packet, &mut self.parts);
        self.shares[usize::from(datagram.share)] += 1;
        self.used += 1;
        self.held += 1;
        datagram.whole().map_err(|loss| (loss, None))
    }

    /// Gives a part back that no list has any more.
    fn free_one(&mut self, place: Place, part: u16) -> Option<T> {
        let packet = self.parts[usize::from(part)].packet.take();
        self.parts[usize::from(part)].next = self.free_part;
        self.free_part = part;
        self.shares[usize::from(self.datagrams[usize::from(place.0)].share)] -= 1;
        self.used -= 1;
        self.held -= 1;
        packet
    }

    /// Decides about a packet, now and for those of its fragments that are still to come, and gives
    /// `each` of those that are there, in order.
    pub fn decide(&mut self, place: Place, decision: D, each: impl FnMut(T)) {
        self.datagrams[usize::from(place.0)].decision = Some(decision);
        self.empty(place, each);
    }

    /// Notes that a fragment of a packet about which was decided has gone by. The packet is forgotten when it was
    /// the last.
    pub fn pass(&mut self, place: Place, piece: &Piece) {
        let datagram = &mut self.datagrams[usize::from(place.0)];
        datagram.pass(piece);
        if datagram.is_complete() {
            self.remove(place, drop);
        }
    }

    /// Forgets a packet and gives `each` of its fragments, in order.
    pub fn remove(&mut self, place: Place, each: impl FnMut(T)) {
        self.empty(place, each);
        let datagram = &self.datagrams[usize::from(place.0)];
        let (older, newer) = (datagram.older, datagram.newer);
        let Some(key) = datagram.key else {
            return;
        };
        match self.datagrams.get_mut(usize::from(older)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.datagrams.get_mut(usize::from(newer)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        let next = self.datagrams[usize::from(place.0)].next;
        let bucket = self.bucket(&key);
        if self.buckets[bucket] == place.0 {
            self.buckets[bucket] = next;
        } else {
            let mut at = self.buckets[bucket];
            while let Some(other) = self.datagrams.get_mut(usize::from(at)) {
                if other.next == place.0 {
                    other.next = next;
                    break;
                }
                at = other.next;
            }
        }
        let share = self.datagrams[usize::from(place.0)].share;
        self.shares[usize::from(share)] -= 1;
        self.used -= 1;
        self.datagrams[usize::from(place.0)] = Datagram::free(self.free_datagram);
        self.free_datagram = place.0;
    }

    fn empty(&mut self, place: Place, mut each: impl FnMut(T)) {
        let datagram = &mut self.datagrams[usize::from(place.0)];
        let mut part = std::mem::replace(&mut datagram.first, NONE);
        datagram.count = 0;
        while part != NONE {
            let next = self.parts[usize::from(part)].next;
            if let Some(packet) = self.free_one(place, part) {
                each(packet);
            }
            part = next;
        }
    }
}
