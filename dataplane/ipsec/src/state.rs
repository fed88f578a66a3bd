//! What changes in an SA with every packet.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::spec::{Direction, Limits, SaSpec};
use crate::{Event, Events, Reject, ReplayWindow, SaId, hash};

/// No lcore.
const NOBODY: u32 = u32::MAX;

/// Bits of `raised`: events that were raised, each once.
const SOFT: u32 = 1;
const HARD: u32 = 2;
const SEQUENCE_LOW: u32 = 4;

/// Counters, sequence number and replay window of an SA. Written by the lcore that owns it, with
/// plain stores; read by anyone. It outlives changes of the SA, such as of addresses.
///
/// In this order in memory: what each packet looks at comes first.
#[derive(Debug)]
#[repr(C)]
pub struct SaState {
    owner: AtomicU32,
    raised: AtomicU32,
    /// The last number that was used, of an outbound SA.
    seq: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    last_use_s: AtomicU64,
    limits: Limits,
    /// The last number there is.
    seq_last: u64,
    replay: Option<ReplayWindow>,
    /// Hash of where the peer was seen last, if not where the SA knows it.
    peer: AtomicU64,
    rejected: [AtomicU64; Reject::COUNT],
}

/// What an SA has done, for people and for IKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SaStats {
    /// Packets protected, or found authentic.
    pub packets: u64,
    /// Bytes of inner packets.
    pub bytes: u64,
    /// When the last of them was, by the clock of the lcores; 0 for never.
    pub last_use_s: u64,
    /// The last sequence number: used, or the largest seen.
    pub seq: u64,
    /// Packets dropped, by reason.
    pub rejected: [u64; Reject::COUNT],
    /// Whether the hard limit is reached.
    pub expired: bool,
}

