//! The command `routes`: how fast tables are filled and changed, and what that costs the traffic.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ironlane_dataplane::eal::Memory;
use ironlane_fib::{Adjacency, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use serde::Serialize;

use crate::check;
use crate::oracle::{Fates, Oracle, nexthop_mac};
use crate::play::source;
use crate::rig::SINK_MAC;
use crate::router::{Router, Setup};
use crate::table::{self, Prefix, Route};

type Failure = Box<dyn std::error::Error>;

/// Filling and changing tables, alone and under traffic.
#[derive(Args)]
pub struct RoutesArgs {
    /// The table, lines `prefix nexthop`.
    #[arg(long)]
    table: PathBuf,
    /// Updates to replay, packed by xz or not, lines of the table's kind, `-` in the place of a
    /// withdrawn route's nexthop; without it routes of the table change nexthops, go and come back.
    #[arg(long)]
    updates: Option<PathBuf>,
    /// Frames over the table (`ironlane-perf frames --scene full4`), for the rounds under traffic.
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Pairs of rounds under traffic: quiet, and changing.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Changes a second in the changing rounds.
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
    /// CPU of the lcore.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
}

/// One change: a route with its new nexthop, or none.
type Update = (Prefix, Option<u32>);

#[derive(Serialize)]
struct Writing {
    what: &'static str,
    changes: usize,
    seconds: f64,
    per_second: f64,
    /// Retired objects that waited for readers, at most.
    waiting_most: usize,
}

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
    /// Does it.
    ///
    /// # Errors
    /// If a file cannot be read, the tables refuse a route, or a packet is lost.
    pub fn run(&self) -> Result<(), Failure> {
        let routes = table::read(&self.table)?;
        let updates = match &self.updates {
            Some(path) => read_updates(path)?,
            None => made_up(&routes),
        };
        self.alone(&routes, &updates)?;
        match &self.pcap {
            Some(pcap) => self.under_traffic(pcap, routes, &updates),
            None => Ok(()),
        }
    }

    /// The writer, with a reader that looks all the time.
    fn alone(&self, routes: &[Route], updates: &[Update]) -> Result<(), Failure> {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let slots = nexthops(&mut writer, routes, updates, PortId(1))?;
        let stop = AtomicBool::new(false);
        let mut reader = Domain::register(&domain)?;
        thread::scope(|scope| {
            let (stop, tables) = (&stop, &tables);
            scope.spawn(move || {
                let addresses: [u32; 64] = std::array::from_fn(|n| (n as u32) << 25 | 1);
                let mut answers = [NexthopIndex::NONE; 64];
                while !stop.load(Ordering::Relaxed) {
                    let guard = reader.read();
                    let fib = tables.ip4(&guard, VrfId::DEFAULT);
                    fib.lookup_bulk(&guard, &addresses, &mut answers);
                    std::hint::black_box(answers);
                }
            });
            let done = self.filled_and_changed(&mut writer, &slots, routes, updates);
            stop.store(true, Ordering::Relaxed);
            done
        })
    }

    fn filled_and_changed(
        &self,
        writer: &mut Writer,
        slots: &[NexthopIndex],
        routes: &[Route],
        updates: &[Update],
    ) -> Result<(), Failure> {
        let load: Vec<Update> = routes.iter().map(|r| (r.prefix, Some(r.nexthop))).collect();
        let flush: Vec<Update> = routes.iter().map(|r| (r.prefix, None)).collect();
        for (what, changes) in [
            ("load", &load[..]),
            ("churn", updates),
            ("flush", &flush[..]),
        ] {
            let (begin, mut most) = (Instant::now(), 0);
            for (index, change) in changes.iter().enumerate() {
                apply(writer, slots, *change)?;
                if index % 1024 == 0 {
                    most = most.max(writer.pending());
                }
            }
            let seconds = begin.elapsed().as_secs_f64();
            let line = Writing {
                what,
                changes: changes.len(),
                seconds,
                per_second: changes.len() as f64 / seconds,
                waiting_most: most,
            };
            println!("{}", serde_json::to_string(&line)?);
        }
        Ok(())
    }

    /// Pairs of rounds, one with changes; their order turns round each time. The changes only move
    /// routes between nexthops and back, so that each packet still has a route.
    fn under_traffic(
        &self,
        pcap: &std::path::Path,
        routes: Vec<Route>,
        updates: &[Update],
    ) -> Result<(), Failure> {
        let sent = check::frames(pcap)?;
        let (held, fates) = (sent.len(), Oracle::new(&routes).count(&sent)?);
        let known: std::collections::HashSet<_> = routes.iter().map(|r| r.prefix).collect();
        let moves: Vec<Update> = updates
            .iter()
            .filter(|(prefix, nexthop)| nexthop.is_some() && known.contains(prefix))
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
            routes: routes.clone(),
        })?;
        // Slots of their own; the first nexthops stay, for the routes that never change.
        let mut writer = router.take_writer().ok_or("the writer is gone")?;
        let slots = nexthops(&mut writer, &routes, updates, PortId(1))?;
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

fn apply(writer: &mut Writer, slots: &[NexthopIndex], change: Update) -> Result<(), Failure> {
    let (prefix, nexthop) = change;
    match nexthop {
        Some(nexthop) => {
            let slot = slots[nexthop as usize];
            writer.insert(VrfId::DEFAULT, prefix.net(), slot)?;
        }
        None => {
            writer.remove(VrfId::DEFAULT, prefix.net());
        }
    }
    Ok(())
}

fn nexthops(
    writer: &mut Writer,
    routes: &[Route],
    updates: &[Update],
    port: PortId,
) -> Result<Vec<NexthopIndex>, Failure> {
    let named = routes.iter().map(|route| route.nexthop);
    let named = named.chain(updates.iter().filter_map(|(_, nexthop)| *nexthop));
    let adjacency = |index| Adjacency::forward(port, 1500, nexthop_mac(index), SINK_MAC);
    (0..=named.max().unwrap_or(0))
        .map(|index| Ok(writer.add_nexthop(adjacency(index).into())?))
        .collect()
}

/// Each route in turn: another nexthop, gone, back; spread over the table.
fn made_up(routes: &[Route]) -> Vec<Update> {
    let step = 7919;
    let some = (0..routes.len().min(200_000)).map(|n| routes[n * step % routes.len()]);
    some.flat_map(|route| {
        let other = (route.nexthop + 1) % 256;
        [
            (route.prefix, Some(other)),
            (route.prefix, None),
            (route.prefix, Some(route.nexthop)),
        ]
    })
    .collect()
}

fn read_updates(path: &std::path::Path) -> Result<Vec<Update>, Failure> {
    let text = table::text(path)?;
    let parse = |line: &str| {
        // A time may stand before.
        let mut words = line.split_whitespace().rev();
        let nexthop = words.next()?;
        let prefix: ipnet::IpNet = words.next()?.parse().ok()?;
        let nexthop = match nexthop {
            "-" => None,
            number => Some(number.parse().ok()?),
        };
        Some((prefix.into(), nexthop))
    };
    let updates: Option<Vec<Update>> = text.lines().map(parse).collect();
    updates.ok_or_else(|| {
        format!(
            "{}: a line is `prefix nexthop` or `prefix -`",
            path.display()
        )
        .into()
    })
}
