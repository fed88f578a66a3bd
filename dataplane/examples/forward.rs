//! Forwards between devices for some seconds, with no control plane: for trying a device out.
//!
//! ```sh
//! forward [--no-huge] SECONDS DEVICE...     # net_tap0,iface=wan0   0000:3b:00.0
//! ```
//!
//! Port `i` (from 0) has the route 10.`i`.0.0/16 to the neighbour 02:00:00:00:00:99.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, error, thread};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PortConfig};
use ironlane_dataplane::eal::{CpuList, Eal, EalConfig};
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_fib::{Adjacency, Nexthop, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

const USAGE: &str = "forward [--no-huge] SECONDS DEVICE...";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn error::Error>> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let no_huge = words.first().is_some_and(|word| word == "--no-huge");
    words.drain(..usize::from(no_huge));
    let Some((seconds, devices)) = words.split_first() else {
        return Err(USAGE.into());
    };
    let seconds: u64 = seconds.parse().map_err(|_| USAGE)?;
    let pci = devices.iter().filter(|device| !device.starts_with("net_"));
    let eal = EalConfig {
        pci: pci.cloned().collect(),
        ..if no_huge {
            EalConfig::without_hugepages(256)
        } else {
            EalConfig::default()
        }
    };
    let eal = Eal::start(&eal)?;
    let domain = Domain::new();
    let tables = Arc::new(Tables::new(&domain));
    let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
    let port = |(i, device): (usize, &String)| PortConfig::new(format!("p{i}"), device.as_str());
    let config = DataplaneConfig {
        lcores: CpuList::allowed().0.into_iter().take(1).collect(),
        ports: devices.iter().enumerate().map(port).collect(),
        ..DataplaneConfig::default()
    };
    let dataplane = Dataplane::start(eal, &config, tables, &domain)?;
    for (i, port) in dataplane.ports().iter().enumerate() {
        let mac = [2, 0, 0, 0, 0, 0x99];
        let adjacency = Adjacency::forward(port.id, port.mtu, mac, port.mac.0);
        let nexthop = writer.add_nexthop(Nexthop::Adjacency(adjacency))?;
        writer.insert(VrfId::DEFAULT, format!("10.{i}.0.0/16").parse()?, nexthop)?;
        println!("{port:?}");
        println!("  {:?}", dataplane.port_link(port.id)?);
    }
    println!("running");
    thread::sleep(Duration::from_secs(seconds));

    let counters = dataplane.counters().snapshot();
    for port in dataplane.ports() {
        let counts = counters.port(port.id);
        println!(
            "{}: rx {} tx {}",
            port.name, counts.rx_packets, counts.tx_packets
        );
        println!(
            "  {:?} {:?}",
            dataplane.port_link(port.id)?,
            dataplane.port_stats(port.id)?
        );
        let drops = DropReason::ALL
            .iter()
            .zip(counts.drops)
            .map(|(r, n)| (r.name(), n));
        let punts = PuntReason::ALL
            .iter()
            .zip(counts.punts)
            .map(|(r, n)| (r.name(), n));
        for (name, count) in drops.chain(punts).filter(|(_, count)| *count > 0) {
            println!("  {name} {count}");
        }
    }
    println!("{:?}", counters.turns());
    let report = dataplane.stop();
    println!(
        "stopped: {} buffers lost {:?}",
        report.leaked(),
        report.pools
    );
    let clean = report.is_clean();
    eal.shutdown();
    Ok(clean)
}
