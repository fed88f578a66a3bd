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
    Broadcast,
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
        match answer["type"].as_str() {
            Some("local" | "anycast") => Kernel::Local,
            Some("broadcast") => Kernel::Broadcast,
            Some(other @ ("unreachable" | "prohibit" | "blackhole")) => {
                Kernel::Error(other.to_owned())
            }
            _ => Kernel::Leaves {
                dev: answer["dev"].as_str().unwrap_or_default().to_owned(),
                via: answer["gateway"]
                    .as_str()
                    .or_else(|| answer["via"]["host"].as_str())
                    .map(|text| text.parse().unwrap()),
            },
        }
    };
    (1..=addresses.len()).map(&mut next).collect()
}

/// Compares the tables with the kernel for all addresses, and tells how often each kind of
/// answer was seen.
pub fn compare_all(world: &World, addresses: &[IpAddr]) -> HashMap<AdjacencyKind, usize> {
    let kernel = ask(world, addresses);
    let mut reader = Domain::register(&world.domain).unwrap();
    let guard = reader.read();
    let mut seen = HashMap::new();
    for (address, kernel) in addresses.iter().zip(kernel) {
        let ours = compare::lookup(&world.tables, &guard, *address);
        let kind = ours.first().map_or(AdjacencyKind::NoRoute, Adjacency::kind);
        *seen.entry(kind).or_default() += 1;
        let agrees = ours.iter().any(|adjacency| agree(adjacency, &kernel));
        assert!(
            agrees,
            "{address}: the kernel says {kernel:?}, the tables {ours:?}"
        );
    }
    seen
}

fn agree(ours: &Adjacency, kernel: &Kernel) -> bool {
    let error = |words: &[&str]| match kernel {
        Kernel::Error(error) => words.iter().any(|word| error.contains(word)),
        _ => false,
    };
    match ours.kind() {
        AdjacencyKind::Local => *kernel == Kernel::Local,
        AdjacencyKind::Broadcast => *kernel == Kernel::Broadcast,
        AdjacencyKind::NoRoute => error(&["Network is unreachable"]),
        AdjacencyKind::Blackhole => error(&["Invalid argument", "blackhole"]),
        AdjacencyKind::Unreachable => error(&["No route to host", "unreachable"]),
        AdjacencyKind::Prohibit => error(&["Permission denied", "prohibit"]),
        AdjacencyKind::Kernel => {
            matches!(kernel, Kernel::Leaves { dev, .. } if !dev.starts_with('p'))
        }
        AdjacencyKind::Forward | AdjacencyKind::Glean => match kernel {
            Kernel::Leaves { dev, .. } => *dev == format!("p{}", ours.port()),
            _ => false,
        },
        AdjacencyKind::Drop => false,
    }
}
