//! Adding, changing and deleting SAs.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ironlane_fib::VrfId;

use super::Writer;
use crate::{Direction, IpsecError, Protocol, Sa, SaId, SaSpec, SaStats, UdpEncap, hash};

fn hash_of(spec: &SaSpec) -> u64 {
    hash::of_sa(spec.protocol.number(), spec.spi, spec.dst, spec.vrf.0)
}

impl<S: Send + Sync + 'static> Writer<S> {
    /// Adds an SA: makes its session, then lets lcores find it.
    ///
    /// # Errors
    /// [`IpsecError::BadSa`] and [`IpsecError::BadKey`] if it makes no sense,
    /// [`IpsecError::SaExists`], [`IpsecError::SasExhausted`], [`IpsecError::Device`].
    pub fn add_sa(&mut self, spec: SaSpec) -> Result<SaId, IpsecError> {
        spec.check()?;
        self.check_free(&spec, None)?;
        let session = (self.device)(&spec).map_err(|why| IpsecError::Device {
            algorithm: spec.algorithm.to_string(),
            why,
        })?;
        let (index, generation) = self
            .sa_ids
            .take(&mut self.retirer)
            .ok_or(IpsecError::SasExhausted(self.ipsec.sas.capacity()))?;
        let id = SaId::new(index, generation);
        let hash = hash_of(&spec);
        self.publish_sa(Sa::new(id, spec, session));
        self.sad.insert(hash, id.raw(), &mut self.retirer);
        self.note_sa_count();
        Ok(id)
    }

    /// Gives an SA other addresses and ports (MOBIKE, a peer behind a NAT that moved), in one step
    /// for lcores; keys, sequence numbers and counters stay.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchSa`], [`IpsecError::BadSa`], [`IpsecError::SaExists`].
    pub fn update_sa(
        &mut self,
        id: SaId,
        src: IpAddr,
        dst: IpAddr,
        encap: Option<UdpEncap>,
    ) -> Result<(), IpsecError> {
        self.replace_sa(id, |spec| {
            (spec.src, spec.dst, spec.encap) = (src, dst, encap);
        })
    }

    /// Changes what an SA is, but for its direction, protocol, SPI, algorithm, keys, sequence numbers
    /// and limits, which belong to its session and state.
    ///
    /// # Errors
    /// As [`update_sa`](Writer::update_sa).
    pub fn replace_sa(
        &mut self,
        id: SaId,
        change: impl FnOnce(&mut SaSpec),
    ) -> Result<(), IpsecError> {
        let sa = self.sa(id)?;
        let mut spec = sa.spec().clone();
        change(&mut spec);
        if !sa.spec().differs_only_in_what_may_change(&spec) {
            return Err(IpsecError::BadSa(
                "keys, SPI, sequence numbers and limits stay as they are; add another SA".into(),
            ));
        }
        spec.check()?;
        let (old_hash, new_hash) = (hash_of(sa.spec()), hash_of(&spec));
        let replaced = sa.with_spec(spec);
        self.check_free(replaced.spec(), Some(id))?;
        // Lcores compare what they find with the SA: under the old key they find it until it is
        // swapped, and under the new one from then on.
        if new_hash != old_hash {
            self.sad.insert(new_hash, id.raw(), &mut self.retirer);
        }
        self.publish_sa(replaced);
        if new_hash != old_hash {
            self.sad.remove(old_hash, id.raw());
        }
        Ok(())
    }

    /// Deletes an SA, unbinds it from policies, and returns its last figures. Packets that an lcore
    /// has found it for already may still pass.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchSa`].
    pub fn del_sa(&mut self, id: SaId) -> Result<SaStats, IpsecError> {
        let sa = self.sa(id)?;
        let (hash, stats) = (hash_of(sa.spec()), sa.stats());
        self.unbind_all(id);
        self.sad.remove(hash, id.raw());
        let last = self.sas[id.index()].take();
        self.note_udp(last.as_deref(), None);
        self.ipsec.sas.set(id.index(), None, &mut self.retirer);
        self.sa_ids.give(id.index() as u32, &mut self.retirer);
        self.note_sa_count();
        Ok(stats)
    }

    /// Deletes all SAs.
    pub fn flush_sas(&mut self) {
        let ids: Vec<_> = self.sas().map(Sa::id).collect();
        for id in ids {
            self.del_sa(id).expect("it was listed a moment ago");
        }
    }

    /// An SA, to look at what it is and has done.
    ///
    /// # Errors
    /// [`IpsecError::NoSuchSa`].
    pub fn sa(&self, id: SaId) -> Result<&Sa<S>, IpsecError> {
        self.sas
            .get(id.index())
            .and_then(Option::as_deref)
            .filter(|sa| sa.id() == id)
            .ok_or(IpsecError::NoSuchSa(id))
    }

    /// The SA that packets with these fields name.
    pub fn find_sa(&self, protocol: Protocol, spi: u32, dst: IpAddr, vrf: VrfId) -> Option<&Sa<S>> {
        let hash = hash::of_sa(protocol.number(), spi, dst, vrf.0);
        self.sad
            .find(hash)
            .filter_map(|id| self.sa(SaId::from_raw(id)).ok())
            .find(|sa| sa.spec().is_named_by(protocol, spi, dst, vrf))
    }

    /// Every SA, in order of indexes.
    pub fn sas(&self) -> impl Iterator<Item = &Sa<S>> {
        self.sas.iter().flatten().map(Arc::as_ref)
    }

    fn check_free(&self, spec: &SaSpec, but: Option<SaId>) -> Result<(), IpsecError> {
        match self.find_sa(spec.protocol, spec.spi, spec.dst, spec.vrf) {
            Some(other) if Some(other.id()) != but => Err(IpsecError::SaExists {
                id: other.id(),
                spi: spec.spi,
                dst: spec.dst,
                vrf: spec.vrf,
            }),
            _ => Ok(()),
        }
    }

    fn publish_sa(&mut self, sa: Sa<S>) {
        let index = sa.id().index();
        let sa = Arc::new(sa);
        let published = Some(Arc::clone(&sa));
        self.ipsec.sas.set(index, published, &mut self.retirer);
        if self.sas.len() <= index {
            self.sas.resize_with(index + 1, || None);
        }
        let last = self.sas[index].replace(sa);
        self.note_udp(last.as_deref(), self.sas[index].as_deref());
    }

    /// Counts SAs that take ESP in UDP, when one takes the place of another.
    fn note_udp(&self, before: Option<&Sa<S>>, after: Option<&Sa<S>>) {
        let takes = |sa: Option<&Sa<S>>| {
            sa.is_some_and(|sa| sa.spec().encap.is_some() && sa.spec().direction == Direction::In)
        };
        // Relaxed: see `Ipsec::has_sas`. This is the only writer.
        match (takes(before), takes(after)) {
            (false, true) => self.ipsec.udp_count.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.ipsec.udp_count.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    fn note_sa_count(&self) {
        // Relaxed: see `Ipsec::has_sas`.
        self.ipsec
            .sa_count
            .store(self.sad.len() as u32, Ordering::Relaxed);
    }
}
