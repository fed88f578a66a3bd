//! `route show` and `route get`.

mod kernel_style;

use std::io::Write;
use std::net::IpAddr;

use clap::Subcommand;
use ipnet::IpNet;
use tonic::Streaming;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{GetRouteRequest, ListRoutesRequest, Route, RouteLookup, RoutePath};

/// Arguments of `route`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the routes in force
    #[command(after_help = "Examples:\n  \
        ironlane route show\n  \
        ironlane route show 10.0.0.0/8         routes within a prefix\n  \
        ironlane route show -6 --all           with local ones and those not in force\n  \
        ironlane route show --kernel-style     as route -n prints them")]
    Show {
        /// Only routes within this prefix
        prefix: Option<IpNet>,
        /// Routes of this VRF
        #[arg(long, default_value = "default")]
        vrf: String,
        /// Only IPv4
        #[arg(short = '4', conflicts_with = "ip6")]
        ip4: bool,
        /// Only IPv6
        #[arg(short = '6')]
        ip6: bool,
        /// Local and broadcast routes too, and routes that others keep out of force
        #[arg(long)]
        all: bool,
        /// The columns of route -n; IPv4 unless -6 is given
        #[arg(long, conflicts_with = "json")]
        kernel_style: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show which route, nexthop and adjacency a packet takes, and why
    #[command(after_help = "Examples:\n  \
        ironlane route get 203.0.113.9\n  \
        ironlane route get 2001:db8::9 --source 2001:db8:1::7")]
    Get {
        /// Destination of the packet
        address: IpAddr,
        /// Look it up in this VRF
        #[arg(long, default_value = "default")]
        vrf: String,
        /// Source of the packet: chooses among the members of a group
        #[arg(long)]
        source: Option<IpAddr>,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows routes, or looks one up.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    match args.verb {
        Verb::Show {
            prefix,
            vrf,
            ip4,
            ip6,
            all,
            kernel_style,
            output: options,
        } => {
            let family = match (ip4, ip6, kernel_style, prefix) {
                (true, ..) => 4,
                (_, true, ..) => 6,
                (_, _, true, None) => 4,
                (_, _, _, Some(IpNet::V4(_))) => 4,
                (_, _, _, Some(IpNet::V6(_))) => 6,
                _ => 0,
            };
            let prefix = prefix.map(|p| p.to_string()).unwrap_or_default();
            let request = ListRoutesRequest {
                prefix,
                vrf,
                family,
                all,
            };
            options
                .repeat(async || {
                    let mut stream = client.list_routes(request.clone()).await?.into_inner();
                    let mut out = super::stdout();
                    if options.json {
                        output::json_stream(&mut out, &mut stream).await
                    } else if kernel_style {
                        kernel_style::show(out, &mut stream, family).await
                    } else {
                        show(out, &mut stream, all).await
                    }
                })
                .await
        }
        Verb::Get {
            address,
            vrf,
            source,
            output: options,
        } => {
            let source = source.map(|s| s.to_string()).unwrap_or_default();
            let request = GetRouteRequest {
                address: address.to_string(),
                vrf,
                source,
            };
            options
                .repeat(async || {
                    let lookup = client.get_route(request.clone()).await?.into_inner();
                    let mut out = super::stdout();
                    if options.json {
                        output::json(&mut out, &lookup)?;
                    } else {
                        explain(&mut out, &lookup)?;
                    }
                    Ok(out.flush()?)
                })
                .await
        }
    }
}

async fn show(out: impl Write, stream: &mut Streaming<Route>, all: bool) -> Result<(), Failure> {
    let mut table = Table::new(
        out,
        &[
            "PREFIX", "NEXTHOP", "PROTOCOL", ">METRIC", "KIND", ">SLOT", "NOTE",
        ],
    );
    while let Some(route) = stream.message().await? {
        for cells in rows(&route, all) {
            table.row(cells)?;
        }
    }
    Ok(table.finish()?)
}

/// A line for each path; the lines after the first repeat nothing but the path.
fn rows(route: &Route, all: bool) -> Vec<[String; 7]> {
    let note = match (route.active, all) {
        (false, true) => "not in force",
        _ => "",
    };
    let metric = route.metric.to_string();
    let row = |nexthop: String, first: bool| {
        let text = |text: &str| {
            if first {
                text.to_owned()
            } else {
                String::new()
            }
        };
        [
            text(&route.prefix),
            nexthop,
            text(&route.protocol),
            text(&metric),
            text(&route.kind),
            text(&or_dash(&if route.nexthop == 0 {
                String::new()
            } else {
                route.nexthop.to_string()
            })),
            text(note),
        ]
    };
    if route.paths.is_empty() {
        return vec![row("-".into(), true)];
    }
    let several = route.paths.len() > 1;
    let paths = route.paths.iter().enumerate();
    paths.map(|(i, p)| row(path(p, several), i == 0)).collect()
}

/// `192.0.2.1 p0`, with the weight where there are several and a word where it is dead.
fn path(path: &RoutePath, several: bool) -> String {
    let gateway = if path.gateway.is_empty() {
        "on-link"
    } else {
        &path.gateway
    };
    let mut text = format!("{gateway} {}", path.interface);
    if several {
        text.push_str(&format!(" weight {}", path.weight));
    }
    if !path.alive {
        text.push_str(" (down)");
    }
    text
}

fn explain(out: &mut impl Write, lookup: &RouteLookup) -> std::io::Result<()> {
    writeln!(
        out,
        "{} in VRF {}: {}",
        lookup.address, lookup.vrf, lookup.verdict
    )?;
    if let Some(route) = &lookup.route {
        let paths: Vec<_> = route
            .paths
            .iter()
            .map(|p| path(p, route.paths.len() > 1))
            .collect();
        let via = if paths.is_empty() {
            String::new()
        } else {
            format!(" by {}", paths.join(", "))
        };
        writeln!(
            out,
            "  route      {} {} {} metric {}{via}",
            route.prefix, route.kind, route.protocol, route.metric
        )?;
    }
    writeln!(out, "  nexthop    slot {}", lookup.nexthop)?;
    for a in &lookup.adjacencies {
        let mut text = format!("  adjacency  {}", a.kind);
        for (name, value) in [("port", &a.port), ("neighbour", &a.neighbour)] {
            if !value.is_empty() {
                text.push_str(&format!(" {name} {value}"));
            }
        }
        if !a.destination_mac.is_empty() {
            text.push_str(&format!(" MAC {} from {}", a.destination_mac, a.source_mac));
        }
        if a.mtu > 0 {
            text.push_str(&format!(" MTU {}", a.mtu));
        }
        writeln!(out, "{text}")?;
    }
    for (i, why) in lookup.why.iter().enumerate() {
        writeln!(out, "  {}        {why}", if i == 0 { "why" } else { "   " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::Adjacency;

    fn route() -> Route {
        let path = |gateway: &str, interface: &str, alive| RoutePath {
            gateway: gateway.into(),
            interface: interface.into(),
            weight: 1,
            alive,
        };
        Route {
            prefix: "203.0.113.0/24".into(),
            protocol: "ospf".into(),
            kind: "unicast".into(),
            metric: 20,
            nexthop: 5,
            active: true,
            paths: vec![
                path("192.0.2.1", "p0", true),
                path("192.0.2.5", "p1", false),
            ],
            ..Route::default()
        }
    }

    #[test]
    fn each_path_is_a_line() {
        let rows = rows(&route(), false);
        assert_eq!(
            rows[0],
            [
                "203.0.113.0/24",
                "192.0.2.1 p0 weight 1",
                "ospf",
                "20",
                "unicast",
                "5",
                ""
            ]
        );
        assert_eq!(
            rows[1],
            ["", "192.0.2.5 p1 weight 1 (down)", "", "", "", "", ""]
        );
    }

    #[test]
    fn a_lookup_is_explained_step_by_step() {
        let lookup = RouteLookup {
            address: "203.0.113.9".into(),
            vrf: "default".into(),
            route: Some(Route {
                paths: route().paths[..1].to_vec(),
                ..route()
            }),
            nexthop: 5,
            adjacencies: vec![Adjacency {
                kind: "forward".into(),
                port: "p0".into(),
                neighbour: "192.0.2.1".into(),
                mtu: 1500,
                source_mac: "02::1".into(),
                destination_mac: "02::2".into(),
                ..Adjacency::default()
            }],
            verdict: "forward".into(),
            why: vec!["longest match".into(), "neighbour is reachable".into()],
        };
        let mut out = Vec::new();
        explain(&mut out, &lookup).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "203.0.113.9 in VRF default: forward\n  \
             route      203.0.113.0/24 unicast ospf metric 20 by 192.0.2.1 p0\n  \
             nexthop    slot 5\n  \
             adjacency  forward port p0 neighbour 192.0.2.1 MAC 02::2 from 02::1 MTU 1500\n  \
             why        longest match\n             neighbour is reachable\n"
        );
    }
}
