//! An SA as lcores find it.

use std::fmt;
use std::mem::offset_of;
use std::sync::Arc;

use ironlane_rcu::prefetch_first;

use crate::state::{SaState, SaStats};
use crate::usual::Usual;
use crate::{ReplayWindow, SaId, SaSpec};

/// A security association: what it is, what it has done, and its session with the crypto device.
///
/// All but the [`state`](Sa::state) is immutable. A change publishes another `Sa` of the same id
/// that shares state and session with the one before.
///
/// What lcores look at for each packet comes first, here and in what it points to: with 100,000 SAs each
/// further cache line is a trip to memory.
#[repr(C, align(64))]
pub struct Sa<S = ()> {
    shared: Arc<Shared<S>>,
    /// What is worked out once, if it is of that kind.
    pub(crate) usual: Option<Usual>,
    /// Whether inner packets are compared with selectors.
    pub(crate) is_selective: bool,
    /// Whether it has a replay window.
    has_window: bool,
    id: SaId,
    pub(crate) salt: [u8; 4],
    spec: SaSpec,
}

/// What outlives a change. The session's own words come first, then what of the state each packet changes.
#[repr(C, align(64))]
struct Shared<S> {
    session: S,
    state: SaState,
}

/// So much of an `Sa` is looked at for each packet, and so much of what it shares if there is no replay window.
const HOT_BYTES: usize = 128;
const _: () = assert!(offset_of!(Sa, id) < 64);
const _: () = assert!(offset_of!(Sa, id) < 64);
/// With the words of a session, which are five.
const _: () = assert!(offset_of!(Shared<[u64; 5]>, state) + SaState::HOT_BYTES <= HOT_BYTES);
const _: () = assert!(offset_of!(Sa, spec) + SaSpec::HOT_BYTES <= HOT_BYTES);

impl<S> Sa<S> {
    /// A new SA.
    pub(crate) fn new(id: SaId, spec: SaSpec, session: S) -> Self {
        let shared = Arc::new(Shared {
            session,
            state: SaState::new(&spec),
        });
        Self::made(id, spec, shared)
    }

    /// The same SA, described anew.
    pub(crate) fn with_spec(&self, spec: SaSpec) -> Self {
        Self::made(self.id, spec, Arc::clone(&self.shared))
    }

    fn made(id: SaId, spec: SaSpec, shared: Arc<Shared<S>>) -> Self {
        Self {
            usual: Usual::of(&spec),
            is_selective: !spec.selectors.is_empty(),
            has_window: shared.state.replay().is_some(),
            id,
            salt: spec.salt(),
            spec,
            shared,
        }
    }

    /// Asks the CPU for what every packet needs of it.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_first(self, HOT_BYTES);
    }

    /// Asks the CPU for what every packet needs of what it points to.
    #[inline]
    pub(crate) fn prefetch_shared(&self) {
        let replay = match self.has_window {
            true => size_of::<ReplayWindow>(),
            false => 0,
        };
        prefetch_first(&*self.shared, HOT_BYTES + replay);
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

/// Another handle of the same SA, as it is now.
impl<S> Clone for Sa<S> {
    fn clone(&self) -> Self {
        self.with_spec(self.spec.clone())
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
