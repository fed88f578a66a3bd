//! `lcore show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{Lcore, ListLcoresRequest};

/// Arguments of `lcore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show forwarding threads: queues, packets, how busy
    #[command(
        after_help = "Examples:\n  ironlane lcore show\n  ironlane lcore show --watch=1\n\n\
        In every line rx + injected + handed in = tx + dropped + punted + handed out."
    )]
    Show {
        #[command(flatten)]
        output: Output,
    },
}

/// Shows lcores.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show { output: options } = args.verb;
    options
        .repeat(async || {
            let lcores = client
                .list_lcores(ListLcoresRequest {})
                .await?
                .into_inner()
                .lcores;
            let mut out = super::stdout();
            if options.json {
                output::json_list(&mut out, &lcores)?
            } else {
                show(&mut out, &lcores)?
            }
            Ok(out.flush()?)
        })
        .await
}

fn show(out: &mut impl Write, lcores: &[Lcore]) -> std::io::Result<()> {
    let headings = [
        ">CPU",
        "STATE",
        "QUEUES",
        ">RX",
        ">INJECTED",
        ">IN",
        ">TX",
        ">DROPPED",
        ">PUNTED",
        ">OUT",
        ">BUSY",
        ">ASLEEP",
    ];
    let mut table = Table::new(out, &headings);
    for l in lcores {
        table.row([
            l.cpu.to_string(),
            l.state.clone(),
            or_dash(&l.rx_queues.join(" ")),
            l.rx_packets.to_string(),
            l.injected_packets.to_string(),
            l.handoff_in_packets.to_string(),
            l.tx_packets.to_string(),
            l.dropped_packets.to_string(),
            l.punted_packets.to_string(),
            l.handoff_out_packets.to_string(),
            format!("{:.1} %", l.busy_percent),
            format!("{:.1} %", l.sleep_percent),
        ])?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lcore_is_a_line() {
        let lcore = Lcore {
            cpu: 1,
            state: "running".into(),
            rx_queues: vec!["p0:0".into(), "p1:0".into()],
            busy_percent: 12.34,
            ..Lcore::default()
        };
        let mut out = Vec::new();
        show(&mut out, &[lcore]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("  1  running  p0:0 p1:0") && text.contains("12.3 %"),
            "{text}"
        );
    }
}
