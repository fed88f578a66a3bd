//! Policies: their uses, which of them is in force, and which SA it sends by.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ironlane_fib::VrfId;
use ironlane_ipsec::{Action, PolicyDirection, PolicyId, PolicySpec, SaId};

use super::priority::priority;
use super::{Model, PolicyKey, PolicyUse, Refusal, Source, Verdict, selectors};

/// A use, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) of: PolicyUse,
    pub(super) source: Source,
    /// Its source has come back and not told it again.
    stale: bool,
}

/// What of a policy is in the data plane.
#[derive(Debug, Clone)]
struct Installed {
    action: Action,
    outer: Option<(IpAddr, IpAddr)>,
    priority: u32,
    /// One for each pair of prefixes.
    ids: Vec<PolicyId>,
}

/// A policy.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// In the order in which they came.
    pub(super) uses: Vec<Use>,
    installed: Option<Installed>,
}

impl Entry {
    /// The use in force, and whose it is.
    pub(super) fn in_force(&self, key: &PolicyKey) -> Option<(PolicyUse, Source)> {
        // The last of equal ones: `min_by_key` takes the first of the reversed order.
        let newest_first = self.uses.iter().rev().map(|u| (u.of, u.source));
        newest_first.min_by_key(|(of, _)| priority(key, of))
    }

    /// Its entries in the data plane.
    pub(super) fn ids(&self) -> &[PolicyId] {
        self.installed
            .as_ref()
            .map_or(&[], |installed| &installed.ids)
    }

    /// The priority in the data plane.
    pub(super) fn installed_priority(&self) -> u32 {
        self.installed
            .as_ref()
            .map_or(0, |installed| installed.priority)
    }
}

/// The books of policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    by_key: HashMap<PolicyKey, Entry>,
    by_id: HashMap<PolicyId, PolicyKey>,
    /// Outbound policies with a use of this reqid.
    outbound: HashMap<u32, Vec<PolicyKey>>,
}

impl Policies {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn key_of(&self, id: PolicyId) -> Option<PolicyKey> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get(&self, key: &PolicyKey) -> Option<&Entry> {
        self.by_key.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PolicyKey, &Entry)> {
        self.by_key.iter()
    }

    pub(super) fn mark_stale(&mut self, source: Source) {
        let uses = self.by_key.values_mut().flat_map(|entry| &mut entry.uses);
        uses.filter(|of| of.source == source)
            .for_each(|of| of.stale = true);
    }

    /// Keeps `outbound` true to the uses of a policy, which had the reqids `before`.
    fn index(&mut self, key: &PolicyKey, before: &[u32]) {
        if key.direction != PolicyDirection::Out {
            return;
        }
        let after: Vec<_> = self.by_key.get(key).map_or(vec![], reqids);
        for reqid in before.iter().filter(|reqid| !after.contains(reqid)) {
            if let Some(keys) = self.outbound.get_mut(reqid) {
                keys.retain(|other| other != key);
                if keys.is_empty() {
                    self.outbound.remove(reqid);
                }
            }
        }
        for reqid in after.into_iter().filter(|reqid| !before.contains(reqid)) {
            let keys = self.outbound.entry(reqid).or_default();
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
    }
}

fn reqids(entry: &Entry) -> Vec<u32> {
    entry.uses.iter().map(|of| of.of.reqid).collect()
}

/// What lcores do where `of` is in force.
fn action(key: &PolicyKey, of: &PolicyUse) -> Action {
    match of.verdict {
        Verdict::Bypass => Action::Bypass,
        Verdict::Discard => Action::Discard,
        // charon's exception for what is forwarded into a tunnel has a use without SA.
        Verdict::Protect
            if key.direction == PolicyDirection::Fwd && of.reqid == 0 && of.outer.is_none() =>
        {
            Action::Bypass
        }
        Verdict::Protect => Action::Protect {
            reqid: of.reqid,
            protocol: of.protocol,
            mode: of.mode,
            optional: of.optional,
        },
    }
}

impl Model {
    /// Adds a use of a policy.
    ///
    /// # Errors
    /// A [`Refusal`]; the policy is as it was.
    pub fn add_policy(
        &mut self,
        source: Source,
        key: PolicyKey,
        of: PolicyUse,
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.policies.by_key.get_mut(&key) {
            let mut uses = entry.uses.iter_mut();
            if let Some(known) = uses.find(|u| u.stale && u.source == source && u.of == of) {
                known.stale = false;
                return Ok(());
            }
        }
        self.check_interface(key.if_id, key.mark)?;
        self.check_mode(key.if_id, key.mark, of.mode)?;
        // A new charon takes over what a dead one left under this name.
        let connected = self.connected.clone();
        self.change_uses(&key, |uses| {
            uses.retain(|u| u.source == source || connected.contains(&u.source));
            uses.push(Use {
                of,
                source,
                stale: false,
            });
        })
    }

