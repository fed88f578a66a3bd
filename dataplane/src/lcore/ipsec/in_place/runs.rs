//! Packets of an SA in a row: what they have in common is found out once, and they are counted together.

use ironlane_ipsec::SaId;

use crate::eal::BURST_MAX;
use crate::eal::crypto::Outcome;

/// The runs of a burst, each with what its packets have in common.
pub(super) struct Runs<'r, R> {
    runs: &'r mut [Option<R>; BURST_MAX],
    /// The first job of each.
    firsts: [u8; BURST_MAX],
    begun: usize,
    last: Option<SaId>,
}

/// Packets and bytes that an SA has not counted yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uncounted {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Uncounted {
    #[inline]
    pub(super) fn add(&mut self, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
    }
}

impl<'r, R> Runs<'r, R> {
    /// None yet; `room` is for as many as there may be, all empty.
    #[inline]
    pub(super) fn new(room: &'r mut [Option<R>; BURST_MAX]) -> Self {
        Self {
            runs: room,
            firsts: [0; BURST_MAX],
            begun: 0,
            last: None,
        }
    }

    /// The run that the next job, of this number, is of: that of the job before, or one that `begin` puts down. `None` if
    /// it cannot.
    #[inline]
    pub(super) fn of(
        &mut self,
        sa: SaId,
        job: usize,
        begin: impl FnOnce(&mut Option<R>) -> Option<()>,
    ) -> Option<&R> {
        if self.last != Some(sa) {
            // At most as many as there are packets.
            let at = self.begun % BURST_MAX;
            begin(&mut self.runs[at])?;
            self.firsts[at] = job as u8;
            self.last = Some(sa);
            self.begun += 1;
        }
        self.runs[(self.begun - 1) % BURST_MAX].as_ref()
    }

    /// Looks at what came back, of a run after the other, and counts at the end of each what `look` added.
    #[inline]
    pub(super) fn look_at<B>(
        &self,
        outcomes: &[Outcome],
        befores: &[B],
        mut look: impl FnMut(&R, Outcome, &B, &mut Uncounted),
        count: impl Fn(&R, Uncounted),
    ) {
        for at in 0..self.begun.min(BURST_MAX) {
            let Some(run) = &self.runs[at] else { break };
            let end = match at + 1 < self.begun {
                true => usize::from(self.firsts[at + 1]),
                false => outcomes.len(),
            };
            let range = usize::from(self.firsts[at])..end;
            let (Some(outcomes), Some(befores)) = (outcomes.get(range.clone()), befores.get(range))
            else {
                break;
            };
            let mut sum = Uncounted::default();
            for (&outcome, before) in outcomes.iter().zip(befores) {
                look(run, outcome, before, &mut sum);
            }
            if sum.packets > 0 {
                count(run, sum);
            }
        }
    }
}
