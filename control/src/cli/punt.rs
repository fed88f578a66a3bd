//! `punt show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, ago, meaning, or_dash};
use crate::api::proto::{ListPuntsRequest, Punt};

/// Arguments of `punt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show packets handed to Linux by reason, and those that were too many
    #[command(after_help = "Examples:\n  \
        ironlane punt show\n  \
        ironlane punt show --all       reasons without packets too\n  \
        ironlane punt show --watch")]
    Show {
        /// Reasons without packets too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows punts.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        all,
        output: options,
    } = args.verb;
    options
        .repeat(async || {
            let punts = client
                .list_punts(ListPuntsRequest { all })
                .await?
                .into_inner()
                .punts;
            let mut out = super::stdout();
            if options.json {
                return output::json_list(&mut out, &punts);
            }
            let headings = [
                "REASON",
                "PRIORITY",
                ">PACKETS",
                ">POLICED",
                ">RING FULL",
                ">RATE/S",
                "PORTS",
                "LAST SEEN",
                "MEANING",
            ];
            let mut table = Table::new(&mut out, &headings);
            for punt in &punts {
                table.row(row(punt))?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

fn row(p: &Punt) -> [String; 9] {
    let ports: Vec<_> = p
        .ports
        .iter()
        .map(|q| format!("{}:{}", q.port, q.packets))
        .collect();
    [
        p.reason.clone(),
        p.priority.clone(),
        p.packets.to_string(),
        p.policed.to_string(),
        p.ring_full.to_string(),
        p.rate_pps.to_string(),
        or_dash(&ports.join(" ")),
        ago(p.last_seen_ms),
        meaning(&p.meaning),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::PuntPort;

    #[test]
    fn a_reason_names_the_ports_it_came_by() {
        let port = |port: &str, packets| PuntPort {
            port: port.into(),
            packets,
        };
        let punt = Punt {
            reason: "ospf".into(),
            packets: 7,
            ports: vec![port("p0", 4), port("p1", 3)],
            last_seen_ms: Some(0),
            ..Punt::default()
        };
        let row = row(&punt);
        assert_eq!([&row[0], &row[6], &row[7]], ["ospf", "p0:4 p1:3", "now"]);
    }
}