    /// Removes a use of a policy.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn del_policy(
        &mut self,
        source: Source,
        key: &PolicyKey,
        of: &PolicyUse,
    ) -> Result<(), Refusal> {
        let entry = self.policies.by_key.get(key);
        let at = entry.and_then(|e| {
            e.uses
                .iter()
                .position(|u| u.source == source && u.of == *of)
        });
        let Some(at) = at else {
            return Err(Refusal::NotFound(format!("{key} has no such use")));
        };
        self.change_uses(key, |uses| {
            uses.remove(at);
        })?;
        self.dataplane.reclaim();
        Ok(())
    }

    /// How long ago a packet used a policy; `None` if none did.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn query_policy(&self, key: &PolicyKey) -> Result<Option<Duration>, Refusal> {
        let entry = self.policies.by_key.get(key);
        let entry = entry.ok_or_else(|| Refusal::NotFound(format!("there is no {key}")))?;
        let last_uses = entry
            .ids()
            .iter()
            .map(|&id| self.dataplane.policy_last_use_s(id));
        Ok(self.idle(last_uses.max().unwrap_or(0)))
    }

    /// Deletes all policies of a source, and those that nobody speaks for.
    pub fn flush_policies(&mut self, source: Source) {
        let connected = self.connected.clone();
        self.remove_uses(|by, _, _| by == source || !connected.contains(&by));
        self.dataplane.reclaim();
    }

    /// Removes the uses for which `gone` holds, of their source, staleness and content.
    pub(super) fn remove_uses(&mut self, gone: impl Fn(Source, bool, &PolicyUse) -> bool) {
        let is_gone = |u: &Use| gone(u.source, u.stale, &u.of);
        let all = self.policies.by_key.iter();
        let changed = all.filter(|(_, entry)| entry.uses.iter().any(is_gone));
        for key in changed.map(|(key, _)| *key).collect::<Vec<_>>() {
            if let Err(e) = self.change_uses(&key, |uses| uses.retain(|u| !is_gone(u))) {
                tracing::error!("{key}: {e}");
            }
        }
    }

    /// Binds the outbound policies of `reqid` anew, after SAs came or went.
    pub(super) fn rebind(&mut self, reqid: u32) {
        for key in self
            .policies
            .outbound
            .get(&reqid)
            .cloned()
            .unwrap_or_default()
        {
            self.bind(&key);
        }
    }

    /// Seconds of the lcores' clock, as time from now.
    pub(super) fn idle(&self, last_use_s: u64) -> Option<Duration> {
        let idle = || Duration::from_secs(self.dataplane.now_s().saturating_sub(last_use_s));
        (last_use_s != 0).then(idle)
    }

    /// Changes the uses of a policy, and the data plane with them; or neither.
    fn change_uses(
        &mut self,
        key: &PolicyKey,
        change: impl FnOnce(&mut Vec<Use>),
    ) -> Result<(), Refusal> {
        let entry = self.policies.by_key.entry(*key).or_default();
        let before = entry.uses.clone();
        let old_reqids = reqids(entry);
        change(&mut entry.uses);
        self.policies.index(key, &old_reqids);
        let result = self.refresh(key);
        if result.is_err()
            && let Some(entry) = self.policies.by_key.get_mut(key)
        {
            let new_reqids = reqids(entry);
            entry.uses = before;
            self.policies.index(key, &new_reqids);
        }
        if self
            .policies
            .by_key
            .get(key)
            .is_some_and(|entry| entry.uses.is_empty())
        {
            self.policies.by_key.remove(key);
        }
        result
    }

    /// Makes the data plane do what the use in force says. If it cannot, it does what it did.
    fn refresh(&mut self, key: &PolicyKey) -> Result<(), Refusal> {
        let Some(entry) = self.policies.by_key.get(key) else {
            return Ok(());
        };
        let old = entry.installed.clone();
        let new = match (entry.in_force(key), &old) {
            (Some((of, _)), Some(old))
                if (action(key, &of), of.outer, priority(key, &of))
                    == (old.action, old.outer, old.priority >> 1) =>
            {
                self.bind(key);
                return Ok(());
            }
            (Some((of, _)), old) => Some(self.install(key, &of, old.as_ref())?),
            (None, _) => None,
        };
        if let Some(entry) = self.policies.by_key.get_mut(key) {
            entry.installed = new;
        }
        self.bind(key);
        self.uninstall(old);
        Ok(())
    }

    /// Adds a policy beside the `old` one of the same selector.
    fn install(
        &mut self,
        key: &PolicyKey,
        of: &PolicyUse,
        old: Option<&Installed>,
    ) -> Result<Installed, Refusal> {
        let (action, base) = (action(key, of), priority(key, of));
        let odd = old.is_some_and(|old| old.priority == base << 1);
        let priority = base << 1 | u32::from(odd);
        let mut new = Installed {
            action,
            outer: of.outer,
            priority,
            ids: Vec::new(),
        };
        for selector in selectors(&key.src, &key.dst)? {
            let added = self.dataplane.add_policy(PolicySpec {
                direction: key.direction,
                selector,
                priority,
                action,
                if_id: key.if_id,
                mark: key.mark,
                outer: of.outer,
                vrf: VrfId::DEFAULT,
            });
            match added {
                Ok(id) => {
                    self.policies.by_id.insert(id, *key);
                    new.ids.push(id);
                }
                Err(e) => {
                    self.uninstall(Some(new));
                    return Err(e.into());
                }
            }
        }
        Ok(new)
    }

    fn uninstall(&mut self, old: Option<Installed>) {
        for id in old.map_or(vec![], |old| old.ids) {
            self.policies.by_id.remove(&id);
            if let Err(e) = self.dataplane.del_policy(id) {
                tracing::error!("{e}");
            }
        }
    }

    /// The SA that an outbound policy sends by while `of` is in force.
    pub(super) fn sa_of(&self, key: &PolicyKey, of: &PolicyUse) -> Option<SaId> {
        let protects = key.direction == PolicyDirection::Out && of.verdict == Verdict::Protect;
        protects.then(|| self.sas.outbound(of, key.if_id))?
    }

    /// Binds an outbound policy to the SA that it should send by now.
    fn bind(&mut self, key: &PolicyKey) {
        let entry = self.policies.by_key.get(key);
        let Some((entry, (of, _))) = entry.and_then(|entry| Some((entry, entry.in_force(key)?)))
        else {
            return;
        };
        if key.direction != PolicyDirection::Out || of.verdict != Verdict::Protect {
            return;
        }
        let sa = self.sa_of(key, &of);
        for &id in entry.ids() {
            if let Err(e) = self.dataplane.bind(id, sa) {
                tracing::error!("{key}: {e}");
            }
        }
    }
}
