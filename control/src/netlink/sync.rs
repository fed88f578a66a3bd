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
//! The kernel says that an IPv4 route goes before it goes, and who deletes may be held up between. So
//! what was deleted shortly before a list began counts as touched by rule 2; and where events may have been lost, by an
//! overrun or before the subscription, IPv4 routes are listed once more when it is quiet.
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
/// How long the kernel may take from saying that a route goes until no list has it any more.
const PARTING: Duration = Duration::from_secs(1);
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
    /// Routes that an event said were deleted within [`PARTING`], the oldest first.
    parting: VecDeque<(Instant, RouteKey)>,
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
            parting: VecDeque::new(),
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
        // What was lost may have brought them back.
        self.parting.clear();
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
    pub fn see(&mut self, change: &Change, now: Instant) {
        if let Change::DelRoute(route) = change {
            self.forget_parted(now);
            self.parting.push_back((now, key(route)));
        }
        let Some(run) = &mut self.run else { return };
        if run.kind != kind_of(change) {
            return;
        }
        run.crossed = true;
        if let Change::SetRoute(route, _) | Change::DelRoute(route) = change {
            run.touched.insert(key(route));
        }
    }

    fn forget_parted(&mut self, now: Instant) {
        let is_over = |(at, _): &(Instant, RouteKey)| *at + PARTING < now;
        while self.parting.front().is_some_and(is_over) {
            self.parting.pop_front();
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
        self.run = Some(self.new_run(kind, now));
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
                return self.read_again(run, now);
            }
            // Nothing is swept: entries may be missing from the list.
            self.want([run.kind], now);
        } else if run.crossed && !run.repeated && may_skip(run.kind) {
            // The same generation: only what both lists lack is swept.
            totals.dumps_repeated += 1;
            run.repeated = true;
            return self.read_again(run, now);
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
            if self.whole {
                self.want([ObjectKind::Routes(Family::Ip4)], now);
            }
            (self.whole, self.first_done) = (false, true);
            if self.next_audit.is_none() {
                self.next_audit = self.interval.map(|interval| now + interval);
            }
        }
        Ok(())
    }

    /// A list that is begun now. All events so far are older than it, but the kernel may yet have what they said was deleted.
    fn new_run(&mut self, kind: ObjectKind, now: Instant) -> Run {
        self.forget_parted(now);
        Run {
            kind,
            tries: 1,
            ended: None,
            crossed: false,
            repeated: false,
            touched: match kind {
                ObjectKind::Routes(_) => self.parting.iter().map(|(_, key)| *key).collect(),
                _ => HashSet::new(),
            },
            unconfirmed: 0,
        }
    }

    /// Begins the list anew.
    fn read_again(&mut self, run: Run, now: Instant) -> Result<(), NetlinkError> {
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
            ..self.new_run(kind, now)
        });
        Ok(())
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
mod tests;
