//! What the kernel has, and how it gets to the model. No sockets here: what is asked of the kernel goes
//! through [`Kernel`].

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use ironlane_ipsec::{Direction, SaSpec, SaStats};

use super::Told;
use super::encode::SaName;
use super::policies::Policies;
use super::policy::{KernelPolicy, Template};
use super::report::{NAMED, XfrmReport, named};
use super::sa::{KernelSa, Numbers, Used};
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{Notice, Refusal, SaChange, SaKey, Source, TrafficSelector};

/// Sequence numbers that are left out where somebody else may have used some that we did not hear of:
/// the kernel between being asked and being stopped, lcores between being asked and being stopped. Neither
/// can seal as many in that time, which is checked.
const GAP: u64 = 1 << 20;

/// How long the number of an SA that went is kept: it may come back under another address.
const KEPT: Duration = Duration::from_secs(600);

/// What is asked of the kernel. Nothing of it is waited for but the answer of [`take`](Kernel::take).
pub(super) trait Kernel {
    /// Sets the kernel's own sequence number of an outbound SA to the last there is, so that the kernel
    /// seals nothing by it any more, and tells what it was a moment before.
    fn take(&mut self, sa: &KernelSa) -> Result<u64, NotTaken>;

    /// Sets sequence numbers, usage, or both.
    fn set(&mut self, name: &SaName, numbers: Option<&Numbers>, used: Option<&Used>);

    /// Raises the soft or hard end of an SA.
    fn expire(&mut self, name: &SaName, is_hard: bool);

    /// Asks IKE for an SA for a packet.
    fn acquire(
        &mut self,
        policy: &KernelPolicy,
        template: &Template,
        packet: (&TrafficSelector, &TrafficSelector),
    );
}

/// Why the kernel kept an outbound SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It was deleted meanwhile.
    Gone,
    /// In words.
    Refused(String),
}

/// An SA that lcores have.
#[derive(Debug)]
struct Held {
    sa: KernelSa,
    direction: Direction,
    first_use_s: u64,
    /// Packets that the kernel was told of.
    told_packets: u64,
}

/// An outbound SA that went, with the last number that it used.
#[derive(Debug)]
struct Left {
    sa: KernelSa,
    last: u64,
    at: Instant,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    sas: HashMap<SaKey, Held>,
    left: Vec<Left>,
    policies: Policies,
    /// Addresses of this host.
    pub local: HashSet<IpAddr>,
    /// SAs that lcores do not take, with the reason: it is told once.
    refused: HashMap<SaKey, String>,
}

/// Seconds of the wall clock, as the kernel counts them.
fn wall_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn name(sa: &KernelSa) -> SaName {
    SaName {
        key: sa.key,
        mark: sa.mark,
    }
}

/// Whether two are the same but for what passes them.
fn is_same(a: &KernelSa, b: &KernelSa) -> bool {
    let still = |sa: &KernelSa| KernelSa {
        used: Used::default(),
        numbers: Numbers::default(),
        ..sa.clone()
    };
    still(a) == still(b)
}

impl Books {
    /// What lcores have, and what not.
    pub fn report(&self) -> XfrmReport {
        let sas = self.refused.iter().map(|(key, why)| (key.to_string(), why));
        let mut refused = named(sas, NAMED);
        let policies = self.policies.refused();
        let refused_policies = policies.len();
        let policies = policies.map(|(key, why)| (key.to_string(), why));
        refused.extend(named(policies, NAMED - refused.len()));
        XfrmReport {
            sas: self.sas.len(),
            policies: self.policies.len(),
            refused_sas: self.refused.len(),
            refused_policies,
            refused,
            ..XfrmReport::default()
        }
    }

    /// Takes in what a message tells, but for [`Told::Migrated`]: then all is to be listed anew.
    pub fn apply(&mut self, shared: &Shared, kernel: &mut impl Kernel, told: Told) {
        match told {
            Told::Sa(sa) => self.sa(shared, kernel, *sa),
            Told::SaGone(key) => self.forget(shared, &key),
            Told::SasFlushed(protocol) => {
                let is_gone = |key: &&SaKey| protocol == 0 || key.protocol.number() == protocol;
                for key in self.sas.keys().filter(is_gone).copied().collect::<Vec<_>>() {
                    self.forget(shared, &key);
                }
                self.refused.clear();
            }
            Told::Policy(policy) => self.policies.put(shared, *policy),
            Told::PolicyGone(policy) => self.policies.forget(shared, &policy.name),
            Told::PoliciesFlushed => self.policies.flush(shared),
            Told::Default(blocked) => self.policies.set_default(shared, blocked),
            Told::Migrated => {}
        }
    }

