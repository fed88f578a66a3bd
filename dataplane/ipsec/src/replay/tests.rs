//! The window against a set of all numbers that were seen.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// All that was seen, in full.
struct Naive {
    seen: BTreeSet<u64>,
    top: u64,
    size: u64,
    esn: bool,
}

impl Naive {
    fn new(size: u64, esn: bool, last: u64) -> Self {
        Self {
            // Whatever is at or below the first top counts as seen.
            seen: (last.saturating_sub(2 * size)..=last).collect(),
            top: last,
            size,
            esn,
        }
    }

    fn may_be_new(&self, number: u64) -> bool {
        number != 0
            && !self.seen.contains(&number)
            && (number > self.top || self.top - number < self.size)
    }

    /// Of all full numbers with this lower half, the one that RFC 4303 A2.2 wants: within the
    /// window or above it, and there the smallest.
    fn infer(&self, low: u32) -> Option<u64> {
        if !self.esn {
            return Some(low.into());
        }
        let bottom = i128::from(self.top) - i128::from(self.size) + 1;
        let high = i128::from(self.top >> 32);
        (high - 1..=high + 1)
            .map(|high| high << 32 | i128::from(low))
            .find(|&number| number >= bottom)
            .and_then(|number| u64::try_from(number).ok())
    }

    fn check(&self, low: u32) -> Option<u64> {
        self.infer(low).filter(|&number| self.may_be_new(number))
    }

    fn update(&mut self, number: u64) -> bool {
        let is_new = self.may_be_new(number);
        if is_new {
            self.seen.insert(number);
            self.top = self.top.max(number);
        }
        is_new
    }
}

/// Where windows begin: at 0, and around the places where halves wrap.
fn starts(esn: bool) -> impl Strategy<Value = u64> {
    let edges = if esn {
        vec![0, 1 << 32, 7 << 32, u64::MAX - 6000]
    } else {
        vec![0, 5000, (1 << 32) - 7000]
    };
    (prop::sample::select(edges), 0u64..6000).prop_map(|(edge, more)| match edge {
        0 => 0,
        edge => edge.saturating_sub(3000).saturating_add(more),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_window_answers_as_a_set_of_all_numbers_does(
        size in prop::sample::select(vec![32u32, 33, 63, 64, 65, 127, 128, 1000, 4096]),
        (esn, start) in any::<bool>().prop_flat_map(|esn| (Just(esn), starts(esn))),
        steps in prop::collection::vec((-5000i64..5000, 0u8..8), 1..200),
    ) {
        let window = ReplayWindow::new(size, esn, start);
        let mut naive = Naive::new(size.into(), esn, start);
        for (step, kind) in steps {
            // Mostly near the top and in order, at times far from it.
            let step = match kind {
                0..4 => step.rem_euclid(4) + 1,
                4..6 => -(step.rem_euclid(i64::from(size) + 3)),
                _ => step,
            };
            let low = window.top().wrapping_add_signed(step) as u32;
            prop_assert_eq!(window.check(low), naive.check(low), "{} from {}", step, naive.top);
            // A forged packet passes the first step and not the second.
            if kind != 3 && let Some(number) = window.check(low) {
                prop_assert_eq!(window.update(number), naive.update(number));
                prop_assert_eq!(window.check(low), None, "its copy");
                prop_assert!(!window.update(number), "its copy, checked in the same burst");
            }
            prop_assert_eq!(window.top(), naive.top);
        }
    }
}

#[test]
fn number_zero_never_passes() {
    assert_eq!(ReplayWindow::new(32, false, 0).check(0), None);
    assert_eq!(ReplayWindow::new(32, true, 0).check(0), None);
    // Its lower half does, after a wrap.
    let wrapped = ReplayWindow::new(32, true, u32::MAX.into());
    assert_eq!(wrapped.check(0), Some(1 << 32));
}

#[test]
fn a_window_before_the_first_wrap_knows_no_half_below() {
    let window = ReplayWindow::new(64, true, 0);
    assert_eq!(window.check(u32::MAX), None);
    assert_eq!(window.check(1), Some(1));
}

#[test]
fn the_last_numbers_of_all_end_the_sa() {
    let window = ReplayWindow::new(64, true, u64::MAX - 1);
    assert_eq!(window.check(u32::MAX), Some(u64::MAX));
    assert!(window.update(u64::MAX));
    assert_eq!(window.check(0), None, "there is no upper half beyond");
    let short = ReplayWindow::new(64, false, u64::from(u32::MAX) - 1);
    assert!(short.update(u32::MAX.into()));
    assert_eq!((short.check(u32::MAX), short.check(1)), (None, None));
}

#[test]
fn a_jump_over_the_whole_ring_clears_it() {
    let window = ReplayWindow::new(64, false, 0);
    assert!((1..=200).all(|number| window.update(number)));
    assert!(window.update(1_000_000));
    assert_eq!(window.check(999_999), Some(999_999));
    assert_eq!(window.check(999_936), None, "left of the window");
    assert_eq!(window.check(999_937), Some(999_937));
}
