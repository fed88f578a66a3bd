//! Throughput of an lcore over the full table, in pairs of rounds: quiet, and while routes change.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ironlane_dataplane::eal::Memory;
use ironlane_fib::{NexthopIndex, PortId, Writer};
use serde::Serialize;

use super::{Failure, RoutesArgs, Update, apply, slots};
use crate::frames;
use crate::oracle::{Fates, Oracle};
use crate::play::source;
use crate::router::{Router, Setup};
use crate::table::Route;

#[derive(Serialize)]
struct Pair {
    what: &'static str,
    quiet_mpps: f64,
    changing_mpps: f64,
    /// Both over the time that the lcore had its CPU.
    ratio: f64,
    changes_per_second: f64,
    quiet_wait_pct: f64,
    changing_wait_pct: f64,
}

impl RoutesArgs {
    /// Pairs of rounds, one with changes; their order turns round each time. The changes only move
    /// routes between nexthops and back, so that each packet still has a route.
    pub(super) fn pairs(
        &self,
        pcap: &Path,
        routes: &[Route],
        updates: &[Update],
    ) -> Result<(), Failure> {
        let sent = frames::read(pcap)?;
        let (held, fates) = (sent.len(), Oracle::new(routes).count(&sent)?);
        let known: std::collections::HashSet<_> = routes.iter().map(|r| r.prefix).collect();
        let moves: Vec<Update> = updates
            .iter()
            .filter(|update| update.nexthop.is_some() && known.contains(&update.prefix))
            .copied()
            .collect();
        if moves.is_empty() {
            return Err("no update is of a route of the table".into());
        }
        drop(sent);
        let mut router = Router::start(&Setup {
            cpus: vec![self.cpu],
            sources: vec![source(0, pcap, true)],
            sink: "net_null99,no-rx=1".into(),
            held,
            memory: Memory::Hugepages { mib: None },
            other_vrfs: 0,
            routes: routes.to_vec(),
        })?;
        // Slots of their own; the first nexthops stay, for the routes that never change.
        let mut writer = router.take_writer().ok_or("the writer is gone")?;
        let slots = slots(&mut writer, routes, updates, PortId(1))?;
        for number in 0..self.rounds {
            let mut rates = [(0.0, 0.0); 2];
            let mut changes_per_second = 0.0;
            for changing in [number % 2 == 1, number % 2 == 0] {
                let changes = changing.then_some((&mut writer, &slots, &moves));
                let round = self.round(&router, fates, changes)?;
                rates[usize::from(changing)] = (round.0, round.1);
                changes_per_second += round.2;
            }
            let net = rates.map(|(mpps, wait)| mpps / (1.0 - f64::min(wait, 95.0) / 100.0));
            let line = Pair {
                what: "pair",
                quiet_mpps: rates[0].0,
                changing_mpps: rates[1].0,
                ratio: net[1] / net[0],
                changes_per_second,
                quiet_wait_pct: rates[0].1,
                changing_wait_pct: rates[1].1,
            };
            println!("{}", serde_json::to_string(&line)?);
        }
        router.stop()
    }

    /// Mpps, percent of the time that the lcore had not its CPU, changes a second.
    fn round(
        &self,
        router: &Router,
        fates: Fates,
        changes: Option<(&mut Writer, &Vec<NexthopIndex>, &Vec<Update>)>,
    ) -> Result<(f64, f64, f64), Failure> {
        let stop = AtomicBool::new(false);
        let time = Duration::from_secs_f64(self.seconds);
        thread::scope(|scope| {
            let (stop, rate) = (&stop, self.rate);
            let changer = changes.map(|(writer, slots, updates)| {
                scope.spawn(move || change_at(writer, slots, updates, rate, stop))
            });
            let measured = router.measure(Duration::from_millis(200), time, fates);
            stop.store(true, Ordering::Relaxed);
            let per_second = match changer.map(thread::ScopedJoinHandle::join) {
                None => 0.0,
                Some(Ok(done)) => done.map_err(|error| error as Failure)?,
                Some(Err(_)) => return Err("the writer panicked".into()),
            };
            let measured = measured?;
            let taken = measured.steal_pct + measured.wait_pct;
            Ok((measured.mpps, taken, per_second))
        })
    }
}

/// Changes routes at a rate until told to stop. Returns the rate that it kept.
fn change_at(
    writer: &mut Writer,
    slots: &[NexthopIndex],
    updates: &[Update],
    rate: f64,
    stop: &AtomicBool,
) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
    let (begin, mut done) = (Instant::now(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        let until = due.min(done + 1000);
        while done < until {
            let change = updates[done as usize % updates.len()];
            apply(writer, slots, change).map_err(|error| error.to_string())?;
            done += 1;
        }
        if done >= due {
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(done as f64 / begin.elapsed().as_secs_f64())
}
