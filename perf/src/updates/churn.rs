//! Lookups while routes change: how much slower, and never wrong.
//!
//! Rounds come in pairs, quiet and under updates, in turns first; the ratio of each pair counts.
//! Then addresses are watched: an answer must be the one of a table between that before the
//! lookup began and that after it ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use ironlane_fib::{NexthopIndex, Tables, VrfId};
use ironlane_rcu::{Domain, Reader};
use serde::Serialize;

use super::data::{Route, Update};
use super::{Bench, Failure};

/// Addresses that are looked up: one in each prefix, in random order.
pub struct Addresses {
    ip4: Vec<u32>,
    ip6: Vec<u128>,
    next: AtomicU64,
}

impl Addresses {
    pub(crate) fn of(table: &[Route], updates: &[Update]) -> Self {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            random
        };
        let (mut ip4, mut ip6) = (Vec::new(), Vec::new());
        let prefixes = table.iter().map(|route| route.prefix);
        for prefix in prefixes.chain(updates.iter().map(|update| update.prefix)) {
            match host(prefix, next()) {
                IpAddr::V4(address) => ip4.push(address.to_bits()),
                IpAddr::V6(address) => ip6.push(address.to_bits()),
            }
        }
        for at in (1..ip4.len()).rev() {
            ip4.swap(at, next() as usize % (at + 1));
        }
        for at in (1..ip6.len()).rev() {
            ip6.swap(at, next() as usize % (at + 1));
        }
        Self {
            ip4,
            ip6,
            next: AtomicU64::new(0),
        }
    }
}

/// An address in a prefix.
fn host(prefix: IpNet, random: u64) -> IpAddr {
    match prefix {
        IpNet::V4(net) => {
            let mask = net.hostmask().to_bits();
            IpAddr::V4((net.network().to_bits() | (random as u32 & mask)).into())
        }
        IpNet::V6(net) => {
            let mask = net.hostmask().to_bits();
            IpAddr::V6((net.network().to_bits() | (u128::from(random) & mask)).into())
        }
    }
}

/// Looks up some bursts of 32, and tells how many addresses that were.
pub(crate) fn look_up(
    tables: &Tables,
    reader: &mut Reader,
    addresses: &Addresses,
    bursts: usize,
) -> u64 {
    let mut answers = [NexthopIndex::NONE; 32];
    // Relaxed: any start will do.
    let start = addresses.next.fetch_add(bursts as u64, Ordering::Relaxed) as usize;
    let mut looked_up = 0;
    for burst in start..start + bursts {
        let guard = reader.read();
        if !addresses.ip4.is_empty() {
            let chunks = addresses.ip4.len().div_ceil(32);
            let some = addresses.ip4.chunks(32).nth(burst % chunks).unwrap_or(&[]);
            let fib = tables.ip4(&guard, VrfId::DEFAULT);
            fib.lookup_bulk(&guard, some, &mut answers[..some.len()]);
            looked_up += some.len() as u64;
        }
        if !addresses.ip6.is_empty() {
            let chunks = addresses.ip6.len().div_ceil(32);
            let some = addresses.ip6.chunks(32).nth(burst % chunks).unwrap_or(&[]);
            let fib = tables.ip6(&guard, VrfId::DEFAULT);
            fib.lookup_bulk(&guard, some, &mut answers[..some.len()]);
            looked_up += some.len() as u64;
        }
        std::hint::black_box(&answers);
    }
    looked_up
}

