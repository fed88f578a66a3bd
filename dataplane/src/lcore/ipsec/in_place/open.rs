//! Packets that arrived protected, where they lie.

use ironlane_ipsec::{OpenRun, Reject, SaId};
use ironlane_packet::eth::Mac;
use ironlane_packet::proto::ip;

use super::super::{L2, reason, write_ethernet};
use super::job;
use super::runs::Runs;
use crate::burst::{Arrival, BurstStore, Fate, Placed};
use crate::eal::crypto::{Jobs, Outcome, Session};
use crate::eal::{BURST_MAX, Mbuf};
use crate::lcore::poll::Lcore;
use crate::reason::{DropReason, StageId};
use crate::stage::{Entrance, StageMeter, TablesView};

/// What is to be remembered of a packet while the engine has it.
#[derive(Clone, Copy, Default)]
struct Before {
    seq: u64,
    /// Where in the IP packet the text is.
    text: (u16, u16),
    place: u8,
}

impl Lcore {
    /// Opens packets of the straight path that nothing stands in the way of. The places where an inner packet lies then,
    /// behind an Ethernet header for the port that it came by; the fates of others say what became of them.
    pub(super) fn open_in_place(
        &mut self,
        store: &mut BurstStore,
        arrival: Arrival,
        view: &TablesView<'_>,
    ) -> u64 {
        let wanted = store.to_open();
        let Some(engine) = self.crypto.engine.as_ref().filter(|_| wanted != 0) else {
            return 0;
        };
        let mut jobs = Jobs::new(engine);
        let Placed {
            packets,
            sas,
            fates,
            ..
        } = store.placed();
        let mut befores = [Before::default(); BURST_MAX];
        let mut room = [const { None }; BURST_MAX];
        let mut runs = Runs::new(&mut room);
        for (place, mbuf) in packets.iter_mut().enumerate() {
            if wanted >> place & 1 == 0 {
                continue;
            }
            let sa = sas[place];
            let begin = |run: &mut _| self.begin_open(sa, view, run);
            let Some(run) = runs.of(sa, jobs.len(), begin) else {
                break;
            };
            let Some((text, seq)) = lay_out(run, mbuf) else {
                break;
            };
            befores[jobs.len()] = Before {
                seq,
                text: (text.at, text.len),
                place: place as u8,
            };
            if jobs.push(run.sa().session(), mbuf, &job(text)).is_err() {
                // As it came: one by one it is refused.
                break;
            }
        }
        let count = jobs.len();
        if count == 0 {
            return 0;
        }
        if let Some(engine) = &mut self.crypto.engine {
            engine.process(&mut jobs);
        }
        let mut outcomes = [Outcome::Failed; BURST_MAX];
        for (to, outcome) in outcomes.iter_mut().zip(jobs.outcomes()) {
            *to = outcome;
        }
        let (mut opened, events) = (0, view.ipsec.events());
        runs.look_at(
            &outcomes[..count],
            &befores,
            |run, outcome, before, sum| {
                let place = usize::from(before.place) % BURST_MAX;
                let Some(mbuf) = packets.get_mut(place) else {
                    return;
                };
                let refused = match outcome {
                    Outcome::Done => match take_out(run, before, mbuf, arrival.mac, view) {
                        Ok(len) => {
                            opened |= 1 << place;
                            return sum.add(len);
                        }
                        Err(reject) => reason(reject),
                    },
                    Outcome::BadIcv => {
                        run.sa().reject(Reject::Integrity);
                        reason(Reject::Integrity)
                    }
                    Outcome::Failed => DropReason::IpsecDevice,
                    Outcome::Lost => {
                        fates[place] = Fate::Lost;
                        return;
                    }
                };
                fates[place] = Fate::Drop(refused);
            },
            |run, sum| run.count(sum.packets, sum.bytes, view.now_s(), events),
        );
        self.outlet.counters.lap(StageId::Ipsec, count as u64);
        opened
    }

    /// Makes ready to open packets of this SA in a row; `None` where one by one is to be looked at them. In its place: what
    /// has just been written in pieces is slow to copy.
    #[inline(never)]
    fn begin_open<'v>(
        &self,
        id: SaId,
        view: &TablesView<'v>,
        run: &mut Option<OpenRun<'v, Session>>,
    ) -> Option<()> {
        let sa = view.ipsec.sa(view.guard, id)?;
        let owner = sa.state().owner_or(self.index as u32); // at most 128
        let is_plain =
            owner as usize == self.index && view.interfaces.of_sa(sa.spec()) == Entrance::Wire;
        if is_plain {
            *run = sa.open_run();
        }
        (is_plain && run.is_some()).then_some(())
    }
}

/// Lays a packet out for the engine: in one buffer, with a header without options. The straight path gives no others, but
/// another lcore may.
#[inline]
fn lay_out(run: &OpenRun<'_, Session>, mbuf: &Mbuf) -> Option<(ironlane_ipsec::Text, u64)> {
    let packet = mbuf.data().get(L2..)?;
    let (ip_len, protocol) = match packet.first()? {
        0x45 => (20, *packet.get(9)?),
        first if first >> 4 == 6 => (40, *packet.get(6)?),
        _ => return None,
    };
    if mbuf.nb_segs() != 1 || !matches!(protocol, ip::ESP | ip::UDP) {
        return None;
    }
    run.open(packet, ip_len, protocol == ip::UDP)
}

/// Makes a frame for `own` of what was inside, and says how long that is.
#[inline]
fn take_out(
    run: &OpenRun<'_, Session>,
    before: &Before,
    mbuf: &mut Mbuf,
    own: Mac,
    view: &TablesView<'_>,
) -> Result<u64, Reject> {
    let frame = mbuf.data_mut();
    let src = Mac(*frame[6..].first_chunk().unwrap_or(&[2, 0, 0, 0, 0, 0]));
    let events = view.ipsec.events();
    let inner = run.opened(&mut frame[L2..], before.text, before.seq, events)?;
    // The Ethernet header goes right before the inner packet, over what was there.
    mbuf.narrow_single(inner.at, L2 + inner.len);
    // What the device found out was about the outer headers.
    mbuf.set_ol_flags(0);
    match write_ethernet(mbuf, own, src) {
        true => Ok(inner.len as u64),
        false => {
            run.sa().reject(Reject::Inner);
            Err(Reject::Inner)
        }
    }
}
