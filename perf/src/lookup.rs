//! Lookups a second on real tables: each path of ours, and DPDK's libraries, in turns.
//!
//! Rates of a shared machine differ from second to second, so everything is measured once a round,
//! and ratios are of the same rounds. Each pass sums its answers; the sum must be that of a
//! reference which shares no code with what is measured.

use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use ironlane_fib::{Adjacency, AdjacencyKind, LookupPath, NexthopIndex, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use serde_json::json;

const VRF: VrfId = VrfId::DEFAULT;
const BURST: usize = 64;

/// A prefix: address in the upper bits, length, nexthop.
type Route = (u128, u8, u32);

/// Something that is measured: its name, and a pass over all addresses that returns the sum.
type Contestant<'a> = (String, Box<dyn FnMut() -> u64 + 'a>);

/// Measures the families that are asked for.
pub fn run(
    shared: &Path,
    rounds: usize,
    quick: bool,
    families: [bool; 2],
) -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "baselines")]
    {
        let huge = crate::baselines::start()?;
        println!("{}", json!({ "baselines_on_huge_pages": huge }));
    }
    let rounds = if quick { rounds.min(5) } else { rounds };
    let addresses = if quick { 1 << 20 } else { 1 << 22 };
    for (v6, file) in [(false, "v4-20260511"), (true, "v6-20260511")] {
        if !families[usize::from(v6)] {
            continue;
        }
        let routes = load(&shared.join(format!("data/rib/{file}.txt.xz")))?;
        let small: Vec<Route> = match v6 {
            false => routes
                .iter()
                .filter(|r| r.1 == 24)
                .take(64)
                .copied()
                .collect(),
            true => routes
                .iter()
                .filter(|r| r.1 == 48)
                .take(64)
                .copied()
                .collect(),
        };
        for (table, routes, skew) in [
            ("full", &routes, "uniform"),
            ("full", &routes, "zipf"),
            ("small", &small, "uniform"),
        ] {
            let addresses = destinations(v6, routes, skew, addresses);
            let slow = table == "small" || !quick;
            measure(v6, table, skew, routes, &addresses, rounds, slow)?;
        }
    }
    Ok(())
}

fn load(file: &Path) -> Result<Vec<Route>, Box<dyn Error>> {
    let output = Command::new("xz").arg("-dc").arg(file).output()?;
    if !output.status.success() {
        return Err(format!("cannot read {}", file.display()).into());
    }
    let mut routes = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let (prefix, hop) = line.split_once(' ').ok_or("a line is `prefix nexthop`")?;
        let prefix: IpNet = prefix.parse()?;
        let hop = hop.parse::<u32>()? + 1;
        routes.push((bits(prefix.network()), prefix.prefix_len(), hop));
    }
    routes.sort_unstable();
    Ok(routes)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => address.into(),
    }
}

/// SplitMix64, so that every run looks up the same addresses.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Random hosts of random prefixes: each prefix as likely as any other, or the one of rank r as
/// 1/r, in random order.
fn destinations(v6: bool, routes: &[Route], skew: &str, count: usize) -> Vec<u128> {
    let mut random = Random(1);
    let mut order: Vec<u32> = (0..routes.len() as u32).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, (random.next() % (last as u64 + 1)) as usize);
    }
    let weight = |rank: usize| {
        if skew == "zipf" {
            1.0 / (rank + 1) as f64
        } else {
            1.0
        }
    };
    let mut sum = 0.0;
    let shares: Vec<f64> = (0..routes.len())
        .map(|rank| {
            sum += weight(rank);
            sum
        })
        .collect();
    let mask = if v6 { u128::MAX } else { u128::MAX << 96 };
    let host = |random: &mut Random| {
        let at = (random.next() >> 11) as f64 / (1u64 << 53) as f64 * sum;
        let rank = shares
            .partition_point(|&share| share <= at)
            .min(order.len() - 1);
        let (address, len, _) = routes[order[rank] as usize];
        let wide = u128::from(random.next()) << 64 | u128::from(random.next());
        address | (wide.checked_shr(u32::from(len)).unwrap_or(0) & mask)
    };
    (0..count).map(|_| host(&mut random)).collect()
}

