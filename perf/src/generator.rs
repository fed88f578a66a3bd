//! A packet generator on ring ports: one thread sends at a rate and takes what comes back.
//!
//! The time stamp counter stands in the payload of each frame, so each packet's time through the box is
//! known. The generator's own part in it, shown by a run without a router, is that the thread
//! which sends is the one that receives.

use std::time::Duration;

use hdrhistogram::Histogram;
use ironlane_dataplane::eal::{
    Clock, DATA_ROOM, Eal, MbufBatch, Mempool, RingConsumer, RingPort, RingProducer, ring, ticks,
};

use crate::oracle::Oracle;
use crate::router::Router;
use crate::trial::{STALL_NS, Stalls, Trial};

type Failure = Box<dyn std::error::Error>;

/// Packets that a ring holds: as many as descriptors of an ordinary queue.
const RING: u32 = 1023;
/// Buffers of the generator: both rings full, and bursts under way.
const BUFFERS: u32 = 8191;
/// Bytes at the end of the UDP header's frame that the stamp takes.
const STAMP: usize = 8;

/// The two ring ports of a router, made before it.
pub struct RingPorts {
    source: RingPort,
    sink: RingPort,
    pool: Mempool,
    eal: Eal,
}

impl RingPorts {
    /// Makes them; the first port of the process is the source.
    ///
    /// # Errors
    /// What EAL answers.
    pub fn create(eal: Eal) -> Result<Self, Failure> {
        let pool = Mempool::create(eal, "generator", BUFFERS, DATA_ROOM, -1)?;
        let pools = std::slice::from_ref(&pool);
        let source = RingPort::create(eal, "source", 1, 1, RING, pools)?;
        let sink = RingPort::create(eal, "sink", 1, 1, RING, pools)?;
        Ok(Self {
            source,
            sink,
            pool,
            eal,
        })
    }

    /// Device string of the port that the router receives from.
    pub fn source(&self) -> &str {
        self.source.device()
    }

    /// Device string of the port that the router sends by.
    pub fn sink(&self) -> &str {
        self.sink.device()
    }

    /// Their other ends, and buffers for what is sent.
    pub fn ends(&mut self) -> (&mut RingProducer, &mut RingConsumer, &Mempool) {
        let (to, from) = (&mut self.source.to_port[0], &mut self.sink.from_port[0]);
        (to, from, &self.pool)
    }

    /// The generator at their other ends.
    pub fn generator(&mut self, frames: Vec<Vec<u8>>) -> Generator<'_> {
        Generator {
            to: &mut self.source.to_port[0],
            from: &mut self.sink.from_port[0],
            work: Work::new(self.eal, self.pool.clone(), frames),
        }
    }
}

/// A ring with no router in it, for the generator's own times.
pub struct Bare {
    to: RingProducer,
    from: RingConsumer,
    pool: Mempool,
    eal: Eal,
}

impl Bare {
    /// Makes it.
    ///
    /// # Errors
    /// What EAL answers.
    pub fn create(eal: Eal) -> Result<Self, Failure> {
        let pool = Mempool::create(eal, "bare", BUFFERS, DATA_ROOM, -1)?;
        let (to, from) = ring(eal, "bare", RING, -1, std::slice::from_ref(&pool))?;
        Ok(Self {
            to,
            from,
            pool,
            eal,
        })
    }

    /// The generator at its ends.
    pub fn generator(&mut self, frames: Vec<Vec<u8>>) -> Generator<'_> {
        Generator {
            to: &mut self.to,
            from: &mut self.from,
            work: Work::new(self.eal, self.pool.clone(), frames),
        }
    }
}

/// Sends frames and takes what comes back.
pub struct Generator<'a> {
    to: &'a mut RingProducer,
    from: &'a mut RingConsumer,
    work: Work,
}

struct Work {
    frames: Vec<Vec<u8>>,
    next: usize,
    pool: Mempool,
    clock: Clock,
    out: MbufBatch,
    back: MbufBatch,
    /// Where the stamp stands; `None` if the frames have no room for one.
    stamp: Option<usize>,
}

impl Work {
    fn new(eal: Eal, pool: Mempool, frames: Vec<Vec<u8>>) -> Self {
        let ends: Vec<_> = frames
            .iter()
            .map(|frame| {
                let header = if frame[12] == 0x86 { 62 } else { 42 };
                (frame.len() >= header + STAMP).then_some(frame.len() - STAMP)
            })
            .collect();
        // One place for all, or none: IMIX has several lengths.
        let stamp = ends
            .first()
            .copied()
            .flatten()
            .filter(|first| ends.iter().all(|end| *end == Some(*first)));
        Self {
            frames,
            next: 0,
            pool,
            clock: Clock::start(eal),
            out: MbufBatch::new(),
            back: MbufBatch::new(),
            stamp,
        }
    }

    /// Fills `out` with the next `count` frames. False if the buffers are used up: they are on the
    /// way, so there is no room on it.
    fn fill(&mut self, count: usize) -> bool {
        if !self.pool.alloc(&mut self.out, count) {
            return false;
        }
        let now = ticks().to_le_bytes();
        for mbuf in self.out.as_mut_slice() {
            let frame = &self.frames[self.next];
            self.next = (self.next + 1) % self.frames.len();
            let bytes = mbuf.append(frame.len()).expect("a frame fits a buffer");
            bytes.copy_from_slice(frame);
            if let Some(place) = self.stamp {
                bytes[place..place + STAMP].copy_from_slice(&now);
            }
        }
        true
    }

