//! `ipsec connection show`, `initiate`, `terminate` and `monitor`: what charon does, by its VICI.

use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use tonic::Streaming;

use crate::api::proto::{
    InitiateIpsecRequest, IpsecChild, IpsecConnection, IpsecEvent, IpsecProgress,
    ListIpsecConnectionsRequest, TerminateIpsecRequest, WatchIpsecRequest,
};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Output};
use crate::cli::table::{Table, or_dash, span};

#[derive(Debug, Subcommand)]
pub enum ConnectionVerb {
    /// Show IKE SAs with their CHILD SAs, and what is configured and not up
    #[command(after_help = "Examples:\n  \
        ironlane ipsec connection show\n  \
        ironlane ipsec connection show --watch\n  \
        ironlane ipsec connection show --json\n\n\
        A line for each CHILD SA. What has a dash for its state is configured, and not up.")]
    Show {
        #[command(flatten)]
        output: Output,
    },
}

/// What bringing up and taking down have in common.
#[derive(Debug, clap::Args)]
struct Control {
    /// Seconds to wait for the peer
    #[arg(long, default_value = "30", value_parser = seconds)]
    timeout: Duration,
    /// Print what charon logs meanwhile; it is printed in any case if it fails
    #[arg(long)]
    log: bool,
    /// Print JSON with the field names of the API
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("from 1 to 3600 seconds".into()),
    }
}

/// Arguments of `ipsec initiate`.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["child", "ike"])]
#[command(after_help = "Examples:\n  \
    ironlane ipsec initiate --child nets\n  \
    ironlane ipsec initiate --child nets --ike site-b --log\n  \
    ironlane ipsec initiate --ike site-b --timeout 5")]
pub struct InitiateArgs {
    /// Name of the child in swanctl.conf
    #[arg(long, value_name = "NAME")]
    child: Option<String>,
    /// Name of its connection; alone, only the IKE SA is brought up
    #[arg(long, value_name = "NAME")]
    ike: Option<String>,
    #[command(flatten)]
    control: Control,
}

/// Arguments of `ipsec terminate`.
#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = true, args = ["child", "child_id", "ike", "ike_id"])]
#[command(after_help = "Examples:\n  \
    ironlane ipsec terminate --ike site-b\n  \
    ironlane ipsec terminate --child nets\n  \
    ironlane ipsec terminate --child-id 3\n  \
    ironlane ipsec terminate --ike-id 1 --force --timeout 2")]
pub struct TerminateArgs {
    /// CHILD SAs of this name
    #[arg(long, value_name = "NAME")]
    child: Option<String>,
    /// The CHILD SA of this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "child", value_parser = clap::value_parser!(u32).range(1..))]
    child_id: Option<u32>,
    /// IKE SAs of this name, with all children; with a child, only those of this IKE SA
    #[arg(long, value_name = "NAME")]
    ike: Option<String>,
    /// The IKE SA of this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "ike", value_parser = clap::value_parser!(u32).range(1..))]
    ike_id: Option<u32>,
    /// Take them down even if the peer does not agree in time
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    control: Control,
}

/// Arguments of `ipsec monitor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ironlane ipsec monitor\n  \
    ironlane ipsec monitor --json\n\n\
    Times are of UTC. It goes on when charon restarts; ^C ends it.")]
pub struct MonitorArgs {
    /// Print JSON with the field names of the API, an event a line
    #[arg(long)]
    json: bool,
}

