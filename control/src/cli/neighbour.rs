//! `neighbour show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{ListNeighboursRequest, Neighbour};

/// Arguments of `neighbour`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the kernel's neighbours as the mirror has them
    #[command(after_help = "Examples:\n  \
        ironlane neighbour show\n  \
        ironlane neighbour show --interface p0")]
    Show {
        /// Only neighbours on this interface
        #[arg(long)]
        interface: Option<String>,
        /// Multicast groups too, which need no resolving
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows neighbours.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        interface,
        all,
        output: options,
    } = args.verb;
    let request = ListNeighboursRequest {
        interface: interface.unwrap_or_default(),
        all,
    };
    options
        .repeat(async || {
            let mut stream = client.list_neighbours(request.clone()).await?.into_inner();
            let mut out = super::stdout();
            if options.json {
                return output::json_stream(&mut out, &mut stream).await;
            }
            let mut table = Table::new(&mut out, &["ADDRESS", "INTERFACE", "MAC", "STATE", "PORT"]);
            while let Some(neighbour) = stream.message().await? {
                table.row(row(&neighbour))?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

fn row(n: &Neighbour) -> [String; 5] {
    let yes = |b: bool| if b { "yes" } else { "no" }.to_owned();
    [
        n.address.clone(),
        n.interface.clone(),
        or_dash(&n.mac),
        n.state.clone(),
        yes(n.on_port),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_without_mac_has_a_dash() {
        let failed = Neighbour {
            address: "192.0.2.9".into(),
            interface: "p0".into(),
            state: "failed".into(),
            on_port: true,
            ..Neighbour::default()
        };
        assert_eq!(row(&failed), ["192.0.2.9", "p0", "-", "failed", "yes"]);
    }
}