    fn take(&mut self, from: &mut RingConsumer, times: &mut Histogram<u64>) -> u64 {
        let count = from.dequeue(&mut self.back);
        if count > 0 {
            let now = ticks();
            if let Some(place) = self.stamp {
                for mbuf in self.back.as_slice() {
                    let stamp = mbuf.data().get(place..place + STAMP);
                    let stamp = stamp.and_then(|bytes| bytes.try_into().ok());
                    let sent = u64::from_le_bytes(stamp.unwrap_or_default());
                    times.saturating_record(self.clock.ns(now.saturating_sub(sent)));
                }
            }
            self.back.free();
        }
        count as u64
    }
}

impl Generator<'_> {
    /// Sends at `pps` packets a second, `burst` at once, for so long; then waits for what is on
    /// the way. Time in which this thread was kept from its CPU does not count, see [`trial`](crate::trial).
    pub fn trial(&mut self, pps: f64, burst: usize, time: Duration) -> Trial {
        let mut times = histogram();
        let (mut sent, mut refused, mut received) = (0_u64, 0_u64, 0);
        let (mut stalls, mut aside) = (Stalls::default(), histogram());
        let hz = self.work.clock.hz() as f64;
        let (begin, length) = (ticks(), (time.as_secs_f64() * hz) as u64);
        let stall = (STALL_NS as f64 * hz / 1e9) as u64;
        let (mut last, mut ran, mut paused) = (begin, 0, 0);
        while ran < length {
            let now = ticks();
            if now - last > stall {
                let on_the_way = sent - received.min(sent);
                let back = self.rest(on_the_way, &mut aside);
                // As if they had never been sent.
                sent -= on_the_way;
                let settled = ticks();
                paused += settled - last;
                let (length, settling) = ((now - last) as f64 / hz, (settled - now) as f64 / hz);
                stalls.note(length, settling, on_the_way, back);
                last = settled;
                continue;
            }
            last = now;
            ran = now - begin - paused;
            let due = (ran as f64 * pps / hz) as u64;
            let mut waiting = due - (sent + refused).min(due);
            // Behind by more than a ring: those never went.
            if waiting > u64::from(RING) {
                refused += waiting - u64::from(RING);
                waiting = u64::from(RING);
            }
            if waiting >= burst as u64 {
                if self.work.fill(burst) {
                    sent += self.to.enqueue(&mut self.work.out) as u64;
                    refused += self.work.out.len() as u64;
                    self.work.out.free();
                } else {
                    refused += burst as u64;
                }
            }
            received += self.work.take(self.from, &mut times);
        }
        received += self.rest(sent - received.min(sent), &mut times);
        Trial {
            sent,
            refused,
            received,
            seconds: ran as f64 / hz,
            times,
            stalls,
        }
    }

    /// Keeps bursts of `burst` coming: the next goes when the box has taken the one before, so that
    /// it never finds more. Returns packets and seconds.
    pub fn one_burst_at_a_time(&mut self, burst: usize, time: Duration) -> (u64, f64) {
        let mut times = histogram();
        let hz = self.work.clock.hz() as f64;
        let (begin, length) = (ticks(), (time.as_secs_f64() * hz) as u64);
        let (mut sent, mut received) = (0, 0);
        while ticks() - begin < length {
            if self.to.is_empty() && self.work.fill(burst) {
                sent += self.to.enqueue(&mut self.work.out) as u64;
                self.work.out.free();
            }
            received += self.work.take(self.from, &mut times);
        }
        let seconds = (ticks() - begin) as f64 / hz;
        received += self.rest(sent - received, &mut times);
        (received, seconds)
    }

    /// Waits for `count` packets, as long as the next comes within a fiftieth of a second.
    fn rest(&mut self, count: u64, times: &mut Histogram<u64>) -> u64 {
        let (mut last, patience) = (ticks(), self.work.clock.hz() / 50);
        let mut received = 0;
        while received < count && ticks() - last < patience {
            let came = self.work.take(self.from, times);
            if came > 0 {
                received += came;
                last = ticks();
            }
        }
        received
    }

    /// Sends every frame once and compares what comes back.
    ///
    /// # Errors
    /// What differs first.
    pub fn verify(&mut self, oracle: &Oracle) -> Result<(), Failure> {
        let stamp = self.work.stamp.take();
        self.work.next = 0;
        let result = (0..self.work.frames.len()).try_for_each(|index| {
            let frame = self.work.frames[index].clone();
            if !self.work.fill(1) {
                return Err("no packet buffer".into());
            }
            self.to.enqueue(&mut self.work.out);
            let begin = ticks();
            while self.from.dequeue(&mut self.work.back) == 0 {
                if ticks() - begin > self.work.clock.hz() {
                    return Err(format!("frame {index} did not come back").into());
                }
            }
            let got: Vec<_> = self.work.back.as_slice()[0].data().to_vec();
            self.work.back.free();
            match oracle.forwarded(&frame) {
                Some(wanted) if wanted == got => Ok(()),
                wanted => Err(Failure::from(format!(
                    "frame {index}: {wanted:02x?} {got:02x?}"
                ))),
            }
        });
        self.work.stamp = stamp;
        result
    }
}

/// Nanoseconds up to ten seconds, to three digits. It never grows: that would take time meanwhile.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds in order")
}

/// Sends frames to the MAC address of the router's first port.
pub fn addressed(mut frames: Vec<Vec<u8>>, router: &Router) -> Vec<Vec<u8>> {
    let mac = router.mac(0);
    for frame in &mut frames {
        frame[..6].copy_from_slice(&mac);
    }
    frames
}
