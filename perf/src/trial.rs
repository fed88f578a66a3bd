//! What a trial showed, and how a generator tells that it was kept from its CPU.
//!
//! A generator that the host or another program kept from its CPU sends nothing and takes nothing. What the
//! router did meanwhile with packets on the way cannot be known: they wait in the ring for the generator, or
//! find it full. So a *stall*, a gap between two polls far beyond the generator's own work, is left out of
//! a trial: its time, and the packets that were on the way.

use hdrhistogram::Histogram;

/// A gap between two polls that is a stall. The generator's own work between polls takes 2 microseconds.
pub const STALL_NS: u64 = 20_000;

/// What one trial showed.
pub struct Trial {
    /// Packets that the ring took; those of stalls are left out.
    pub sent: u64,
    /// Packets that should have gone, and found the ring full.
    pub refused: u64,
    /// Packets that came back.
    pub received: u64,
    /// Seconds that it took to send, without stalls.
    pub seconds: f64,
    /// Nanoseconds that packets took.
    pub times: Histogram<u64>,
    /// How often the generator was kept from its CPU.
    pub stalls: Stalls,
}

/// What was left out of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stalls {
    /// How many there were.
    pub count: u64,
    /// Seconds that they took, with those in which what was on the way came in.
    pub seconds: f64,
    /// Seconds of the longest.
    pub longest_s: f64,
    /// Packets that were on the way.
    pub packets: u64,
    /// Of them: those that never came back.
    pub lost: u64,
}

impl Stalls {
    /// Notes one of `length_s` seconds, after which `on_the_way` packets were awaited for `settling_s` seconds;
    /// `back` of them came.
    pub fn note(&mut self, length_s: f64, settling_s: f64, on_the_way: u64, back: u64) {
        self.count += 1;
        self.seconds += length_s + settling_s;
        self.longest_s = self.longest_s.max(length_s);
        self.packets += on_the_way;
        self.lost += on_the_way.saturating_sub(back);
    }
}

impl Trial {
    /// Packets that did not come back, in parts of one.
    pub fn loss(&self) -> f64 {
        let offered = self.sent + self.refused;
        // One that was given up after a stall may come yet.
        (1.0 - self.received as f64 / offered.max(1) as f64).max(0.0)
    }

    /// Millions of packets a second that came back.
    pub fn mpps(&self) -> f64 {
        self.received as f64 / self.seconds / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_add_up() {
        let mut stalls = Stalls::default();
        stalls.note(0.25, 0.125, 10, 8);
        stalls.note(0.125, 0.0, 0, 0);
        assert_eq!(stalls.count, 2);
        assert_eq!((stalls.seconds, stalls.longest_s), (0.5, 0.25));
        assert_eq!((stalls.packets, stalls.lost), (10, 2));
    }
}
