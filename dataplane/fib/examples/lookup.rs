//! Lookups a second on a real table, one by one and in bulk, and what the table costs.
//!
//!     cargo run --release -p ironlane-fib --example lookup -- ../shared/data/rib/v4-20260511.txt.xz
//!
//! Without an argument it takes the small tables of this crate. Three kinds of addresses: uniform
//! over the prefixes (mostly deep), uniform over the address space, and a thousand that repeat
//! (cached, as of a few busy flows). One thread; the figure is the best of five rounds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use ironlane_fib::{Address, Adjacency, Fib, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::{Domain, Guard};

const VRF: VrfId = VrfId::DEFAULT;
const LOOKUPS: usize = 1 << 20;
const ROUNDS: usize = 5;
const BURST: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
        measure(&format!("{data}/v4-sample.txt"))?;
        return measure(&format!("{data}/v6-sample.txt"));
    }
    files.iter().try_for_each(|file| measure(file))
}

fn measure(file: &str) -> Result<(), Box<dyn Error>> {
    let text = match file.ends_with(".xz") {
        true => String::from_utf8(Command::new("xz").args(["-dc", file]).output()?.stdout)?,
        false => std::fs::read_to_string(file)?,
    };
    let mut routes: Vec<(IpNet, u32)> = Vec::new();
    for line in text.lines() {
        let (prefix, hop) = line.split_once(' ').ok_or("a line is `prefix nexthop`")?;
        routes.push((prefix.parse()?, hop.parse()?));
    }

    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let mut hops = HashMap::new();
    for &(_, hop) in &routes {
        if let Entry::Vacant(vacant) = hops.entry(hop) {
            let adjacency = Adjacency::forward(PortId(hop as u16), 1500, [2; 6], [4; 6]);
            vacant.insert(writer.add_nexthop(adjacency.into())?);
        }
    }
    let begin = Instant::now();
    for &(prefix, hop) in &routes {
        writer.insert(VRF, prefix, hops[&hop])?;
    }
    let built = begin.elapsed();
    println!("{file}: {} routes in {built:.2?}", routes.len());

    let mut reader = Domain::register(&domain)?;
    {
        let guard = reader.read();
        let (ip4, ip6) = (tables.ip4(&guard, VRF), tables.ip6(&guard, VRF));
        let mut random = Random(1);
        let v4 = routes[0].0.max_prefix_len() == 32;
        let table = if v4 { ip4.stats() } else { ip6.stats() };
        println!(
            "  {} nodes, {:.1} MiB",
            table.nodes,
            table.bytes as f64 / f64::from(1 << 20)
        );
        for kind in ["prefixes", "space", "repeated"] {
            let addresses: Vec<u128> = addresses(kind, &routes, &mut random);
            if v4 {
                let addresses: Vec<u32> = addresses.iter().map(|&a| a as u32).collect();
                rates(kind, ip4, &guard, &addresses);
            } else {
                rates(kind, ip6, &guard, &addresses);
            }
        }
        let begin = Instant::now();
        let runs = if v4 {
            ip4.runs(&guard).count()
        } else {
            ip6.runs(&guard).count()
        };
        println!("  walk: {runs} runs in {:.2?}", begin.elapsed());
    }
    reader.offline();

    let begin = Instant::now();
    for &(prefix, _) in &routes {
        writer.remove(VRF, prefix);
    }
    writer.synchronize();
    println!(
        "  flushed in {:.2?}; {} bytes of nodes are left",
        begin.elapsed(),
        writer.stats().node_bytes
    );
    Ok(())
}

fn rates<K: Address>(kind: &str, fib: &Fib<K>, guard: &Guard<'_>, addresses: &[K]) {
    let best = |run: &dyn Fn()| {
        let time = || {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64()
        };
        let seconds = (0..ROUNDS).map(|_| time()).fold(f64::INFINITY, f64::min);
        addresses.len() as f64 / seconds / 1e6
    };
    let single = best(&|| {
        for &address in addresses {
            black_box(fib.lookup(guard, address));
        }
    });
    let bulk = best(&|| {
        let mut answers = [NexthopIndex::NONE; BURST];
        for burst in addresses.chunks_exact(BURST) {
            fib.lookup_bulk(guard, burst, &mut answers);
            black_box(&answers);
        }
    });
    println!("  {kind:<9} single {single:7.1} M/s   bulk of {BURST} {bulk:7.1} M/s");
}

fn addresses(kind: &str, routes: &[(IpNet, u32)], random: &mut Random) -> Vec<u128> {
    let width = u32::from(routes[0].0.max_prefix_len());
    let host = |random: &mut Random| {
        let prefix = routes[random.next() as usize % routes.len()].0;
        let network = match prefix.network() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => address.into(),
        };
        let free = width - u32::from(prefix.prefix_len());
        network | (random.wide() & !u128::MAX.checked_shl(free).unwrap_or(0))
    };
    let space = |random: &mut Random| match width {
        32 => random.wide() >> 96,
        _ => 1 << 125 | random.wide() >> 3, // 2000::/3
    };
    let few: Vec<u128> = (0..1000).map(|_| host(random)).collect();
    let one = |random: &mut Random| match kind {
        "prefixes" => host(random),
        "space" => space(random),
        _ => few[random.next() as usize % few.len()],
    };
    (0..LOOKUPS).map(|_| one(random)).collect()
}

/// xorshift64*, so that every run looks up the same addresses.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn wide(&mut self) -> u128 {
        let (high, low) = (self.next() << 11, self.next() << 11);
        let (mid, tail) = (self.next() << 11, self.next() << 11);
        u128::from(high ^ mid >> 43) << 64 | u128::from(low ^ tail >> 43)
    }
}
