//! What the mirror's thread owns, and what it does in one turn.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_fib::{PortId, Writer};
use ironlane_rib::{Change, CommitReport, Family, IfIndex, ObjectKind, PortBinding, Rib, Rule};

use super::counters::{Counters, MirrorStatus};
use super::decode::Repeats;
use super::dump::Dumper;
use super::message::Messages;
use super::ports::{PortListener, PortWatch};
use super::refresh::Refresher;
use super::socket::{NetlinkSocket, Received};
use super::sync::{Sync, kind_of};
use super::{MirrorOptions, NetlinkError, decode, namespace};

/// Most datagrams that are applied before a commit makes them visible.
const BATCH: usize = 4096;
/// Longest time for which lists are read before events are looked at again.
const SLICE: Duration = Duration::from_millis(2);
/// About how many routes that went with a link leave the tables before events are looked at again.
const CLEANED: usize = 2048;

/// Is told which addresses the router has, as [`Rib::own_addresses`] does; called on the mirror's thread, and
/// must not block.
pub type OwnListener = Box<dyn FnMut(Vec<(Option<PortId>, IpNet)>) + Send>;

/// What the mirror's thread owns. Closures given to [`MirrorHandle`](super::MirrorHandle) get it;
/// what they change is committed after them.
pub struct MirrorState {
    /// What the kernel has.
    pub rib: Rib,
    /// The one writer of the tables.
    pub writer: Writer,
    options: MirrorOptions,
    /// None for that of the whole process.
    namespace: Option<Arc<File>>,
    counters: Counters,
    sync: Sync,
    ports: PortWatch,
    own: Option<OwnListener>,
    refresher: Refresher,
    next_refresh: Option<Instant>,
    /// Rules that were warned of: others than the defaults, and defaults that are missing.
    warned: BTreeSet<Rule>,
    repeats: Repeats,
    /// Events were lost, and the burst in which that happened is not over.
    overrun: bool,
    waiting: Vec<SyncSender<()>>,
    pub(super) stopping: bool,
}

impl MirrorState {
    /// In the network namespace of this thread. The socket that hears events must be open
    /// already, so that nothing is missed between the first lists and the first event.
    pub(super) fn open(
        options: MirrorOptions,
        writer: Writer,
        listener: PortListener,
    ) -> Result<Self, NetlinkError> {
        let sync = Sync::new(
            Dumper::default(),
            options.audit_delay,
            options.audit_interval,
        );
        let refresher = Refresher::open(writer.tables())?;
        let elsewhere = options.netns.is_some();
        let namespace = elsewhere.then(namespace::here).transpose()?.map(Arc::new);
        let next_refresh = options
            .refresh_interval
            .map(|interval| Instant::now() + interval);
        Ok(Self {
            rib: Rib::new(options.vrf),
            writer,
            options,
            namespace,
            counters: Counters::new(),
            sync,
            ports: PortWatch::new(listener),
            own: None,
            refresher,
            next_refresh,
            warned: BTreeSet::new(),
            repeats: Repeats::default(),
            overrun: false,
            waiting: Vec::new(),
            stopping: false,
        })
    }

    /// How it was told to work.
    pub fn options(&self) -> &MirrorOptions {
        &self.options
    }

    /// The network namespace that is mirrored; none for that of the whole process.
    pub(crate) fn namespace(&self) -> Option<Arc<File>> {
        self.namespace.clone()
    }

    /// What it does, and what it counted.
    pub fn status(&self) -> MirrorStatus {
        MirrorStatus {
            synchronised: self.sync.is_synchronised(),
            doing: self.sync.doing(),
            messages: self.counters.messages(),
            totals: self.counters.totals,
            latency: self.counters.latency(),
        }
    }

    /// Starts to count from nothing.
    pub fn clear_counters(&mut self) {
        self.counters.clear();
    }

    /// Forgets how long changes took; all else counts on.
    pub fn clear_latency(&mut self) {
        self.counters.clear_latency();
    }

    /// Says which port stands behind an interface, or that its MAC or MTU is another.
    pub fn bind_port(&mut self, ifindex: IfIndex, binding: PortBinding) {
        self.rib.bind_port(ifindex, binding);
        self.ports.bind(ifindex, binding.port);
    }

