//! The command `routes`: how fast tables are filled and changed, what changes cost the traffic, and
//! whether a packet ever leaves by a nexthop that was not right at any time while it was under way.

mod alone;
mod history;
mod pairs;
mod watch;

use std::path::{Path, PathBuf};

use clap::Args;
use ironlane_fib::{Adjacency, NexthopIndex, PortId, VrfId, Writer};

use crate::oracle::{SINK_MAC, nexthop_mac};
use crate::table::{self, Prefix, Route};

type Failure = Box<dyn std::error::Error>;

/// Filling and changing tables, alone and under traffic; a line of JSON for each figure.
#[derive(Args)]
pub struct RoutesArgs {
    /// The table, lines `prefix nexthop`.
    #[arg(long, required_unless_present = "empty")]
    table: Option<PathBuf>,
    /// Begins with empty tables: the updates alone, each written by itself.
    #[arg(long, requires = "updates", conflicts_with_all = ["table", "pcap", "watch"])]
    empty: bool,
    /// Updates to replay, packed by xz or not, lines of the table's kind, `-` in the place of a
    /// withdrawn route's nexthop, or `second A|W prefix nexthop`; without it routes of the table
    /// change nexthops, go and come back.
    #[arg(long)]
    updates: Option<PathBuf>,
    /// Frames over the table (`ironlane-perf frames --scene full4`): pairs of rounds under traffic,
    /// quiet and changing.
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Compares each frame that comes out with the history of its destination.
    #[arg(long, conflicts_with = "pcap")]
    watch: bool,
    /// Pairs of rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a round, and of the watch.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Changes a second in the changing rounds.
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
    /// Frames a second of the watch.
    #[arg(long, default_value_t = 1e6)]
    pps: f64,
    /// CPU of the lcore.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
}

/// One change: a route with its new nexthop, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Update {
    prefix: Prefix,
    nexthop: Option<u32>,
}

impl RoutesArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a file cannot be read, the tables refuse a route, a packet is lost for another reason
    /// than time, or one left by a wrong nexthop.
    pub fn run(&self) -> Result<(), Failure> {
        let routes = match &self.table {
            Some(path) => table::read(path)?,
            None => Vec::new(),
        };
        let updates = match &self.updates {
            Some(path) => read_updates(path)?,
            None => made_up(&routes),
        };
        match &self.pcap {
            Some(pcap) => self.pairs(pcap, &routes, &updates),
            None if self.watch => self.watched(&routes, &updates),
            None if self.empty => alone::burst(&updates),
            None => alone::measure(&routes, &updates),
        }
    }
}

/// Applies a change; tells whether the table is another one than before.
fn apply(writer: &mut Writer, slots: &[NexthopIndex], update: Update) -> Result<bool, Failure> {
    let (vrf, net) = (VrfId::DEFAULT, update.prefix.net());
    Ok(match update.nexthop {
        Some(nexthop) => {
            let slot = slots[nexthop as usize];
            writer.insert(vrf, net, slot)? != Some(slot)
        }
        None => writer.remove(vrf, net).is_some(),
    })
}

/// A slot for each nexthop of the data, by a port.
fn slots(
    writer: &mut Writer,
    routes: &[Route],
    updates: &[Update],
    port: PortId,
) -> Result<Vec<NexthopIndex>, Failure> {
    let named = routes.iter().map(|route| route.nexthop);
    let named = named.chain(updates.iter().filter_map(|update| update.nexthop));
    let adjacency = |index| Adjacency::forward(port, 1500, nexthop_mac(index), SINK_MAC);
    (0..=named.max().unwrap_or(0))
        .map(|index| Ok(writer.add_nexthop(adjacency(index).into())?))
        .collect()
}

/// Each route in turn: another nexthop, gone, back; spread over the table.
fn made_up(routes: &[Route]) -> Vec<Update> {
    let step = 7919;
    let some = (0..routes.len().min(200_000)).map(|n| routes[n * step % routes.len()]);
    let turns = some.flat_map(|route| {
        let other = (route.nexthop + 1) % 256;
        [Some(other), None, Some(route.nexthop)].map(|nexthop| Update {
            prefix: route.prefix,
            nexthop,
        })
    });
    turns.collect()
}

fn read_updates(path: &Path) -> Result<Vec<Update>, Failure> {
    let text = table::text(path)?;
    let updates: Option<Vec<Update>> = text.lines().map(parse).collect();
    updates.ok_or_else(|| {
        let path = path.display();
        format!("{path}: a line is `prefix nexthop`, `prefix -` or `second A|W prefix nexthop`")
            .into()
    })
}

fn parse(line: &str) -> Option<Update> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (prefix, nexthop) = match words[..] {
        [_, "W", prefix, ..] | [prefix, "-"] | [_, prefix, "-"] => (prefix, None),
        [_, "A", prefix, nexthop] | [_, prefix, nexthop] | [prefix, nexthop] => {
            (prefix, Some(nexthop.parse().ok()?))
        }
        _ => return None,
    };
    let net: ipnet::IpNet = prefix.parse().ok()?;
    let prefix = net.into();
    Some(Update { prefix, nexthop })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kinds_are_read() {
        let of = |line| parse(line).map(|update| (update.prefix.net().to_string(), update.nexthop));
        let net = |nexthop| Some(("10.0.0.0/8".to_owned(), nexthop));
        assert_eq!(of("10.0.0.0/8 7"), net(Some(7)));
        assert_eq!(of("10.0.0.0/8 -"), net(None));
        assert_eq!(of("3 10.0.0.0/8 7"), net(Some(7)));
        assert_eq!(of("3 A 10.0.0.0/8 7"), net(Some(7)));
        assert_eq!(of("3 W 10.0.0.0/8"), net(None));
        assert_eq!(of("3 W 10.0.0.0/8 0"), net(None));
        assert_eq!(of("10.0.0.0/8"), None);
        assert_eq!(of("10.0.0.0/8 seven"), None);
    }
}