/// The sum of all answers, from intervals that a sweep over the sorted prefixes makes.
fn reference(routes: &[Route], addresses: &[u128]) -> u64 {
    let mut starts: Vec<(u128, u32)> = vec![(0, 0)];
    let mut open: Vec<(u128, u32)> = Vec::new(); // last address and nexthop of those around
    let close = |starts: &mut Vec<(u128, u32)>, open: &mut Vec<(u128, u32)>, until: u128| {
        while let Some(&(last, _)) = open.last().filter(|(last, _)| *last < until) {
            open.pop();
            starts.push((last + 1, open.last().map_or(0, |around| around.1)));
        }
    };
    for &(address, len, hop) in routes {
        close(&mut starts, &mut open, address);
        starts.push((address, hop));
        let last = address | u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        open.push((last, hop));
    }
    close(&mut starts, &mut open, u128::MAX);
    let hop = |address: &u128| starts[starts.partition_point(|(first, _)| first <= address) - 1].1;
    addresses
        .iter()
        .map(|address| u64::from(hop(address)))
        .sum()
}

fn measure(
    v6: bool,
    table: &str,
    skew: &str,
    routes: &[Route],
    addresses: &[u128],
    rounds: usize,
    slow: bool,
) -> Result<(), Box<dyn Error>> {
    let expected = reference(routes, addresses);
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();

    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    // Nexthops are numbered as in the file, from 1.
    let most = routes.iter().map(|route| route.2).max().unwrap_or(0);
    for hop in 1..=most {
        let made = writer.add_nexthop(Adjacency::simple(AdjacencyKind::Local).into())?;
        assert_eq!(made.raw(), hop);
    }
    let begin = Instant::now();
    for &(address, len, hop) in routes {
        let address: IpAddr = match v6 {
            false => std::net::Ipv4Addr::from((address >> 96) as u32).into(),
            true => std::net::Ipv6Addr::from(address).into(),
        };
        let hop = NexthopIndex::from_raw(hop).ok_or("more than 20 bits")?;
        writer.insert(VRF, IpNet::new(address, len)?, hop)?;
    }
    let loaded = begin.elapsed().as_secs_f64();
    let mut reader = Domain::register(&domain)?;
    let guard = reader.read();
    let ip4: Vec<u32> = addresses.iter().map(|a| (a >> 96) as u32).collect();
    let (fib4, fib6) = (tables.ip4(&guard, VRF), tables.ip6(&guard, VRF));
    let stats = if v6 { fib6.stats() } else { fib4.stats() };
    println!(
        "{}",
        json!({
            "family": if v6 { 6 } else { 4 }, "table": table, "destinations": skew,
            "routes": routes.len(), "addresses": addresses.len(), "distinct": sorted.len(),
            "bytes": stats.bytes, "loaded_s": loaded, "sum": expected,
        })
    );

    #[cfg(feature = "baselines")]
    let bytes: Vec<[u8; 16]> = addresses.iter().map(|a| a.to_be_bytes()).collect();
    let mut contestants: Vec<Contestant<'_>> = Vec::new();
    let guard = &guard;
    for path in LookupPath::ALL
        .into_iter()
        .filter(|path| path.is_available())
    {
        let ip4 = &ip4;
        let pass = move || {
            let mut answers = [NexthopIndex::NONE; BURST];
            let mut sum = 0;
            if v6 {
                for burst in addresses.chunks_exact(BURST) {
                    fib6.lookup_bulk_by(path, guard, burst, &mut answers);
                    sum += answers.iter().map(|hop| u64::from(hop.raw())).sum::<u64>();
                }
            } else {
                for burst in ip4.chunks_exact(BURST) {
                    fib4.lookup_bulk_by(path, guard, burst, &mut answers);
                    sum += answers.iter().map(|hop| u64::from(hop.raw())).sum::<u64>();
                }
            }
            sum
        };
        contestants.push((format!("ironlane {path}"), Box::new(pass)));
    }
    #[cfg(feature = "baselines")]
    for (name, of6, kind) in crate::baselines::KINDS {
        use crate::baselines::Baseline;
        if of6 != v6 || (name == "rte_lpm" && !slow) {
            continue;
        }
        let begin = Instant::now();
        let table = Baseline::open(kind, routes.len() as u32 + 1024);
        let Some(mut baseline) = table else {
            println!(
                "{}",
                json!({ "name": name, "left_out": "no memory for it" })
            );
            continue;
        };
        let fits = routes
            .iter()
            .all(|&(address, len, hop)| baseline.add(v6, address, len, hop));
        println!(
            "{}",
            json!({ "name": name, "loaded_s": begin.elapsed().as_secs_f64() })
        );
        if !fits {
            println!(
                "{}",
                json!({ "name": name, "left_out": "the table does not fit" })
            );
            continue;
        }
        let variants = baseline.variants();
        let baseline = std::rc::Rc::new(std::cell::RefCell::new(baseline));
        for (which, variant) in variants {
            let (baseline, ip4, bytes) = (baseline.clone(), &ip4, &bytes);
            let pass = move || {
                let mut baseline = baseline.borrow_mut();
                baseline.select(which);
                let mut sum = 0;
                if v6 {
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .for_each(|burst| sum += baseline.sum6(burst));
                } else {
                    ip4.as_chunks()
                        .0
                        .iter()
                        .for_each(|burst| sum += baseline.sum4(burst));
                }
                sum
            };
            contestants.push((format!("{name} {variant}"), Box::new(pass)));
        }
    }
    let _ = slow;

    let mut rates = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        for ((name, pass), rates) in contestants.iter_mut().zip(&mut rates) {
            let begin = Instant::now();
            let sum = black_box(pass());
            let rate = addresses.len() as f64 / begin.elapsed().as_secs_f64() / 1e6;
            if sum != expected {
                return Err(format!("{name}: the answers sum up to {sum}, not {expected}").into());
            }
            rates.push(rate);
        }
    }
    let mut best: Vec<(String, [f64; 3])> = Vec::new();
    for ((name, _), rates) in contestants.iter().zip(&mut rates) {
        rates.sort_unstable_by(f64::total_cmp);
        let figures = [rates[rates.len() / 2], rates[0], rates[rates.len() - 1]];
        let [median, min, max] = figures;
        println!(
            "{}",
            json!({ "name": name, "median": median, "min": min, "max": max })
        );
        let library = name
            .rsplit_once(' ')
            .map_or(name.as_str(), |(library, _)| library);
        let library = library.split(' ').next().unwrap_or(library);
        match best.iter_mut().find(|(known, _)| known == library) {
            Some((_, known)) if known[0] >= median => (),
            Some((_, known)) => *known = figures,
            None => best.push((library.into(), figures)),
        }
    }
    let ours = best[0].1;
    for (library, theirs) in &best[1..] {
        let goal = match (table, library.as_str()) {
            ("small", _) => 1.0,
            (_, "rte_fib") => 1.3,
            (_, "rte_lpm" | "rte_fib6") => 1.5,
            _ => 5.0,
        };
        println!(
            "{}",
            json!({
                "against": library, "table": table, "destinations": skew, "goal": goal,
                "ratio_of_medians": ours[0] / theirs[0], "ratio_of_maxima": ours[2] / theirs[2],
            })
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_finds_the_longest_prefix() {
        let routes = [(0, 0, 1), (10 << 120, 8, 2), (10 << 120 | 1 << 112, 16, 3)];
        let sum = |address: u128| reference(&routes, &[address << 96]);
        assert_eq!(sum(0x0a01_0203), 3);
        assert_eq!(sum(0x0a02_0203), 2);
        assert_eq!(sum(0x0b00_0000), 1);
        assert_eq!(reference(&routes[1..], &[0]), 0);
    }

    #[test]
    fn destinations_are_within_their_prefixes() {
        let routes = [(10 << 120, 8, 2), (1 << 125, 32, 3)];
        for address in destinations(true, &routes, "zipf", 1000) {
            assert!(address >> 120 == 10 || address >> 96 == 1 << 29);
        }
    }
}
