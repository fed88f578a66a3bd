//! Arranging the kernel's end of a `net_tap` device: the host on the wire.
//!
//! DPDK makes the device in the daemon's namespace and gives both ends one MAC, with which
//! neither could ever resolve the other. Here the kernel's end gets a MAC of its own and moves to
//! the namespace of the host that it plays, so that nobody has to race with DPDK for it.

use ipnet::IpNet;

use super::links::{LinkError, Links};
use super::netns::Namespace;

/// What the kernel's end is to be like.
#[derive(Debug, Clone)]
pub struct PeerSpec {
    /// The name that DPDK gave it (its argument `iface`).
    pub iface: String,
    /// Where it goes.
    pub namespace: Namespace,
    /// Its name there.
    pub name: String,
    /// Its MAC.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u16,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
}

/// A kernel's end that cannot be arranged.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// DPDK did not make it, or not under this name.
    #[error("there is no interface {iface}; [[port]] device needs the argument iface={iface}")]
    Missing {
        /// The name.
        iface: String,
    },
    /// Another interface has the name it is to get.
    #[error(
        "network namespace {namespace} has an interface {name} already; remove it, or set another \
         [[port]] peer_name"
    )]
    NameExists {
        /// The name.
        name: String,
        /// Where.
        namespace: Namespace,
    },
    /// The kernel refused.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// A MAC for the other end of a port with MAC `port`: another one, always the same.
pub fn other_mac(port: [u8; 6]) -> [u8; 6] {
    let mut mac = port;
    mac[0] |= 0x02;
    mac[3] ^= 0x80;
    mac
}

/// Arranges the kernel's end of a device that DPDK has just made in the daemon's namespace.
pub fn arrange(spec: &PeerSpec) -> Result<(), PeerError> {
    let here = Links::open(&Namespace::own())?;
    let missing = || PeerError::Missing {
        iface: spec.iface.clone(),
    };
    let link = here.find(&spec.iface)?.ok_or_else(missing)?;
    here.set_admin(&link, false)?;
    here.set_mac(&link, spec.mac)?;
    let there = Links::open(&spec.namespace)?;
    let moves = spec.namespace.path().is_some();
    if moves || spec.name != spec.iface {
        if there.find(&spec.name)?.is_some() {
            let (name, namespace) = (spec.name.clone(), spec.namespace.clone());
            return Err(PeerError::NameExists { name, namespace });
        }
        here.move_to(&link, &spec.namespace, &spec.name)?;
    }
    let link = there.find(&spec.name)?.ok_or_else(missing)?;
    there.set_mtu(&link, spec.mtu.into())?;
    for &address in &spec.addresses {
        there.add_address(&link, address)?;
    }
    there.set_admin(&link, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::other_mac;

    #[test]
    fn the_other_end_has_another_unicast_mac() {
        for mac in [[2, 0, 0, 0, 0, 1], [0, 0x1b, 0x21, 0x80, 0, 1]] {
            let other = other_mac(mac);
            assert_ne!(other, mac);
            assert_eq!(other[0] & 3, 2, "locally administered, unicast");
            assert_eq!(other_mac(other)[3], mac[3]);
        }
    }
}