/// Shows connections.
pub async fn show(verb: ConnectionVerb, mut client: Client) -> Result<(), Failure> {
    let ConnectionVerb::Show { output: options } = verb;
    options
        .repeat(async || {
            let request = ListIpsecConnectionsRequest {};
            let mut stream = client.list_ipsec_connections(request).await?.into_inner();
            let mut out = crate::cli::stdout();
            if options.json {
                return output::json_stream(&mut out, &mut stream).await;
            }
            let headings = [
                "CONNECTION",
                ">IKE",
                "STATE",
                "LOCAL",
                "REMOTE",
                "PEER",
                ">AGE",
                ">REKEY",
                ">REAUTH",
                "CHILD",
                ">ID",
                "STATE",
                "SELECTORS",
            ];
            let mut table = Table::new(&mut out, &headings);
            while let Some(connection) = stream.message().await? {
                if connection.children.is_empty() {
                    table.row(row(&connection, &IpsecChild::default()))?;
                }
                for child in &connection.children {
                    table.row(row(&connection, child))?;
                }
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

fn row(ike: &IpsecConnection, child: &IpsecChild) -> [String; 13] {
    let end = |address: &str, port: u32| match port {
        0 => or_dash(address),
        port if address.contains(':') => format!("[{address}]:{port}"),
        port => format!("{address}:{port}"),
    };
    let number = |n: u32| if n == 0 { "-".into() } else { n.to_string() };
    let signed = |s: Option<i64>| match s {
        None => "-".into(),
        Some(s) if s < 0 => format!("-{}", span(s.unsigned_abs())),
        Some(s) => span(s.unsigned_abs()),
    };
    let selectors = match (&child.local_selectors[..], &child.remote_selectors[..]) {
        ([], []) => "-".into(),
        (local, remote) => format!("{} === {}", local.join(" "), remote.join(" ")),
    };
    [
        ike.connection.clone(),
        number(ike.ike_id),
        or_dash(&ike.state),
        end(&ike.local_address, ike.local_port),
        end(&ike.remote_address, ike.remote_port),
        or_dash(&ike.remote_id),
        ike.age_s.map_or_else(|| "-".into(), span),
        signed(ike.rekey_in_s),
        signed(ike.reauth_in_s),
        or_dash(&child.name),
        number(child.id),
        or_dash(&child.state),
        selectors,
    ]
}

/// Brings an SA up.
pub async fn initiate(args: InitiateArgs, mut client: Client) -> Result<(), Failure> {
    let name = args.child.clone().or(args.ike.clone()).unwrap_or_default();
    let request = InitiateIpsecRequest {
        child: args.child.unwrap_or_default(),
        ike: args.ike.unwrap_or_default(),
        timeout_ms: args.control.timeout.as_millis() as u32,
    };
    let stream = client.initiate_ipsec(request).await?.into_inner();
    follow(stream, &args.control, |_| format!("{name} is up")).await
}

/// Takes SAs down.
pub async fn terminate(args: TerminateArgs, mut client: Client) -> Result<(), Failure> {
    let kind = match (&args.child, args.child_id) {
        (None, None) => "IKE",
        _ => "CHILD",
    };
    let request = TerminateIpsecRequest {
        child: args.child.unwrap_or_default(),
        child_id: args.child_id.unwrap_or_default(),
        ike: args.ike.unwrap_or_default(),
        ike_id: args.ike_id.unwrap_or_default(),
        force: args.force,
        timeout_ms: args.control.timeout.as_millis() as u32,
    };
    let stream = client.terminate_ipsec(request).await?.into_inner();
    follow(stream, &args.control, |done| match done {
        1 => format!("1 {kind} SA is down"),
        done => format!("{done} {kind} SAs are down"),
    })
    .await
}

/// Prints what charon says, and how it ended.
async fn follow(
    mut stream: Streaming<IpsecProgress>,
    control: &Control,
    ended: impl FnOnce(u32) -> String,
) -> Result<(), Failure> {
    let mut said = Vec::new();
    let outcome = loop {
        match stream.message().await {
            Ok(Some(message)) if message.done.is_none() && control.log && !control.json => {
                println!("{}", log_line(&message));
            }
            Ok(Some(message)) => said.push(message),
            Ok(None) => break Ok(()),
            Err(status) => break Err(Failure::from(status)),
        }
    };
    let mut out = crate::cli::stdout();
    let done = said.iter().find_map(|message| message.done);
    if control.json {
        output::json_list(&mut out, &said)?;
    } else if let Some(done) = done {
        writeln!(out, "{}", ended(done))?;
    } else {
        for line in &said {
            eprintln!("{}", log_line(line));
        }
    }
    out.flush()?;
    match (outcome, done) {
        (Ok(()), None) => Err(Failure::Other("the daemon ended before charon had".into())),
        (outcome, _) => outcome,
    }
}

fn log_line(message: &IpsecProgress) -> String {
    format!("[{}] {}", message.group, message.line)
}

/// Prints events as they come.
pub async fn monitor(args: MonitorArgs, mut client: Client) -> Result<(), Failure> {
    let mut stream = client.watch_ipsec(WatchIpsecRequest {}).await?.into_inner();
    let mut out = crate::cli::stdout();
    while let Some(event) = stream.message().await? {
        if args.json {
            serde_json::to_writer(&mut out, &event).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", event_line(&event))?;
        }
        out.flush()?;
    }
    Ok(())
}

fn event_line(event: &IpsecEvent) -> String {
    let s = event.time_ms / 1000;
    let time = format!(
        "{:02}:{:02}:{:02}.{:03}",
        s / 3600 % 24,
        s / 60 % 60,
        s % 60,
        event.time_ms % 1000
    );
    let mut line = format!("{time}  {:<12}", event.kind);
    let mut add = |word: String| {
        line.push(' ');
        line.push_str(&word);
    };
    if !event.connection.is_empty() {
        add(format!("{} #{}", event.connection, event.ike_id));
    }
    if !event.child.is_empty() {
        add(format!("{} {{{}}}", event.child, event.child_id));
        add(format!(
            "spi in {} out {}",
            or_dash(&event.spi_in),
            or_dash(&event.spi_out)
        ));
    }
    if !event.remote_address.is_empty() {
        add(format!("peer {} {}", event.remote_address, event.remote_id));
    }
    if !event.text.is_empty() {
        add(event.text.clone());
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_up_has_dashes() {
        let configured = IpsecConnection {
            connection: "clients".into(),
            remote_address: "%any".into(),
            ..IpsecConnection::default()
        };
        let row = row(&configured, &IpsecChild::default());
        assert_eq!(
            row.each_ref().map(String::as_str),
            [
                "clients", "-", "-", "-", "%any", "-", "-", "-", "-", "-", "-", "-", "-"
            ]
        );
    }

    #[test]
    fn an_sa_that_is_up_is_told_with_its_times() {
        let ike = IpsecConnection {
            remote_address: "2001:db8::2".into(),
            remote_port: 4500,
            age_s: Some(75),
            rekey_in_s: Some(-3),
            ..IpsecConnection::default()
        };
        let child = IpsecChild {
            local_selectors: vec!["10.1.0.0/16".into(), "2001:db8:1::/48".into()],
            remote_selectors: vec!["10.2.0.0/16".into()],
            ..IpsecChild::default()
        };
        let row = row(&ike, &child);
        assert_eq!(row[4], "[2001:db8::2]:4500");
        assert_eq!((row[6].as_str(), row[7].as_str()), ("1 min 15 s", "-3 s"));
        assert_eq!(row[12], "10.1.0.0/16 2001:db8:1::/48 === 10.2.0.0/16");
    }

    #[test]
    fn an_event_is_a_line() {
        let event = IpsecEvent {
            time_ms: 45_296_789,
            kind: "charon-down".into(),
            text: "charon ended".into(),
            ..IpsecEvent::default()
        };
        assert_eq!(
            event_line(&event),
            "12:34:56.789  charon-down  charon ended"
        );
    }
}
