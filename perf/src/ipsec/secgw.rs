//! The same tunnels for DPDK's ipsec-secgw.

use std::fmt::Write;

use super::load::{Load, Way};

/// Text of its configuration: port 0 receives, port 1 sends.
///
/// # Errors
/// If the tunnels are in UDP: it takes `udp-encap` of SAs alone that a device protects by itself (sa.c), and ends
/// when it reads it of another one.
pub fn config(load: &Load) -> Result<String, &'static str> {
    if load.encap {
        return Err(
            "ipsec-secgw has ESP in UDP only where a device does all of ESP: leave out --encap",
        );
    }
    let (family, mode) = match load.v6 {
        false => ("ipv4", "ipv4-tunnel"),
        true => ("ipv6", "ipv6-tunnel"),
    };
    let direction = match load.way {
        Way::In => "in",
        Way::Out => "out",
    };
    let mut text = String::new();
    if load.way == Way::Out {
        // It does not start without an inbound one.
        text.push_str(
            "sp ipv4 in esp protect 5 pri 1 dst 192.0.2.0/24 sport 0:65535 dport 0:65535\n\
             sa in 5 aead_algo aes-128-gcm \
             aead_key 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:de:ad:be:ef \
             mode ipv4-tunnel src 192.0.2.2 dst 192.0.2.1\n",
        );
    }
    for tunnel in 0..load.tunnels {
        let (spi, near, far) = (Load::spi(tunnel), load.near(), load.far_of(tunnel));
        let key: Vec<_> = Load::key(tunnel)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let (src, dst, from, to) = match load.way {
            Way::In => (far, near, load.peer(tunnel), load.ours()),
            Way::Out => (near, far, load.ours(), load.peer(tunnel)),
        };
        let _ = writeln!(
            text,
            "sp {family} {direction} esp protect {spi} pri 1 src {src} dst {dst} sport 0:65535 dport 0:65535"
        );
        let _ = writeln!(
            text,
            "sa {direction} {spi} aead_algo aes-128-gcm aead_key {} mode {mode} src {from} dst {to}",
            key.join(":")
        );
    }
    let to = match load.way {
        Way::In => load.near(),
        Way::Out => load.peers(),
    };
    let _ = writeln!(text, "rt {family} dst {to} port 1");
    text.push_str("neigh port 0 02:00:00:00:00:01\nneigh port 1 02:00:00:00:00:02\n");
    Ok(text)
}
