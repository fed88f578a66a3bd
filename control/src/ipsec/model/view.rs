//! SAs and policies for people: everything but keys.

use std::time::Instant;

use ironlane_ipsec::{Direction, PolicyId, SaId, SaSpec, SaStats};

use super::{Model, PolicyKey, PolicyUse, SaKey, Source};

/// An SA.
#[derive(Debug, Clone)]
pub struct SaView {
    /// Its name in the data plane.
    pub id: SaId,
    /// Its name in packets.
    pub key: SaKey,
    /// What it is. Prints without keys.
    pub spec: SaSpec,
    /// Who installed it.
    pub source: Source,
    /// Whether that source is connected.
    pub connected: bool,
    /// Seconds since it was installed.
    pub age_s: u64,
    /// Seconds until it should be rekeyed.
    pub soft_in_s: Option<i64>,
    /// Seconds until it is deleted.
    pub hard_in_s: Option<i64>,
    /// What has passed it, and what was dropped.
    pub stats: SaStats,
    /// Seconds since the last packet.
    pub idle_s: Option<u64>,
    /// What the path to the peer takes, where a router on it has said so: bytes of IP; outbound SAs.
    pub path_mtu: Option<u16>,
}

/// A policy.
#[derive(Debug, Clone)]
pub struct PolicyView {
    /// Its name.
    pub key: PolicyKey,
    /// What is in force.
    pub of: PolicyUse,
    /// Who installed that.
    pub source: Source,
    /// How many uses it has.
    pub uses: usize,
    /// Its entries in the data plane.
    pub ids: Vec<PolicyId>,
    /// Its priority there; smaller decides first.
    pub priority: u32,
    /// The outbound SA that it sends by.
    pub sa: Option<SaId>,
    /// Seconds since a packet used it.
    pub idle_s: Option<u64>,
}

impl Model {
    /// All SAs, by destination and SPI.
    pub fn sas(&self, now: Instant) -> Vec<SaView> {
        let until = |at: Option<Instant>| {
            at.map(|at| match at.checked_duration_since(now) {
                Some(left) => left.as_secs() as i64,
                None => -(now.duration_since(at).as_secs() as i64),
            })
        };
        let mut views: Vec<_> = self
            .sas
            .iter()
            .map(|(key, entry)| {
                let stats = self.dataplane.sa_stats(entry.id).unwrap_or_default();
                SaView {
                    id: entry.id,
                    key: *key,
                    spec: entry.spec.clone(),
                    source: entry.source,
                    connected: !self.is_orphan(entry.source),
                    age_s: now.saturating_duration_since(entry.added).as_secs(),
                    soft_in_s: until(entry.soft_at),
                    hard_in_s: until(entry.hard_at),
                    idle_s: self.idle(stats.last_use_s).map(|idle| idle.as_secs()),
                    path_mtu: match entry.spec.direction {
                        Direction::Out => self.paths.to(entry.spec.dst),
                        Direction::In => None,
                    },
                    stats,
                }
            })
            .collect();
        views.sort_by_key(|view| (view.key.dst, view.key.spi, view.key.protocol));
        views
    }

    /// All policies, in the order in which they decide.
    pub fn policies(&self) -> Vec<PolicyView> {
        let view = |(key, entry): (&PolicyKey, &super::policies::Entry)| {
            let (of, source) = entry.in_force(key)?;
            let last_use_s = entry
                .ids()
                .iter()
                .map(|&id| self.dataplane.policy_last_use_s(id))
                .max();
            Some(PolicyView {
                key: *key,
                of,
                source,
                uses: entry.uses.len(),
                ids: entry.ids().to_vec(),
                priority: entry.installed_priority(),
                sa: self.sa_of(key, &of),
                idle_s: self
                    .idle(last_use_s.unwrap_or(0))
                    .map(|idle| idle.as_secs()),
            })
        };
        let mut views: Vec<_> = self.policies.iter().filter_map(view).collect();
        views.sort_by_cached_key(|v| (v.key.direction as u8, v.priority, v.key.to_string()));
        views
    }
}
