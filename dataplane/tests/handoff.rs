//! Ports with fewer queues than lcores: hand-off rings lose nothing and keep flows in order.

mod rig;

use ironlane_dataplane::reason::DropReason;
use rig::{Rig, wait_for};

/// Flows come in by two queues, polled by two lcores; one of them owns the only way out.
#[test]
fn two_lcores_share_one_queue_without_loss_or_reordering() {
    const PACKETS: u32 = 20_000;
    let mut rig = Rig::start(2, &[("h0", 2, 2, 1023), ("h1", 1, 1, 8191)], |config| {
        config.rings.handoff = 8191;
    });
    assert_eq!(rig.dataplane.ports()[0].rx_queues, [0, 1]);
    assert_eq!(rig.dataplane.ports()[1].tx_queues, [0]);

    // Flow 0 has even numbers and queue 0, flow 1 odd ones and queue 1.
    let mut seen = [0u32; 2];
    let mut check = |frames: Vec<Vec<u8>>| {
        for frame in frames {
            let number = rig::number(&frame);
            let flow = (number % 2) as usize;
            assert_eq!(number / 2, seen[flow], "flow {flow} out of order");
            seen[flow] += 1;
        }
        seen
    };
    for start in (0..PACKETS).step_by(32) {
        for queue in 0..2 {
            let numbers = (start..start + 32).map(|n| n * 2 + queue);
            let frames: Vec<_> = numbers.map(|n| rig.frame(0, 1, n)).collect();
            rig.send(0, queue as usize, &frames);
        }
        check(rig.sent(1));
    }
    wait_for("all packets", || check(rig.sent(1)) == [PACKETS; 2]);

    let counters = rig.dataplane.counters().snapshot_at_rest();
    let port = counters.port(rig.id(1));
    assert_eq!(
        (port.handoff_out, port.handoff_in),
        (u64::from(PACKETS), u64::from(PACKETS))
    );
    assert_eq!(port.tx_packets, 2 * u64::from(PACKETS));
    assert_eq!(port.drops.iter().sum::<u64>(), 0);
    let rings = counters.rings;
    assert_eq!(
        (rings.handoff, rings.exact, counters.rings_agree()),
        (0, true, Some(true))
    );
    assert!(counters.lcores.iter().all(|lcore| lcore.identity().holds()));
    rig.stop();
}

/// A hand-off ring that is too small drops with its own reason, and nothing else moves.
#[test]
fn a_full_hand_off_ring_is_a_drop() {
    let mut rig = Rig::start(2, &[("g0", 2, 2, 8191), ("g1", 1, 1, 8191)], |config| {
        config.rings.handoff = 1;
    });
    let (counters, id) = (rig.dataplane.counters(), rig.id(1));
    let mut sent = 0;
    wait_for("a full ring", || {
        let frames: Vec<_> = (0..320).map(|n| rig.frame(0, 1, n)).collect();
        rig.send(0, 1, &frames);
        sent += 320;
        rig.sent(1);
        counters.snapshot().port(id).drops[DropReason::HandoffRingFull.index()] > 0
    });
    wait_for("all counted", || {
        rig.sent(1);
        let port = counters.snapshot().port(id);
        port.tx_packets + port.drops.iter().sum::<u64>() == sent
    });
    rig.stop();
}
