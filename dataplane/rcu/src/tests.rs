//! The rules of the README, each as a model: one source that loom runs through all interleavings
//! (`RUSTFLAGS='--cfg loom'`), and std many times with real threads.
//!
//! What is read is [`Tracked`]: loom reports a free that is not ordered behind every read, and
//! under std a reader that is late finds the poison.

mod stress;

use crate::primitive::cell::UnsafeCell;
use crate::primitive::{Arc, MAX_READERS, model, thread};
use crate::{Domain, Published, Reader, Retirer, Slots};

const POISON: u64 = u64::MAX;

/// A number that notices when it is read after it was freed, or while it is made or freed.
struct Tracked(UnsafeCell<u64>);

// SAFETY: written before it is shared and after the last read; that this is so is what the
// models check.
unsafe impl Sync for Tracked {}

impl Tracked {
    fn new(value: u64) -> Box<Self> {
        let tracked = Box::new(Self(UnsafeCell::new(0)));
        // SAFETY: nobody else has it.
        tracked.0.with_mut(|number| unsafe { *number = value });
        tracked
    }

    fn get(&self) -> u64 {
        // SAFETY: no reference is made; loom checks that no write runs beside.
        let value = self.0.with(|number| unsafe { number.read_volatile() });
        assert_ne!(value, POISON, "read after it was freed");
        value
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        // SAFETY: as in `new`, if the rules hold.
        self.0
            .with_mut(|number| unsafe { number.write_volatile(POISON) });
    }
}

/// A table that is published, and a reader of it.
fn table() -> (Arc<Domain>, Arc<Published<Tracked>>, Reader) {
    let domain = Domain::new();
    let table = Arc::new(Published::new(&domain, Tracked::new(1)));
    let reader = Domain::register(&domain).expect("the first");
    (domain, table, reader)
}

/// Some bursts of one load each, as an lcore does; returns the last value.
fn bursts(reader: &mut Reader, table: &Published<Tracked>, count: usize) -> u64 {
    let mut last = 0;
    for _ in 0..count {
        let burst = reader.read();
        let value = table.load(&burst).get();
        assert!(value >= last, "{value} after {last}");
        last = value;
    }
    last
}

#[test]
fn rule_1_what_is_found_is_complete() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            assert!([1, 2].contains(&bursts(&mut reader, &seen, 1)));
            reader.offline();
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn rule_2_a_burst_keeps_what_it_loaded() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            {
                let burst = reader.read();
                let first = seen.load(&burst);
                let before = first.get();
                let again = seen.load(&burst).get();
                assert!(again >= before);
                assert_eq!(first.get(), before);
            }
            bursts(&mut reader, &seen, 1);
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        retirer.reclaim();
        lcore.join().expect("no assertion failed");
        retirer.reclaim();
        assert_eq!(retirer.pending(), 0, "the reader is gone");
    });
}

#[test]
fn rules_1_and_2_hold_for_slots_that_are_filled_and_emptied() {
    model(|| {
        let domain = Domain::new();
        let slots = Arc::new(Slots::new(&domain, 2));
        let mut reader = Domain::register(&domain).expect("the first");
        let seen = Arc::clone(&slots);
        let lcore = thread::spawn(move || {
            let burst = reader.read();
            let first: Option<&Tracked> = seen.get(&burst, 1);
            assert!(first.is_none_or(|value| value.get() == 1));
            assert!(first.is_none_or(|value| value.get() == 1));
            drop(burst);
            reader.offline();
        });
        let mut retirer = Retirer::new(domain);
        slots.set(1, Some(Tracked::new(1).into()), &mut retirer);
        slots.set(1, None, &mut retirer);
        retirer.reclaim();
        lcore.join().expect("no assertion failed");
        retirer.reclaim();
        assert_eq!(retirer.pending(), 0, "the reader is gone");
    });
}

#[test]
fn rule_3_another_writers_epoch_frees_nothing_of_mine() {
    model(|| {
        let (domain, table, mut reader) = table();
        let others = Arc::clone(&domain);
        let other = thread::spawn(move || {
            let mut retirer = Retirer::new(others);
            retirer.grace();
        });
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 2);
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        retirer.reclaim();
        other.join().expect("no assertion failed");
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn rule_4_memory_waits_for_all_readers_and_no_longer() {
    model(|| {
        let (domain, table, mut reader) = table();
        let mut walker = Domain::register(&domain).expect("the second");
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 1);
            reader.offline();
            reader
        });
        let mut retirer = Retirer::new(domain);
        {
            let burst = walker.read();
            let held = table.load(&burst);
            table.swap(Tracked::new(2), &mut retirer);
            assert_eq!(retirer.reclaim(), 0, "the walker is in its burst");
            assert_eq!(held.get(), 1);
        }
        let reader = lcore.join().expect("no assertion failed");
        assert_eq!(
            retirer.reclaim(),
            1,
            "one reader is quiescent, the other offline"
        );
        assert_eq!((retirer.pending(), retirer.pending_bytes()), (0, 0));
        drop(reader);
    });
}

#[test]
fn rule_5_who_comes_online_is_seen_or_sees() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 1);
            reader.offline();
            bursts(&mut reader, &seen, 1);
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        retirer.reclaim();
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn rule_5_an_offline_reader_is_not_waited_for() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 1);
            reader.offline();
            reader // asleep, and registered
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        retirer.synchronize();
        assert_eq!(retirer.pending(), 0);
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn rule_6_a_slot_has_one_owner_after_the_other() {
    model(|| {
        let (domain, table, reader) = table();
        let mut others = Vec::new();
        while let Ok(other) = Domain::register(&domain) {
            others.push(other);
        }
        assert_eq!(
            (others.len() + 1, domain.readers()),
            (MAX_READERS, MAX_READERS)
        );
        let first = thread::spawn({
            let (mut reader, seen) = (reader, Arc::clone(&table));
            move || _ = bursts(&mut reader, &seen, 1)
        });
        let second = thread::spawn({
            let (domain, seen) = (Arc::clone(&domain), Arc::clone(&table));
            move || {
                if let Ok(mut latecomer) = Domain::register(&domain) {
                    bursts(&mut latecomer, &seen, 1); // in the slot of the first
                }
            }
        });
        let mut retirer = Retirer::new(domain.clone());
        table.swap(Tracked::new(2), &mut retirer);
        retirer.reclaim();
        first.join().expect("no assertion failed");
        second.join().expect("no assertion failed");
        drop(others);
        assert_eq!(domain.readers(), 0);
        retirer.reclaim();
        assert_eq!(retirer.pending(), 0);
    });
}

#[test]
fn rule_7_pending_memory_is_bounded() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 1);
            reader.offline();
        });
        let mut retirer = Retirer::new(domain);
        retirer.set_limits(1, usize::MAX);
        for value in 2..5 {
            table.swap(Tracked::new(value), &mut retirer);
            assert!(retirer.pending() <= 1);
        }
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn rule_8_what_a_retirer_leaves_is_freed_after_the_last_reader() {
    model(|| {
        let (domain, table, mut reader) = table();
        let seen = Arc::clone(&table);
        let lcore = thread::spawn(move || {
            bursts(&mut reader, &seen, 2);
        });
        let mut retirer = Retirer::new(domain);
        table.swap(Tracked::new(2), &mut retirer);
        drop(retirer);
        drop(table);
        lcore.join().expect("no assertion failed");
    });
}

#[test]
fn a_reader_is_send() {
    fn send<T: Send>() {}
    send::<Reader>();
    send::<Retirer>();
}
