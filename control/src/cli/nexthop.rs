//! `nexthop show`.

use std::io::Write;

use clap::Subcommand;
use tonic::Streaming;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{ListNexthopsRequest, Nexthop};

/// Arguments of `nexthop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show nexthop slots, the members of groups and how many routes use each
    #[command(after_help = "Examples:\n  ironlane nexthop show\n  ironlane nexthop show --json")]
    Show {
        #[command(flatten)]
        output: Output,
    },
}

/// Shows nexthop slots.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show { output: options } = args.verb;
    options
        .repeat(async || {
            let mut stream = client
                .list_nexthops(ListNexthopsRequest {})
                .await?
                .into_inner();
            let mut out = super::stdout();
            if options.json {
                output::json_stream(&mut out, &mut stream).await
            } else {
                show(out, &mut stream).await
            }
        })
        .await
}

async fn show(out: impl Write, stream: &mut Streaming<Nexthop>) -> Result<(), Failure> {
    let mut table = Table::new(
        out,
        &[
            ">SLOT",
            "KIND",
            ">ROUTES",
            ">WEIGHT",
            "ADJACENCY",
            "PORT",
            "NEIGHBOUR",
            "MAC",
        ],
    );
    while let Some(nexthop) = stream.message().await? {
        for cells in rows(&nexthop) {
            table.row(cells)?;
        }
    }
    Ok(table.finish()?)
}

fn rows(nexthop: &Nexthop) -> Vec<[String; 8]> {
    let members = nexthop.members.iter().enumerate();
    members
        .map(|(i, member)| {
            let first = |text: String| if i == 0 { text } else { String::new() };
            let adjacency = member.adjacency.clone().unwrap_or_default();
            [
                first(nexthop.index.to_string()),
                first(nexthop.kind.clone()),
                first(nexthop.routes.to_string()),
                member.weight.to_string(),
                adjacency.kind,
                or_dash(&adjacency.port),
                or_dash(&adjacency.neighbour),
                or_dash(&adjacency.destination_mac),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::NexthopMember;

    #[test]
    fn a_group_has_a_line_for_each_member() {
        let member = |weight| NexthopMember {
            adjacency: None,
            weight,
        };
        let group = Nexthop {
            index: 9,
            kind: "group".into(),
            routes: 3,
            members: vec![member(1), member(2)],
        };
        let rows = rows(&group);
        assert_eq!((rows[0][0].as_str(), rows[0][3].as_str()), ("9", "1"));
        assert_eq!((rows[1][0].as_str(), rows[1][3].as_str()), ("", "2"));
    }
}
