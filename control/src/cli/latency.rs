//! `latency show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::pairs;
use crate::api::proto::{GetLatencyRequest, Latency};

/// Arguments of `latency`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the time from the kernel's message to visible in the tables of the lcores
    #[command(after_help = "Examples:\n  ironlane latency show\n  ironlane latency show --clear")]
    Show {
        /// Start anew after showing
        #[arg(long)]
        clear: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows the histogram's figures.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        clear,
        output: options,
    } = args.verb;
    options
        .repeat(async || {
            let latency = client
                .get_latency(GetLatencyRequest { clear })
                .await?
                .into_inner();
            let mut out = super::stdout();
            if options.json {
                output::json(&mut out, &latency)?
            } else {
                show(&mut out, &latency)?
            }
            Ok(out.flush()?)
        })
        .await
}

fn show(out: &mut impl Write, l: &Latency) -> std::io::Result<()> {
    let us = |us: f64| format!("{us:.1} us");
    pairs(
        out,
        &[
            ("changes", l.samples.to_string()),
            ("p50", us(l.p50_us)),
            ("p99", us(l.p99_us)),
            ("p99.9", us(l.p999_us)),
            ("most", us(l.max_us)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_unit() {
        let mut out = Vec::new();
        show(
            &mut out,
            &Latency {
                samples: 9,
                p99_us: 312.44,
                ..Latency::default()
            },
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("changes  9\n") && text.contains("p99      312.4 us\n"),
            "{text}"
        );
    }
}
