//! Adding and deleting policies, and binding them to SAs.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::Writer;
use crate::spd::Spd;
use crate::{Action, IpsecError, Policy, PolicyDirection, PolicyId, PolicySpec, SaId};

/// What the writer knows about policies.
#[derive(Default)]
pub(super) struct Books {
    /// By index.
    policies: Vec<Option<Policy>>,
    count: usize,
    /// How many were ever added: of equal priorities the earlier one is asked first.
    added: u64,
    /// Which policies an SA is bound to.
    bound: HashMap<SaId, Vec<PolicyId>>,
}

impl<S: Send + Sync + 'static> Writer<S> {
    /// Adds a policy. An outbound one that protects has no SA until one is [bound](Writer::bind).
    ///
    /// # Errors
    /// [`IpsecError::BadPolicy`], [`IpsecError::PolicyExists`], [`IpsecError::PoliciesExhausted`].
    pub fn add_policy(&mut self, spec: PolicySpec) -> Result<PolicyId, IpsecError> {
        if let Some(fault) = spec.selector.fault() {
            return Err(IpsecError::BadPolicy(fault.to_string()));
        }
        if let Some(other) = self.policies().find(|policy| policy.spec().is_like(&spec)) {
            return Err(IpsecError::PolicyExists(other.id()));
        }
        let (index, generation) =
            self.policy_ids
                .take(&mut self.retirer)
                .ok_or(IpsecError::PoliciesExhausted(
                    self.ipsec.policies.capacity(),
                ))?;
        let id = PolicyId::new(index, generation);
        let books = &mut self.policies;
        let rank = u64::from(spec.priority) << 32 | (books.added & 0xffff_ffff);
        books.added += 1;
        let policy = Policy::new(id, spec, rank);
        if books.policies.len() <= id.index() {
            books.policies.resize_with(id.index() + 1, || None);
        }
        books.policies[id.index()] = Some(policy.clone());
        books.count += 1;
        self.ipsec
            .policies
            .set(id.index(), Some(Box::new(policy)), &mut self.retirer);
        self.publish_spd();
        Ok(id)
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchPolicy`].
    pub fn del_policy(&mut self, id: PolicyId) -> Result<(), IpsecError> {
        self.bind(id, None)?;
        self.policies.policies[id.index()] = None;
        self.policies.count -= 1;
        self.publish_spd();
        self.ipsec.policies.set(id.index(), None, &mut self.retirer);
        self.policy_ids.give(id.index() as u32, &mut self.retirer);
        Ok(())
    }

    /// Deletes all policies.
    pub fn flush_policies(&mut self) {
        let ids: Vec<_> = self.policies().map(Policy::id).collect();
        for id in ids {
            self.del_policy(id).expect("it was listed a moment ago");
        }
    }

    /// Binds an outbound policy to the SA that protects its packets from now on, or to none: one
    /// word, as rekeying needs it. Any number of policies may be bound to one SA.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchPolicy`], [`IpsecError::NoSuchSa`]; [`IpsecError::BadPolicy`] if the
    /// policy does not protect outbound packets.
    pub fn bind(&mut self, id: PolicyId, sa: Option<SaId>) -> Result<(), IpsecError> {
        let policy = self.policy(id)?.clone();
        let spec = policy.spec();
        if let Some(sa) = sa {
            self.sa(sa)?;
            if spec.direction != PolicyDirection::Out
                || !matches!(spec.action, Action::Protect { .. })
            {
                return Err(IpsecError::BadPolicy(format!(
                    "policy {id} is not one that protects outbound packets; it takes no SA"
                )));
            }
        }
        if let Some(old) = policy.sa()
            && let Some(bound) = self.policies.bound.get_mut(&old)
        {
            bound.retain(|&other| other != id);
            if bound.is_empty() {
                self.policies.bound.remove(&old);
            }
        }
        if let Some(sa) = sa {
            self.policies.bound.entry(sa).or_default().push(id);
        }
        policy.bind(sa);
        Ok(())
    }

    /// A policy, to look at what it says and whether it was used.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchPolicy`].
    pub fn policy(&self, id: PolicyId) -> Result<&Policy, IpsecError> {
        self.policies
            .policies
            .get(id.index())
            .and_then(Option::as_ref)
            .filter(|policy| policy.id() == id)
            .ok_or(IpsecError::NoSuchPolicy(id))
    }

    /// Every policy, in order of indexes.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.policies.iter().flatten()
    }

    pub(super) fn unbind_all(&mut self, sa: SaId) {
        for id in self.policies.bound.remove(&sa).unwrap_or_default() {
            if let Ok(policy) = self.policy(id) {
                policy.bind(None);
            }
        }
    }

    fn publish_spd(&mut self) {
        let mut policies: Vec<_> = self.policies().collect();
        policies.sort_by_key(|policy| policy.rank);
        let mut spd = Spd::default();
        for policy in policies {
            let key = (policy.spec().vrf, policy.spec().direction);
            match spd.lists.iter_mut().find(|(other, _)| *other == key) {
                Some((_, list)) => list.push(policy.id()),
                None => spd.lists.push((key, vec![policy.id()])),
            }
        }
        self.ipsec.spd.swap(Box::new(spd), &mut self.retirer);
        // Relaxed: see `Ipsec::has_policies`.
        self.ipsec
            .policy_count
            .store(self.policies.count as u32, Ordering::Relaxed);
    }
}