    /// The interface has no port any more.
    pub fn unbind_port(&mut self, ifindex: IfIndex) -> Option<PortBinding> {
        self.ports.unbind(ifindex);
        self.rib.unbind_port(ifindex)
    }

    /// Has `listener` hear which addresses the router has, now and whenever they change.
    pub fn listen_own_addresses(&mut self, mut listener: OwnListener) {
        listener(self.rib.own_addresses());
        self.own = Some(listener);
    }

    fn tell_own_addresses(&mut self) {
        if let Some(listener) = &mut self.own
            && let Some(own) = self.rib.take_own_addresses()
        {
            listener(own);
        }
    }

    /// Reads everything from the kernel again, beside the normal work.
    pub fn resync(&mut self) {
        self.counters.totals.resyncs += 1;
        self.sync.restart();
    }

    /// Writes what changed to the tables, once the first synchronisation is done: before, half a
    /// table would send packets by routes that are not the most specific, so they are filled out of
    /// sight.
    pub fn commit(&mut self) -> CommitReport {
        if !self.sync.is_first_done() {
            self.rib.fill(&mut self.writer);
        }
        if !self.sync.is_first_done() || !self.rib.is_dirty() {
            // The lcores have gone on since the last change: what it retired may be free now.
            if self.writer.pending() > 0 {
                self.writer.reclaim();
            }
            return CommitReport::default();
        }
        let report = self.rib.commit_some(&mut self.writer, CLEANED);
        if !report.is_empty() {
            self.counters.totals.commits += 1;
        }
        if report.refused > 0 {
            tracing::warn!(refused = report.refused, "the tables are full");
        }
        report
    }

    /// Whether there is more to commit.
    fn is_cleaning(&self) -> bool {
        self.sync.is_first_done() && self.rib.is_cleaning()
    }

    /// Tells when everything is in step, at once if it is.
    pub(super) fn tell_synchronised(&mut self, waiting: SyncSender<()>) {
        self.waiting.push(waiting);
        self.tell_waiting();
    }

    fn tell_waiting(&mut self) {
        if self.sync.is_synchronised() && !self.rib.is_cleaning() {
            for waiting in self.waiting.drain(..) {
                // Whoever waited may have given up.
                let _ = waiting.try_send(());
            }
        }
    }

