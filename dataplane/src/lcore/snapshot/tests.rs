//! What readers get, while lcores count and after.

use super::*;
use crate::reason::DropReason;
use ironlane_fib::PortId;

#[test]
fn a_snapshot_never_splits_a_burst() {
    let set = CounterSet::new(&[0]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (set, done) = (&set, &done);
        let mut counters = set.writer(0);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                counters.rx(PortId(0), 3, 300);
                counters.tx(PortId(1), 2, 200);
                counters.dropped(PortId(0), DropReason::TxQueueFull, 1);
                counters.boundary();
            }
        });
        for _ in 0..200 {
            let lcore = &set.snapshot().lcores[0];
            assert!(lcore.exact);
            assert!(lcore.identity().holds(), "{:?}", lcore.identity());
            assert_eq!(lcore.ports[0].rx_bytes, 100 * lcore.ports[0].rx_packets);
        }
        done.store(true, Ordering::Relaxed);
    });
    let last = set.snapshot();
    assert!(!last.lcores[0].running && last.lcores[0].exact);
    assert_eq!(
        last.port(PortId(1)).tx_packets * 3,
        last.port(PortId(0)).rx_packets * 2
    );
}

#[test]
fn since_leaves_what_came_later() {
    let set = CounterSet::new(&[0, 1]);
    let mut a = set.writer(0);
    a.handoff_out(PortId(2), 5);
    drop(a);
    let base = set.snapshot();
    assert_eq!(base.handed_off(), 5);
    let mut b = set.writer(1);
    b.handoff_in(PortId(2), 4);
    drop(b);
    let later = set.snapshot().since(&base);
    assert_eq!(
        (later.handed_off(), later.port(PortId(2)).handoff_in),
        (-4, 4)
    );
}

#[test]
fn a_packet_in_no_ring_that_no_lcore_took_is_noticed_at_rest() {
    let set = CounterSet::new(&[0, 1]);
    let (mut a, mut b) = (set.writer(0), set.writer(1));
    a.handoff_out(PortId(2), 3);
    b.handoff_in(PortId(2), 3);
    drop((a, b));
    let good = set.snapshot_at_rest();
    assert_eq!(
        (good.rings.exact, good.rings_agree()),
        (true, Some(true)),
        "no rings, none on the way"
    );
    let mut bad = good.clone();
    bad.lcores[1].ports[2].handoff_in = 2;
    assert_eq!((bad.handed_off(), bad.rings_agree()), (1, Some(false)));
    bad.rings.handoff = 1;
    assert_eq!(bad.rings_agree(), Some(true));
    assert_eq!(set.snapshot().rings_agree(), None, "may have moved");
}
#[test]
fn fragments_that_waited_before_the_counts_began_are_part_of_their_sum() {
    let set = CounterSet::new(&[0]);
    let mut counters = set.writer(0);
    counters.rx(PortId(0), 3, 300);
    counters.held(3);
    drop(counters);
    let base = set.snapshot();
    assert_eq!(base.fragments_held(), 3);
    assert!(base.lcores[0].identity().holds());
    let mut later = base.clone();
    // The last one comes, and the packet of all four leaves.
    later.lcores[0].ports[0].rx_packets += 1;
    later.lcores[0].ports[0].joined += 3;
    later.lcores[0].ports[1].tx_packets += 1;
    later.lcores[0].held = 0;
    assert!(later.lcores[0].identity().holds());
    assert!(later.since(&base).lcores[0].identity().holds());
}
