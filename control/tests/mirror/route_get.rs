//! The tables against `ip route get`, for many addresses at once.

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use ironlane_fib::{Adjacency, AdjacencyKind};
use ironlane_rcu::Domain;
use serde_json::Value;

use super::{World, compare};

/// What the kernel does with a packet to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel {
    Local,
    /// The broadcast of a subnet of this interface.
    Broadcast {
        dev: String,
    },
    /// Leaves by an interface, to a router if there is one between.
    Leaves {
        dev: String,
        via: Option<IpAddr>,
    },
    /// The error of `ip route get`.
    Error(String),
}

/// Asks the kernel, by `ip -batch`.
pub fn ask(world: &World, addresses: &[IpAddr]) -> Vec<Kernel> {
    let commands: String = addresses
        .iter()
        .map(|a| format!("route get {a}\n"))
        .collect();
    let mut child = Command::new("ip")
        .args(["-n", &world.r.0, "-json", "-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(commands.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let mut errors = HashMap::new();
    let mut last = String::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        match line.strip_prefix("Command failed -:") {
            Some(number) => {
                errors.insert(
                    number.trim().parse::<usize>().unwrap(),
                    std::mem::take(&mut last),
                );
            }
            None => last = line.trim_start_matches("RTNETLINK answers: ").to_owned(),
        }
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let mut answers = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut next = |line: usize| {
        if let Some(error) = errors.remove(&line) {
            return Kernel::Error(error);
        }
        // A command that failed may have printed an empty list.
        let answer = loop {
            let all = answers
                .next()
                .unwrap_or_else(|| panic!("line {line}"))
                .unwrap();
            if let Some(answer) = all.as_array().and_then(|all| all.first()) {
                break answer.clone();
            }
        };
        let dev = answer["dev"].as_str().unwrap_or_default().to_owned();
        match answer["type"].as_str() {
            Some("local" | "anycast") => Kernel::Local,
            Some("broadcast") => Kernel::Broadcast { dev },
            Some(other @ ("unreachable" | "prohibit" | "blackhole")) => {
                Kernel::Error(other.to_owned())
            }
            _ => Kernel::Leaves {
                dev,
                via: answer["gateway"]
                    .as_str()
                    .or_else(|| answer["via"]["host"].as_str())
                    .map(|text| text.parse().unwrap()),
            },
        }
    };
    (1..=addresses.len()).map(&mut next).collect()
}

/// The MAC of each neighbour that is resolved for good, by interface and address.
pub type Macs = HashMap<(String, IpAddr), [u8; 6]>;

/// Compares the tables with the kernel for all addresses, and tells how often each kind of
/// answer was seen. No other neighbours than `macs` may be known to the kernel.
pub fn compare_all(
    world: &World,
    macs: &Macs,
    addresses: &[IpAddr],
) -> HashMap<AdjacencyKind, usize> {
    let kernel = ask(world, addresses);
    let mut reader = Domain::register(&world.domain).unwrap();
    let guard = reader.read();
    let mut seen = HashMap::new();
    for (&address, kernel) in addresses.iter().zip(kernel) {
        let ours = compare::lookup(&world.tables, &guard, address);
        let kind = ours.first().map_or(AdjacencyKind::NoRoute, Adjacency::kind);
        *seen.entry(kind).or_default() += 1;
        // Of a group the kernel names the member that it would take.
        let agrees = ours
            .iter()
            .any(|adjacency| agree(adjacency, address, &kernel, macs));
        assert!(
            agrees,
            "{address}: the kernel says {kernel:?}, the tables {ours:?}"
        );
    }
    seen
}

fn agree(ours: &Adjacency, address: IpAddr, kernel: &Kernel, macs: &Macs) -> bool {
    let error = |words: &[&str]| match kernel {
        Kernel::Error(error) => words.iter().any(|word| error.contains(word)),
        _ => false,
    };
    let port = || format!("p{}", ours.port());
    match ours.kind() {
        AdjacencyKind::Local => *kernel == Kernel::Local,
        AdjacencyKind::Broadcast => *kernel == Kernel::Broadcast { dev: port() },
        AdjacencyKind::NoRoute => error(&["Network is unreachable"]),
        AdjacencyKind::Blackhole => error(&["Invalid argument", "blackhole"]),
        AdjacencyKind::Unreachable => error(&["No route to host", "unreachable"]),
        AdjacencyKind::Prohibit => error(&["Permission denied", "prohibit"]),
        AdjacencyKind::Kernel => match kernel {
            Kernel::Leaves { dev, .. } | Kernel::Broadcast { dev } => !dev.starts_with('p'),
            _ => false,
        },
        kind @ (AdjacencyKind::Forward | AdjacencyKind::Glean) => {
            let Kernel::Leaves { dev, via } = kernel else {
                return false;
            };
            let mac = macs.get(&(dev.clone(), via.unwrap_or(address)));
            *dev == port()
                && match mac {
                    Some(mac) => kind == AdjacencyKind::Forward && ours.dst_mac() == *mac,
                    None => kind == AdjacencyKind::Glean,
                }
        }
        AdjacencyKind::Drop | AdjacencyKind::Ipsec => false,
    }
}