    /// When there is something to do though nothing arrives.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.sync
            .next_due()
            .into_iter()
            .chain(self.next_refresh)
            .min()
    }

    /// Takes in what arrived, goes on with lists, commits. True if there is more to do at once.
    pub(super) fn turn(&mut self, events: &mut NetlinkSocket) -> Result<bool, NetlinkError> {
        let arrived = Instant::now();
        let (mut changes, mut idle) = (0, false);
        if !self.sync.holds_events() {
            (changes, idle) = self.drain(events, arrived)?;
        }
        let was_synchronised = self.sync.is_synchronised();
        let worked = self.read_lists(idle)?;
        if worked && !self.sync.is_active() {
            self.warn_of_rules();
        }
        self.tell_own_addresses();
        let report = self.commit();
        if changes > 0 && !report.is_empty() && was_synchronised {
            self.counters.visible(changes, arrived.elapsed());
        }
        if self.sync.is_synchronised() {
            if self.overrun || !was_synchronised {
                tracing::info!("in step with the kernel");
            }
            self.overrun = false;
            self.tell_waiting();
        }
        self.refresh()?;
        Ok(worked || !idle || self.is_cleaning())
    }

    /// Warns of rules that came, or went, by lists.
    fn warn_of_rules(&mut self) {
        for rule in self.rib.ignored_rules() {
            warn_of(rule, &mut self.warned);
        }
        for rule in self.rib.missing_rules() {
            warn_of(&rule, &mut self.warned);
        }
    }

    fn read_lists(&mut self, idle: bool) -> Result<bool, NetlinkError> {
        let end = Instant::now() + SLICE;
        let mut worked = false;
        loop {
            let Self {
                sync,
                rib,
                ports,
                counters,
                ..
            } = self;
            let now = Instant::now();
            let more = sync.step(rib, ports, &mut counters.totals, idle, now)?;
            sync.want(rib.take_audit(), now);
            worked |= more;
            // What a list ends with wants a look at the events first.
            if !more || !sync.is_active() || sync.is_read() || now >= end {
                return Ok(worked);
            }
        }
    }

    /// Applies events until none waits, or many were applied. Tells how many, and whether none
    /// waits.
    fn drain(
        &mut self,
        events: &mut NetlinkSocket,
        now: Instant,
    ) -> Result<(u64, bool), NetlinkError> {
        let mut changes = 0;
        for _ in 0..BATCH {
            match events.receive()? {
                Received::Empty => return Ok((changes, true)),
                Received::Datagram(datagram) => changes += self.take(datagram, now),
                Received::Overrun => {
                    self.counters.totals.overruns += 1;
                    if !self.overrun {
                        tracing::warn!("the kernel dropped netlink messages: reading all anew");
                    }
                    self.overrun = true;
                    self.resync();
                }
            }
        }
        Ok((changes, false))
    }

    fn take(&mut self, datagram: &[u8], now: Instant) -> u64 {
        let mut changes = 0;
        for message in Messages::new(datagram) {
            let change = message.and_then(|message| {
                self.counters.message(message.kind);
                let mut change = decode::change(&message)?;
                if let Some(change) = &mut change
                    && self.repeats.see(&message, change)
                {
                    self.sync.want([kind_of(change)], now);
                }
                Ok(change)
            });
            match change {
                Ok(Some(change)) => {
                    changes += 1;
                    self.apply(change, now);
                }
                Ok(None) => self.counters.totals.ignored += 1,
                Err(malformed) => {
                    self.counters.totals.malformed += 1;
                    tracing::debug!(%malformed, "netlink message skipped");
                }
            }
        }
        changes
    }

    fn apply(&mut self, change: Change, now: Instant) {
        self.sync.see(&change, now);
        let moved = self.ports.see(&change);
        self.sync
            .want(silent_effects(&change, moved).iter().copied(), now);
        match &change {
            Change::SetRule(rule) if rule.is_default() => {
                self.warned.remove(rule);
            }
            Change::SetRule(rule) => warn_of(rule, &mut self.warned),
            Change::DelRule(rule) if rule.is_default() => warn_of(rule, &mut self.warned),
            _ => {}
        }
        self.rib.apply(change);
        self.sync.want(self.rib.take_audit(), now);
    }

    fn refresh(&mut self) -> Result<(), NetlinkError> {
        let now = Instant::now();
        let (Some(due), Some(interval)) = (self.next_refresh, self.options.refresh_interval) else {
            return Ok(());
        };
        if due > now {
            return Ok(());
        }
        self.next_refresh = Some(now + interval);
        let refreshed = self.refresher.look(&self.rib, self.writer.tables())?;
        self.counters.totals.probes += refreshed.probes;
        self.sync.want(refreshed.doubtful, now);
        Ok(())
    }
}

/// Warns, once, of a rule that is not honoured, or of a default one that is not there.
fn warn_of(rule: &Rule, warned: &mut BTreeSet<Rule>) {
    if warned.contains(rule) {
        return;
    }
    if rule.is_default() {
        tracing::warn!("{rule} is not there: it is honoured all the same; see: ironlane verify");
    } else {
        tracing::warn!("{rule}: only the default rules are honoured; `ironlane verify` lists it");
    }
    warned.insert(rule.clone());
}

/// What the kernel may have changed without an event, beside what this event says. The RIB derives
/// what it can at once; a list finds the rest.
fn silent_effects(change: &Change, link_moved: bool) -> &'static [ObjectKind] {
    use ObjectKind::{Neighbours, Nexthops, Routes};
    const ALL: &[ObjectKind] = &[
        Neighbours(Family::Ip4),
        Neighbours(Family::Ip6),
        Nexthops,
        Routes(Family::Ip4),
        Routes(Family::Ip6),
    ];
    match change {
        Change::SetLink(_) | Change::DelLink(_) if link_moved => ALL,
        Change::DelNexthop(_) => &[Nexthops, Routes(Family::Ip4), Routes(Family::Ip6)],
        Change::SetAddress(a) | Change::DelAddress(a) => match Family::of(a.address) {
            Family::Ip4 => &[Neighbours(Family::Ip4), Routes(Family::Ip4)],
            Family::Ip6 => &[Neighbours(Family::Ip6), Routes(Family::Ip6)],
        },
        _ => &[],
    }
}
