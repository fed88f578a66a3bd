//! Routes at speed: the writer of the tables alone, and lookups while it writes. No ports.

pub mod churn;
pub mod data;
pub mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use ironlane_fib::{Adjacency, Nexthop, NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;

use crate::rig::{SINK_MAC, nexthop_mac};
use data::{Route, Update};

/// What can go wrong.
pub type Failure = Box<dyn std::error::Error>;

/// Measurements of routes; each prints one line of JSON.
#[derive(Subcommand)]
pub enum UpdatesCommand {
    /// Loads a table, then applies updates as fast as it can, each written by itself.
    Writer {
        /// Routes to begin with: `prefix nexthop` lines, `.xz` or not.
        #[arg(long)]
        table: Option<PathBuf>,
        /// Updates: `second A|W prefix nexthop` lines.
        #[arg(long)]
        updates: PathBuf,
        /// Threads that look up addresses meanwhile.
        #[arg(long, default_value_t = 1)]
        readers: usize,
    },
    /// Compares lookups in a quiet table with lookups under updates, in pairs of rounds, and
    /// checks answers against the history of their address.
    Churn {
        /// Routes to begin with.
        #[arg(long)]
        table: PathBuf,
        /// Updates, which are played again from the beginning when they end.
        #[arg(long)]
        updates: PathBuf,
        /// Updates a second.
        #[arg(long, default_value_t = 100_000)]
        rate: u64,
        /// Pairs of rounds.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Seconds that a round takes.
        #[arg(long, default_value_t = 0.5)]
        seconds: f64,
    },
}

/// Runs one.
///
/// # Errors
/// A file that cannot be read, tables that are full, a wrong answer.
pub fn run(command: UpdatesCommand) -> Result<(), Failure> {
    let line = match command {
        UpdatesCommand::Writer {
            table,
            updates,
            readers,
        } => {
            let table = table.map_or(Ok(Vec::new()), |path| data::table(&path))?;
            serde_json::to_string(&writer::measure(
                &table,
                &data::updates(&updates)?,
                readers,
            )?)?
        }
        UpdatesCommand::Churn {
            table,
            updates,
            rate,
            rounds,
            seconds,
        } => {
            let (table, updates) = (data::table(&table)?, data::updates(&updates)?);
            let plan = churn::Plan {
                rate,
                rounds,
                seconds,
            };
            serde_json::to_string(&churn::measure(&table, &updates, &plan)?)?
        }
    };
    println!("{line}");
    Ok(())
}

/// Tables with a neighbour for each nexthop number of the data.
pub(crate) struct Bench {
    pub(crate) domain: Arc<Domain>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) writer: Writer,
    pub(crate) slots: Vec<NexthopIndex>,
}

impl Bench {
    pub(crate) fn new(table: &[Route], updates: &[Update]) -> Result<Self, Failure> {
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let mut writer = Writer::new(Arc::clone(&tables), Arc::clone(&domain));
        let most = table.iter().map(|route| route.nexthop);
        let most = most.chain(updates.iter().filter_map(|update| update.nexthop));
        let mut slots = Vec::new();
        for number in 0..=most.max().unwrap_or(0) {
            let mac = nexthop_mac(number);
            let adjacency = Adjacency::forward(PortId(1), 1500, mac, SINK_MAC);
            slots.push(writer.add_nexthop(Nexthop::Adjacency(adjacency))?);
        }
        Ok(Self {
            domain,
            tables,
            writer,
            slots,
        })
    }

    pub(crate) fn load(&mut self, table: &[Route]) -> Result<(), Failure> {
        for route in table {
            let nexthop = self.slots[usize::from(route.nexthop)];
            self.writer.insert(VrfId::DEFAULT, route.prefix, nexthop)?;
        }
        Ok(())
    }

    /// Applies one update; tells whether the tables are others than before.
    pub(crate) fn apply(&mut self, update: &Update) -> Result<bool, Failure> {
        let vrf = VrfId::DEFAULT;
        Ok(match update.nexthop {
            Some(nexthop) => {
                let nexthop = self.slots[usize::from(nexthop)];
                self.writer.insert(vrf, update.prefix, nexthop)? != Some(nexthop)
            }
            None => self.writer.remove(vrf, update.prefix).is_some(),
        })
    }
}
