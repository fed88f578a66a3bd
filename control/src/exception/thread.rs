//! The thread between taps and lcores.
//!
//! # Rounds
//!
//! A round serves the punt rings, most urgent priority first and each within a bound
//! ([`credits`](super::credits)), then reads each tap that has frames, at most [`TAP_FRAMES`] of
//! them, beginning with another tap each time. So neither direction, no port and no priority can
//! stop another one. A round without work is followed by sleep.
//!
//! # Sleep
//!
//! The thread waits in epoll for its eventfd and for the taps. An lcore writes to the eventfd
//! only if the thread says that it sleeps, so a busy router makes no such system call. No wake-up
//! is lost, because of the order:
//!
//! 1. the thread announces that it will sleep (a store, then a full fence, in
//!    [`Waker::prepare`]);
//! 2. it looks into every punt ring once more, and goes back to work if there is anything;
//! 3. only then it waits.
//!
//! An lcore first puts packets on the ring, then (behind a full fence) looks whether the thread
//! sleeps. If it misses the announcement of step 1, then its packets were on the ring before step
//! 2 looked; if step 2 misses the packets, then the lcore sees the announcement and writes, and
//! the wait of step 3 ends at once. Taps need no such care: epoll tells of each frame that comes
//! after the read that found none.
//!
//! # Threads and memory
//!
//! All rings are single-producer, single-consumer. The thread may be preempted anywhere: lcores
//! never wait for it, since pools which it frees into or takes from use the relaxed ring mode.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ironlane_dataplane::eal::{BURST_MAX, Mbuf, MbufBatch};
use ironlane_dataplane::lcore::{ExceptionChannel, Waker};
use ironlane_dataplane::reason::{PuntPriority, PuntReason};
use ironlane_fib::PortId;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::counters::{ExceptionCounters, InjectDrop, TapDrop};
use super::credits::Credits;
use super::frames::{frame, is_tagged};
use super::tap::Tap;

/// Frames that one round reads from one tap at most.
const TAP_FRAMES: usize = 32;

/// Longest frame that a tap can give: the largest MTU of one, and its headers.
const FRAME_MAX: usize = 65_536 + 32;

/// Longest sleep. Nothing depends on it: work and stop both wake the thread.
const SLEEP: Duration = Duration::from_secs(10);

/// Longest time for which a thread that is to stop serves what is still punted.
const LAST_PUNTS: Duration = Duration::from_millis(500);

/// Ethernet header and one VLAN tag: what a frame may have beyond the MTU.
const FRAME_OVERHEAD: u32 = 14 + 4;

/// A port with its tap.
#[derive(Debug)]
pub struct PortTap {
    /// The port.
    pub port: PortId,
    /// Its MTU.
    pub mtu: u16,
    /// Its tap.
    pub tap: Tap,
}

/// Hears each frame of ICMP that goes to a tap; called on the exception thread, and must not block.
pub type IcmpEar = Box<dyn FnMut(&[u8]) + Send>;

/// What other threads share with the exception thread.
#[derive(Debug)]
struct Shared {
    counters: ExceptionCounters,
    /// Longest frame that each port sends, by port number.
    limits: Box<[AtomicU32]>,
    stop: AtomicBool,
    waker: Arc<Waker>,
}

/// The running exception thread. It stops when this is dropped, and the taps go with it.
#[derive(Debug)]
pub struct ExceptionThread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

/// The exception thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("exception thread: {what}: {source}")]
pub struct ExceptionError {
    what: &'static str,
    source: io::Error,
}