impl SaStats {
    /// Packets dropped for one reason.
    pub fn rejected(&self, reason: Reject) -> u64 {
        self.rejected[reason as usize]
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
fn add(counter: &AtomicU64, by: u64) -> u64 {
    // Relaxed, here and in all of this file: a counter has one writer, and its readers want no
    // order between counters. The owner may change between bursts; rings order that.
    let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
    counter.store(sum, Ordering::Relaxed);
    sum
}

/// The number at which [`Event::SequenceLow`] is raised, of an SA with this last one.
#[inline]
fn seq_low(last: u64) -> u64 {
    last - last / 8
}

impl SaState {
    /// Bytes of it that are looked at for each packet of an SA without replay window: whether there is one is told by the
    /// last of them.
    pub(crate) const HOT_BYTES: usize = std::mem::offset_of!(Self, replay) + 1;

    pub(crate) fn new(spec: &SaSpec) -> Self {
        let seq_last = spec.last_possible_seq();
        let wants_replay = spec.direction == Direction::In && spec.replay_window > 0;
        Self {
            owner: AtomicU32::new(NOBODY),
            raised: AtomicU32::new(0),
            seq: AtomicU64::new(spec.last_seq),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_use_s: AtomicU64::new(0),
            limits: spec.limits,
            seq_last,
            replay: wants_replay
                .then(|| ReplayWindow::new(spec.replay_window, spec.esn, spec.last_seq)),
            rejected: Default::default(),
            peer: AtomicU64::new(0),
        }
    }

    /// The lcore that owns the SA, `lcore` from now on if there was none. All packets of the SA
    /// are to be handled there.
    #[inline]
    pub fn owner_or(&self, lcore: u32) -> u32 {
        // Relaxed: the number is all that is read; state is touched by the owner only.
        match self.owner.load(Ordering::Relaxed) {
            NOBODY => self
                .owner
                .compare_exchange(NOBODY, lcore, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|winner| winner, |_| lcore),
            owner => owner,
        }
    }

    /// The anti-replay window of an inbound SA that has one.
    #[inline]
    pub fn replay(&self) -> Option<&ReplayWindow> {
        self.replay.as_ref()
    }

    /// Takes the next sequence number for a packet to send. Owner only.
    ///
    /// # Errors
    /// [`Reject::SequenceExhausted`] after the last one: none is ever used twice (RFC 4303 3.3.3).
    #[inline]
    pub fn next_seq(&self) -> Result<u64, Reject> {
        let last = self.seq.load(Ordering::Relaxed);
        if last >= self.seq_last {
            return Err(Reject::SequenceExhausted);
        }
        self.seq.store(last + 1, Ordering::Relaxed);
        Ok(last + 1)
    }

    /// Whether the hard limit is reached, so that nothing passes any more.
    #[inline]
    pub fn is_expired(&self) -> bool {
        self.raised.load(Ordering::Relaxed) & HARD != 0
    }

    /// Counts a packet that was protected or found authentic, and raises what events that leads to.
    /// Owner only. `now_s` is in seconds, of any clock that all lcores share.
    #[inline]
    pub fn count(&self, id: SaId, bytes: u64, now_s: u64, events: &Events) {
        self.count_all(id, 1, bytes, now_s, events);
    }

    /// The same for several packets, `bytes` long together.
    #[inline]
    pub fn count_all(&self, id: SaId, packets: u64, bytes: u64, now_s: u64, events: &Events) {
        let packets = add(&self.packets, packets);
        let bytes = add(&self.bytes, bytes);
        if self.last_use_s.load(Ordering::Relaxed) != now_s {
            self.last_use_s.store(now_s, Ordering::Relaxed);
        }
        let Limits {
            soft_bytes,
            hard_bytes,
            soft_packets,
            hard_packets,
        } = self.limits;
        let over = |limit: u64, value: u64| limit != 0 && value >= limit;
        if over(soft_bytes, bytes) || over(soft_packets, packets) {
            self.raise(SOFT, Event::Soft { sa: id }, events);
        }
        if over(hard_bytes, bytes) || over(hard_packets, packets) {
            self.raise(HARD, Event::Hard { sa: id }, events);
        }
        if self.last_seq() >= seq_low(self.seq_last) {
            self.raise(SEQUENCE_LOW, Event::SequenceLow { sa: id }, events);
        }
    }

    /// Counts a packet that was dropped. Owner only.
    #[inline]
    pub fn count_rejected(&self, reason: Reject) {
        add(&self.rejected[reason as usize], 1);
    }

    /// Whether the peer was not seen at this place a packet ago. Owner only.
    pub(crate) fn is_news_of_peer(&self, addr: IpAddr, port: u16) -> bool {
        let place = hash::of_sa(0, u32::from(port), addr, 0);
        let last = self.peer.load(Ordering::Relaxed);
        self.peer.store(place, Ordering::Relaxed);
        last != place
    }

    /// Whether a packet with the lower half `low` of a sequence number may be one that was sealed here, by an
    /// outbound SA: its number is not larger than the last. Any thread.
    #[inline]
    pub fn has_used(&self, low: u32) -> bool {
        let last = self.seq.load(Ordering::Relaxed);
        match last <= u64::from(u32::MAX) {
            true => u64::from(low) <= last,
            // Of the numbers that end so, the nearest is meant.
            false => (last as u32).wrapping_sub(low) < 1 << 31,
        }
    }

    /// The last number used, or the largest seen.
    #[inline]
    fn last_seq(&self) -> u64 {
        match &self.replay {
            Some(window) => window.top(),
            None => self.seq.load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn raise(&self, bit: u32, event: Event, events: &Events) {
        let raised = self.raised.load(Ordering::Relaxed);
        if raised & bit == 0 {
            self.raised.store(raised | bit, Ordering::Relaxed);
            events.push(event);
        }
    }

    /// All figures. Any thread.
    pub fn stats(&self) -> SaStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SaStats {
            packets: get(&self.packets),
            bytes: get(&self.bytes),
            last_use_s: get(&self.last_use_s),
            seq: self.last_seq(),
            rejected: std::array::from_fn(|reason| get(&self.rejected[reason])),
            expired: self.is_expired(),
        }
    }
}
