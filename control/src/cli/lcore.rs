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
        In every line rx + injected + in + made = tx + dropped + punted + out + joined + held."
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
        ">MADE",
        ">TX",
        ">DROPPED",
        ">PUNTED",
        ">OUT",
        ">JOINED",
        ">HELD",
        ">BUSY",
        ">ASLEEP",
        ">WAKES",
        "IDLE",
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
            l.made_packets.to_string(),
            l.tx_packets.to_string(),
            l.dropped_packets.to_string(),
            l.punted_packets.to_string(),
            l.handoff_out_packets.to_string(),
            l.joined_packets.to_string(),
            l.held_packets.to_string(),
            format!("{:.1} %", l.busy_percent),
            format!("{:.1} %", l.sleep_percent),
            (l.wakes + l.device_wakes).to_string(),
            when_idle(l),
        ])?;
    }
    table.finish()
}

/// What the lcore does when no packets come, and what its sleep ends by.
fn when_idle(lcore: &Lcore) -> String {
    match lcore.longest_sleep_us {
        None => "poll".into(),
        Some(_) if lcore.waking_queues.len() == lcore.rx_queues.len() => "sleep until woken".into(),
        Some(us) => format!("sleep, at most {us} us"),
    }
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
        assert!(text.trim_end().ends_with("poll"), "{text}");
    }

    #[test]
    fn what_ends_the_sleep_of_an_lcore_is_shown() {
        let mut lcore = Lcore {
            rx_queues: vec!["p0:0".into(), "p1:0".into()],
            waking_queues: vec!["p0:0".into()],
            longest_sleep_us: Some(500),
            ..Lcore::default()
        };
        assert_eq!(when_idle(&lcore), "sleep, at most 500 us");
        lcore.waking_queues.push("p1:0".into());
        assert_eq!(when_idle(&lcore), "sleep until woken");
    }
}
