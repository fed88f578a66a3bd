//! The mirror's thread.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ironlane_rib::{Change, Family, ObjectKind};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::books::Books;
use super::link::Link;
use super::wire::{GROUPS, NETLINK_XFRM, kind};
use super::{Blocked, Told, XfrmReport, XfrmReports, taps, told};
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{Notice, Source};
use crate::netlink::dump::Dumper;
use crate::netlink::socket::{NetlinkSocket, Received};
use crate::netlink::{Messages, NetlinkError, namespace};

/// How often the kernel is told what passed its SAs.
pub(super) const WRITE_BACK: Duration = Duration::from_secs(2);

/// Time after an error of a socket before everything is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Groups of events about addresses (`RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`).
const ADDRESS_GROUPS: [u32; 2] = [5, 9];

/// Receive buffer of the socket that hears of addresses: their events say only that there are some.
const ADDRESS_BUFFER: usize = 1 << 16;

/// How the mirror works.
#[derive(Debug, Clone, Default)]
pub struct XfrmOptions {
    /// The network namespace to mirror; that of the caller if none.
    pub netns: Option<PathBuf>,
    /// Receive buffer of the socket that hears events, in bytes.
    pub receive_buffer_bytes: usize,
    /// Taps, whose packets Linux is to leave to lcores.
    pub taps: Vec<String>,
    /// Whether a policy lets all IPv6 packets of the host pass the kernel's IPsec, so that they reach the
    /// taps. It counts for all interfaces of the namespace.
    pub pass_ip6: bool,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum XfrmError {
    /// This kernel has none.
    #[error(
        "[ipsec] xfrm: this kernel has no XFRM: {0}; run: modprobe xfrm_user (and esp4 esp6), or leave \
         xfrm out and use charon_socket, which needs nothing of the kernel"
    )]
    NoXfrm(NetlinkError),
    /// A socket, or what the kernel says.
    #[error("[ipsec] xfrm: {0}")]
    Netlink(#[from] NetlinkError),
    /// A setting of a tap.
    #[error(
        "[ipsec] xfrm: {0}; Linux would seal what it sends by the tap, which lcores do. Is /proc/sys writable?"
    )]
    Tap(io::Error),
    /// No thread.
    #[error("[ipsec] xfrm: its thread: {0}")]
    Thread(io::Error),
}

/// The mirror of the kernel's XFRM. Dropping it gives outbound SAs back to the kernel and ends the thread.
#[derive(Debug)]
pub struct XfrmMirror {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    bell: Arc<EventFd>,
    reports: XfrmReports,
}

impl XfrmMirror {
    /// Starts the thread `xfrm`. When it returns, all that the kernel had is in the model of `shared`.
    ///
    /// # Errors
    /// If the kernel has no XFRM, or the namespace or a tap is not there.
    pub fn start(options: XfrmOptions, shared: Shared) -> Result<Self, XfrmError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = EventFd::from_flags(flags).map_err(|errno| XfrmError::Thread(errno.into()))?;
        let (bell, stop) = (Arc::new(bell), Arc::new(AtomicBool::new(false)));
        let (started, start) = mpsc::sync_channel(1);
        let (heard, stopping) = (Arc::clone(&bell), Arc::clone(&stop));
        let reports = XfrmReports::default();
        let shown = reports.clone();
        let body = move || match Running::open(options, shared, heard, stopping, shown) {
            Ok(mut running) => {
                // The starter waits for it.
                let _ = started.send(Ok(()));
                running.run();
            }
            Err(e) => {
                let _ = started.send(Err(e));
            }
        };
        let thread = thread::Builder::new()
            .name("xfrm".to_owned())
            .spawn(body)
            .map_err(XfrmError::Thread)?;
        start
            .recv()
            .map_err(|_| XfrmError::Netlink(NetlinkError::Stopped))??;
        Ok(Self {
            thread: Some(thread),
            stop,
            bell,
            reports,
        })
    }

    /// What it takes from the kernel, and what not.
    pub fn reports(&self) -> XfrmReports {
        self.reports.clone()
    }

    /// Whether the thread runs. If not though nobody stopped it, it has panicked.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for XfrmMirror {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `run`; the bell wakes it.
        self.stop.store(true, Ordering::Release);
        let _ = self.bell.write(1);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of XFRM had panicked");
        }
    }
}

