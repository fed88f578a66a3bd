//! When to list what, and why an event that crosses a list does no harm.
//!
//! All events since the subscription arrive, in order, on one socket, until an overrun. Lists are
//! read on another, so that an entry of a list may be older or newer than an event that waits.
//! Three rules make the outcome that of the kernel:
//!
//! 1. *A list begins with no event waiting that was read before it.* Small lists are taken whole,
//!    while events wait; then the events are applied in order. An event older than the list is
//!    applied again, which is harmless: the events after it lead to the state that the list
//!    showed, and further.
//! 2. *Routes are long lists, so events go on meanwhile.* What an event touched since the list
//!    began is not taken from the list, since the list may be older: the list only confirms it, so
//!    that the sweep leaves it. Where the list says something else, another list is due later.
//! 3. *What the kernel removes without an event comes with some other event* (a link, an address,
//!    a nexthop object), which asks for a list that begins after it, see `Rib::take_audit`. An
//!    older event that would bring the route back stands before that other event in the queue.
//!
//! Lists for which the kernel does not tell that they changed (IPv6 routes, neighbours) may lack an
//! entry that was there all the time. They are read twice before the sweep if an event of their
//! kind came meanwhile.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_rib::{Change, Family, ObjectKind, Rib, Route, TableId};

use super::NetlinkError;
use super::counters::Totals;
use super::dump::{Dumper, Step};
use super::ports::PortWatch;

/// Triggers that keep coming put an audit off by no more than this many delays.
const PATIENCE: u32 = 8;
/// How often an interrupted list is read again before others have their turn.
const TRIES: u32 = 8;
/// Most that a disagreement between list and events puts off the next list.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

type RouteKey = (TableId, IpNet, u8, u32);

/// Lists that are due, and the one being read.
pub(super) struct Sync {
    dumper: Dumper,
    delay: Duration,
    interval: Option<Duration>,
    /// To be read now, in this order.
    queue: VecDeque<ObjectKind>,
    run: Option<Run>,
    /// To be read once it is quiet.
    wanted: BTreeSet<ObjectKind>,
    wanted_since: Option<Instant>,
    due: Option<Instant>,
    next_audit: Option<Instant>,
    backoff: Duration,
    /// The first synchronisation, or one after an overrun, is going on.
    whole: bool,
    first_done: bool,
}

/// A list that is being read.
struct Run {
    kind: ObjectKind,
    tries: u32,
    /// Ended, with this; the events that arrived meanwhile come first.
    ended: Option<bool>,
    /// An event of this kind came since the list was asked for.
    crossed: bool,
    repeated: bool,
    touched: HashSet<RouteKey>,
    unconfirmed: u64,
}

impl Sync {
    pub fn new(dumper: Dumper, delay: Duration, interval: Option<Duration>) -> Self {
        Self {
            dumper,
            delay,
            interval,
            queue: ObjectKind::ALL.into(),
            run: None,
            wanted: BTreeSet::new(),
            wanted_since: None,
            due: None,
            next_audit: None,
            backoff: delay,
            whole: true,
            first_done: false,
        }
    }

    /// Whether the first synchronisation is done: before, the tables are left empty.
    pub fn is_first_done(&self) -> bool {
        self.first_done
    }

    /// Whether all is in step, as far as events tell.
    pub fn is_synchronised(&self) -> bool {
        self.first_done && !self.whole
    }

    /// Whether a list is being read, or is to be read now.
    pub fn is_active(&self) -> bool {
        self.run.is_some() || !self.queue.is_empty()
    }

    /// Whether events must wait: a list that is taken whole is being read.
    pub fn holds_events(&self) -> bool {
        let long = |run: &Run| matches!(run.kind, ObjectKind::Routes(_));
        self.run
            .as_ref()
            .is_some_and(|run| run.ended.is_none() && !long(run))
    }