    /// Takes in lists of all that there is. Policies come in the order of the kernel's list.
    pub fn replace(
        &mut self,
        shared: &Shared,
        kernel: &mut impl Kernel,
        sas: Vec<KernelSa>,
        policies: Vec<KernelPolicy>,
    ) {
        let listed: HashSet<_> = sas.iter().map(|sa| sa.key).collect();
        self.refused.retain(|key, _| listed.contains(key));
        // First, so that the numbers are known of one that is back under another address.
        let gone = self.sas.keys().filter(|key| !listed.contains(key));
        for key in gone.copied().collect::<Vec<_>>() {
            self.forget(shared, &key);
        }
        for sa in sas {
            self.sa(shared, kernel, sa);
        }
        self.policies.replace(shared, policies);
    }

    fn sa(&mut self, shared: &Shared, kernel: &mut impl Kernel, mut sa: KernelSa) {
        if sa.is_larval() {
            return;
        }
        let direction = sa.direction_at(&self.local);
        let known = self.sas.get(&sa.key);
        let is_turned = known.is_none_or(|held| Some(held.direction) != direction);
        let is_told_again = known.is_some_and(|held| is_same(&held.sa, &sa));
        if !is_turned && (is_told_again || self.change(shared, &sa)) {
            return;
        }
        if let Some(held) = self.sas.get(&sa.key) {
            // Its limits and its window go on from where they are.
            if held.sa.algorithms == sa.algorithms
                && let Some((used, seen)) = used(shared, held)
            {
                sa.used = used;
                sa.numbers.seen = sa.numbers.seen.max(seen);
            }
            let key = sa.key;
            self.forget(shared, &key);
        }
        match self.install(shared, kernel, &sa, direction) {
            Ok(()) => {
                self.refused.remove(&sa.key);
            }
            Err(why) => {
                let why = why.to_string();
                if self.refused.get(&sa.key) != Some(&why) {
                    tracing::warn!("the kernel's {} is not taken: {why}", sa.key);
                    self.refused.insert(sa.key, why);
                }
            }
        }
    }

    /// Writes other addresses and another reqid of an SA that is there; whether that is all that changed.
    fn change(&mut self, shared: &Shared, sa: &KernelSa) -> bool {
        let Some(held) = self.sas.get_mut(&sa.key) else {
            return false;
        };
        let moved = KernelSa {
            src: sa.src,
            encap: sa.encap,
            reqid: sa.reqid,
            ..held.sa.clone()
        };
        if !is_same(&moved, sa) {
            return false;
        }
        let change = SaChange {
            src: sa.src,
            dst: sa.key.dst,
            encap: sa.encap.map(|(_, encap)| encap),
            reqid: Some(sa.reqid),
        };
        let is_done = shared
            .with(|model| model.update_sa(&sa.key, change))
            .is_ok();
        if is_done {
            held.sa = moved;
        }
        is_done
    }

    fn install(
        &mut self,
        shared: &Shared,
        kernel: &mut impl Kernel,
        sa: &KernelSa,
        direction: Option<Direction>,
    ) -> Result<(), Refusal> {
        let direction = direction.ok_or_else(|| {
            Refusal::Refused("neither of its addresses is one of this router, yet".into())
        })?;
        let mut new = sa.to_new(direction, wall_s())?;
        new.spec.check()?;
        if direction == Direction::Out {
            match self.number(kernel, sa)? {
                Some(last) => new.spec.last_seq = last,
                None => return Ok(()),
            }
        }
        let last = new.spec.last_seq;
        let added = shared.with(|model| model.add_sa(Source::Kernel, new, Instant::now()));
        if let Err(refusal) = added {
            if direction == Direction::Out {
                // Lcores have not used it: it is the kernel's again.
                let numbers = Numbers {
                    out: last,
                    ..sa.numbers
                };
                kernel.set(&name(sa), Some(&numbers), None);
            }
            return Err(refusal);
        }
        let held = Held {
            direction,
            first_use_s: sa.used.first_use_s,
            told_packets: sa.used.packets,
            sa: sa.clone(),
        };
        self.sas.insert(sa.key, held);
        Ok(())
    }

    /// The number behind which lcores go on with an outbound SA; `None` if it was deleted meanwhile.
    fn number(&mut self, kernel: &mut impl Kernel, sa: &KernelSa) -> Result<Option<u64>, Refusal> {
        let last = match kernel.take(sa) {
            Ok(last) if last < sa.last_possible() => last,
            Ok(_) => {
                self.left.retain(|left| left.at.elapsed() < KEPT);
                let is_it = |left: &&Left| {
                    let id = |sa: &KernelSa| (sa.key.protocol, sa.key.spi);
                    id(&left.sa) == id(sa) && left.sa.algorithms == sa.algorithms
                };
                match self.left.iter().rev().find(is_it) {
                    Some(left) => left.last,
                    None => {
                        kernel.expire(&name(sa), false);
                        return Err(Refusal::Refused(
                            "its sequence numbers were taken by a router that did not give them back \
                             (oseq is at its end); IKE is told to rekey, by hand install another one"
                                .into(),
                        ));
                    }
                }
            }
            Err(NotTaken::Gone) => return Ok(None),
            Err(NotTaken::Refused(why)) => return Err(Refusal::Refused(why)),
        };
        match last
            .checked_add(GAP)
            .filter(|last| *last < sa.last_possible())
        {
            Some(last) => Ok(Some(last)),
            None => {
                kernel.expire(&name(sa), false);
                Err(Refusal::Refused("its sequence numbers are used up".into()))
            }
        }
    }

