//! Real threads, real time: readers that load, sleep, are preempted, come and go, while two
//! writers swap as fast as they can.
#![cfg(not(loom))]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{POISON, Tracked};
use crate::{Domain, Published, Retirer};

/// How many values exist: made and not yet freed.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted(Box<Tracked>, [u64; 16]);

impl Counted {
    fn new(value: u64) -> Box<Self> {
        ALIVE.fetch_add(1, Relaxed);
        Box::new(Self(Tracked::new(value), [value; 16]))
    }

    fn check(&self) {
        let value = self.0.get();
        assert!(value != POISON && self.1 == [value; 16]);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
        self.1 = [POISON; 16];
    }
}

#[test]
fn readers_of_all_kinds_never_see_freed_memory() {
    const LIMIT: usize = 1_000;
    let time = Duration::from_millis(if cfg!(miri) { 5 } else { 800 });
    let domain = Domain::new();
    let tables = [(); 2].map(|()| Published::new(&domain, Counted::new(0)));
    let stop = AtomicBool::new(false);
    let (bursts, swaps) = (AtomicUsize::new(0), AtomicUsize::new(0));

    thread::scope(|scope| {
        for kind in 0..4 {
            let (domain, tables, stop, bursts) = (&domain, &tables, &stop, &bursts);
            scope.spawn(move || {
                let mut reader = Domain::register(domain).expect("room");
                let mut turn = 0usize;
                while !stop.load(Relaxed) {
                    turn += 1;
                    let burst = reader.read();
                    let (one, other) = (tables[0].load(&burst), tables[1].load(&burst));
                    match (kind, turn % 64) {
                        (1, 0) => thread::sleep(Duration::from_millis(2)), // preempted
                        (3, _) => thread::yield_now(),
                        _ => {}
                    }
                    one.check();
                    other.check();
                    drop(burst);
                    match (kind, turn % 64) {
                        (2, 0) => {
                            reader.offline();
                            thread::sleep(Duration::from_millis(2));
                        }
                        (2, 32) => reader = Domain::register(domain).expect("room for one more"),
                        _ => {}
                    }
                }
                bursts.fetch_add(turn, Relaxed);
            });
        }
        for table in &tables {
            let (domain, stop, swaps) = (&domain, &stop, &swaps);
            scope.spawn(move || {
                let mut retirer = Retirer::new(domain.clone());
                retirer.set_limits(LIMIT, usize::MAX);
                let mut value = 0;
                while !stop.load(Relaxed) {
                    value += 1;
                    table.swap(Counted::new(value), &mut retirer);
                    assert!(retirer.pending() <= LIMIT);
                    assert!(ALIVE.load(Relaxed) <= 2 * LIMIT + 4);
                }
                swaps.fetch_add(value as usize, Relaxed);
                retirer.synchronize();
                assert_eq!((retirer.pending(), retirer.pending_bytes()), (0, 0));
            });
        }
        thread::sleep(time);
        stop.store(true, Relaxed);
    });

    assert_eq!(ALIVE.load(Relaxed), 2, "one for each table");
    drop(tables);
    assert_eq!(ALIVE.load(Relaxed), 0);
    assert!(bursts.load(Relaxed) > 0 && swaps.load(Relaxed) > 0);
}

#[test]
fn a_writer_over_its_limit_waits_for_a_preempted_reader_and_goes_on() {
    let domain = Domain::new();
    let mut reader = Domain::register(&domain).expect("room");
    let mut retirer = Retirer::new(domain.clone());
    retirer.set_limits(usize::MAX, 4096);
    let (ready, go) = mpsc::channel();
    let awake = AtomicBool::new(false);

    thread::scope(|scope| {
        let (awake, domain) = (&awake, &domain);
        scope.spawn(move || {
            let burst = reader.read();
            ready.send(()).expect("the writer waits");
            // Below its limit the writer does not ask; from here on it waits for this burst.
            while domain.lagging() == 0 {
                thread::yield_now();
            }
            awake.store(true, Relaxed);
            drop(burst);
            reader.offline();
        });
        go.recv().expect("the reader is in its burst");
        (0..8).for_each(|_| retirer.retire(Box::new([0u8; 512])));
        assert!(
            !awake.load(Relaxed),
            "nothing is waited for below the limit"
        );
        assert_eq!(
            (retirer.pending(), retirer.pending_bytes(), retirer.waits()),
            (8, 4096, 0)
        );
        assert_eq!((domain.readers(), domain.lagging()), (1, 0));
        retirer.retire(Box::new([0u8; 512]));
        assert!(awake.load(Relaxed), "the reader held it up");
        assert_eq!((retirer.pending(), retirer.waits()), (0, 1));
    });
}

#[test]
fn deferred_calls_run_once_after_the_grace_period() {
    let calls = std::sync::Arc::new(AtomicUsize::new(0));
    let domain = Domain::new();
    let mut reader = Domain::register(&domain).expect("room");
    let mut retirer = Retirer::new(domain);
    let burst = reader.read();
    for _ in 0..3 {
        let calls = calls.clone();
        retirer.defer(100, move || _ = calls.fetch_add(1, Relaxed));
    }
    assert_eq!((retirer.reclaim(), retirer.pending()), (0, 3));
    assert_eq!(calls.load(Relaxed), 0);
    drop(burst);
    assert_eq!((retirer.reclaim(), retirer.pending()), (3, 0));
    assert_eq!(calls.load(Relaxed), 3);
}

#[test]
fn a_leaked_burst_only_delays() {
    let domain = Domain::new();
    let table = Published::new(&domain, Box::new(1));
    let mut reader = Domain::register(&domain).expect("room");
    let mut retirer = Retirer::new(domain);
    std::mem::forget(reader.read());
    table.swap(Box::new(2), &mut retirer);
    assert_eq!(retirer.reclaim(), 0);
    assert_eq!(*table.load(&reader.read()), 2); // this one is dropped, and reports
    assert_eq!(retirer.reclaim(), 1);
}

#[test]
#[should_panic(expected = "another RCU domain")]
fn a_guard_of_another_domain_is_refused() {
    let table = Published::new(&Domain::new(), Box::new(1));
    let mut reader = Domain::register(&Domain::new()).expect("room");
    table.load(&reader.read());
}
