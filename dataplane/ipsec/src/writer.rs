//! The one thread that changes SAs and policies.

mod ids;
mod policies;
mod sas;

use std::fmt;

use ironlane_rcu::Retirer;
use ironlane_rcu::primitive::Arc;

use crate::index::Entries;
use crate::{Ipsec, Sa, SaSpec};
use ids::Ids;

/// Makes the session of an SA with the crypto device, or says why there is none.
type Device<S> = Box<dyn FnMut(&SaSpec) -> Result<S, String> + Send>;

/// Changes SAs and policies while lcores read them; one for each [`Ipsec`], on one thread.
///
/// No change waits for readers, unless so much waits for a grace period that memory would grow
/// without bound; so this thread must hold no guard of the same domain while it writes. Call
/// [`reclaim`](Writer::reclaim) after a batch, and again later while it says that something is
/// pending.
///
/// A change is seen at once by bursts that begin after it. Rekeying: add the new SAs, then
/// [`bind`](Writer::bind) the outbound policy to the new one, which is one word; the old inbound SA
/// stays until it is deleted.
pub struct Writer<S = ()> {
    ipsec: Arc<Ipsec<S>>,
    device: Device<S>,
    retirer: Retirer,
    sad: Entries,
    sa_ids: Ids,
    /// By index.
    sas: Vec<Option<std::sync::Arc<Sa<S>>>>,
    policy_ids: Ids,
    policies: policies::Books,
}

impl Writer<()> {
    /// A writer whose SAs have no sessions, for tests and for a control plane without data plane.
    ///
    /// # Panics
    /// As [`Writer::new`].
    pub fn without_device(ipsec: Arc<Ipsec<()>>) -> Self {
        Self::new(ipsec, |_| Ok(()))
    }
}

impl<S: Send + Sync + 'static> Writer<S> {
    /// The writer of `ipsec`; `device` makes the session of each SA that is added, with keys from its
    /// [`SaSpec`], and is called on the thread of the writer.
    ///
    /// # Panics
    /// If there is, or was, another writer.
    pub fn new(
        ipsec: Arc<Ipsec<S>>,
        device: impl FnMut(&SaSpec) -> Result<S, String> + Send + 'static,
    ) -> Self {
        let sad = ipsec
            .take_writer()
            .expect("SAs and policies have one writer for all their life");
        Self {
            device: Box::new(device),
            retirer: Retirer::new(Arc::clone(ipsec.domain())),
            sad,
            sa_ids: Ids::new(ipsec.sas.capacity()),
            policy_ids: Ids::new(ipsec.policies.capacity()),
            sas: Vec::new(),
            policies: policies::Books::default(),
            ipsec,
        }
    }

    /// What this writer changes.
    pub fn ipsec(&self) -> &Arc<Ipsec<S>> {
        &self.ipsec
    }

    /// Frees what no reader can hold any more, and returns how many things still wait. Never waits.
    pub fn reclaim(&mut self) -> usize {
        self.retirer.reclaim();
        self.sa_ids.release(&mut self.retirer);
        self.policy_ids.release(&mut self.retirer);
        self.retirer.pending() + self.sa_ids.leaving() + self.policy_ids.leaving()
    }

    /// Deletes all SAs and policies.
    pub fn flush(&mut self) {
        self.flush_policies();
        self.flush_sas();
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("ipsec", &self.ipsec)
            .field("pending", &self.retirer.pending())
            .finish_non_exhaustive()
    }
}