    /// Whether a list was read and waits for the events that arrived meanwhile.
    pub fn is_read(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.ended.is_some())
    }

    /// What is going on, in words.
    pub fn doing(&self) -> String {
        match (&self.run, self.first_done, self.due) {
            (Some(run), _, _) if self.whole => format!("synchronising {:?}", run.kind),
            (Some(run), _, _) => format!("auditing {:?}", run.kind),
            (None, false, _) => "starting".to_owned(),
            (None, true, Some(_)) => "following, audit due".to_owned(),
            (None, true, None) => "following".to_owned(),
        }
    }

    /// When something is to be done though no event comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.next_audit).min()
    }

    /// Everything is to be read again: events were lost.
    pub fn restart(&mut self) {
        self.run = None;
        self.queue = ObjectKind::ALL.into();
        self.whole = true;
        self.forget_wanted();
    }

    /// The kernel may have changed these without saying so: read them once it is quiet.
    pub fn want(&mut self, kinds: impl IntoIterator<Item = ObjectKind>, now: Instant) {
        self.want_after(kinds, now, self.delay);
    }

    fn want_after(
        &mut self,
        kinds: impl IntoIterator<Item = ObjectKind>,
        now: Instant,
        delay: Duration,
    ) {
        let mut any = false;
        for kind in kinds {
            self.wanted.insert(kind);
            any = true;
        }
        if !any {
            return;
        }
        let since = *self.wanted_since.get_or_insert(now);
        self.due = Some((now + delay).min(since + delay.max(self.delay) * PATIENCE));
    }

    fn forget_wanted(&mut self) {
        self.wanted.clear();
        (self.wanted_since, self.due) = (None, None);
    }

    /// Looks at an event before the RIB takes it.
    pub fn see(&mut self, change: &Change) {
        let Some(run) = &mut self.run else { return };
        if run.kind != kind_of(change) {
            return;
        }
        run.crossed = true;
        if let Change::SetRoute(route, _) | Change::DelRoute(route) = change {
            run.touched.insert(key(route));
        }
    }

    /// Goes on by one piece of a list, or begins the next. True if there was something to do.
    /// `idle` says that no event waits.
    pub fn step(
        &mut self,
        rib: &mut Rib,
        ports: &mut PortWatch,
        totals: &mut Totals,
        idle: bool,
        now: Instant,
    ) -> Result<bool, NetlinkError> {
        let Some(run) = &mut self.run else {
            return if idle {
                self.begin(rib, now)
            } else {
                Ok(false)
            };
        };
        if run.ended.is_some() {
            if idle {
                self.end(rib, ports, totals, now)?;
            }
            return Ok(idle);
        }
        let malformed = self.dumper.malformed;
        let Run {
            touched,
            unconfirmed,
            ..
        } = run;
        let step = self.dumper.step(|change| match change {
            Change::SetRoute(route, _) if !touched.is_empty() && touched.contains(&key(&route)) => {
                *unconfirmed += u64::from(!rib.confirm_route(route));
            }
            change => {
                ports.see(&change);
                rib.apply(change);
            }
        });
        let step = step?;
        totals.malformed += self.dumper.malformed - malformed;
        if let Step::Done { interrupted } = step {
            totals.dumps += 1;
            run.ended = Some(interrupted);
        }
        Ok(true)
    }

    fn begin(&mut self, rib: &mut Rib, now: Instant) -> Result<bool, NetlinkError> {
        if self.queue.is_empty() {
            if self.next_audit.is_some_and(|at| at <= now) {
                self.next_audit = None;
                self.forget_wanted();
                self.queue = ObjectKind::ALL.into();
            } else if self.due.is_some_and(|at| at <= now) {
                let wanted = std::mem::take(&mut self.wanted);
                self.forget_wanted();
                self.queue = ObjectKind::ALL
                    .into_iter()
                    .filter(|k| wanted.contains(k))
                    .collect();
            }
        }
        let Some(kind) = self.queue.pop_front() else {
            return Ok(false);
        };
        rib.sync_begin(kind);
        self.dumper.begin(kind)?;
        self.run = Some(Run::new(kind));
        Ok(true)
    }

    /// The list was read and the events that arrived meanwhile are applied: read it again, or
    /// sweep.
    fn end(
        &mut self,
        rib: &mut Rib,
        ports: &mut PortWatch,
        totals: &mut Totals,
        now: Instant,
    ) -> Result<(), NetlinkError> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        if run.ended == Some(true) {
            totals.dumps_interrupted += 1;
            if run.tries < TRIES {
                run.tries += 1;
                rib.sync_begin(run.kind);
                return self.read_again(run);
            }
            // Nothing is swept: entries may be missing from the list.
            self.want([run.kind], now);
        } else if run.crossed && !run.repeated && may_skip(run.kind) {
            // The same generation: only what both lists lack is swept.
            totals.dumps_repeated += 1;
            run.repeated = true;
            return self.read_again(run);
        } else {
            let swept = rib.sync_end(run.kind) as u64;
            totals.swept += swept;
            if run.kind == ObjectKind::Links {
                ports.sweep(|ifindex| rib.link(ifindex).is_some());
            }
            totals.unconfirmed += run.unconfirmed;
            if swept > 0 {
                tracing::debug!(kind = ?run.kind, swept, "gone without an event");
            }
            if run.unconfirmed > 0 {
                self.want_after([run.kind], now, self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX.max(self.delay));
            } else if matches!(run.kind, ObjectKind::Routes(_)) {
                self.backoff = self.delay;
            }
        }
        if self.queue.is_empty() {
            (self.whole, self.first_done) = (false, true);
            if self.next_audit.is_none() {
                self.next_audit = self.interval.map(|interval| now + interval);
            }
        }
        Ok(())
    }

    /// Begins the list anew. All events so far are older than it.
    fn read_again(&mut self, run: Run) -> Result<(), NetlinkError> {
        self.dumper.begin(run.kind)?;
        let Run {
            kind,
            tries,
            repeated,
            ..
        } = run;
        self.run = Some(Run {
            tries,
            repeated,
            ..Run::new(kind)
        });
        Ok(())
    }
}

