//! An SA as lcores find it.

use std::fmt;
use std::sync::Arc;

use crate::state::{SaState, SaStats};
use crate::usual::Usual;
use crate::{SaId, SaSpec};

/// A security association: what it is, what it has done, and its session with the crypto device.
///
/// All but the [`state`](Sa::state) is immutable. A change publishes another `Sa` of the same id
/// that shares state and session with the one before.
pub struct Sa<S = ()> {
    id: SaId,
    spec: Arc<SaSpec>,
    pub(crate) salt: [u8; 4],
    /// What is worked out once, if it is of that kind.
    pub(crate) usual: Option<Usual>,
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    state: SaState,
    session: S,
}

impl<S> Sa<S> {
    /// A new SA.
    pub(crate) fn new(id: SaId, spec: SaSpec, session: S) -> Self {
        let shared = Arc::new(Shared {
            state: SaState::new(&spec),
            session,
        });
        Self {
            id,
            salt: spec.salt(),
            usual: Usual::of(&spec),
            spec: Arc::new(spec),
            shared,
        }
    }

    /// The same SA, described anew.
    pub(crate) fn with_spec(&self, spec: SaSpec) -> Self {
        Self {
            id: self.id,
            salt: spec.salt(),
            usual: Usual::of(&spec),
            spec: Arc::new(spec),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Asks the CPU for what it points to.
    #[inline]
    pub(crate) fn prefetch_parts(&self) {
        ironlane_rcu::prefetch(&*self.spec);
        ironlane_rcu::prefetch(&*self.shared);
    }

    /// Its name.
    #[inline]
    pub fn id(&self) -> SaId {
        self.id
    }

    /// What it is.
    #[inline]
    pub fn spec(&self) -> &SaSpec {
        &self.spec
    }

    /// What changes with every packet.
    #[inline]
    pub fn state(&self) -> &SaState {
        &self.shared.state
    }

    /// Its session with the crypto device.
    #[inline]
    pub fn session(&self) -> &S {
        &self.shared.session
    }

    /// All figures. Any thread.
    pub fn stats(&self) -> SaStats {
        self.state().stats()
    }
}

/// Another handle of the same SA, for the writer's books.
impl<S> Clone for Sa<S> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            spec: Arc::clone(&self.spec),
            salt: self.salt,
            usual: self.usual,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> fmt::Debug for Sa<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sa")
            .field("id", &self.id)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
