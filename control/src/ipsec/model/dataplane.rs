//! What the model writes to.

use ironlane_ipsec::{Event, IpsecError, PolicyId, PolicySpec, SaId, SaSpec, SaStats, Writer};

use super::SaChange;

/// The tables of SAs and policies that lcores read, and what lcores say.
pub trait DataPlane: Send {
    /// Adds an SA.
    ///
    /// # Errors
    /// As [`Writer::add_sa`].
    fn add_sa(&mut self, spec: SaSpec) -> Result<SaId, IpsecError>;

    /// Changes addresses, ports and reqid of an SA.
    ///
    /// # Errors
    /// As [`Writer::replace_sa`].
    fn change_sa(&mut self, id: SaId, change: SaChange) -> Result<(), IpsecError>;

    /// Deletes an SA.
    ///
    /// # Errors
    /// As [`Writer::del_sa`].
    fn del_sa(&mut self, id: SaId) -> Result<SaStats, IpsecError>;

    /// What has passed an SA.
    fn sa_stats(&self, id: SaId) -> Option<SaStats>;

    /// Adds a policy.
    ///
    /// # Errors
    /// As [`Writer::add_policy`].
    fn add_policy(&mut self, spec: PolicySpec) -> Result<PolicyId, IpsecError>;

    /// Deletes a policy.
    ///
    /// # Errors
    /// As [`Writer::del_policy`].
    fn del_policy(&mut self, id: PolicyId) -> Result<(), IpsecError>;

    /// Binds an outbound policy to an SA.
    ///
    /// # Errors
    /// As [`Writer::bind`].
    fn bind(&mut self, id: PolicyId, sa: Option<SaId>) -> Result<(), IpsecError>;

    /// When a packet used a policy last, by the clock of lcores; 0 for never.
    fn policy_last_use_s(&self, id: PolicyId) -> u64;

    /// The clock of lcores, in seconds.
    fn now_s(&self) -> u64;

    /// The oldest event that nobody has taken.
    fn next_event(&mut self) -> Option<Event>;

    /// The policies there are, are all: what waits for them may leave.
    fn policies_are_known(&mut self);

    /// Frees what readers let go of.
    fn reclaim(&mut self);
}

/// The data plane's tables with their writer.
pub struct Tables<S, C> {
    writer: Writer<S>,
    clock_s: C,
}

impl<S, C: Fn() -> u64> Tables<S, C> {
    /// Writes by `writer`; `clock_s` is the clock by which lcores note the last use.
    pub fn new(writer: Writer<S>, clock_s: C) -> Self {
        Self { writer, clock_s }
    }
}

impl<S: Send + Sync + 'static, C: Fn() -> u64 + Send> DataPlane for Tables<S, C> {
    fn add_sa(&mut self, spec: SaSpec) -> Result<SaId, IpsecError> {
        self.writer.add_sa(spec)
    }

    fn change_sa(&mut self, id: SaId, change: SaChange) -> Result<(), IpsecError> {
        self.writer.replace_sa(id, |spec| {
            (spec.src, spec.dst, spec.encap) = (change.src, change.dst, change.encap);
            spec.reqid = change.reqid.unwrap_or(spec.reqid);
        })
    }

    fn del_sa(&mut self, id: SaId) -> Result<SaStats, IpsecError> {
        self.writer.del_sa(id)
    }

    fn sa_stats(&self, id: SaId) -> Option<SaStats> {
        self.writer.sa(id).ok().map(|sa| sa.stats())
    }

    fn add_policy(&mut self, spec: PolicySpec) -> Result<PolicyId, IpsecError> {
        self.writer.add_policy(spec)
    }

    fn del_policy(&mut self, id: PolicyId) -> Result<(), IpsecError> {
        self.writer.del_policy(id)
    }

    fn bind(&mut self, id: PolicyId, sa: Option<SaId>) -> Result<(), IpsecError> {
        self.writer.bind(id, sa)
    }

    fn policy_last_use_s(&self, id: PolicyId) -> u64 {
        self.writer
            .policy(id)
            .map_or(0, |policy| policy.last_use_s())
    }

    fn now_s(&self) -> u64 {
        (self.clock_s)()
    }

    fn next_event(&mut self) -> Option<Event> {
        self.writer.ipsec().events().pop()
    }

    fn policies_are_known(&mut self) {
        self.writer.ipsec().policies_are_known();
    }

    fn reclaim(&mut self) {
        self.writer.reclaim();
    }
}
