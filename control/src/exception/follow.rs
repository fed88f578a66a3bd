//! The thread that makes the carrier of taps follow that of ports.
//!
//! Routing daemons, and the kernel's own routes, react to the carrier of an interface, and the
//! interface they know is the tap. Devices are asked every [`POLL`]: not all of them tell of
//! changes, and a question costs about a microsecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::links::{LinkError, LinkView, Links};
use super::netns::Namespace;

/// How often devices are asked for their link.
pub const POLL: Duration = Duration::from_millis(10);

/// A port whose carrier its tap follows.
pub struct FollowedPort {
    /// The port's name, for logs.
    pub name: String,
    /// Its tap.
    pub tap: LinkView,
    /// Asks the device whether it has a carrier. What cannot be known is taken to be up.
    pub has_carrier: Box<dyn Fn() -> bool + Send>,
    /// What the tap was told when it was made.
    pub carrier: bool,
}

/// The running thread. It stops when this is dropped.
#[derive(Debug)]
pub struct LinkFollower {
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl LinkFollower {
    /// Starts following; the taps are in `namespace`.
    pub fn start(namespace: &Namespace, ports: Vec<FollowedPort>) -> Result<Self, LinkError> {
        let links = Links::open(namespace)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut worker = Worker {
            links,
            ports,
            stop: Arc::clone(&stop),
            complained: false,
        };
        let handle = thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| LinkError::Socket {
                namespace: namespace.to_string(),
                source,
            })?;
        Ok(Self {
            stop,
            handle: Some(handle),
        })
    }

    /// Ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        // Pairs with the load in `Worker::run`.
        self.stop.store(true, Ordering::Release);
        handle.thread().unpark();
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
    ports: Vec<FollowedPort>,
    stop: Arc<AtomicBool>,
    /// A failure is logged once, not every time.
    complained: bool,
}

impl Worker {
    fn run(&mut self) {
        while !self.stop.load(Ordering::Acquire) {
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
            thread::park_timeout(POLL);
        }
    }
}
