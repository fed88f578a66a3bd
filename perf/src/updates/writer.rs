//! The writer alone, fed from memory: every update is written by itself, while readers look up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use ironlane_fib::VrfId;
use ironlane_rcu::Domain;
use serde::Serialize;

use super::churn::{Addresses, look_up};
use super::data::{Route, Update};
use super::{Bench, Failure};

/// Updates between two looks at what the readers have left.
const RECLAIM: usize = 64;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct WriterReport {
    name: &'static str,
    readers: usize,
    /// Routes of the table that was loaded, and how many a second.
    routes: usize,
    routes_per_s: f64,
    /// Updates that were applied, and those of them after which the tables were others.
    updates: usize,
    changes: usize,
    changes_per_s: f64,
    /// Most that waited for readers.
    pending: usize,
    /// Of all readers, while updates were applied.
    lookups_per_s: f64,
    /// Nodes of the tables when done, in MiB.
    node_mib: f64,
}

/// Loads a table into empty tables, then applies updates.
///
/// # Errors
/// Tables that are full, or too many readers.
pub fn measure(
    table: &[Route],
    updates: &[Update],
    readers: usize,
) -> Result<WriterReport, Failure> {
    let mut it = Bench::new(table, updates)?;
    let addresses = Arc::new(Addresses::of(table, updates));
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut threads = Vec::new();
    for _ in 0..readers {
        let mut reader = Domain::register(&it.domain)?;
        let (tables, addresses) = (Arc::clone(&it.tables), Arc::clone(&addresses));
        let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
        threads.push(thread::spawn(move || {
            // Relaxed: a flag and a sum, nothing else depends on them.
            while !stop.load(Ordering::Relaxed) {
                let looked_up = look_up(&tables, &mut reader, &addresses, 64);
                count.fetch_add(looked_up, Ordering::Relaxed);
            }
        }));
    }
    let start = Instant::now();
    it.load(table)?;
    let loaded = start.elapsed().as_secs_f64();
    let (mut changes, mut pending) = (0, 0);
    let before = count.load(Ordering::Relaxed);
    let start = Instant::now();
    for some in updates.chunks(RECLAIM) {
        for update in some {
            changes += usize::from(it.apply(update)?);
        }
        pending = pending.max(it.writer.reclaim());
    }
    let seconds = start.elapsed().as_secs_f64();
    let lookups = count.load(Ordering::Relaxed) - before;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a reader failed")?;
    }
    check(&it, table, updates)?;
    Ok(WriterReport {
        name: "writer",
        readers,
        routes: table.len(),
        routes_per_s: table.len() as f64 / loaded,
        updates: updates.len(),
        changes,
        changes_per_s: changes as f64 / seconds,
        pending,
        lookups_per_s: lookups as f64 / seconds,
        node_mib: it.writer.stats().node_bytes as f64 / f64::from(1 << 20),
    })
}

/// What is there at the end must be what the lines say.
fn check(it: &Bench, table: &[Route], updates: &[Update]) -> Result<(), Failure> {
    let mut wanted = std::collections::HashMap::new();
    for route in table {
        wanted.insert(route.prefix, Some(route.nexthop));
    }
    for update in updates {
        wanted.insert(update.prefix, update.nexthop);
    }
    for (prefix, nexthop) in wanted {
        let nexthop = nexthop.map(|number| it.slots[usize::from(number)]);
        let got = it.writer.get(VrfId::DEFAULT, prefix);
        if got != nexthop {
            return Err(format!("{prefix} has {got:?} and not {nexthop:?}").into());
        }
    }
    Ok(())
}