impl ExceptionThread {
    /// Starts the thread between `channel` and `taps`; `icmp` hears what passes.
    pub fn start(
        channel: ExceptionChannel,
        taps: Vec<PortTap>,
        icmp: Option<IcmpEar>,
    ) -> Result<Self, ExceptionError> {
        let failed = |what| move |source| ExceptionError { what, source };
        let ports = taps
            .iter()
            .map(|t| usize::from(t.port.0) + 1)
            .max()
            .unwrap_or(0);
        let shared = Arc::new(Shared {
            counters: ExceptionCounters::new(ports),
            limits: (0..ports).map(|_| AtomicU32::new(0)).collect(),
            stop: AtomicBool::new(false),
            waker: Arc::clone(channel.waker()),
        });
        let poll = Poll::new().map_err(failed("epoll"))?;
        let mut by_port: Box<[Option<usize>]> = vec![None; ports].into();
        for (index, tap) in taps.iter().enumerate() {
            poll.registry()
                .register(
                    &mut SourceFd(&tap.tap.as_raw_fd()),
                    Token(index),
                    Interest::READABLE,
                )
                .map_err(failed("waiting for a tap"))?;
            by_port[usize::from(tap.port.0)] = Some(index);
            shared.limits[usize::from(tap.port.0)]
                .store(u32::from(tap.mtu) + FRAME_OVERHEAD, Ordering::Relaxed);
        }
        let fd = shared.waker.fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), Token(taps.len()), Interest::READABLE)
            .map_err(failed("waiting for lcores"))?;
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            poll,
            events: Events::with_capacity(taps.len() + 1),
            channel,
            joined: Vec::new(),
            icmp,
            taps: taps
                .into_iter()
                .map(|tap| TapState {
                    tap,
                    readable: true,
                    logged: false,
                })
                .collect(),
            by_port,
            next_tap: 0,
        };
        let handle = thread::Builder::new()
            .name("exception".to_owned())
            .spawn(move || worker.run())
            .map_err(failed("start"))?;
        Ok(Self {
            shared,
            handle: Some(handle),
        })
    }

    /// A handle that may outlive the thread.
    pub fn handle(&self) -> ExceptionHandle {
        ExceptionHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether the thread runs. If not though nobody stopped it, it has panicked.
    pub fn is_running(&self) -> bool {
        self.handle.as_ref().is_some_and(|h| !h.is_finished())
    }

    /// Ends the thread: what is on the punt rings still reaches its tap, unless lcores go on to
    /// fill them; then the taps go.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        // Pairs with the load in `Worker::run`; the wake below makes the thread look.
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake();
        if handle.join().is_err() {
            tracing::error!("the exception thread panicked");
        }
    }
}

impl Drop for ExceptionThread {
    fn drop(&mut self) {
        self.end();
    }
}

/// What other threads ask the exception thread for. Clones are handles of the same thread; its
/// counters can be read after its end, too.
#[derive(Debug, Clone)]
pub struct ExceptionHandle {
    shared: Arc<Shared>,
}

impl ExceptionHandle {
    /// The counters.
    pub fn counters(&self) -> &ExceptionCounters {
        &self.shared.counters
    }

    /// Follows a new MTU of a port: frames of the kernel that are longer are dropped.
    pub fn set_mtu(&self, port: PortId, mtu: u16) {
        if let Some(limit) = self.shared.limits.get(usize::from(port.0)) {
            limit.store(u32::from(mtu) + FRAME_OVERHEAD, Ordering::Relaxed);
        }
    }
}

struct TapState {
    tap: PortTap,
    /// False once a read found nothing, until epoll tells of more.
    readable: bool,
    /// A refusal of an unusual kind is logged once.
    logged: bool,
}

struct Worker {
    shared: Arc<Shared>,
    poll: Poll,
    events: Events,
    channel: ExceptionChannel,
    /// Where frames of several segments are joined.
    joined: Vec<u8>,
    icmp: Option<IcmpEar>,
    taps: Vec<TapState>,
    by_port: Box<[Option<usize>]>,
    next_tap: usize,
}

impl Worker {
    fn run(&mut self) {
        let mut scratch = vec![0; FRAME_MAX];
        let mut ending = Ending::default();
        loop {
            // Looked at before the rings: what was on them when `stop` was set is still served.
            let stop = self.shared.stop.load(Ordering::Acquire);
            self.shared.counters.round();
            let punted = self.serve_punts();
            if stop {
                if ending.is_over(punted, Instant::now()) {
                    break;
                }
                continue;
            }
            let read = self.read_taps(&mut scratch);
            if punted || read {
                self.wait(Some(Duration::ZERO));
            } else {
                self.sleep();
            }
        }
    }

    /// Waits, unless work came meanwhile. The module doc tells why the order matters.
    fn sleep(&mut self) {
        let waker = Arc::clone(&self.shared.waker);
        waker.prepare();
        if !self.channel.has_punted() && !self.shared.stop.load(Ordering::Acquire) {
            self.shared.counters.sleep();
            self.wait(Some(SLEEP));
        }
        waker.awake();
    }

