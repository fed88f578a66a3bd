//! Which priority is served next.

use ironlane_dataplane::reason::PuntPriority;

/// Bursts of each priority that one round serves at most, most urgent first.
///
/// The most urgent priority that waits always goes first, so a routing packet waits for one
/// burst of the others at most, and for the taps to be read. The bounds keep a flood of one
/// priority from starving those below it, and the taps.
const BURSTS: [u32; PuntPriority::COUNT] = [8, 4, 2];

/// What is left of a round.
#[derive(Debug)]
pub(super) struct Credits([u32; PuntPriority::COUNT]);

impl Credits {
    /// A new round.
    pub(super) fn new() -> Self {
        Self(BURSTS)
    }

    /// The priority of the next burst: the most urgent one that has credit left and of which
    /// `take` took a burst.
    pub(super) fn next(
        &mut self,
        mut take: impl FnMut(PuntPriority) -> bool,
    ) -> Option<PuntPriority> {
        let served = |p: &&PuntPriority| self.0[p.index()] > 0 && take(**p);
        let priority = *PuntPriority::ALL.iter().find(served)?;
        self.0[priority.index()] -= 1;
        Some(priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PuntPriority::{High, Low, Medium};

    #[test]
    fn the_most_urgent_goes_first_and_none_starves() {
        let mut credits = Credits::new();
        let mut served = Vec::new();
        while let Some(priority) = credits.next(|_| true) {
            served.push(priority);
        }
        let mut expected = vec![High; 8];
        expected.extend([Medium; 4]);
        expected.extend([Low; 2]);
        assert_eq!(served, expected);
    }

    #[test]
    fn what_becomes_urgent_meanwhile_is_served_before_the_next_low_burst() {
        let mut credits = Credits::new();
        assert_eq!(credits.next(|p| p == Low), Some(Low));
        assert_eq!(credits.next(|p| p != Medium), Some(High));
        assert_eq!(credits.next(|p| p == Low), Some(Low));
        assert_eq!(credits.next(|p| p == Low), None, "its bound is reached");
        assert_eq!(credits.next(|_| false), None);
    }
}
