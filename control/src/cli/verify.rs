//! `verify`.

use std::io::Write;

use super::client::Client;
use super::failure::Failure;
use super::output;
use super::table::or_dash;
use crate::api::proto::{VerifyDifference, VerifyEvent, VerifyRequest, VerifySummary};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ironlane verify\n  \
    ironlane verify --repair\n\n\
    It walks the structures that lcores read, down to the bytes that they write, compares them\n\
    with a fresh dump of the kernel's tables, and checks that no packet is missing from the\n\
    counters. Exit code 1 if anything differs and was not repaired.")]
pub struct Args {
    /// Mend what differs
    #[arg(long)]
    repair: bool,
    /// Print JSON with the field names of the API
    #[arg(long)]
    json: bool,
}

/// Prints each difference and the summary.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let request = VerifyRequest {
        repair: args.repair,
    };
    let mut stream = client.verify(request).await?.into_inner();
    let mut out = super::stdout();
    let mut last = None;
    if args.json {
        let mut events = Vec::new();
        while let Some(event) = stream.message().await? {
            last = event.summary.clone().or(last);
            events.push(event);
        }
        output::json_list(&mut out, &events)?;
    } else {
        while let Some(VerifyEvent {
            difference,
            summary,
        }) = stream.message().await?
        {
            if let Some(difference) = difference {
                show_difference(&mut out, &difference)?;
            }
            if let Some(summary) = summary {
                show_summary(&mut out, &summary)?;
                last = Some(summary);
            }
        }
    }
    out.flush()?;
    match last {
        Some(s) if s.differences == s.repaired && s.counters_identity_holds => Ok(()),
        Some(_) => Err(Failure::Printed),
        None => Err(Failure::Other(
            "the daemon went away before it was done".into(),
        )),
    }
}

fn show_difference(out: &mut impl Write, d: &VerifyDifference) -> std::io::Result<()> {
    let repaired = if d.repaired { ", repaired" } else { "" };
    writeln!(
        out,
        "{} {}: expected {}, found {} (fault of the {}{repaired})",
        d.object,
        d.subject,
        or_dash(&d.expected),
        or_dash(&d.found),
        d.cause,
    )
}

fn show_summary(out: &mut impl Write, s: &VerifySummary) -> std::io::Result<()> {
    if s.untold > 0 {
        writeln!(out, "... and {} more prefixes", s.untold)?;
    }
    for note in &s.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(
        out,
        "compared {} routes, {} prefixes, {} nexthops, {} adjacencies, {} neighbours in {} ms",
        s.routes_checked,
        s.prefixes_checked,
        s.nexthops_checked,
        s.adjacencies_checked,
        s.neighbours_checked,
        s.duration_ms
    )?;
    let counters = if s.counters_identity_holds {
        "every packet is accounted for"
    } else {
        "packets are missing from the counters"
    };
    let found = match s.differences {
        0 => "no differences".to_owned(),
        1 => "1 difference".to_owned(),
        n => format!("{n} differences"),
    };
    let repaired = match s.repaired {
        0 => String::new(),
        n => format!(", {n} repaired"),
    };
    writeln!(out, "{found}{repaired}; {counters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_summary_read_as_sentences() {
        let mut out = Vec::new();
        let difference = VerifyDifference {
            object: "leaf".into(),
            subject: "203.0.113.0/24".into(),
            expected: "nexthop 7".into(),
            found: "nexthop 0".into(),
            cause: "tables".into(),
            repaired: true,
        };
        show_difference(&mut out, &difference).unwrap();
        let summary = VerifySummary {
            routes_checked: 3,
            differences: 1,
            repaired: 1,
            counters_identity_holds: true,
            ..VerifySummary::default()
        };
        show_summary(&mut out, &summary).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "leaf 203.0.113.0/24: expected nexthop 7, found nexthop 0 (fault of the tables, repaired)\n\
             compared 3 routes, 0 prefixes, 0 nexthops, 0 adjacencies, 0 neighbours in 0 ms\n\
             1 difference, 1 repaired; every packet is accounted for\n"
        );
    }
}
