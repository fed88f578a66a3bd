//! `drop show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, ago, meaning};
use crate::api::proto::{Drop, ListDropsRequest};

/// Arguments of `drop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show packets lost: where, why, how many, and when last
    #[command(after_help = "Examples:\n  \
        ironlane drop show\n  \
        ironlane drop show --all       reasons without packets too\n  \
        ironlane drop show --watch=1")]
    Show {
        /// Reasons without packets too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows drops.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        all,
        output: options,
    } = args.verb;
    options
        .repeat(async || {
            let drops = client
                .list_drops(ListDropsRequest { all })
                .await?
                .into_inner()
                .drops;
            let mut out = super::stdout();
            if options.json {
                output::json_list(&mut out, &drops)?
            } else {
                show(&mut out, &drops)?
            }
            Ok(out.flush()?)
        })
        .await
}

fn show(out: &mut impl Write, drops: &[Drop]) -> std::io::Result<()> {
    let headings = [
        "PORT",
        "REASON",
        "STAGE",
        ">PACKETS",
        "LAST SEEN",
        "MEANING",
    ];
    let mut table = Table::new(out, &headings);
    for d in drops {
        table.row([
            d.port.clone(),
            d.reason.clone(),
            d.stage.clone(),
            d.packets.to_string(),
            ago(d.last_seen_ms),
            meaning(&d.meaning),
        ])?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_a_line_with_its_meaning() {
        let drop = Drop {
            port: "p0".into(),
            reason: "ip4_bad_checksum".into(),
            stage: "ip4_check".into(),
            packets: 12,
            last_seen_ms: Some(3_000),
            meaning: "IPv4 header checksum wrong.".into(),
        };
        let mut out = Vec::new();
        show(&mut out, &[drop]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PORT  REASON            STAGE      PACKETS  LAST SEEN  MEANING\n\
             p0    ip4_bad_checksum  ip4_check       12  3 s ago    IPv4 header checksum wrong\n"
        );
    }
}
