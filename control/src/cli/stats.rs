//! `stats show` and `stats clear`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{pairs, span};
use crate::api::proto::{ClearStatsRequest, GetStatsRequest, Stats};

/// Arguments of `stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the totals and whether every packet is accounted for
    #[command(after_help = "Examples:\n  ironlane stats show\n  ironlane stats show --watch=1")]
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Count from now on, in all commands
    #[command(after_help = "Examples:\n  ironlane stats clear")]
    Clear {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Shows or clears the totals.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    match args.verb {
        Verb::Clear { json } => {
            let cleared = client.clear_stats(ClearStatsRequest {}).await?.into_inner();
            let mut out = super::stdout();
            if json {
                output::json(&mut out, &cleared)?;
            }
            Ok(out.flush()?)
        }
        Verb::Show { output: options } => {
            options
                .repeat(async || {
                    let stats = client.get_stats(GetStatsRequest {}).await?.into_inner();
                    let mut out = super::stdout();
                    if options.json {
                        output::json(&mut out, &stats)?;
                    } else {
                        show(&mut out, &stats)?;
                    }
                    Ok(out.flush()?)
                })
                .await
        }
    }
}

fn show(out: &mut impl Write, s: &Stats) -> std::io::Result<()> {
    let identity = if s.identity_holds {
        "holds"
    } else {
        "DOES NOT HOLD; see: ironlane lcore show"
    };
    pairs(
        out,
        &[
            (
                "received",
                format!("{} packets, {} bytes", s.rx_packets, s.rx_bytes),
            ),
            ("injected", format!("{} packets", s.injected_packets)),
            ("made", format!("{} packets", s.made_packets)),
            (
                "sent",
                format!("{} packets, {} bytes", s.tx_packets, s.tx_bytes),
            ),
            ("dropped", format!("{} packets", s.dropped_packets)),
            ("punted", format!("{} packets", s.punted_packets)),
            ("joined", format!("{} fragments", s.joined_packets)),
            ("held", held(s)),
            (
                "identity",
                format!("rx + injected + made = tx + dropped + punted + joined + held {identity}"),
            ),
            (
                "taps",
                format!(
                    "{} packets written, {} read, {} lost",
                    s.tap_delivered_packets, s.tap_read_packets, s.tap_dropped_packets
                ),
            ),
            ("since", format!("{} ago", span(s.since_s))),
        ],
    )
}

/// What waits in rings and for other fragments; rings to and from Linux only if there is something, since the identity
/// does not need them.
fn held(s: &Stats) -> String {
    let mut text = format!("{} packets", s.held_packets);
    if s.punt_ring_packets + s.inject_ring_packets > 0 {
        let (to, from) = (s.punt_ring_packets, s.inject_ring_packets);
        text += &format!("; beside them {to} wait to reach Linux, {from} come from it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_say_whether_a_packet_is_missing() {
        let text = |stats: &Stats| {
            let mut out = Vec::new();
            show(&mut out, stats).unwrap();
            String::from_utf8(out).unwrap()
        };
        let good = Stats {
            identity_holds: true,
            rx_packets: 5,
            ..Stats::default()
        };
        assert!(text(&good).contains("received  5 packets, 0 bytes\n"));
        assert!(text(&good).contains("joined + held holds\n"));
        assert!(text(&Stats::default()).contains("DOES NOT HOLD"));
        assert!(text(&good).contains("held      0 packets\n"));
        let split = Stats {
            made_packets: 7,
            joined_packets: 8,
            ..good
        };
        assert!(text(&split).contains("made      7 packets\n"));
        assert!(text(&split).contains("joined    8 fragments\n"));
        let waiting = Stats {
            punt_ring_packets: 3,
            ..good
        };
        assert!(text(&waiting).contains("0 packets; beside them 3 wait to reach Linux, 0 come"));
    }
}
