//! The exception thread's side of the data plane: what lcores punt comes out here, and what the
//! kernel sends goes in.

use std::sync::Arc;

use ironlane_fib::PortId;

use super::snapshot::CounterSet;
use super::wake::Waker;
use crate::eal::{Mbuf, MbufBatch, Mempool, PORTS_MAX, RingConsumer, RingProducer};
use crate::reason::PuntPriority;

/// Empty packets taken from the pool at once.
const SPARE: usize = 32;

/// Rings, pool and wake-ups of the exception thread. There is one; the data plane gives it once
/// ([`Dataplane::take_exception`](crate::dataplane::Dataplane::take_exception)). It must be dropped
/// before the data plane is stopped, or what its rings hold is counted as lost.
///
/// Punted packets have the arrival port in [`Mbuf::port`] and the
/// [`PuntReason`](crate::reason::PuntReason)'s index in [`Mbuf::user`]; their bytes are what
/// arrived. They must be freed, best as a batch.
#[derive(Debug)]
pub struct ExceptionChannel {
    pub(crate) punts: Vec<[RingConsumer; PuntPriority::COUNT]>,
    pub(crate) injects: Vec<RingProducer>,
    pub(crate) pool: Mempool,
    /// Empty packets for [`packet`](Self::packet).
    pub(crate) spare: MbufBatch,
    pub(crate) counters: Arc<CounterSet>,
    pub(crate) waker: Arc<Waker>,
    /// The lcore that sends by a port, for each port.
    pub(crate) senders: [Option<u8>; PORTS_MAX],
    pub(crate) turns: Turns,
}

/// Whose rings are looked at first next time, for each priority by itself: if they shared one
/// turn, the priorities asked for in between would give some lcores the first place always.
#[derive(Debug, Default)]
pub(crate) struct Turns([usize; PuntPriority::COUNT]);

impl Turns {
    /// Calls `take` for each of `lcores`, the one whose turn it is first, until it says that there
    /// is no more room. It tells how many it took, too: the first lcore that gave some is the last
    /// one next time.
    fn serve(
        &mut self,
        priority: PuntPriority,
        lcores: usize,
        mut take: impl FnMut(usize) -> (usize, bool),
    ) {
        let turn = &mut self.0[priority.index()];
        let first = *turn;
        let mut served = false;
        for offset in 0..lcores {
            let lcore = (first + offset) % lcores;
            let (taken, room) = take(lcore);
            if taken > 0 && !served {
                served = true;
                *turn = (lcore + 1) % lcores;
            }
            if !room {
                return;
            }
        }
    }
}

impl ExceptionChannel {
    /// Adds punted packets of one priority to `batch`, as far as there is room; lcores take
    /// turns. Returns how many.
    pub fn punted(&mut self, priority: PuntPriority, batch: &mut MbufBatch) -> usize {
        let before = batch.len();
        if batch.is_full() {
            return 0;
        }
        let Self { punts, turns, .. } = self;
        turns.serve(priority, punts.len(), |lcore| {
            let taken = punts[lcore][priority.index()].dequeue(batch);
            (taken, !batch.is_full())
        });
        batch.len() - before
    }

    /// Whether punted packets of any priority wait.
    pub fn has_punted(&self) -> bool {
        self.punts.iter().flatten().any(|ring| !ring.is_empty())
    }

    /// Adds `n` empty packets to `batch`: all, or none if the pool has not so many.
    pub fn alloc(&self, batch: &mut MbufBatch, n: usize) -> bool {
        self.pool.alloc(batch, n)
    }

    /// A packet with these bytes, in as many segments as it takes. `None`: the pool is empty.
    ///
    /// Buffers are taken from the pool by the burst; those that are left must go back after the
    /// last packet of a round ([`free_spare`](Self::free_spare)).
    pub fn packet(&mut self, frame: &[u8]) -> Option<Mbuf> {
        let mut whole: Option<Mbuf> = None;
        let mut rest = frame;
        loop {
            let Some(mut segment) = self.spare() else {
                if let Some(started) = whole {
                    started.free();
                }
                return None;
            };
            let count = rest.len().min(segment.tailroom());
            if let Some(room) = segment.append(count) {
                room.copy_from_slice(&rest[..count]);
            }
            rest = &rest[count..];
            match &mut whole {
                Some(started) => started.chain(segment),
                None => whole = Some(segment),
            }
            if rest.is_empty() {
                return whole;
            }
        }
    }

