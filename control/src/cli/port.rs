//! `port show`.

use std::io::Write;

use clap::Subcommand;

use super::client::Client;
use super::failure::Failure;
use super::output::{self, Output};
use super::table::{Table, or_dash, pairs};
use crate::api::proto::{ListPortsRequest, Port};

/// Arguments of `port`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show ports with their state and counters; one port in detail
    #[command(after_help = "Examples:\n  \
        ironlane port show\n  \
        ironlane port show p0\n  \
        ironlane port show --watch=1")]
    Show {
        /// Port to show in detail
        name: Option<String>,
        #[command(flatten)]
        output: Output,
    },
}

/// Shows ports.
pub async fn run(args: Args, mut client: Client) -> Result<(), Failure> {
    let Verb::Show {
        name,
        output: options,
    } = args.verb;
    options
        .repeat(async || {
            let request = ListPortsRequest {
                name: name.clone().unwrap_or_default(),
            };
            let ports = client.list_ports(request).await?.into_inner().ports;
            let mut out = super::stdout();
            match (&name, ports.as_slice()) {
                _ if options.json => output::json_list(&mut out, &ports)?,
                (Some(_), [port]) => detail(&mut out, port)?,
                _ => table(&mut out, &ports)?,
            }
            Ok(out.flush()?)
        })
        .await
}

/// `up`, or which side is down: Linux set the tap down, or the device has no carrier.
fn state(port: &Port) -> &'static str {
    match (port.admin_up, port.link_up) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "set down",
    }
}

fn speed(port: &Port) -> String {
    match port.speed_mbps {
        0 | u32::MAX => "-".into(),
        mbps if mbps % 1000 == 0 => format!("{}G", mbps / 1000),
        mbps => format!("{mbps}M"),
    }
}

fn table(out: &mut impl Write, ports: &[Port]) -> std::io::Result<()> {
    let mut table = Table::new(
        out,
        &[
            "PORT",
            "TAP",
            "STATE",
            "SPEED",
            ">MTU",
            "MAC",
            "DEVICE",
            ">RX",
            ">TX",
            ">INJECTED",
            ">PUNTED",
            ">DROPPED",
        ],
    );
    for port in ports {
        let counters = port.counters.unwrap_or_default();
        table.row([
            port.name.clone(),
            or_dash(&port.tap),
            state(port).into(),
            speed(port),
            port.mtu.to_string(),
            or_dash(&port.mac),
            port.device.clone(),
            counters.rx_packets.to_string(),
            counters.tx_packets.to_string(),
            counters.injected_packets.to_string(),
            counters.punted_packets.to_string(),
            counters.dropped_packets.to_string(),
        ])?;
    }
    table.finish()
}

fn detail(out: &mut impl Write, port: &Port) -> std::io::Result<()> {
    let c = port.counters.unwrap_or_default();
    let packets = |packets: u64, bytes: u64| format!("{packets} packets, {bytes} bytes");
    let node = if port.numa_node < 0 {
        "none".into()
    } else {
        port.numa_node.to_string()
    };
    pairs(
        out,
        &[
            ("port", format!("{} (id {})", port.name, port.id)),
            ("device", format!("{} ({})", port.device, port.driver)),
            (
                "tap",
                format!("{} (index {})", or_dash(&port.tap), port.ifindex),
            ),
            ("state", state(port).into()),
            ("speed", speed(port)),
            ("MAC", or_dash(&port.mac)),
            ("MTU", port.mtu.to_string()),
            ("NUMA node", node),
            (
                "queues",
                format!("{} receive, {} transmit", port.rx_queues, port.tx_queues),
            ),
            ("received", packets(c.rx_packets, c.rx_bytes)),
            ("sent", packets(c.tx_packets, c.tx_bytes)),
            (
                "injected",
                format!("{} packets from Linux", c.injected_packets),
            ),
            ("punted", format!("{} packets to Linux", c.punted_packets)),
            (
                "dropped",
                format!("{} packets; see: ironlane drop show", c.dropped_packets),
            ),
            (
                "lost by device",
                format!(
                    "{} missed, {} faulty, {} without buffer",
                    port.rx_missed, port.rx_errors, port.rx_nombuf
                ),
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::PortCounters;

    fn port() -> Port {
        Port {
            name: "p0".into(),
            tap: "p0".into(),
            mac: "02:00:00:00:00:01".into(),
            device: "net_tap0".into(),
            mtu: 1500,
            admin_up: true,
            speed_mbps: 10_000,
            counters: Some(PortCounters {
                rx_packets: 12,
                ..PortCounters::default()
            }),
            ..Port::default()
        }
    }

    #[test]
    fn a_port_is_a_line() {
        let mut out = Vec::new();
        table(&mut out, &[port()]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PORT  TAP  STATE       SPEED   MTU  MAC                DEVICE    RX  TX  INJECTED  PUNTED  DROPPED\n\
             p0    p0   no carrier  10G    1500  02:00:00:00:00:01  net_tap0  12   0         0       0        0\n"
        );
    }

    #[test]
    fn a_port_in_detail_has_its_bytes() {
        let mut out = Vec::new();
        detail(&mut out, &port()).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .contains("received        12 packets, 0 bytes\n")
        );
    }
}
