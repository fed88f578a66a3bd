//! What lcores tell the control plane.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::{Flow, PolicyId, SaId};

/// How many events wait at most.
const CAPACITY: usize = 4096;

/// Something that IKE should act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A packet wants protection and its policy has no SA; it was dropped.
    Acquire {
        /// The policy.
        policy: PolicyId,
        /// The packet.
        flow: Flow,
    },
    /// A soft limit of bytes or packets is reached: rekey. Once for each SA.
    Soft {
        /// The SA.
        sa: SaId,
    },
    /// A hard limit of bytes or packets is reached: the SA passes nothing more. Once for each SA.
    Hard {
        /// The SA.
        sa: SaId,
    },
    /// Seven eighths of all sequence numbers are used: rekey. Once for each SA.
    SequenceLow {
        /// The SA.
        sa: SaId,
    },
    /// An authentic packet came from another address or port than the SA knows (RFC 3948, MOBIKE).
    PeerMoved {
        /// The inbound SA.
        sa: SaId,
        /// Outer source address.
        addr: IpAddr,
        /// Outer UDP source port.
        port: u16,
    },
}

/// A bounded queue from all lcores to one reader.
///
/// ```
/// use ironlane_ipsec::{Event, Events, SaId};
///
/// let events = Events::new();
/// events.push(Event::Soft { sa: SaId::from_raw(1) });
/// assert_eq!(events.pop(), Some(Event::Soft { sa: SaId::from_raw(1) }));
/// assert_eq!((events.pop(), events.lost()), (None, 0));
/// ```
#[derive(Debug)]
pub struct Events {
    queue: ArrayQueue<Event>,
    lost: AtomicU64,
}

impl Events {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            queue: ArrayQueue::new(CAPACITY),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds an event, or counts it as lost if the queue is full. Any lcore; takes no lock.
    pub fn push(&self, event: Event) {
        if self.queue.push(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest event. The control plane, as often as it likes to look.
    pub fn pop(&self) -> Option<Event> {
        self.queue.pop()
    }

    /// How many events found the queue full. What they said can still be read: limits and sequence
    /// numbers from [`Sa::stats`](crate::Sa::stats); an acquire comes again with the next packet.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