/// How to measure.
pub struct Plan {
    /// Updates a second.
    pub rate: u64,
    /// Pairs of rounds.
    pub rounds: usize,
    /// Seconds that a round takes.
    pub seconds: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct ChurnReport {
    name: &'static str,
    routes: usize,
    /// Updates a second that were asked for, and that were applied, on average.
    rate: u64,
    applied_per_s: f64,
    rounds: usize,
    /// Millions of lookups a second in quiet rounds; the median.
    quiet_mlps: f64,
    /// Rate under updates divided by that of the quiet round beside it: mean of the pairs, and half
    /// the width of its 95 % confidence interval.
    ratio: f64,
    ratio_ci95: f64,
    /// Answers that were compared with the history of their address, and wrong ones.
    watched: u64,
    wrong: u64,
}

/// Measures, and watches.
///
/// # Errors
/// Tables that are full, a reader that failed.
pub fn measure(table: &[Route], updates: &[Update], plan: &Plan) -> Result<ChurnReport, Failure> {
    let mut it = Bench::new(table, updates)?;
    it.load(table)?;
    let addresses = Arc::new(Addresses::of(table, &[]));
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let reader = {
        let mut reader = Domain::register(&it.domain)?;
        let (tables, stop, count) = (
            Arc::clone(&it.tables),
            Arc::clone(&stop),
            Arc::clone(&count),
        );
        thread::spawn(move || {
            // Relaxed: a flag and a sum, nothing else depends on them.
            while !stop.load(Ordering::Relaxed) {
                let looked_up = look_up(&tables, &mut reader, &addresses, 64);
                count.fetch_add(looked_up, Ordering::Relaxed);
            }
        })
    };
    let mut stream = updates.iter().cycle();
    let (mut applied, mut busy) = (0u64, 0.0);
    let (mut quiet_rates, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let churn = (turn + round) % 2 == 1;
            let (before, start) = (count.load(Ordering::Relaxed), Instant::now());
            let mut done = 0;
            while start.elapsed().as_secs_f64() < plan.seconds {
                let due = (start.elapsed().as_secs_f64() * plan.rate as f64) as u64;
                for update in stream
                    .by_ref()
                    .take(due.saturating_sub(done) as usize * usize::from(churn))
                {
                    it.apply(update)?;
                    done += 1;
                }
                it.writer.reclaim();
                thread::sleep(Duration::from_micros(200));
            }
            let seconds = start.elapsed().as_secs_f64();
            rates[usize::from(churn)] = (count.load(Ordering::Relaxed) - before) as f64 / seconds;
            applied += done;
            busy += if churn { seconds } else { 0.0 };
        }
        // The first pair warms up.
        if round > 0 {
            quiet_rates.push(rates[0]);
            ratios.push(rates[1] / rates[0]);
        }
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().map_err(|_| "the reader failed")?;
    quiet_rates.sort_by(f64::total_cmp);
    let (ratio, ratio_ci95) = mean(&ratios);
    let (watched, wrong) = watch(table, updates)?;
    Ok(ChurnReport {
        name: "churn",
        routes: table.len(),
        rate: plan.rate,
        applied_per_s: applied as f64 / busy,
        rounds: ratios.len(),
        quiet_mlps: quiet_rates[quiet_rates.len() / 2] / 1e6,
        ratio,
        ratio_ci95,
        watched,
        wrong,
    })
}

/// Mean, and half the width of its 95 % confidence interval (Student's t).
fn mean(values: &[f64]) -> (f64, f64) {
    const T: [f64; 15] = [
        12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
    ];
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    let t = T
        .get(values.len().saturating_sub(2))
        .copied()
        .unwrap_or(2.0);
    (mean, t * (variance / n).sqrt())
}

/// Addresses that are watched.
const WATCHED: usize = 4096;
/// Updates for which they are.
const WATCHED_UPDATES: usize = 400_000;

/// Compares answers with the history of their address: how many, and how many were wrong.
fn watch(table: &[Route], updates: &[Update]) -> Result<(u64, u64), Failure> {
    let updates = &updates[..updates.len().min(WATCHED_UPDATES)];
    let step = (updates.len() / WATCHED).max(1);
    let chosen = updates.iter().step_by(step).take(WATCHED);
    let mut watched: Vec<IpAddr> = chosen.map(|update| host(update.prefix, 0)).collect();
    watched.sort_unstable();
    watched.dedup();
    let histories = histories(table, updates, &watched)?;

    let mut it = Bench::new(table, updates)?;
    it.load(table)?;
    // Updates of which writing has begun, and of which it has ended.
    let (begun, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let mut reader = Domain::register(&it.domain)?;
    let thread = {
        let (tables, stop) = (Arc::clone(&it.tables), Arc::clone(&stop));
        let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
        thread::spawn(move || {
            let (mut compared, mut wrong) = (0u64, 0u64);
            while !stop.load(Ordering::Relaxed) {
                for (address, history) in watched.iter().zip(&histories) {
                    // SeqCst: the lookup happens between the two.
                    let first = ended.load(Ordering::SeqCst);
                    let answer = ask(&tables, &mut reader, *address);
                    let last = begun.load(Ordering::SeqCst);
                    compared += 1;
                    wrong += u64::from(!was_right(history, first, last, answer));
                }
            }
            (compared, wrong)
        })
    };
    for (number, update) in (1..).zip(updates) {
        begun.store(number, Ordering::SeqCst);
        it.apply(update)?;
        ended.store(number, Ordering::SeqCst);
        if number % 64 == 0 {
            it.writer.reclaim();
        }
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| "the watcher failed".into())
}

/// After which update an address had which nexthop.
type History = Vec<(u64, NexthopIndex)>;

/// Whether an address had a nexthop after any of these updates.
fn was_right(history: &History, first: u64, last: u64, answer: NexthopIndex) -> bool {
    let from = history.partition_point(|&(at, _)| at <= first) - 1;
    let mut possible = history[from..].iter().take_while(|&&(at, _)| at <= last);
    possible.any(|&(_, nexthop)| nexthop == answer)
}

/// What each address had, by the routes themselves and without the tables' lookup.
fn histories(
    table: &[Route],
    updates: &[Update],
    watched: &[IpAddr],
) -> Result<Vec<History>, Failure> {
    let slots = Bench::new(table, updates)?.slots;
    let mut routes: HashMap<IpNet, u16> = HashMap::new();
    routes.extend(table.iter().map(|route| (route.prefix, route.nexthop)));
    let best = |routes: &HashMap<IpNet, u16>, address: IpAddr| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let mut covers = (0..=bits)
            .rev()
            .filter_map(|len| IpNet::new(address, len).ok());
        let found = covers.find_map(|cover| routes.get(&cover.trunc()));
        found.map_or(NexthopIndex::NONE, |&number| slots[usize::from(number)])
    };
    let first = watched
        .iter()
        .map(|&address| vec![(0, best(&routes, address))]);
    let mut all: Vec<History> = first.collect();
    for (number, update) in (1..).zip(updates) {
        match update.nexthop {
            Some(nexthop) => drop(routes.insert(update.prefix, nexthop)),
            None => drop(routes.remove(&update.prefix)),
        }
        let (low, high) = (update.prefix.network(), update.prefix.broadcast());
        let start = watched.partition_point(|&address| address < low);
        for at in start..watched.len() {
            if watched[at] > high {
                break;
            }
            let now = best(&routes, watched[at]);
            if all[at].last().is_none_or(|&(_, before)| before != now) {
                all[at].push((number, now));
            }
        }
    }
    Ok(all)
}

fn ask(tables: &Tables, reader: &mut Reader, address: IpAddr) -> NexthopIndex {
    let guard = reader.read();
    match address {
        IpAddr::V4(v4) => tables
            .ip4(&guard, VrfId::DEFAULT)
            .lookup(&guard, v4.to_bits()),
        IpAddr::V6(v6) => tables
            .ip6(&guard, VrfId::DEFAULT)
            .lookup(&guard, v6.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_if_any_table_meanwhile_gave_it() {
        let [a, b, c] = [1, 2, 3].map(|raw| NexthopIndex::from_raw(raw).unwrap());
        let history = vec![(0, a), (5, b), (9, c)];
        assert!(was_right(&history, 0, 4, a));
        assert!(!was_right(&history, 0, 4, b));
        assert!(was_right(&history, 4, 5, a) && was_right(&history, 4, 5, b));
        assert!(!was_right(&history, 5, 8, a));
        assert!(was_right(&history, 6, 12, c) && !was_right(&history, 9, 9, b));
    }

    #[test]
    fn a_mean_has_an_interval() {
        let (mean, half) = mean(&[1.0, 1.2, 0.8]);
        assert!((mean - 1.0).abs() < 1e-9);
        assert!((half - 4.30 * 0.2 / 3f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn every_answer_is_that_of_some_table() {
        let route = |prefix: &str, nexthop| Route {
            prefix: prefix.parse().unwrap(),
            nexthop,
        };
        let table = [route("10.0.0.0/8", 0), route("2001:db8::/32", 1)];
        let update = |turn: u16| Update {
            prefix: ["10.1.0.0/16", "2001:db8:1::/48", "10.0.0.0/8"][usize::from(turn % 3)]
                .parse()
                .unwrap(),
            nexthop: (!turn.is_multiple_of(4)).then_some(turn % 7),
        };
        let updates: Vec<Update> = (0..20_000).map(update).collect();
        let (_, wrong) = watch(&table, &updates).unwrap();
        assert_eq!(wrong, 0);
    }
}
