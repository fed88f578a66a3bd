//! The writer alone, fed from memory, beside a reader that looks up random destinations all the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ironlane_fib::{NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::{Domain, Reader};
use serde::Serialize;

use super::{Failure, Update, apply, slots};
use crate::numbers::Numbers;
use crate::table::{Prefix, Route};

/// Updates between two looks at what the reader has left.
const RECLAIM: usize = 64;

#[derive(Serialize)]
struct Line {
    /// `fill`: all at once, into empty tables; `load`: the same, one by one; `churn`; `flush`; `burst`: updates
    /// that begin with empty tables.
    what: &'static str,
    updates: usize,
    /// Those after which the tables were others.
    changes: usize,
    seconds: f64,
    /// Changes, not updates.
    per_second: f64,
    /// Things that waited for readers, at most.
    waiting_most: usize,
}

/// Fills, loads, changes and flushes tables, and prints how fast.
///
/// # Errors
/// Tables that are full, or that hold something else at the end than they should.
pub fn measure(routes: &[Route], updates: &[Update]) -> Result<(), Failure> {
    fill(routes)?;
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let slots = slots(&mut writer, routes, updates, PortId(1))?;
    let update = |route: &Route, nexthop| Update {
        prefix: route.prefix,
        nexthop,
    };
    let load: Vec<Update> = routes.iter().map(|r| update(r, Some(r.nexthop))).collect();
    let wanted = outcome(load.iter().chain(updates));
    let flush = wanted.keys().map(|&prefix| Update {
        prefix,
        nexthop: None,
    });
    let flush: Vec<Update> = flush.collect();
    let seen: Vec<Prefix> = routes.iter().map(|route| route.prefix).collect();
    beside_a_reader(&tables, &domain, &seen, || {
        changed("load", &mut writer, &slots, &load)?;
        changed("churn", &mut writer, &slots, updates)?;
        compare(&writer, &slots, &wanted)?;
        changed("flush", &mut writer, &slots, &flush)
    })
}

/// The updates alone, into empty tables, beside a reader of the prefixes that they name.
///
/// # Errors
/// As of [`measure`].
pub fn burst(updates: &[Update]) -> Result<(), Failure> {
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let slots = slots(&mut writer, &[], updates, PortId(1))?;
    let wanted = outcome(updates.iter());
    let seen: Vec<Prefix> = wanted.keys().copied().collect();
    beside_a_reader(&tables, &domain, &seen, || {
        changed("burst", &mut writer, &slots, updates)?;
        compare(&writer, &slots, &wanted)
    })
}

/// What is to be there after all these.
fn outcome<'a>(updates: impl Iterator<Item = &'a Update>) -> HashMap<Prefix, Option<u32>> {
    updates.map(|u| (u.prefix, u.nexthop)).collect()
}

/// Compares each prefix that was ever named.
fn compare(
    writer: &Writer,
    slots: &[NexthopIndex],
    wanted: &HashMap<Prefix, Option<u32>>,
) -> Result<(), Failure> {
    for (prefix, nexthop) in wanted {
        let slot = nexthop.map(|number| slots[number as usize]);
        let got = writer.get(VrfId::DEFAULT, prefix.net());
        if got != slot {
            return Err(format!("{prefix:?} has {got:?} and not {slot:?}").into());
        }
    }
    Ok(())
}

/// Runs `work` while a thread looks up random destinations of the prefixes.
fn beside_a_reader(
    tables: &Tables,
    domain: &Arc<Domain>,
    prefixes: &[Prefix],
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let reader = Domain::register(domain)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| look(tables, reader, prefixes, &stop));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// All routes at once, into tables that nobody reads yet.
fn fill(routes: &[Route]) -> Result<(), Failure> {
    let domain = Domain::new();
    let mut writer = Writer::new(Arc::new(Tables::new(&domain)), domain);
    let slots = slots(&mut writer, routes, &[], PortId(1))?;
    let net = |route: &Route| (route.prefix.net(), slots[route.nexthop as usize]);
    let mut all: Vec<_> = routes.iter().map(net).collect();
    all.sort_unstable_by_key(|(net, _)| (net.network(), net.prefix_len()));
    all.dedup_by_key(|(net, _)| *net);
    let begin = Instant::now();
    let loaded = writer.load(VrfId::DEFAULT, &all);
    if loaded < all.len() {
        return Err(format!("{loaded} of {} routes fit", all.len()).into());
    }
    print("fill", loaded, loaded, begin, 0)
}

fn changed(
    what: &'static str,
    writer: &mut Writer,
    slots: &[NexthopIndex],
    updates: &[Update],
) -> Result<(), Failure> {
    let (begin, mut changes, mut most) = (Instant::now(), 0, 0);
    for some in updates.chunks(RECLAIM) {
        for update in some {
            changes += usize::from(apply(writer, slots, *update)?);
        }
        most = most.max(writer.reclaim());
    }
    print(what, updates.len(), changes, begin, most)
}

fn print(
    what: &'static str,
    updates: usize,
    changes: usize,
    begin: Instant,
    waiting_most: usize,
) -> Result<(), Failure> {
    let seconds = begin.elapsed().as_secs_f64();
    let line = Line {
        what,
        updates,
        changes,
        seconds,
        per_second: changes as f64 / seconds,
        waiting_most,
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

/// Looks up one address of each prefix, in random order, round and round.
fn look(tables: &Tables, mut reader: Reader, prefixes: &[Prefix], stop: &AtomicBool) {
    let mut numbers = Numbers(1);
    let (mut ip4, mut ip6) = (Vec::new(), Vec::new());
    for _ in prefixes {
        let prefix = &prefixes[numbers.draw() as usize % prefixes.len()];
        let address = prefix.address(&mut numbers);
        match prefix.ip6 {
            true => ip6.push(address),
            false => ip4.push(address as u32),
        }
    }
    let mut answers = [NexthopIndex::NONE; 64];
    while !stop.load(Ordering::Relaxed) {
        for some in ip4.chunks(64) {
            let guard = reader.read();
            let fib = tables.ip4(&guard, VrfId::DEFAULT);
            fib.lookup_bulk(&guard, some, &mut answers[..some.len()]);
        }
        for some in ip6.chunks(64) {
            let guard = reader.read();
            let fib = tables.ip6(&guard, VrfId::DEFAULT);
            fib.lookup_bulk(&guard, some, &mut answers[..some.len()]);
        }
        std::hint::black_box(answers);
    }
}
