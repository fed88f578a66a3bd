use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

/// Hashes of few lines and few upper halves, those of words without id among them.
fn hash() -> impl Strategy<Value = u64> {
    (0u64..3, 0u64..4).prop_map(|(upper, lower)| upper << 32 | lower)
}

/// Adding an id, or removing it if it is there.
fn changes() -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((hash(), 0u32..20), 1..120)
}

/// An index, and what changes it.
fn made() -> (Arc<Domain>, Entries, Retirer) {
    let domain = Domain::new();
    let (entries, retirer) = (Entries::new(&domain), Retirer::new(Arc::clone(&domain)));
    (domain, entries, retirer)
}

proptest! {
    #[test]
    fn what_is_found_is_what_a_set_has(changes in changes()) {
        let (domain, mut entries, mut retirer) = made();
        let mut reader = Domain::register(&domain).expect("the first");
        let mut set = BTreeSet::new();
        for (hash, id) in changes {
            if set.remove(&(hash, id)) {
                entries.remove(hash, id);
            } else {
                set.insert((hash, id));
                entries.insert(hash, id, &mut retirer);
            }
            prop_assert_eq!(entries.len(), set.len());
            let guard = reader.read();
            // That which has just changed, and another one.
            for hash in [hash, (hash ^ 1) & !2] {
                let of_hash: Vec<_> = set.range((hash, 0)..=(hash, u32::MAX)).map(|&(_, id)| id).collect();
                let sorted = |ids: &mut dyn Iterator<Item = u32>| {
                    let mut ids: Vec<_> = ids.collect();
                    ids.sort_unstable();
                    ids
                };
                prop_assert_eq!(sorted(&mut entries.find(hash)), of_hash.clone());
                // The upper half of a hash is all that readers compare, of those from its line on.
                let found = sorted(&mut entries.index().find(&guard, hash));
                prop_assert!(of_hash.iter().all(|id| found.contains(id)), "{found:?} without {of_hash:?}");
                let is_like = |id: &u32| set.iter().any(|&(other, of)| of == *id && other >> 32 == hash >> 32);
                prop_assert!(found.iter().all(is_like));
            }
        }
    }
}

#[test]
fn a_line_is_passed_as_long_as_a_word_is_behind_it() {
    let (domain, mut entries, mut retirer) = made();
    let mut reader = Domain::register(&domain).expect("the first");
    for round in 0..100 {
        let ids = || round * 9..round * 9 + 9;
        for id in ids() {
            entries.insert(0, id, &mut retirer);
        }
        assert_eq!(entries.shelf.lines.len(), MIN_LINES, "round {round}");
        // Two of them had no room in the first line.
        for id in ids().rev() {
            let is_passed = entries.shelf.lines[0].is_passed();
            assert_eq!(is_passed, id % 9 >= 7, "{id}");
            entries.remove(0, id);
        }
        assert_eq!(entries.len(), 0);
        let guard = reader.read();
        assert_eq!(entries.index().now(&guard).glance(0), Glance::Nobody);
    }
}

#[test]
fn a_glance_tells_the_first_and_whether_it_is_the_only_one() {
    let (domain, mut entries, mut retirer) = made();
    let mut reader = Domain::register(&domain).expect("the first");
    entries.insert(7 << 32, 3, &mut retirer);
    let mut glance = |entries: &Entries, hash| entries.index().now(&reader.read()).glance(hash);
    assert_eq!(glance(&entries, 7 << 32), Glance::One(3));
    assert_eq!(
        glance(&entries, 8 << 32),
        Glance::Nobody,
        "the same bits in the head"
    );
    assert_eq!(glance(&entries, 0), Glance::Nobody);
    entries.insert(8 << 32, 4, &mut retirer);
    assert_eq!(glance(&entries, 7 << 32), Glance::One(3));
    entries.insert(8 << 32, 5, &mut retirer);
    assert_eq!(glance(&entries, 8 << 32), Glance::Several(4));
    // The last of them are in the second line.
    for id in 6..10 {
        entries.insert(6 << 32, id, &mut retirer);
    }
    entries.insert(9 << 32, 10, &mut retirer);
    assert_eq!(entries.shelf.lines.len(), MIN_LINES);
    assert_eq!(glance(&entries, 9 << 32), Glance::One(10));
    assert_eq!(glance(&entries, 7 << 32), Glance::One(3));
    assert_eq!(glance(&entries, 5 << 32), Glance::Nobody);
    entries.remove(8 << 32, 4);
    assert_eq!(glance(&entries, 8 << 32), Glance::One(5));
}

#[test]
fn what_stays_is_found_while_others_come_and_go() {
    let (domain, mut entries, mut retirer) = made();
    // All in the same line, so that nearly all are behind it.
    let stays = |id: u32| u64::from(id) << 32;
    for id in 0..20 {
        entries.insert(stays(id), id, &mut retirer);
    }
    let index = Arc::clone(entries.index());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = Domain::register(&domain).expect("the first");
            while !is_over.load(Ordering::Relaxed) {
                let guard = reader.read();
                for id in 0..20 {
                    assert!(index.find(&guard, stays(id)).any(|found| found == id));
                }
            }
        });
        let rounds = if cfg!(miri) { 20 } else { 30_000 };
        for round in 0..rounds {
            let others =
                (100..100 + round % 24).map(|id| (u64::from(id) << 32 | u64::from(id % 3), id));
            for (hash, id) in others.clone() {
                entries.insert(hash, id, &mut retirer);
            }
            for (hash, id) in others {
                entries.remove(hash, id);
            }
            retirer.reclaim();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
