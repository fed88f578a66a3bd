//! The thread that keeps ports and taps in step, both ways.
//!
//! The carrier of a tap follows that of its port: routing daemons, and the kernel's own routes,
//! react to the carrier of an interface, and the interface they know is the tap. Devices are asked
//! every [`POLL`]: not all of them tell of changes, and a question costs about a microsecond.
//!
//! The port follows what is done to its tap (`ip link set TAP down`, another MTU): the mirror
//! tells, this thread acts, since devices may take their time, and looks at carriers at once where the
//! port was started or stopped. It also follows the multicast groups of
//! its tap, which are looked at every [`GROUPS`].

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ironlane_fib::PortId;

use super::groups::GroupLists;
use super::links::{LinkError, LinkView, Links};
use super::netns::Namespace;

/// How often devices are asked for their link.
pub const POLL: Duration = Duration::from_millis(10);

/// How often the multicast groups of taps are looked at: joining is not announced.
const GROUPS: Duration = Duration::from_secs(1);

/// What was done to a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapChange {
    /// It was set up or down.
    Admin(bool),
    /// It has another MTU.
    Mtu(u32),
    /// It has another MAC.
    Mac([u8; 6]),
    /// It receives these multicast groups now.
    Groups(Vec<[u8; 6]>),
    /// It was deleted, or moved to another namespace.
    Gone,
}

/// A port with its tap, each of which follows the other.
pub struct FollowedPort {
    /// The port.
    pub port: PortId,
    /// Its name, for logs.
    pub name: String,
    /// Its tap.
    pub tap: LinkView,
    /// Asks the device whether it has a carrier. What cannot be known is taken to be up.
    pub has_carrier: Box<dyn Fn() -> bool + Send>,
    /// What the tap was told when it was made.
    pub carrier: bool,
    /// The multicast groups that the port was told.
    pub groups: Vec<[u8; 6]>,
    /// Makes the port follow its tap.
    pub apply: Box<dyn FnMut(TapChange) + Send>,
}

/// The running thread. It stops when this is dropped.
#[derive(Debug)]
pub struct LinkFollower {
    handle: Option<JoinHandle<()>>,
    told: Sender<Told>,
}

#[derive(Debug)]
enum Told {
    Tap(PortId, TapChange),
    Stop,
}

/// Tells the thread what was done to taps. Never blocks; what is told after the thread's end is
/// lost.
#[derive(Debug, Clone)]
pub struct TapChanges(Sender<Told>);

impl TapChanges {
    /// Something was done to the tap of `port`.
    pub fn tell(&self, port: PortId, change: TapChange) {
        let _ = self.0.send(Told::Tap(port, change));
    }
}

impl LinkFollower {
    /// Starts following; the taps are in `namespace`.
    pub fn start(namespace: &Namespace, ports: Vec<FollowedPort>) -> Result<Self, LinkError> {
        let links = Links::open(namespace)?;
        let groups = GroupLists::open(namespace)
            .inspect_err(|e| {
                tracing::warn!(
                    "groups that are joined on taps stay unknown: virtual functions receive those of \
                     routing protocols only, and wider ones than the link do not arrive: {e}"
                );
            })
            .ok();
        let (told, inbox) = channel();
        let mut worker = Worker {
            links,
            groups,
            ports,
            complained: false,
        };
        let handle = thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || worker.run(&inbox))
            .map_err(|source| LinkError::Socket {
                namespace: namespace.to_string(),
                source,
            })?;
        Ok(Self {
            handle: Some(handle),
            told,
        })
    }

    /// How to tell it what was done to taps.
    pub fn changes(&self) -> TapChanges {
        TapChanges(self.told.clone())
    }

    /// Whether the thread runs. If not though nobody stopped it, it has panicked.
    pub fn is_running(&self) -> bool {
        self.handle.as_ref().is_some_and(|h| !h.is_finished())
    }

    /// Ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        let _ = self.told.send(Told::Stop);
        if handle.join().is_err() {
            tracing::error!("the link thread panicked");
        }
    }
}

impl Drop for LinkFollower {
    fn drop(&mut self) {
        self.end();
    }
}

struct Worker {
    links: Links,
    /// Where groups are read, if they can be.
    groups: Option<GroupLists>,
    ports: Vec<FollowedPort>,
    /// A failure is logged once, not every time.
    complained: bool,
}

impl Worker {
    fn run(&mut self, inbox: &Receiver<Told>) {
        let mut look_at_groups = Instant::now();
        loop {
            self.follow_ports();
            if Instant::now() >= look_at_groups {
                self.follow_groups();
                look_at_groups = Instant::now() + GROUPS;
            }
            let next = Instant::now() + POLL;
            loop {
                let left = next.saturating_duration_since(Instant::now());
                match inbox.recv_timeout(left) {
                    Ok(Told::Tap(port, change)) => {
                        let restarts = matches!(change, TapChange::Admin(_));
                        for followed in self.ports.iter_mut().filter(|p| p.port == port) {
                            (followed.apply)(change.clone());
                        }
                        if restarts {
                            // A port that was stopped has no carrier. Told later, it might be after
                            // the tap was set up again: routes made meanwhile would be flushed.
                            self.follow_ports();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// Tells ports which groups their taps have joined.
    fn follow_groups(&mut self) {
        let Some(lists) = &mut self.groups else {
            return;
        };
        if let Err(e) = lists.refresh() {
            return tracing::debug!("the multicast groups of taps: {e}");
        }
        for port in &mut self.ports {
            let groups = lists.of(port.tap.index);
            if port.groups != groups {
                port.groups.clone_from(&groups);
                (port.apply)(TapChange::Groups(groups));
            }
        }
    }

    /// Tells the taps what became of the carriers of their ports.
    fn follow_ports(&mut self) {
        for port in &mut self.ports {
            let carrier = (port.has_carrier)();
            if carrier == port.carrier {
                continue;
            }
            let word = if carrier { "up" } else { "lost" };
            match self.links.set_carrier(&port.tap, carrier) {
                Ok(()) => {
                    port.carrier = carrier;
                    tracing::info!(port = port.name, tap = port.tap.name, "carrier {word}");
                }
                Err(e) if !self.complained => {
                    self.complained = true;
                    tracing::warn!(port = port.name, "carrier {word}, and its tap's: {e}");
                }
                Err(_) => {}
            }
        }
    }
}
