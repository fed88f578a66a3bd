//! The mirror's thread, and the way to ask it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ironlane_fib::Writer;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use super::ports::PortListener;
use super::socket::NetlinkSocket;
use super::sysctl::{Finding, Settings};
use super::{MirrorOptions, MirrorState, NetlinkError, namespace};

/// Something to do on the mirror's thread.
type Command = Box<dyn FnOnce(&mut MirrorState) + Send>;

/// Time after an error of a socket before everything is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The running mirror. Dropping it stops its thread.
#[derive(Debug)]
pub struct Mirror {
    handle: MirrorHandle,
    thread: Option<JoinHandle<()>>,
}

/// The way to ask the mirror; cheap to clone.
#[derive(Debug, Clone)]
pub struct MirrorHandle {
    commands: Sender<Command>,
    /// Wakes the thread, which waits for netlink and for this.
    bell: Arc<EventFd>,
}

impl Mirror {
    /// Starts the thread `mirror`, which moves to the namespace, hears events and begins to list.
    /// `listener` is called on that thread when something is done to the tap of a bound port.
    ///
    /// It returns once the sockets are open. [`MirrorHandle::synchronised`] tells when the tables
    /// are filled.
    ///
    /// # Errors
    /// A namespace that does not exist, or one that only root may enter.
    pub fn start(
        options: MirrorOptions,
        writer: Writer,
        listener: PortListener,
    ) -> Result<Self, NetlinkError> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| NetlinkError::Thread(errno.into()))?;
        let bell = Arc::new(bell);
        let (sender, commands) = mpsc::channel();
        let (started, start) = mpsc::sync_channel(1);
        let heard = Arc::clone(&bell);
        let body = move || match open(options, writer, listener) {
            Ok((state, events)) => {
                // The starter waits for it.
                let _ = started.send(Ok(()));
                run(state, events, &commands, &heard);
            }
            Err(e) => {
                let _ = started.send(Err(e));
            }
        };
        let thread = thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(body)
            .map_err(NetlinkError::Thread)?;
        start.recv().map_err(|_| NetlinkError::Stopped)??;
        Ok(Self {
            handle: MirrorHandle {
                commands: sender,
                bell,
            },
            thread: Some(thread),
        })
    }

    /// The way to ask it.
    pub fn handle(&self) -> MirrorHandle {
        self.handle.clone()
    }

    /// Whether the thread runs. If not though nobody stopped it, it has panicked.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the thread and waits for it. The tables stay as they are.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        // It may have stopped by itself.
        let _ = self.handle.send(|state| state.stopping = true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the mirror's thread had panicked");
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.join();
    }
}

impl MirrorHandle {
    /// Runs `f` on the mirror's thread, between two turns; what it changes is committed after.
    ///
    /// # Errors
    /// [`NetlinkError::Stopped`].
    pub async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut MirrorState) -> R + Send + 'static,
    ) -> Result<R, NetlinkError> {
        let (answer, answered) = oneshot::channel();
        self.send(move |state| {
            // Whoever asked may have gone.
            let _ = answer.send(f(state));
        })?;
        answered.await.map_err(|_| NetlinkError::Stopped)
    }

    /// As [`with`](Self::with), for threads that may block; never from an async task.
    pub fn with_blocking<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut MirrorState) -> R + Send + 'static,
    ) -> Result<R, NetlinkError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.send(move |state| {
            let _ = answer.send(f(state));
        })?;
        answered.recv().map_err(|_| NetlinkError::Stopped)
    }

    /// Waits until the tables hold what the kernel has, no longer than `limit`. True if they do.
    /// Blocks; never from an async task.
    pub fn synchronised(&self, limit: Duration) -> Result<bool, NetlinkError> {
        let (sender, told) = mpsc::sync_channel(1);
        self.send(move |state| state.tell_synchronised(sender))?;
        match told.recv_timeout(limit) {
            Ok(()) => Ok(true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(NetlinkError::Stopped),
        }
    }

    /// Kernel settings of the mirror's namespace that break forwarding, for these taps.
    pub async fn settings(&self, taps: Vec<String>) -> Result<Vec<Finding>, NetlinkError> {
        self.with(move |_| Settings::default().findings(taps.iter().map(String::as_str)))
            .await
    }

    fn send(
        &self,
        command: impl FnOnce(&mut MirrorState) + Send + 'static,
    ) -> Result<(), NetlinkError> {
        self.commands
            .send(Box::new(command))
            .map_err(|_| NetlinkError::Stopped)?;
        // It fails only if it was rung 2^64 times in vain: then the thread is awake.
        let _ = self.bell.write(1);
        Ok(())
    }
}