/// What the thread has.
struct Running {
    shared: Shared,
    books: Books,
    link: Link,
    events: NetlinkSocket,
    addresses: NetlinkSocket,
    notices: Receiver<Notice>,
    bell: Arc<EventFd>,
    stop: Arc<AtomicBool>,
    pass_ip6: bool,
    overruns: u64,
    reports: XfrmReports,
}

impl Running {
    fn open(
        options: XfrmOptions,
        shared: Shared,
        bell: Arc<EventFd>,
        stop: Arc<AtomicBool>,
        reports: XfrmReports,
    ) -> Result<Self, XfrmError> {
        namespace::enter(options.netns.as_deref())?;
        // First of all: what changes from here on is heard.
        let events = NetlinkSocket::events_of(NETLINK_XFRM, &GROUPS, options.receive_buffer_bytes)
            .map_err(|e| match &e {
                NetlinkError::Socket { source, .. }
                    if source.raw_os_error() == Some(libc::EPROTONOSUPPORT) =>
                {
                    XfrmError::NoXfrm(e)
                }
                _ => e.into(),
            })?;
        let addresses = NetlinkSocket::events_of(NETLINK_ROUTE, &ADDRESS_GROUPS, ADDRESS_BUFFER)?;
        for tap in &options.taps {
            taps::leave_to_lcores(tap).map_err(XfrmError::Tap)?;
        }
        let (sender, notices) = mpsc::channel();
        let rung = Arc::clone(&bell);
        shared.listen(Source::Kernel, move |notice| {
            let _ = sender.send(*notice);
            // Full: it rings already.
            let _ = rung.write(1);
        });
        shared.with(|model| model.begin(Source::Kernel));
        let mut running = Self {
            shared,
            books: Books::default(),
            link: Link::open()?,
            events,
            addresses,
            notices,
            bell,
            stop,
            pass_ip6: options.pass_ip6,
            overruns: 0,
            reports,
        };
        running.resync()?;
        let XfrmReport {
            sas,
            policies,
            refused_sas,
            refused_policies,
            ..
        } = running.show();
        tracing::info!(
            sas,
            policies,
            refused_sas,
            refused_policies,
            "the kernel's IPsec is the lcores'"
        );
        Ok(running)
    }

    /// Shows what it has now.
    fn show(&self) -> XfrmReport {
        let report = XfrmReport {
            malformed: self.link.malformed,
            orders_refused: self.link.refused,
            overruns: self.overruns,
            ..self.books.report()
        };
        self.reports.set(report.clone());
        report
    }

    fn run(&mut self) {
        let mut due = Instant::now() + WRITE_BACK;
        while !self.stop.load(Ordering::Acquire) {
            let outcome = self.turn().and_then(|()| {
                self.show();
                self.wait(due)
            });
            if let Err(e) = outcome {
                tracing::error!("XFRM: {e}; reading everything anew in a second");
                thread::sleep(RETRY);
                if let Err(e) = self.resync() {
                    tracing::error!("XFRM: {e}");
                }
            }
            if Instant::now() >= due {
                self.books.tell_use(&self.shared, &mut self.link);
                due = Instant::now() + WRITE_BACK;
            }
        }
        self.books.hand_back(&self.shared, &mut self.link);
        if self.pass_ip6 {
            self.link.end_pass_ip6();
        }
        let XfrmReport {
            malformed,
            orders_refused,
            overruns,
            ..
        } = self.show();
        tracing::debug!(malformed, orders_refused, overruns, "XFRM is left");
    }