    /// An empty packet; takes some from the pool if none is left, or one if it has not so many.
    fn spare(&mut self) -> Option<Mbuf> {
        if self.spare.is_empty() && !self.pool.alloc(&mut self.spare, SPARE) {
            self.pool.alloc(&mut self.spare, 1);
        }
        self.spare.pop()
    }

    /// Gives back what [`packet`](Self::packet) took from the pool and did not use.
    pub fn free_spare(&mut self) {
        self.spare.free();
    }

    /// Gives packets to the lcore that sends by `port`, as many as its ring takes, and wakes it.
    /// The others stay in `batch`; all stay if there is no such port. Returns how many went.
    pub fn inject(&mut self, port: PortId, batch: &mut MbufBatch) -> usize {
        let sender = self.senders.get(usize::from(port.0)).copied().flatten();
        let Some(lcore) = sender.map(usize::from) else {
            return 0;
        };
        for mbuf in batch.as_mut_slice() {
            mbuf.set_port(port.0);
        }
        let count = self.injects[lcore].enqueue(batch);
        self.counters.waker(lcore).wake();
        count
    }

    /// The pool of packets for [`inject`](Self::inject).
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// How the exception thread sleeps: [`Waker::prepare`], look for work once more
    /// ([`has_punted`](Self::has_punted)), wait for [`Waker::fd`] and the taps, [`Waker::awake`].
    pub fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }
}

impl Drop for ExceptionChannel {
    fn drop(&mut self) {
        self.spare.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: usize = 64;

    /// Takes a burst of `priority`; tells who gave how many.
    fn burst(turns: &mut Turns, priority: PuntPriority, rings: &mut [usize]) -> Vec<usize> {
        let mut gave = vec![0; rings.len()];
        let mut room = BURST;
        turns.serve(priority, rings.len(), |lcore| {
            let taken = rings[lcore].min(room);
            (rings[lcore], room) = (rings[lcore] - taken, room - taken);
            gave[lcore] = taken;
            (taken, room > 0)
        });
        gave
    }

    #[test]
    fn every_lcore_is_served_whoever_floods_and_whatever_is_asked_for_between() {
        for lcores in [2, 4] {
            for flooded in 1..1_u32 << lcores {
                let floods = |lcore: usize| flooded >> lcore & 1 == 1;
                let mut turns = Turns::default();
                let mut total = vec![0; lcores];
                let rounds = 12 * lcores;
                for _ in 0..rounds {
                    // As a round of the exception thread: the urgent rings are asked for first,
                    // and have nothing.
                    for idle in [PuntPriority::High, PuntPriority::Medium] {
                        burst(&mut turns, idle, &mut vec![0; lcores]);
                    }
                    for _ in 0..2 {
                        let full = |lcore| if floods(lcore) { 1000 } else { 0 };
                        let mut rings: Vec<_> = (0..lcores).map(full).collect();
                        let gave = burst(&mut turns, PuntPriority::Low, &mut rings);
                        for (sum, gave) in total.iter_mut().zip(gave) {
                            *sum += gave;
                        }
                    }
                }
                let share = 2 * rounds * BURST / flooded.count_ones() as usize;
                for (lcore, &got) in total.iter().enumerate() {
                    let fair = if floods(lcore) { share } else { 0 };
                    let off = got.abs_diff(fair);
                    assert!(off <= BURST, "{lcores} lcores, {flooded:b}: {total:?}");
                }
            }
        }
    }

    #[test]
    fn a_turn_stays_where_nothing_was_taken() {
        let mut turns = Turns::default();
        let low = PuntPriority::Low;
        burst(&mut turns, low, &mut [0, 0]);
        assert_eq!(burst(&mut turns, low, &mut [64, 64]), [64, 0]);
        burst(&mut turns, low, &mut [0, 0]);
        assert_eq!(burst(&mut turns, low, &mut [64, 64]), [0, 64]);
    }
}