fn open(
    options: MirrorOptions,
    writer: Writer,
    listener: PortListener,
) -> Result<(MirrorState, NetlinkSocket), NetlinkError> {
    namespace::enter(options.netns.as_deref())?;
    // First of all: what changes from here on is heard.
    let events = NetlinkSocket::events(options.receive_buffer_bytes)?;
    let state = MirrorState::open(options, writer, listener)?;
    Ok((state, events))
}

fn run(
    mut state: MirrorState,
    mut events: NetlinkSocket,
    commands: &Receiver<Command>,
    bell: &EventFd,
) {
    while !state.stopping {
        let outcome = state.turn(&mut events).and_then(|busy| {
            if serve(&mut state, commands) || busy {
                return Ok(());
            }
            wait(&events, bell, state.next_due())
        });
        if let Err(e) = outcome {
            tracing::error!("{e}; reading everything anew in a second");
            pause(&mut state, commands, bell, RETRY);
            state.resync();
        }
    }
}

/// Lets netlink alone for a while, and does what is asked for meanwhile.
fn pause(state: &mut MirrorState, commands: &Receiver<Command>, bell: &EventFd, time: Duration) {
    let end = Instant::now() + time;
    loop {
        serve(state, commands);
        if state.stopping || Instant::now() >= end {
            return;
        }
        let mut sources = [PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
        if poll(&mut sources, timeout(end)).is_err_and(|errno| errno != Errno::EINTR) {
            thread::sleep(Duration::from_millis(10));
        }
        // It fails if it was not rung.
        let _ = bell.read();
    }
}

/// Does what was asked for; a turn follows and commits. True if anything was asked for.
fn serve(state: &mut MirrorState, commands: &Receiver<Command>) -> bool {
    let mut served = false;
    for command in commands.try_iter() {
        command(state);
        served = true;
    }
    served
}

/// Sleeps until an event arrives, something is asked for, or something is due.
fn wait(events: &NetlinkSocket, bell: &EventFd, due: Option<Instant>) -> Result<(), NetlinkError> {
    let mut sources = [
        PollFd::new(events.as_fd(), PollFlags::POLLIN),
        PollFd::new(bell.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut sources, due.map_or(PollTimeout::NONE, timeout)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => {
            let source = io::Error::from(errno);
            return Err(NetlinkError::Socket {
                step: "waiting for it",
                source,
            });
        }
    }
    // Silenced before the commands are looked at, so that no ring is missed. It fails if it was
    // not rung.
    let _ = bell.read();
    Ok(())
}

/// Until then, in whole milliseconds, rounded up, so that it is due when they are over.
fn timeout(due: Instant) -> PollTimeout {
    let left = due.saturating_duration_since(Instant::now());
    let ms = left.as_micros().div_ceil(1000);
    PollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use ironlane_fib::Tables;
    use ironlane_rcu::Domain;

    use super::*;

    #[test]
    fn a_mirror_that_waits_after_an_error_answers_and_stops() {
        let domain = Domain::new();
        let writer = Writer::new(Arc::new(Tables::new(&domain)), domain);
        let options = MirrorOptions::default();
        let mut state = MirrorState::open(options, writer, Box::new(|_| {})).unwrap();
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        let (sender, commands) = mpsc::channel();
        let handle = MirrorHandle {
            commands: sender,
            bell: Arc::clone(&bell),
        };
        let asker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            let resyncs = handle.with_blocking(|state| state.status().totals.resyncs);
            handle.send(|state| state.stopping = true).unwrap();
            resyncs.unwrap()
        });
        let start = Instant::now();
        pause(&mut state, &commands, &bell, Duration::from_secs(60));
        assert!(state.stopping && start.elapsed() < Duration::from_secs(30));
        assert_eq!(asker.join().unwrap(), 0);
    }
}
