//! Shares of buckets, and their use by hashes.

use proptest::prelude::*;

use super::*;

fn index(raw: u32) -> NexthopIndex {
    NexthopIndex::from_raw(raw).expect("20 bits")
}

fn group(weights: &[u16]) -> Group {
    let members = weights.iter().zip(1..).map(|(&weight, raw)| Member {
        nexthop: index(raw),
        weight,
    });
    Group::new(&members.collect::<Vec<_>>()).expect("few enough")
}

fn counts(group: &Group, members: usize) -> Vec<usize> {
    let count = |raw| {
        group
            .buckets()
            .iter()
            .filter(|&&bucket| bucket == index(raw))
            .count()
    };
    (1..=members as u32).map(count).collect()
}

#[test]
fn weights_that_fit_a_power_of_two_are_exact_and_small() {
    assert_eq!(counts(&group(&[1, 1]), 2), [1, 1]);
    assert_eq!(counts(&group(&[10, 30]), 2), [1, 3]);
    assert_eq!(counts(&group(&[255]), 1), [1]);
    assert_eq!(counts(&group(&[1, 511]), 2), [1, 511]);
}

#[test]
fn other_weights_come_close() {
    assert_eq!(counts(&group(&[1, 1, 1]), 3), [86, 85, 85]);
    assert_eq!(counts(&group(&[u16::MAX, 1]), 2), [511, 1]);
}

#[test]
fn a_group_without_traffic_selects_nothing() {
    for group in [group(&[]), group(&[0, 0])] {
        assert_eq!(group.select(0), None);
        assert_eq!(group.select(u32::MAX), None);
    }
}

#[test]
fn a_member_of_weight_zero_is_listed_and_not_selected() {
    let group = group(&[1, 0, 1]);
    assert_eq!(group.members().len(), 3);
    assert_eq!(counts(&group, 3), [1, 0, 1]);
}

#[test]
fn more_members_than_buckets_are_refused() {
    let members = vec![
        Member {
            nexthop: index(1),
            weight: 1
        };
        MAX_BUCKETS + 1
    ];
    assert_eq!(
        Group::new(&members),
        Err(FibError::GroupTooLarge(MAX_BUCKETS + 1))
    );
    assert_eq!(
        Group::new(&members[1..]).map(|group| group.buckets().len()),
        Ok(MAX_BUCKETS)
    );
}

#[test]
fn hashes_spread_by_weight_even_where_some_bits_never_change() {
    let group = group(&[1, 2, 1, 3, 1]);
    // What an lcore sees of RSS: the low bits chose its queue and are the same for all flows.
    for (queue, shift) in [(0, 3), (5, 3), (127, 7), (0, 0)] {
        let mut flows = [0u32; 6];
        let total = 100_000;
        for flow in 0..total {
            let hash = (flow << shift) | queue;
            flows[group.select(hash).expect("has members").slot()] += 1;
        }
        for (member, weight) in [(1, 1), (2, 2), (3, 1), (4, 3), (5, 1)] {
            let ideal = f64::from(total * weight) / 8.0;
            let off = (f64::from(flows[member]) - ideal).abs() / ideal;
            assert!(
                off < 0.05,
                "member {member}, queue {queue}: {} of {ideal}",
                flows[member]
            );
        }
    }
}

proptest! {
    #[test]
    fn shares_are_proportional_and_never_empty(weights in proptest::collection::vec(0u16..=300, 0..80)) {
        let group = group(&weights);
        let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        let buckets = group.buckets().len();
        prop_assert!(buckets == 0 && total == 0 || buckets.is_power_of_two() && buckets <= MAX_BUCKETS);
        // A member that its weight gives less than one bucket takes one from the richest.
        let poor = weights.iter().filter(|&&w| w > 0 && u64::from(w) * (buckets as u64) < total).count();
        for (&weight, share) in weights.iter().zip(counts(&group, weights.len())) {
            prop_assert_eq!(weight == 0, share == 0);
            if weight > 0 {
                let ideal = f64::from(weight) * buckets as f64 / total as f64;
                let off = (share as f64 - ideal).abs();
                prop_assert!(off <= 1.0 + poor as f64, "weight {weight}: {share} instead of {ideal}");
            }
        }
    }
}
