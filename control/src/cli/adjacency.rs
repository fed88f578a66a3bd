//! `adjacency show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{Adjacency, ListAdjacenciesRequest};

/// Arguments of `adjacency`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show where lcores send to, with the MACs that they write
    #[command(after_help = "Examples:\n  \
        ironlane adjacency show\n  \
        ironlane adjacency show --port p0\n\n\
        Kinds: forward (the neighbour's MAC is known), glean (it is not yet: Linux resolves),\n\
        local, kernel (Linux forwards), drop, blackhole, unreachable, prohibit, no_route.")]
    Show {
        /// Only adjacencies of this port
        #[arg(long)]
        port: Option<String>,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows adjacencies.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        port,
        output: options,
    } = args.verb;
    let request = ListAdjacenciesRequest {
        port: port.unwrap_or_default(),
    };
    options
        .repeat(async || {
            let mut stream = client.list_adjacencies(request.clone()).await?.into_inner();
            let mut out = super::stdout();
            if options.json {
                return output::json_stream(&mut out, &mut stream).await;
            }
            let headings = [
                ">SLOT",
                "KIND",
                "PORT",
                "NEIGHBOUR",
                "DESTINATION",
                "SOURCE",
                ">MTU",
                "USED",
            ];
            let mut table = Table::new(&mut out, &headings);
            while let Some(adjacency) = stream.message().await? {
                table.row(row(&adjacency))?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

fn row(a: &Adjacency) -> [String; 8] {
    [
        a.nexthop.to_string(),
        a.kind.clone(),
        or_dash(&a.port),
        or_dash(&a.neighbour),
        or_dash(&a.destination_mac),
        or_dash(&a.source_mac),
        if a.mtu == 0 {
            "-".into()
        } else {
            a.mtu.to_string()
        },
        if a.used { "yes" } else { "no" }.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_adjacency_lacks_is_a_dash() {
        let glean = Adjacency {
            nexthop: 3,
            kind: "glean".into(),
            mtu: 1500,
            ..Adjacency::default()
        };
        assert_eq!(
            row(&glean),
            ["3", "glean", "-", "-", "-", "-", "1500", "no"]
        );
    }
}
