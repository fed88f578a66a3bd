//! The short way: packets of the straight path are opened and sealed where they lie in their burst.
//!
//! What the straight path gives to an SA is whole and in one buffer, its headers without options. If its SA, too,
//! is of the usual kind (an ESP tunnel whose cipher authenticates, of no IPsec interface, owned by this lcore), what remains
//! to be done is little: nothing is copied to lists, and a sealed packet does not pass the stages once more. Its outer
//! header is our own, so it breaks no rule; where it goes is looked up once for packets of an SA in a row, and
//! the Ethernet header is written with the others. What was opened runs through the stages in its place.
//!
//! Whatever is not so stays as it is, and goes by the lists ([`IpsecLists`](super::IpsecLists)): the first packet of a
//! burst that does takes all behind it along, so that flows keep their order. The outcome is the same, bytes,
//! counts and all, but for how many packets met which stage.

mod ahead;
mod handed;
mod open;
mod runs;
mod seal;

use ironlane_ipsec::Text;

use crate::burst::{Arrival, BurstStore, Origin};
use crate::eal::crypto::{Job, Part};
use crate::lcore::poll::Lcore;
use crate::stage::TablesView;

use super::{L2, ROUNDS};

impl Lcore {
    /// Hands out the packets of a burst that arrived, of which those for SAs are opened and sealed, and what becomes of
    /// them as well.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        store: &mut BurstStore,
        arrival: Arrival,
        view: &TablesView<'_>,
    ) {
        let mut rounds = ROUNDS;
        if store.has_given() {
            rounds -= usize::from(self.settle_given(store, arrival, view));
        }
        self.outlet.begin(arrival.port, view.now_ns);
        store.settle(&mut self.outlet);
        if !self.outlet.ipsec.is_empty() {
            self.cross(store, rounds, view);
        }
    }

    /// Opens and seals what can be in its place. Whether anything was opened, which is in the burst then, and all else
    /// handed out.
    #[inline(never)]
    fn settle_given(
        &mut self,
        store: &mut BurstStore,
        arrival: Arrival,
        view: &TablesView<'_>,
    ) -> bool {
        self.seal_in_place(store, view);
        let opened = self.open_in_place(store, arrival, view);
        if opened == 0 {
            return false;
        }
        self.outlet.begin(arrival.port, view.now_ns);
        store.settle_but(opened, &mut self.outlet);
        let arrival = Arrival {
            origin: Origin::Opened,
            ..arrival
        };
        let counters = &mut self.outlet.counters;
        self.pipeline.run(store, arrival, view, counters);
        self.seal_in_place(store, view);
        true
    }
}

/// What the engine is to do with a text, of an IP packet behind an Ethernet header. The ICV follows it.
#[inline]
fn job(text: Text) -> Job {
    let at = text.at + L2 as u16;
    Job {
        cipher: Part::new(at, text.len),
        auth: Part::default(),
        icv_at: at + text.len,
        nonce: text.nonce,
        aad: text.aad,
    }
}
