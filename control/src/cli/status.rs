//! `status`.

use std::io::Write;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{pairs, span};
use crate::api::proto::{GetStatusRequest, Status};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ironlane status\n  ironlane status --json")]
pub struct Args {
    #[command(flatten)]
    output: Output,
}

/// Shows how the daemon is.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let json = args.output.json;
    args.output
        .repeat(async || {
            let status = client.get_status(GetStatusRequest {}).await?.into_inner();
            let mut out = super::stdout();
            if json {
                output::json(&mut out, &status)?
            } else {
                show(&mut out, &status)?
            }
            Ok(out.flush()?)
        })
        .await
}

fn show(out: &mut impl Write, s: &Status) -> std::io::Result<()> {
    let netns = if s.netns.is_empty() {
        "the daemon's own"
    } else {
        &s.netns
    };
    let memory = if s.hugepages {
        "hugepages"
    } else {
        "no hugepages (for trying things out)"
    };
    let mirror = s.mirror.clone().unwrap_or_default();
    let mirror = format!("{}, {} resynchronisations", mirror.doing, mirror.resyncs);
    pairs(
        out,
        &[
            ("version", format!("{} with {}", s.version, s.dpdk_version)),
            (
                "running",
                format!("for {} as process {}", span(s.uptime_s), s.pid),
            ),
            ("configuration", s.config_file.clone()),
            ("namespace", netns.into()),
            ("memory", memory.into()),
            ("ports", s.ports.to_string()),
            ("lcores", s.lcores.to_string()),
            (
                "routes",
                format!("{} IPv4, {} IPv6", s.ip4_routes, s.ip6_routes),
            ),
            ("neighbours", s.neighbours.to_string()),
            ("mirror", mirror),
        ],
    )?;
    for warning in &s.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for note in &s.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_lines_with_warnings_last() {
        let status = Status {
            version: "0.1.0".into(),
            dpdk_version: "DPDK 22.11.7".into(),
            pid: 7,
            uptime_s: 65,
            warnings: vec!["net.ipv4.ip_forward is 0".into()],
            ..Status::default()
        };
        let mut out = Vec::new();
        show(&mut out, &status).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("version        0.1.0 with DPDK 22.11.7\n"),
            "{text}"
        );
        assert!(
            text.contains("running        for 1 min 5 s as process 7\n"),
            "{text}"
        );
        assert!(
            text.ends_with("warning: net.ipv4.ip_forward is 0\n"),
            "{text}"
        );
    }
}
