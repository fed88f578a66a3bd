//! Which turns are timed.

use super::*;

#[test]
fn every_burst_is_counted_though_not_every_turn_is_timed() {
    let mut counters = LcoreCounters::detached();
    let stage = |counters: &LcoreCounters| counters.slot.live.stages[StageId::Tx.index()].read();
    let mut timed = Vec::new();
    for turn in 0..40 {
        let before = stage(&counters).cycles;
        std::hint::black_box(turn);
        counters.lap(StageId::Tx, 3);
        timed.push(stage(&counters).cycles != before);
        counters.end_turn(true);
    }
    let counts = stage(&counters);
    assert_eq!((counts.packets, counts.bursts), (120, 40));
    let expected: Vec<_> = (0..40).map(|turn| turn < 8 || turn % 8 == 0).collect();
    assert_eq!(timed, expected);
    // Idle once: each turn is timed again.
    counters.end_turn(false);
    let before = stage(&counters).cycles;
    counters.lap(StageId::Tx, 1);
    assert_ne!(stage(&counters).cycles, before);
}
