//! Policies that lcores have from the kernel.

use std::collections::{HashMap, HashSet};

use super::encode::OWN_INDEX;
use super::policy::{KernelPolicy, PolicyName};
use super::{Blocked, defaults};
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{PolicyKey, PolicyUse, Source};

/// A policy that lcores have.
#[derive(Debug)]
struct Held {
    policy: KernelPolicy,
    key: PolicyKey,
    of: PolicyUse,
}

/// The books of policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    held: HashMap<PolicyName, Held>,
    /// The one that was told last of each name in the model.
    by_key: HashMap<PolicyKey, PolicyName>,
    defaults: Vec<(PolicyKey, PolicyUse)>,
    /// Those that drop since lcores cannot do what they want, or are not there at all, with the reason.
    refused: HashMap<PolicyName, (PolicyKey, String)>,
}

impl Policies {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Policies that lcores do not carry out, with the reason.
    pub fn refused(&self) -> impl ExactSizeIterator<Item = (&PolicyKey, &String)> {
        self.refused.values().map(|(key, why)| (key, why))
    }

    /// The policy that has this name in the model.
    pub fn of_key(&self, key: &PolicyKey) -> Option<&KernelPolicy> {
        let name = self.by_key.get(key)?;
        self.held.get(name).map(|held| &held.policy)
    }

    /// Takes in a policy that is new or was changed: the new one first, so that there is always one.
    pub fn put(&mut self, shared: &Shared, policy: KernelPolicy) {
        if policy.index == OWN_INDEX {
            return;
        }
        let Some((key, of, refused)) = policy.to_use() else {
            return;
        };
        let old = self.held.get(&policy.name).map(|held| (held.key, held.of));
        if old != Some((key, of)) {
            if let Some(why) = &refused {
                tracing::warn!("the kernel's {key}: {why}; its packets are dropped");
            }
            let added = shared.with(|model| {
                model.add_policy(Source::Kernel, key, of)?;
                old.map_or(Ok(()), |(key, of)| {
                    model.del_policy(Source::Kernel, &key, &of)
                })
            });
            if let Err(e) = added {
                self.refused.insert(policy.name, (key, e.to_string()));
                return tracing::error!("the kernel's {key} is not taken: {e}");
            }
            if let Some((old, _)) = old {
                self.by_key.remove(&old);
            }
        }
        match refused {
            Some(why) => self.refused.insert(policy.name, (key, why.to_string())),
            None => self.refused.remove(&policy.name),
        };
        self.by_key.insert(key, policy.name);
        self.held.insert(policy.name, Held { policy, key, of });
    }

    /// Takes a policy from lcores.
    pub fn forget(&mut self, shared: &Shared, name: &PolicyName) {
        self.refused.remove(name);
        let Some(held) = self.held.remove(name) else {
            return;
        };
        self.by_key.remove(&held.key);
        remove(shared, &(held.key, held.of));
    }

    /// Takes all from lcores, but for the default.
    pub fn flush(&mut self, shared: &Shared) {
        for name in self.held.keys().copied().collect::<Vec<_>>() {
            self.forget(shared, &name);
        }
        self.refused.clear();
    }

    /// Takes in a list of all policies, in the kernel's order.
    pub fn replace(&mut self, shared: &Shared, policies: Vec<KernelPolicy>) {
        let listed: HashSet<_> = policies.iter().map(|policy| policy.name).collect();
        // The kernel lists the newest first; of equal priorities the oldest decides.
        for policy in policies.into_iter().rev() {
            self.put(shared, policy);
        }
        let gone = self.held.keys().filter(|name| !listed.contains(name));
        for name in gone.copied().collect::<Vec<_>>() {
            self.forget(shared, &name);
        }
        self.refused.retain(|name, _| listed.contains(name));
    }

    /// Takes in what happens to packets without a policy.
    pub fn set_default(&mut self, shared: &Shared, blocked: Blocked) {
        let new = defaults::uses(blocked);
        for (key, of) in new.iter().filter(|of| !self.defaults.contains(of)) {
            if let Err(e) = shared.with(|model| model.add_policy(Source::Kernel, *key, *of)) {
                tracing::error!("the kernel's default policy is not taken: {e}");
            }
        }
        for old in self.defaults.iter().filter(|of| !new.contains(of)) {
            remove(shared, old);
        }
        self.defaults = new;
    }
}

fn remove(shared: &Shared, (key, of): &(PolicyKey, PolicyUse)) {
    if let Err(e) = shared.with(|model| model.del_policy(Source::Kernel, key, of)) {
        tracing::debug!("{e}");
    }
}
