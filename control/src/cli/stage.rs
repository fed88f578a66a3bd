//! `stage show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, meaning};
use crate::api::proto::ListStagesRequest;

/// Arguments of `stage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show stages in packet order: packets, bursts, cycles
    #[command(after_help = "Examples:\n  ironlane stage show\n  ironlane stage show --watch=1")]
    Show {
        #[command(flatten)]
        output: Output,
    },
}

/// Shows stages.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show { output: options } = args.verb;
    options
        .repeat(async || {
            let stages = client
                .list_stages(ListStagesRequest {})
                .await?
                .into_inner()
                .stages;
            let mut out = super::stdout();
            if options.json {
                return output::json_list(&mut out, &stages);
            }
            let headings = [
                "STAGE",
                ">PACKETS",
                ">BURSTS",
                ">PACKETS/BURST",
                ">CYCLES",
                ">CYCLES/PACKET",
                "MEANING",
            ];
            let mut table = Table::new(&mut out, &headings);
            for s in &stages {
                table.row([
                    s.name.clone(),
                    s.packets.to_string(),
                    s.bursts.to_string(),
                    format!("{:.1}", s.packets_per_burst),
                    s.cycles.to_string(),
                    format!("{:.0}", s.cycles_per_packet),
                    meaning(&s.meaning),
                ])?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}
