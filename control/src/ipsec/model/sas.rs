//! SAs: their books, and what is done with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use ironlane_ipsec::{Direction, SaId, SaSpec, SaStats};

use super::{Model, NewSa, Notice, PolicyUse, Refusal, SaChange, SaKey, SaUse, Source};

/// An SA that is in the data plane.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) id: SaId,
    pub(super) spec: SaSpec,
    pub(super) added: Instant,
    pub(super) soft_at: Option<Instant>,
    pub(super) hard_at: Option<Instant>,
    /// Whether its source has heard of the soft end.
    pub(super) soft_told: bool,
    /// Its source has come back and not told it again.
    stale: bool,
    /// Newer ones have larger numbers.
    number: u64,
}

/// The books of SAs.
#[derive(Debug, Default)]
pub(super) struct Sas {
    by_key: HashMap<SaKey, Entry>,
    by_id: HashMap<SaId, SaKey>,
    /// Outbound ones, by reqid and number: the newest last.
    outbound: HashMap<u32, BTreeMap<u64, SaKey>>,
    /// When something is to be done, and for which SA.
    timers: BTreeSet<(Instant, SaKey)>,
    last_number: u64,
}

impl Sas {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn contains(&self, key: &SaKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(super) fn get(&self, key: &SaKey) -> Option<&Entry> {
        self.by_key.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &SaKey) -> Option<&mut Entry> {
        self.by_key.get_mut(key)
    }

    pub(super) fn key_of(&self, id: SaId) -> Option<SaKey> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SaKey, &Entry)> {
        self.by_key.iter()
    }

    /// The outbound SA for a use by `if_id`: that with its SPI; the newest one without an SPI, or where it is
    /// gone.
    pub(super) fn outbound(&self, of: &PolicyUse, if_id: u32) -> Option<SaId> {
        let is_wanted = |key: &SaKey| {
            let spec = &self.by_key[key].spec;
            let matches = |wanted: IpAddr, addr| wanted.is_unspecified() || wanted == addr;
            (key.protocol, spec.if_id) == (of.protocol, if_id)
                && of.outer.is_none_or(|(src, dst)| {
                    spec.mode == of.mode && matches(src, spec.src) && matches(dst, spec.dst)
                })
        };
        let all = self.outbound.get(&of.reqid)?;
        let mut fitting = all.values().rev().filter(|key| is_wanted(key));
        let named = fitting.clone().find(|key| Some(key.spi) == of.spi);
        named
            .or_else(|| fitting.next())
            .map(|key| self.by_key[key].id)
    }

    pub(super) fn mark_stale(&mut self, source: Source) {
        let of_source = self
            .by_key
            .values_mut()
            .filter(|entry| entry.source == source);
        of_source.for_each(|entry| entry.stale = true);
    }

    pub(super) fn stale(&self, source: Source) -> Vec<SaKey> {
        let stale = self
            .by_key
            .iter()
            .filter(|(_, e)| e.source == source && e.stale);
        stale.map(|(key, _)| *key).collect()
    }

    pub(super) fn tell_soft_again(&mut self, source: Source, now: Instant) {
        let told = self
            .by_key
            .iter_mut()
            .filter(|(_, e)| e.source == source && e.soft_told);
        for (key, entry) in told {
            entry.soft_told = false;
            self.timers.insert((now, *key));
        }
    }

    /// The first SA for which it is time.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<SaKey> {
        let first = *self.timers.first()?;
        (first.0 <= now).then(|| {
            self.timers.remove(&first);
            first.1
        })
    }

    /// When [`next_due`](Self::next_due) has one again.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn insert(&mut self, key: SaKey, entry: Entry) {
        for at in [entry.soft_at, entry.hard_at].into_iter().flatten() {
            self.timers.insert((at, key));
        }
        self.by_id.insert(entry.id, key);
        if entry.spec.direction == Direction::Out {
            // One that only changed its name keeps its number, and so its place among the others.
            let of_reqid = self.outbound.entry(entry.spec.reqid).or_default();
            of_reqid.insert(entry.number, key);
        }
        self.by_key.insert(key, entry);
    }

    fn remove(&mut self, key: &SaKey) -> Option<Entry> {
        let entry = self.by_key.remove(key)?;
        for at in [entry.soft_at, entry.hard_at].into_iter().flatten() {
            self.timers.remove(&(at, *key));
        }
        self.by_id.remove(&entry.id);
        if let Some(of_reqid) = self.outbound.get_mut(&entry.spec.reqid) {
            of_reqid.remove(&entry.number);
            if of_reqid.is_empty() {
                self.outbound.remove(&entry.spec.reqid);
            }
        }
        Some(entry)
    }
}

