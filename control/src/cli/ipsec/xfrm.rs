//! `ipsec xfrm show`: what the router takes from the kernel's XFRM.

use std::io::Write;

use clap::Subcommand;

use crate::api::proto::{GetIpsecXfrmRequest, IpsecXfrm};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Output};
use crate::cli::table::{Table, pairs};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how many SAs and policies of the kernel are carried out, which are not, and why
    #[command(after_help = "Examples:\n  \
        ironlane ipsec xfrm show\n  \
        ironlane ipsec xfrm show --json\n\n\
        It needs xfrm in [ipsec]. Packets of a policy that is named are dropped; an SA that is named does nothing.")]
    Show {
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn show(verb: Verb, mut client: Client) -> Result<(), Failure> {
    let Verb::Show { output: options } = verb;
    options
        .repeat(async || {
            let request = GetIpsecXfrmRequest {};
            let xfrm = client.get_ipsec_xfrm(request).await?.into_inner();
            let mut out = crate::cli::stdout();
            match options.json {
                true => output::json(&mut out, &xfrm)?,
                false => print(&mut out, xfrm)?,
            }
            Ok(out.flush()?)
        })
        .await
}

fn print(out: &mut impl Write, x: IpsecXfrm) -> std::io::Result<()> {
    pairs(
        out,
        &[
            ("SAs", format!("{}, {} not taken", x.sas, x.refused_sas)),
            (
                "policies",
                format!("{}, {} of them only drop", x.policies, x.refused_policies),
            ),
            (
                "messages",
                format!("{} could not be read", x.malformed_messages),
            ),
            (
                "orders",
                format!("{} refused by the kernel", x.refused_orders),
            ),
            ("lost events", format!("{} times", x.overruns)),
        ],
    )?;
    if x.refused.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&mut *out, &["NOT CARRIED OUT", "WHY"]);
    let named = x.refused.len() as u64;
    for refused in x.refused {
        table.row([refused.subject, refused.why])?;
    }
    table.finish()?;
    let left = (x.refused_sas + x.refused_policies).saturating_sub(named);
    match left {
        0 => Ok(()),
        left => writeln!(out, "and {left} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::IpsecRefused;

    #[test]
    fn what_is_not_carried_out_is_named_below_the_counts() {
        let text = |xfrm| {
            let mut out = Vec::new();
            print(&mut out, xfrm).unwrap();
            String::from_utf8(out).unwrap()
        };
        let none = text(IpsecXfrm {
            sas: 2,
            ..IpsecXfrm::default()
        });
        assert!(
            none.contains("2, 0 not taken") && !none.contains("WHY"),
            "{none}"
        );
        let some = text(IpsecXfrm {
            refused_sas: 3,
            refused: vec![IpsecRefused {
                subject: "ESP SA 0x00000108 to 198.51.100.1".into(),
                why: "no cbc(des3_ede)".into(),
            }],
            ..IpsecXfrm::default()
        });
        assert!(
            some.contains("ESP SA 0x00000108") && some.contains("and 2 more"),
            "{some}"
        );
    }
}
