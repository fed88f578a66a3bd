//! SAs and policies, whoever feeds them: lifetimes, the binding of policies to SAs, what belongs to whom.
//!
//! - **SAs** live until they are deleted or their hard lifetime ends. Time is counted here, bytes and
//!   packets by lcores, which tell by events. A soft end is told to the source once, a hard one deletes.
//! - **Policies** have *uses*, one for each CHILD_SA that has the policy. The use of the smallest
//!   priority is in force, of equal ones the one added last, so that a rekeyed CHILD_SA takes over
//!   with its use and gives back nothing when the old one goes.
//! - **Binding.** An outbound policy sends by the SA whose SPI the use in force names: IKE installs the new
//!   SA first and names it when the peer can take it. Without a name, or where that SA is gone, the
//!   newest outbound SA of the reqid is taken. Inbound SAs need no binding: the old one decrypts
//!   beside the new one until it is deleted.
//! - **Change without a gap.** The action of a policy in the data plane does not change; another one is
//!   added before the old one is deleted. Both have the same selector, so their priorities differ in
//!   the lowest bit, which stands for nothing else.
//! - **Resynchronisation.** A source that comes back tells everything again; [`Model::synced`] removes
//!   what it did not. What a run of charon that has ended left behind stays until its lifetime ends, a
//!   flush, or a policy of the same name.
//!
//! Every call says what time it is; none blocks. Addresses of two SAs never need to be told apart by
//! mark or interface: inbound SPIs are ours, and an outbound SPI is unique for its peer.

mod dataplane;
mod events;
mod interfaces;
mod names;
mod paths;
mod policies;
mod priority;
mod sas;
mod selector;
mod spi;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Instant;

use ironlane_ipsec::Protocol;

pub use dataplane::{DataPlane, Tables};
pub use interfaces::InterfaceName;
pub use names::{
    Class, Lifetime, NewSa, Notice, PolicyKey, PolicyUse, Refusal, SaChange, SaKey, SaUse, Source,
    Verdict,
};
pub use paths::{Quoted, TooBig};
pub use selector::{SelectorError, TrafficSelector, selectors};
pub use view::{PolicyView, SaView};

use paths::Paths;
use policies::Policies;
use sas::Sas;
use spi::Spis;

/// All SAs and policies, with the data plane that they are written to.
pub struct Model {
    dataplane: Box<dyn DataPlane>,
    sas: Sas,
    policies: Policies,
    spis: Spis,
    /// Sources with a connection.
    connected: HashSet<Source>,
    /// UDP ports of IKE, and of ESP in UDP.
    ports: HashMap<(PortUse, u16), Source>,
    /// IPsec interfaces; set once.
    interfaces: Vec<InterfaceName>,
    paths: Paths,
    /// What sources should hear, oldest first.
    notices: Vec<(Source, Notice)>,
}

/// What a UDP port of this host is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortUse {
    /// IKE is sent from it: no policy applies.
    Bypass,
    /// ESP arrives there inside UDP.
    Decapsulate,
}

impl Model {
    /// An empty model over an empty data plane.
    pub fn new(dataplane: Box<dyn DataPlane>) -> Self {
        Self {
            dataplane,
            sas: Sas::default(),
            policies: Policies::default(),
            spis: Spis::default(),
            connected: HashSet::new(),
            ports: HashMap::new(),
            interfaces: Vec::new(),
            paths: Paths::default(),
            notices: Vec::new(),
        }
    }

    /// A source begins to tell everything that it has installed.
    pub fn begin(&mut self, source: Source) {
        self.connected.insert(source);
        self.sas.mark_stale(source);
        self.policies.mark_stale(source);
    }

    /// It has told everything: what it did not tell again goes. Soft ends are told once more, since the
    /// connection may have taken a notice along.
    pub fn synced(&mut self, source: Source, now: Instant) {
        for key in self.sas.stale(source) {
            self.remove_sa(&key);
        }
        self.remove_uses(|by, stale, _| by == source && stale);
        self.drop_endless_orphans();
        self.sas.tell_soft_again(source, now);
        // Without any it has only just started, and will get them one by one.
        if self.policies.len() > 0 {
            self.dataplane.policies_are_known();
        }
        self.dataplane.reclaim();
    }

    /// The connection of a source has ended; what it installed stays.
    pub fn disconnected(&mut self, source: Source) {
        self.connected.remove(&source);
    }

    /// Notes a UDP port that IKE uses.
    pub fn add_port(&mut self, source: Source, use_: PortUse, port: u16) {
        self.ports.insert((use_, port), source);
    }

    /// UDP ports that IKE uses, in order.
    pub fn ports(&self, use_: PortUse) -> Vec<u16> {
        let of_use = self.ports.keys().filter(|(other, _)| *other == use_);
        let mut ports: Vec<_> = of_use.map(|(_, port)| *port).collect();
        ports.sort_unstable();
        ports
    }

    /// Reserves an SPI for an inbound SA.
    ///
    /// # Errors
    /// [`Refusal::Refused`] if there is none.
    pub fn reserve_spi(
        &mut self,
        protocol: Protocol,
        dst: IpAddr,
        range: RangeInclusive<u32>,
        now: Instant,
    ) -> Result<u32, Refusal> {
        let sas = &self.sas;
        self.spis
            .reserve(protocol, dst, range, now, |key| sas.contains(key))
    }

    /// What sources should hear since the last call.
    pub fn take_notices(&mut self) -> Vec<(Source, Notice)> {
        std::mem::take(&mut self.notices)
    }

    /// Whether nobody speaks for a source any more.
    fn is_orphan(&self, source: Source) -> bool {
        !self.connected.contains(&source)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("sas", &self.sas.len())
            .field("policies", &self.policies.len())
            .finish_non_exhaustive()
    }
}