    /// Takes an SA from lcores.
    fn forget(&mut self, shared: &Shared, key: &SaKey) {
        self.refused.remove(key);
        let Some(held) = self.sas.remove(key) else {
            return;
        };
        let last = shared.with(|model| {
            let last = model.sa_stats(key).map(|(_, stats)| stats.seq);
            if let Err(e) = model.del_sa(key) {
                tracing::debug!("{e}");
            }
            last
        });
        if let (Direction::Out, Some(last)) = (held.direction, last) {
            self.left.retain(|left| left.at.elapsed() < KEPT);
            self.left.push(Left {
                sa: held.sa,
                last,
                at: Instant::now(),
            });
        }
    }

    /// Acts upon what the model tells.
    pub fn hear(&mut self, shared: &Shared, kernel: &mut impl Kernel, notice: &Notice) {
        match notice {
            Notice::Expire { key, hard: true } => {
                if let Some(held) = self.sas.remove(key) {
                    kernel.expire(&name(&held.sa), true);
                }
            }
            Notice::Expire { key, hard: false } => {
                let Some(held) = self.sas.get_mut(key) else {
                    return;
                };
                let is_by_use = shared.with(|model| {
                    let sa = model.sa_stats(key);
                    sa.is_some_and(|(spec, stats)| {
                        is_used_up(spec, &stats, held.sa.last_possible())
                    })
                });
                // The kernel itself tells of time.
                if is_by_use {
                    tell_use(shared, kernel, held);
                    kernel.expire(&name(&held.sa), false);
                }
            }
            Notice::Acquire {
                policy, src, dst, ..
            } => {
                if let Some(policy) = self.policies.of_key(policy)
                    && let Some(template) = policy.templates.first()
                {
                    kernel.acquire(policy, template, (src, dst));
                }
            }
            // There is no message by which the kernel could be told.
            Notice::Mapping { key, addr, port } => {
                tracing::debug!("{key}: the peer is at {addr} port {port} now; IKE will find out");
            }
        }
    }

    /// Tells the kernel what passed its SAs.
    pub fn tell_use(&mut self, shared: &Shared, kernel: &mut impl Kernel) {
        for held in self.sas.values_mut() {
            tell_use(shared, kernel, held);
        }
    }

    /// Gives all outbound SAs back to the kernel, which goes on behind the last number, and takes all from
    /// lcores: the router stops.
    pub fn hand_back(&mut self, shared: &Shared, kernel: &mut impl Kernel) {
        self.tell_use(shared, kernel);
        for key in self.sas.keys().copied().collect::<Vec<_>>() {
            self.forget(shared, &key);
        }
        for left in self.left.drain(..) {
            let numbers = Numbers {
                out: left.last.saturating_add(GAP).min(left.sa.last_possible()),
                ..left.sa.numbers
            };
            kernel.set(&name(&left.sa), Some(&numbers), None);
        }
    }
}

/// Whether a soft end is one of bytes, packets or sequence numbers, which are seven eighths used then.
fn is_used_up(spec: &SaSpec, stats: &SaStats, last: u64) -> bool {
    let over = |limit: u64, value: u64| limit != 0 && value >= limit;
    over(spec.limits.soft_bytes, stats.bytes)
        || over(spec.limits.soft_packets, stats.packets)
        || stats.seq >= last - last / 8
}

/// What passed an SA, the kernel's own packets counted, and its last sequence number.
fn used(shared: &Shared, held: &Held) -> Option<(Used, u64)> {
    let stats = shared.with(|model| model.sa_stats(&held.sa.key).map(|(_, stats)| stats))?;
    let before = held.sa.used;
    let used = Used {
        bytes: before.bytes.saturating_add(stats.bytes),
        packets: before.packets.saturating_add(stats.packets),
        added_s: before.added_s,
        first_use_s: held.first_use_s,
    };
    Some((used, stats.seq))
}

/// Tells the kernel what passed an SA since the last time.
fn tell_use(shared: &Shared, kernel: &mut impl Kernel, held: &mut Held) {
    let Some((mut used, seen)) = used(shared, held) else {
        return;
    };
    if used.packets == held.told_packets {
        return;
    }
    held.told_packets = used.packets;
    if held.first_use_s == 0 {
        held.first_use_s = wall_s();
        used.first_use_s = held.first_use_s;
    }
    // The window of an inbound SA, so that the next router knows what was seen. An outbound one stays
    // at its end.
    let numbers = (held.direction == Direction::In).then_some(Numbers {
        seen,
        ..held.sa.numbers
    });
    kernel.set(&name(&held.sa), numbers.as_ref(), Some(&used));
}