impl Model {
    /// Installs an SA. One that its source tells again keeps all of its state.
    ///
    /// # Errors
    /// A [`Refusal`]; [`Refusal::NotFound`] if its lifetime is over.
    pub fn add_sa(&mut self, source: Source, new: NewSa, now: Instant) -> Result<(), Refusal> {
        let key = new.key();
        self.spis.release(&key);
        let spec = &new.spec;
        self.check_interface(spec.if_id, spec.mark)?;
        self.check_mode(spec.if_id, spec.mark, spec.mode)?;
        if let Some(entry) = self.sas.by_key.get(&key) {
            if entry.source == source && same_sa(&entry.spec, &new.spec) {
                return self.keep_sa(key, &new.spec);
            }
            if entry.source == source || !self.is_orphan(entry.source) {
                return Err(Refusal::Refused(format!(
                    "{key} is there already, and another one"
                )));
            }
            self.remove_sa(&key);
        }
        let added = now.checked_sub(new.age).unwrap_or(now);
        let hard_at = new.lifetime.hard.map(|limit| added + limit);
        if hard_at.is_some_and(|at| at <= now) {
            self.notices
                .push((source, Notice::Expire { key, hard: true }));
            return Err(Refusal::NotFound(format!("{key}: its lifetime is over")));
        }
        let id = self.dataplane.add_sa(new.spec.clone())?;
        self.sas.last_number += 1;
        let outbound = new.spec.direction == Direction::Out;
        let reqid = new.spec.reqid;
        self.sas.insert(
            key,
            Entry {
                source,
                id,
                spec: new.spec,
                added,
                soft_at: new.lifetime.soft.map(|limit| added + limit),
                hard_at,
                soft_told: false,
                stale: false,
                number: self.sas.last_number,
            },
        );
        if outbound {
            self.rebind(reqid);
        }
        Ok(())
    }

    /// An SA that is there is told again: only what may have changed is written.
    fn keep_sa(&mut self, key: SaKey, spec: &SaSpec) -> Result<(), Refusal> {
        let Some(entry) = self.sas.by_key.get_mut(&key) else {
            return Ok(());
        };
        entry.stale = false;
        let now = (entry.spec.src, entry.spec.encap, entry.spec.reqid);
        if now == (spec.src, spec.encap, spec.reqid) {
            return Ok(());
        }
        let change = SaChange {
            src: spec.src,
            dst: spec.dst,
            encap: spec.encap,
            reqid: Some(spec.reqid),
        };
        self.update_sa(&key, change)
    }

    /// Gives an SA other addresses.
    ///
    /// # Errors
    /// A [`Refusal`]; the SA is as it was.
    pub fn update_sa(&mut self, key: &SaKey, change: SaChange) -> Result<(), Refusal> {
        let id = self.sa(key)?.id;
        self.dataplane.change_sa(id, change)?;
        let Some(mut entry) = self.sas.remove(key) else {
            return Ok(());
        };
        let old_reqid = entry.spec.reqid;
        let spec = &mut entry.spec;
        (spec.src, spec.dst, spec.encap) = (change.src, change.dst, change.encap);
        spec.reqid = change.reqid.unwrap_or(old_reqid);
        let reqid = spec.reqid;
        self.sas.insert(
            SaKey {
                dst: change.dst,
                ..*key
            },
            entry,
        );
        self.rebind(old_reqid);
        self.rebind(reqid);
        Ok(())
    }

    /// What has passed an SA.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn query_sa(&self, key: &SaKey) -> Result<SaUse, Refusal> {
        let stats = self
            .dataplane
            .sa_stats(self.sa(key)?.id)
            .unwrap_or_default();
        Ok(SaUse {
            bytes: stats.bytes,
            packets: stats.packets,
            idle: self.idle(stats.last_use_s),
        })
    }

    /// An SA with all of its figures, if there is one.
    pub fn sa_stats(&self, key: &SaKey) -> Option<(&SaSpec, SaStats)> {
        let entry = self.sas.get(key)?;
        Some((&entry.spec, self.dataplane.sa_stats(entry.id)?))
    }

    /// Deletes an SA, or gives its SPI back if there is only a reservation.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn del_sa(&mut self, key: &SaKey) -> Result<(), Refusal> {
        if self.spis.release(key) {
            return Ok(());
        }
        self.sa(key)?;
        self.remove_sa(key);
        self.dataplane.reclaim();
        Ok(())
    }

    /// Deletes all SAs of a source, and those that nobody speaks for.
    pub fn flush_sas(&mut self, source: Source) {
        let all = self.sas.by_key.iter();
        let gone = all.filter(|(_, e)| e.source == source || self.is_orphan(e.source));
        for key in gone.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.remove_sa(&key);
        }
        self.dataplane.reclaim();
    }

    /// Takes an SA out of books and data plane. Policies that it served are bound to another one.
    pub(super) fn remove_sa(&mut self, key: &SaKey) {
        let Some(entry) = self.sas.remove(key) else {
            return;
        };
        if let Err(e) = self.dataplane.del_sa(entry.id) {
            tracing::error!("{key}: {e}");
        }
        if entry.spec.direction == Direction::Out {
            self.rebind(entry.spec.reqid);
        }
        if self.is_orphan(entry.source) {
            let named = (key.protocol, Some(key.spi));
            self.remove_uses(|by, _, of| by == entry.source && (of.protocol, of.spi) == named);
        }
    }

    /// SAs without a lifetime that nobody can delete any more.
    pub(super) fn drop_endless_orphans(&mut self) {
        let all = self.sas.by_key.iter();
        let endless = all.filter(|(_, e)| self.is_orphan(e.source) && e.hard_at.is_none());
        for key in endless.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.remove_sa(&key);
        }
    }

    fn sa(&self, key: &SaKey) -> Result<&Entry, Refusal> {
        self.sas
            .by_key
            .get(key)
            .ok_or_else(|| Refusal::NotFound(format!("there is no {key}")))
    }
}

/// Whether two descriptions are of one SA: its keys, and what belongs to its state.
fn same_sa(a: &SaSpec, b: &SaSpec) -> bool {
    let fixed = |s: &SaSpec| (s.direction, s.mode, s.algorithm, s.esn, s.replay_window);
    fixed(a) == fixed(b) && a.enc_key == b.enc_key && a.auth_key == b.auth_key
}
