//! `ipsec sa show` and `ipsec policy show`; what asks charon is in [`charon`], what the kernel has in [`xfrm`].

mod charon;
mod xfrm;

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash};
use crate::api::proto::{IpsecPolicy, IpsecSa, ListIpsecPoliciesRequest, ListIpsecSasRequest};

/// Arguments of `ipsec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    object: Object,
}

#[derive(Debug, Subcommand)]
enum Object {
    /// Security associations
    Sa {
        #[command(subcommand)]
        verb: SaVerb,
    },
    /// Policies: which packets are protected, and how
    Policy {
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// The kernel's XFRM: what of it is carried out, and what not
    Xfrm {
        #[command(subcommand)]
        verb: xfrm::Verb,
    },
    /// Peers: IKE SAs and their children, as charon has them
    Connection {
        #[command(subcommand)]
        verb: charon::ConnectionVerb,
    },
    /// Bring an SA up
    Initiate(charon::InitiateArgs),
    /// Take SAs down
    Terminate(charon::TerminateArgs),
    /// Print what happens to SAs, as it happens
    Monitor(charon::MonitorArgs),
}

#[derive(Debug, Subcommand)]
enum SaVerb {
    /// Show SAs with algorithms, lifetimes and counts, never with keys
    #[command(after_help = "Examples:\n  \
        ironlane ipsec sa show\n  \
        ironlane ipsec sa show --reqid 7\n  \
        ironlane ipsec sa show --json\n\n\
        REKEY and DELETE say in how many seconds; what is past has a minus. PATH_MTU is what a router on the way\n\
        to the peer said it takes. CONNECTION, CHILD and PEER are\n\
        charon's: they need vici in [ipsec].")]
    Show {
        /// Only SAs of this request id
        #[arg(long)]
        reqid: Option<u32>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Show policies in the order in which they decide
    #[command(after_help = "Examples:\n  \
        ironlane ipsec policy show\n  \
        ironlane ipsec policy show --direction out")]
    Show {
        /// Only policies of this direction
        #[arg(long, value_parser = ["in", "out", "fwd"])]
        direction: Option<String>,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows SAs or policies, or has charon do something.
pub async fn run(args: Args, client: Client) -> Result<(), Failure> {
    match args.object {
        Object::Sa {
            verb: SaVerb::Show { reqid, output },
        } => show_sas(reqid, output, client).await,
        Object::Policy {
            verb: PolicyVerb::Show { direction, output },
        } => show_policies(direction, output, client).await,
        Object::Xfrm { verb } => xfrm::show(verb, client).await,
        Object::Connection { verb } => charon::show(verb, client).await,
        Object::Initiate(args) => charon::initiate(args, client).await,
        Object::Terminate(args) => charon::terminate(args, client).await,
        Object::Monitor(args) => charon::monitor(args, client).await,
    }
}

async fn show_sas(reqid: Option<u32>, options: Output, mut client: Client) -> Result<(), Failure> {
    let request = ListIpsecSasRequest {
        reqid: reqid.unwrap_or_default(),
    };
    options
        .repeat(async || {
            let mut stream = client.list_ipsec_sas(request).await?.into_inner();
            let mut out = super::stdout();
            if options.json {
                return output::json_stream(&mut out, &mut stream).await;
            }
            let headings = [
                "ID",
                "DIR",
                "SPI",
                "SOURCE",
                "DESTINATION",
                "MODE",
                "ALGORITHM",
                ">REQID",
                ">IF_ID",
                ">PATH_MTU",
                ">PACKETS",
                ">BYTES",
                ">DROPS",
                ">REKEY",
                ">DELETE",
                ">IDLE",
                "CONNECTION",
                "CHILD",
                "PEER",
            ];
            let mut table = Table::new(&mut out, &headings);
            while let Some(sa) = stream.message().await? {
                table.row(sa_row(&sa))?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

async fn show_policies(
    direction: Option<String>,
    options: Output,
    mut client: Client,
) -> Result<(), Failure> {
    let request = ListIpsecPoliciesRequest {
        direction: direction.unwrap_or_default(),
    };
    options
        .repeat(async || {
            let mut stream = client
                .list_ipsec_policies(request.clone())
                .await?
                .into_inner();
            let mut out = super::stdout();
            if options.json {
                return output::json_stream(&mut out, &mut stream).await;
            }
            let headings = [
                "DIR",
                "SOURCE",
                "DESTINATION",
                "ACTION",
                "MODE",
                ">REQID",
                ">IF_ID",
                "SA",
                ">PRIORITY",
                ">USES",
                ">IDLE",
            ];
            let mut table = Table::new(&mut out, &headings);
            while let Some(policy) = stream.message().await? {
                table.row(policy_row(&policy))?;
            }
            table.finish()?;
            Ok(out.flush()?)
        })
        .await
}

fn seconds<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |s| format!("{} s", s.to_string()))
}

fn interface(if_id: u32) -> String {
    match if_id {
        0 => "-".into(),
        if_id => if_id.to_string(),
    }
}

fn sa_row(sa: &IpsecSa) -> [String; 19] {
    let end = |addr: &str, port: u32| match port {
        0 => addr.to_owned(),
        port if addr.contains(':') => format!("[{addr}]:{port}"),
        port => format!("{addr}:{port}"),
    };
    let key = if sa.key_bits > 0 {
        format!(" {}", sa.key_bits)
    } else {
        String::new()
    };
    let esn = if sa.extended_sequence_numbers {
        " esn"
    } else {
        ""
    };
    let origin = sa.origin.clone().unwrap_or_default();
    [
        sa.id.clone(),
        sa.direction.clone(),
        sa.spi.clone(),
        end(&sa.source, sa.udp_source_port),
        end(&sa.destination, sa.udp_destination_port),
        format!("{} {}", sa.protocol, sa.mode),
        format!("{}{key}{esn}", sa.algorithm),
        sa.reqid.to_string(),
        interface(sa.if_id),
        sa.path_mtu
            .map_or_else(|| "-".into(), |mtu| mtu.to_string()),
        sa.packets.to_string(),
        sa.bytes.to_string(),
        sa.drops
            .iter()
            .map(|drop| drop.packets)
            .sum::<u64>()
            .to_string(),
        seconds(sa.rekey_in_s),
        seconds(sa.delete_in_s),
        seconds(sa.idle_s),
        or_dash(&origin.connection),
        or_dash(&origin.child),
        or_dash(&origin.remote_id),
    ]
}

fn policy_row(p: &IpsecPolicy) -> [String; 11] {
    [
        p.direction.clone(),
        p.source.clone(),
        p.destination.clone(),
        p.action.clone(),
        or_dash(format!("{} {}", p.protocol, p.mode).trim()),
        p.reqid.to_string(),
        interface(p.if_id),
        or_dash(&p.sa),
        p.priority.to_string(),
        p.uses.to_string(),
        seconds(p.idle_s),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sa_is_a_line_with_ports_only_where_it_has_some() {
        let mut sa = IpsecSa {
            id: "3.0".into(),
            direction: "in".into(),
            protocol: "esp".into(),
            spi: "0xc1234567".into(),
            source: "198.51.100.1".into(),
            destination: "2001:db8::1".into(),
            mode: "tunnel".into(),
            algorithm: "aes-gcm-16".into(),
            key_bits: 128,
            rekey_in_s: Some(-3),
            ..IpsecSa::default()
        };
        let row = sa_row(&sa);
        assert_eq!(
            (row[3].as_str(), row[6].as_str()),
            ("198.51.100.1", "aes-gcm-16 128")
        );
        assert_eq!((row[13].as_str(), row[14].as_str()), ("-3 s", "-"));
        (sa.udp_source_port, sa.udp_destination_port) = (1027, 4500);
        let row = sa_row(&sa);
        assert_eq!(
            (row[3].as_str(), row[4].as_str()),
            ("198.51.100.1:1027", "[2001:db8::1]:4500")
        );
    }

    #[test]
    fn a_policy_without_sa_has_dashes() {
        let row = policy_row(&IpsecPolicy {
            action: "bypass".into(),
            ..IpsecPolicy::default()
        });
        assert_eq!(
            (row[3].as_str(), row[4].as_str(), row[7].as_str()),
            ("bypass", "-", "-")
        );
    }
}