    /// Asks epoll which taps have frames.
    fn wait(&mut self, timeout: Option<Duration>) {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Err(e) => {
                tracing::error!("epoll of the exception thread: {e}");
                return;
            }
        }
        for event in &self.events {
            if let Some(tap) = self.taps.get_mut(event.token().0) {
                tap.readable = true;
            }
        }
    }

    /// Serves the punt rings within the bounds of a round. False if there was nothing.
    fn serve_punts(&mut self) -> bool {
        let mut credits = Credits::new();
        let mut batch = MbufBatch::new();
        let mut any = false;
        while let Some(priority) = credits.next(|p| self.channel.punted(p, &mut batch) > 0) {
            any = true;
            self.deliver(priority, &batch);
            batch.free();
        }
        any
    }

    /// Writes frames to the taps of the ports where they arrived.
    fn deliver(&mut self, priority: PuntPriority, batch: &MbufBatch) {
        for mbuf in batch.as_slice() {
            let counters = self.shared.counters.port(mbuf.port());
            let index = self
                .by_port
                .get(usize::from(mbuf.port()))
                .copied()
                .flatten();
            let Some(state) = index.map(|i| &mut self.taps[i]) else {
                counters.dropped(TapDrop::TapMissing);
                continue;
            };
            let frame = frame(mbuf, &mut self.joined);
            if let Some(ear) = &mut self.icmp
                && mbuf.user() == PuntReason::Icmp.index() as u32
            {
                ear(frame);
            }
            match state.tap.tap.send(frame) {
                Ok(()) => counters.delivered(priority, mbuf.pkt_len()),
                Err(e) => counters.dropped(state.refusal(&e)),
            }
        }
    }

    /// Reads each tap that has frames. False if none had.
    fn read_taps(&mut self, scratch: &mut [u8]) -> bool {
        let count = self.taps.len();
        let mut any = false;
        for offset in 0..count {
            let index = (self.next_tap + offset) % count;
            if self.taps[index].readable {
                any |= self.read_tap(index, scratch);
            }
        }
        self.next_tap = (self.next_tap + 1) % count.max(1);
        self.channel.free_spare();
        any
    }

    /// Reads one tap and hands its frames to the lcore that sends for the port.
    fn read_tap(&mut self, index: usize, scratch: &mut [u8]) -> bool {
        let state = &mut self.taps[index];
        let port = state.tap.port;
        let counters = self.shared.counters.port(port.0);
        let limit = self.shared.limits[usize::from(port.0)].load(Ordering::Relaxed) as usize;
        let mut batch = MbufBatch::new();
        let mut bytes = 0;
        let mut read = 0;
        const { assert!(TAP_FRAMES <= BURST_MAX) };
        while read < TAP_FRAMES {
            let len = match state.tap.tap.receive(scratch) {
                Ok(len) => len,
                Err(e) => {
                    state.readable = e.kind() == io::ErrorKind::Interrupted;
                    break;
                }
            };
            read += 1;
            counters.read();
            let frame = &scratch[..len];
            if len < 14 {
                counters.inject_dropped(InjectDrop::InjectTooShort, 1);
            } else if len > limit || len > limit - 4 && !is_tagged(frame) {
                counters.inject_dropped(InjectDrop::InjectTooBig, 1);
            } else if let Some(mbuf) = self.channel.packet(frame) {
                bytes += len;
                // There is room: the batch holds more than a round reads.
                if let Err(mbuf) = batch.push(mbuf) {
                    mbuf.free();
                }
            } else {
                counters.inject_dropped(InjectDrop::InjectNoMbuf, 1);
            }
        }
        if !batch.is_empty() {
            let sent = self.channel.inject(port, &mut batch);
            let lost: usize = batch.as_slice().iter().map(Mbuf::pkt_len).sum();
            counters.injected(sent, bytes - lost);
            counters.inject_dropped(InjectDrop::InjectRingFull, batch.len());
            batch.free();
        }
        read > 0
    }
}

/// When a thread that is to stop has served enough: lcores run on, and may be flooded. What is
/// left then goes with the rings.
#[derive(Default)]
struct Ending(Option<Instant>);

impl Ending {
    /// `punted` says whether there was anything to serve.
    fn is_over(&mut self, punted: bool, now: Instant) -> bool {
        let end = *self.0.get_or_insert(now + LAST_PUNTS);
        !punted || now >= end
    }
}

impl TapState {
    /// What a write that failed is counted as.
    fn refusal(&mut self, error: &io::Error) -> TapDrop {
        match error.raw_os_error() {
            Some(nix::libc::EAGAIN | nix::libc::ENOBUFS) => TapDrop::TapQueueFull,
            Some(nix::libc::EIO | nix::libc::ENETDOWN) => TapDrop::TapDown,
            Some(nix::libc::EBADFD | nix::libc::ENODEV) => {
                self.log(format_args!(
                    "somebody deleted it; restart the daemon to make it again"
                ));
                TapDrop::TapMissing
            }
            _ => {
                self.log(format_args!("the kernel refuses a frame: {error}"));
                TapDrop::TapRefused
            }
        }
    }

    fn log(&mut self, what: std::fmt::Arguments<'_>) {
        if !std::mem::replace(&mut self.logged, true) {
            tracing::warn!("tap {}: {what}", self.tap.tap.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_to_stop_serves_what_there_is_but_not_for_ever() {
        let now = Instant::now();
        let mut ending = Ending::default();
        assert!(!ending.is_over(true, now));
        assert!(ending.is_over(false, now), "nothing is left");
        assert!(!ending.is_over(true, now + LAST_PUNTS / 2));
        assert!(ending.is_over(true, now + LAST_PUNTS), "more keeps coming");
    }
}
