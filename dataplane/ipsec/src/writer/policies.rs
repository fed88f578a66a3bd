//! Adding and deleting policies, and binding them to SAs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ironlane_fib::VrfId;
use ironlane_rcu::primitive;

use super::Writer;
use crate::index::Entries;
use crate::spd::{Key, Shape, Spd, Tuple};
use crate::{Action, IpsecError, Policy, PolicyDirection, PolicyId, PolicySpec, SaId};

/// What the writer knows about policies.
#[derive(Default)]
pub(super) struct Books {
    /// By index.
    policies: Vec<Option<Arc<Policy>>>,
    count: usize,
    /// How many were ever added: of equal priorities the earlier one is asked first.
    added: u64,
    /// Which policies an SA is bound to.
    bound: HashMap<SaId, Vec<PolicyId>>,
    tuples: HashMap<(VrfId, PolicyDirection), Vec<TupleBook>>,
    /// A copy of what is published.
    spd: Spd,
}

/// The writer's side of a [`Tuple`].
struct TupleBook {
    shape: Shape,
    entries: Entries,
    ranks: BTreeSet<u64>,
}

/// Which tuple a policy is in, and under which hash.
fn place_of(spec: &PolicySpec) -> (Shape, u64) {
    let shape = Shape::of(&spec.selector);
    let hash = shape.hash(&Key::of_policy(spec));
    (shape, hash.expect("a policy matches its own shape"))
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
        if let Some(other) = self.find_like(&spec) {
            return Err(IpsecError::PolicyExists(other));
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
        let policy = Arc::new(Policy::new(id, spec, rank));
        if books.policies.len() <= id.index() {
            books.policies.resize_with(id.index() + 1, || None);
        }
        books.policies[id.index()] = Some(Arc::clone(&policy));
        books.count += 1;
        let published = Some(Arc::clone(&policy));
        self.ipsec
            .policies
            .set(id.index(), published, &mut self.retirer);
        self.enter(&policy);
        self.note_policy_count();
        Ok(id)
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchPolicy`].
    pub fn del_policy(&mut self, id: PolicyId) -> Result<(), IpsecError> {
        self.bind(id, None)?;
        let policy = self.policies.policies[id.index()].take();
        self.policies.count -= 1;
        self.leave(&policy.expect("bound to nothing a moment ago"));
        self.note_policy_count();
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
        let policy = Arc::clone(self.held(id)?);
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
        self.held(id).map(Arc::as_ref)
    }

    fn held(&self, id: PolicyId) -> Result<&Arc<Policy>, IpsecError> {
        self.policies
            .policies
            .get(id.index())
            .and_then(Option::as_ref)
            .filter(|policy| policy.id() == id)
            .ok_or(IpsecError::NoSuchPolicy(id))
    }

    /// Every policy, in order of indexes.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.policies.iter().flatten().map(Arc::as_ref)
    }

    pub(super) fn unbind_all(&mut self, sa: SaId) {
        for id in self.policies.bound.remove(&sa).unwrap_or_default() {
            if let Ok(policy) = self.policy(id) {
                policy.bind(None);
            }
        }
    }

    fn find_like(&self, spec: &PolicySpec) -> Option<PolicyId> {
        let (shape, hash) = place_of(spec);
        let books = self.policies.tuples.get(&(spec.vrf, spec.direction))?;
        let book = books.iter().find(|book| book.shape == shape)?;
        book.entries.find(hash).map(PolicyId::from_raw).find(|&id| {
            self.policy(id)
                .is_ok_and(|other| other.spec().is_like(spec))
        })
    }

    /// Puts a policy, whose slot is filled, where lcores look.
    fn enter(&mut self, policy: &Policy) {
        let spec = policy.spec();
        let (shape, hash) = place_of(spec);
        let place = (spec.vrf, spec.direction);
        let books = self.policies.tuples.entry(place).or_default();
        let at = books
            .iter()
            .position(|book| book.shape == shape)
            .unwrap_or_else(|| {
                books.push(TupleBook {
                    shape,
                    entries: Entries::new(self.ipsec.domain()),
                    ranks: BTreeSet::new(),
                });
                books.len() - 1
            });
        let book = &mut books[at];
        let best = book.ranks.first().copied();
        book.ranks.insert(policy.rank);
        book.entries
            .insert(hash, policy.id().raw(), &mut self.retirer);
        // Until the list is published as well, a search may end before this tuple, as it did before.
        if best.is_none_or(|best| policy.rank < best) {
            self.publish_tuples(place);
        }
    }

    /// Takes a policy from where lcores look; its slot is emptied afterwards.
    fn leave(&mut self, policy: &Policy) {
        let spec = policy.spec();
        let (shape, hash) = place_of(spec);
        let place = (spec.vrf, spec.direction);
        let Some(books) = self.policies.tuples.get_mut(&place) else {
            return;
        };
        let Some(at) = books.iter().position(|book| book.shape == shape) else {
            return;
        };
        let book = &mut books[at];
        book.entries.remove(hash, policy.id().raw());
        let was_best = book.ranks.first() == Some(&policy.rank);
        book.ranks.remove(&policy.rank);
        if book.ranks.is_empty() {
            books.swap_remove(at);
        }
        if was_best {
            self.publish_tuples(place);
        }
    }

    fn publish_tuples(&mut self, place: (VrfId, PolicyDirection)) {
        let Books { tuples, spd, .. } = &mut self.policies;
        let books = tuples.get(&place).map_or(&[][..], Vec::as_slice);
        let mut list: Vec<_> = books
            .iter()
            .map(|book| Tuple {
                shape: book.shape,
                best: *book.ranks.first().expect("an empty tuple is removed"),
                index: primitive::Arc::clone(book.entries.index()),
            })
            .collect();
        list.sort_by_key(|tuple| tuple.best);
        spd.set(place.0, place.1, list.into());
        self.ipsec
            .spd
            .swap(Box::new(spd.clone()), &mut self.retirer);
    }

    fn note_policy_count(&self) {
        self.ipsec.note_policy_count(self.policies.count as u32);
    }
}