impl Run {
    fn new(kind: ObjectKind) -> Self {
        Self {
            kind,
            tries: 1,
            ended: None,
            crossed: false,
            repeated: false,
            touched: HashSet::new(),
            unconfirmed: 0,
        }
    }
}

/// Lists of these may lack an entry, if others come and go meanwhile, without
/// `NLM_F_DUMP_INTR`: the kernel goes on by counting entries, in a tree or a hash that changed.
fn may_skip(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Routes(Family::Ip6) | ObjectKind::Neighbours(_)
    )
}

fn key(route: &Route) -> RouteKey {
    (route.table, route.prefix, route.tos, route.metric)
}

/// The list that an object is in.
pub(super) fn kind_of(change: &Change) -> ObjectKind {
    match change {
        Change::SetLink(_) | Change::DelLink(_) => ObjectKind::Links,
        Change::SetAddress(a) | Change::DelAddress(a) => {
            ObjectKind::Addresses(Family::of(a.address))
        }
        Change::SetNeighbour(n) => ObjectKind::Neighbours(Family::of(n.address)),
        Change::DelNeighbour { address, .. } => ObjectKind::Neighbours(Family::of(*address)),
        Change::SetRoute(r, _) | Change::DelRoute(r) => {
            ObjectKind::Routes(Family::of(r.prefix.addr()))
        }
        Change::SetNexthop(_) | Change::DelNexthop(_) => ObjectKind::Nexthops,
        Change::SetRule(r) | Change::DelRule(r) => {
            ObjectKind::Rules(if r.ipv6 { Family::Ip6 } else { Family::Ip4 })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ironlane_fib::{PortId, VrfId};
    use ironlane_rib::{IfIndex, Link};

    use super::*;
    use crate::netlink::PortChange;

    #[test]
    fn a_tap_that_went_unseen_is_told_to_its_port_by_the_next_list() {
        let (sender, told) = mpsc::channel();
        let mut ports = PortWatch::new(Box::new(move |event| sender.send(event).unwrap()));
        let mut rib = Rib::new(VrfId::DEFAULT);
        let mut totals = Totals::default();
        // The kernel never had it, as if its end had been among events that were lost.
        let tap = IfIndex(i32::MAX as u32);
        let link = Change::SetLink(Link::new(tap));
        ports.see(&link);
        ports.bind(tap, PortId(3));
        rib.apply(link);
        let mut sync = Sync::new(Dumper::default(), Duration::ZERO, None);
        while !sync.is_first_done() {
            let now = Instant::now();
            sync.step(&mut rib, &mut ports, &mut totals, true, now)
                .unwrap();
        }
        let changes: Vec<_> = told.try_iter().map(|e| (e.port.0, e.change)).collect();
        let expected = [(3, PortChange::Admin(false)), (3, PortChange::Gone)];
        assert_eq!(changes, expected);
    }
}