    /// Takes in all that waits.
    fn turn(&mut self) -> Result<(), NetlinkError> {
        let mut is_stale = drain(&mut self.addresses)? && self.read_addresses()?;
        loop {
            let (mut all, mut len) = (Vec::new(), 0);
            match self.events.receive()? {
                Received::Datagram(bytes) => {
                    len = bytes.len();
                    for message in Messages::new(bytes) {
                        match message.and_then(|message| told(&message)) {
                            Ok(Some(told)) => all.push(told),
                            Ok(None) => {}
                            Err(e) => {
                                tracing::warn!("XFRM: {e}; the message is skipped");
                                self.link.malformed += 1;
                            }
                        }
                    }
                }
                Received::Empty => break,
                Received::Overrun => {
                    tracing::warn!("XFRM: events were lost; reading everything anew");
                    self.overruns += 1;
                    is_stale = true;
                }
            }
            // Keys were in it.
            self.events.wipe(len);
            for told in all {
                is_stale |= told == Told::Migrated;
                let is_over = matches!(told, Told::PoliciesFlushed | Told::PolicyGone(_));
                self.books.apply(&self.shared, &mut self.link, told);
                if is_over && self.pass_ip6 {
                    // It may have been ours.
                    self.link.pass_ip6();
                }
            }
        }
        while let Ok(notice) = self.notices.try_recv() {
            self.books.hear(&self.shared, &mut self.link, &notice);
        }
        if is_stale {
            self.resync()?;
        }
        Ok(())
    }

    /// Reads all that the kernel has, and takes what it has no more from lcores.
    fn resync(&mut self) -> Result<(), NetlinkError> {
        if self.pass_ip6 {
            self.link.pass_ip6();
        }
        self.read_addresses()?;
        let sas = self.link.list(kind::GET_SA)?;
        let policies = self.link.list(kind::GET_POLICY)?;
        let default = self.default_policy()?;
        let sas = sas.into_iter().filter_map(|told| match told {
            Told::Sa(sa) => Some(*sa),
            _ => None,
        });
        let policies = policies.into_iter().filter_map(|told| match told {
            Told::Policy(policy) => Some(*policy),
            _ => None,
        });
        let (sas, policies) = (sas.collect(), policies.collect());
        self.books
            .apply(&self.shared, &mut self.link, Told::Default(default));
        self.books
            .replace(&self.shared, &mut self.link, sas, policies);
        Ok(())
    }

    fn default_policy(&mut self) -> Result<Blocked, NetlinkError> {
        match self.link.list(kind::GET_DEFAULT) {
            Ok(all) => Ok(all
                .iter()
                .find_map(|told| match told {
                    Told::Default(blocked) => Some(*blocked),
                    _ => None,
                })
                .unwrap_or_default()),
            // Before Linux 5.14 there is none.
            Err(NetlinkError::Socket { source, .. })
                if matches!(source.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) =>
            {
                Ok(Blocked::default())
            }
            Err(e) => Err(e),
        }
    }

    /// Reads the addresses of this host; whether they are others than before.
    fn read_addresses(&mut self) -> Result<bool, NetlinkError> {
        let mut local = std::collections::HashSet::<IpAddr>::new();
        for family in [Family::Ip4, Family::Ip6] {
            let mut of_family = Vec::new();
            Dumper::default().all(ObjectKind::Addresses(family), |change| match change {
                Some(Change::SetAddress(address)) => of_family.push(address.address),
                Some(_) => {}
                None => of_family.clear(),
            })?;
            local.extend(of_family);
        }
        let is_other = local != self.books.local;
        self.books.local = local;
        Ok(is_other)
    }

    /// Sleeps until something is to be done.
    fn wait(&self, due: Instant) -> Result<(), NetlinkError> {
        let left = due.saturating_duration_since(Instant::now());
        let ms = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let fds = [
            self.events.as_fd(),
            self.addresses.as_fd(),
            self.bell.as_fd(),
        ];
        let mut sources = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut sources, PollTimeout::from(ms)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(NetlinkError::Socket {
                    step: "waiting for XFRM",
                    source: errno.into(),
                });
            }
        }
        // It fails if it was not rung.
        let _ = self.bell.read();
        Ok(())
    }
}

/// Reads all that waits; whether there was anything.
fn drain(socket: &mut NetlinkSocket) -> Result<bool, NetlinkError> {
    let mut was_any = false;
    loop {
        match socket.receive()? {
            Received::Empty => return Ok(was_any),
            Received::Datagram(_) | Received::Overrun => was_any = true,
        }
    }
}
