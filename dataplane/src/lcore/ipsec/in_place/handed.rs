//! Packets that other lcores handed over to the owner of their SA.

use std::mem;

use super::super::{SaBatch, Step, Tag};
use crate::burst::{BurstStore, Fate};
use crate::lcore::poll::Lcore;
use crate::reason::DropReason;
use crate::stage::TablesView;

impl Lcore {
    /// Opens and seals what was handed over: where it can be, those of a port as a burst, like what arrives here.
    #[inline(never)]
    pub(crate) fn cross_handed(&mut self, store: &mut BurstStore, view: &TablesView<'_>) {
        if !self.pipeline.has_straight_path() {
            return self.cross_ipsec(store, view);
        }
        let lists = &mut self.outlet.ipsec;
        let open = mem::replace(&mut lists.open, SaBatch::new());
        let seal = mem::replace(&mut lists.seal, SaBatch::new());
        for (fate, mut batch) in [(Fate::Open, open), (Fate::Seal, seal)] {
            if view.ipsec.has_many() {
                view.ipsec
                    .warm_sas(view.guard, &batch.sas[..batch.packets.len()]);
            }
            let mut last = None;
            for (mbuf, &sa) in batch.packets.drain().zip(&batch.sas) {
                let word = mbuf.port();
                if last.is_some_and(|last| last != word) {
                    self.settle_handed(store, last.take(), view);
                }
                // As many as a burst, in either list.
                let pushed = match word & Tag::INJECTED {
                    0 => {
                        last = Some(word);
                        store.push_given(fate, sa, mbuf)
                    }
                    // Only what is to be sealed: it may be one of transport mode.
                    _ => self.outlet.ipsec.seal.push(sa, mbuf),
                };
                if let Err(mbuf) = pushed {
                    self.outlet.lose_at(Step::Failed, mbuf);
                }
            }
            self.settle_handed(store, last, view);
        }
        self.cross_ipsec(store, view);
    }

    /// Settles what is in the burst, which arrived by the port of this word.
    fn settle_handed(&mut self, store: &mut BurstStore, word: Option<u16>, view: &TablesView<'_>) {
        let Some(port) = word.map(Tag::port) else {
            return;
        };
        match self.crypto.arrival(port) {
            Some(arrival) => self.settle(store, arrival, view),
            None => {
                let packets = store.packets_mut();
                self.outlet.lose_all(port, DropReason::IpsecDevice, packets);
            }
        }
    }
}
