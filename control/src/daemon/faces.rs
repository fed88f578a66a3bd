//! The Linux faces of ports and IPsec interfaces: taps, and the kernel ends of `net_tap` devices.

use std::fs;
use std::sync::Arc;

use ironlane_dataplane::dataplane::{Dataplane, PortInfo};
use ironlane_dataplane::eal::LinkState;
use ironlane_fib::PortId;
use ironlane_packet::eth::Mac;

use crate::config::{Config, Port};
use crate::exception::peer::{self, PeerError, PeerSpec};
use crate::exception::{
    ExceptionHandle, FollowedPort, LinkError, LinkView, Links, Namespace, PortTap, Tap, TapChange,
    TapError, TapSpec,
};

/// A face that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The tap.
    #[error("port {port}: {source}")]
    Tap {
        /// The port.
        port: String,
        /// Why.
        source: TapError,
    },
    /// The kernel end of its device.
    #[error("port {port}: the kernel end of its device: {source}")]
    Peer {
        /// The port.
        port: String,
        /// Why.
        source: PeerError,
    },
    /// The namespace of the taps.
    #[error("[daemon] netns: {0}")]
    Namespace(#[from] LinkError),
}

/// A port and its tap, as others name them.
#[derive(Debug, Clone)]
pub struct Face {
    /// The port.
    pub port: PortId,
    /// Its name.
    pub name: String,
    /// The name of its tap.
    pub tap: String,
    /// The number of its tap in the namespace of the taps.
    pub ifindex: u32,
    /// MAC of both; none of an IPsec interface.
    pub mac: Option<[u8; 6]>,
    /// MTU of both at start.
    pub mtu: u16,
}

/// The namespace of taps and mirror.
pub fn namespace(config: &Config) -> Namespace {
    Namespace::at(config.daemon.netns_path())
}

/// Whether the port has a carrier; what cannot be known is taken to be up.
fn has_carrier(dataplane: &Dataplane, port: PortId) -> bool {
    dataplane
        .port_link(port)
        .is_ok_and(|link| link.state != LinkState::Down)
}

/// Arranges the kernel ends of `net_tap` devices.
pub fn arrange_peers(config: &Config, ports: &[PortInfo]) -> Result<(), FaceError> {
    for (port, info) in config.ports.iter().zip(ports) {
        if let Some(spec) = peer_spec(port, info) {
            peer::arrange(&spec).map_err(|source| FaceError::Peer {
                port: info.name.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

fn peer_spec(port: &Port, info: &PortInfo) -> Option<PeerSpec> {
    let wanted = port.peer.as_ref()?;
    // The configuration has one where it has a peer.
    let iface = port.device.arg("iface")?.to_owned();
    Some(PeerSpec {
        namespace: wanted
            .netns
            .as_deref()
            .map_or_else(Namespace::own, Namespace::named),
        name: wanted
            .name
            .as_ref()
            .map_or_else(|| iface.clone(), ToString::to_string),
        iface,
        mac: wanted
            .mac
            .map_or_else(|| peer::other_mac(info.mac.0), |mac| mac.octets()),
        mtu: port.mtu,
        addresses: wanted.addresses.clone(),
    })
}

/// Makes a tap for each port and IPsec interface, in the order of [`Dataplane::ports`]. If one cannot be
/// made those before it go again.
pub fn make_taps(config: &Config, dataplane: &Dataplane) -> Result<Vec<PortTap>, FaceError> {
    let namespace = namespace(config);
    let links = Links::open(&namespace)?;
    let ports = config.ports.iter().map(|port| (&port.tap, &port.addresses));
    let interfaces = config.ipsec_interfaces.iter();
    let names = ports.chain(interfaces.map(|one| (&one.name, &one.addresses)));
    names
        .zip(dataplane.ports())
        .map(|((name, addresses), info)| {
            let spec = TapSpec {
                name: name.to_string(),
                mac: mac(info),
                mtu: info.mtu,
                addresses: addresses.clone(),
                carrier: has_carrier(dataplane, info.id),
            };
            let tap = Tap::create(&namespace, &links, &spec).map_err(|source| FaceError::Tap {
                port: info.name.clone(),
                source,
            })?;
            if config.ipsec.is_on() {
                take_sealed(&namespace, tap.name());
            }
            tracing::info!(
                port = info.name,
                tap = tap.name(),
                ifindex = tap.ifindex(),
                "tap made"
            );
            Ok(PortTap {
                port: info.id,
                mtu: info.mtu,
                tap,
            })
        })
        .collect()
}

/// Has Linux take IPv4 packets of the tap that come from an address of the host. What lcores sealed does; where
/// its neighbour is not known it goes to Linux, which is to find it and send the packet, and otherwise drops
/// it as forged ("martian"), which no counter of `/proc/net/snmp` shows. IPv6 knows no such check.
fn take_sealed(namespace: &Namespace, tap: &str) {
    let path = format!("/proc/sys/net/ipv4/conf/{tap}/accept_local");
    let written = namespace.run(|| fs::write(&path, "1"));
    let failure = match &written {
        Ok(Ok(())) => return,
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    };
    tracing::warn!(
        tap,
        "{path} stays as it is: {failure}; sealed packets whose neighbour is not resolved yet are lost"
    );
}

/// The MAC of a port and its tap; none of an IPsec interface.
fn mac(info: &PortInfo) -> Option<[u8; 6]> {
    info.interface.is_none().then_some(info.mac.0)
}

/// What others need to know of the taps.
pub fn faces(ports: &[PortInfo], taps: &[PortTap]) -> Vec<Face> {
    let face = |(info, tap): (&PortInfo, &PortTap)| Face {
        port: info.id,
        name: info.name.clone(),
        tap: tap.tap.name().to_owned(),
        ifindex: tap.tap.ifindex(),
        mac: mac(info),
        mtu: tap.mtu,
    };
    ports.iter().zip(taps).map(face).collect()
}

/// The ports as the thread that keeps them and their taps in step wants them.
pub fn followed(
    dataplane: &Arc<Dataplane>,
    taps: Vec<LinkView>,
    exception: &ExceptionHandle,
) -> Vec<FollowedPort> {
    let ports = dataplane.ports().iter().zip(taps);
    ports
        .map(|(info, tap)| {
            let (port, info) = (info.id, info.clone());
            let (asked, acting) = (Arc::clone(dataplane), Arc::clone(dataplane));
            let exception = exception.clone();
            FollowedPort {
                port,
                name: info.name.clone(),
                carrier: tap.carrier,
                tap,
                groups: Vec::new(),
                has_carrier: Box::new(move || has_carrier(&asked, port)),
                apply: Box::new(move |change| {
                    follow(&acting, &exception, &info, change);
                }),
            }
        })
        .collect()
}

/// Makes a port follow its tap. `start` is the port as it was started.
fn follow(dataplane: &Dataplane, exception: &ExceptionHandle, start: &PortInfo, change: TapChange) {
    let (port, name) = (start.id, start.name.as_str());
    match change {
        TapChange::Admin(up) => {
            if dataplane.port_is_admin_up(port) != up {
                let word = if up { "started" } else { "stopped" };
                tracing::info!(
                    port = name,
                    "its tap was set {}: {word}",
                    if up { "up" } else { "down" }
                );
                if let Err(e) = dataplane.port_set_admin(port, up) {
                    tracing::warn!(port = name, "not {word}: {e}");
                }
            }
        }
        TapChange::Mtu(tap) => {
            // Buffers and queues were made for the configured MTU.
            let mtu = u16::try_from(tap).unwrap_or(u16::MAX).min(start.mtu);
            exception.set_mtu(port, mtu);
            if tap > start.mtu.into() {
                tracing::warn!(
                    port = name,
                    "its tap has MTU {tap}, the port at most {mtu}: longer frames of Linux are \
                     dropped (inject_too_big); set it back, or set [[port]] mtu and restart"
                );
            } else {
                tracing::info!(port = name, "MTU {mtu}, as its tap");
            }
            if let Err(e) = dataplane.port_set_mtu(port, mtu) {
                tracing::debug!(port = name, "the device keeps the MTU it had: {e}");
            }
        }
        TapChange::Mac(tap) if tap != start.mac.0 => tracing::warn!(
            port = name,
            "its tap has another MAC now ({}): what comes for that one is dropped \
             (eth_not_for_us); set it back, or set [[port]] mac and restart",
            Mac(tap)
        ),
        TapChange::Mac(_) => {}
        TapChange::Groups(groups) => {
            let groups: Vec<_> = groups.into_iter().map(Mac).collect();
            tracing::debug!(
                port = name,
                "receives the {} groups of its tap",
                groups.len()
            );
            if let Err(e) = dataplane.port_set_groups(port, &groups) {
                tracing::warn!(port = name, "multicast to some groups will not arrive: {e}");
            }
        }
        TapChange::Gone => {
            tracing::error!(
                port = name,
                "its tap was deleted or moved away; stopped until the daemon is restarted"
            );
            if let Err(e) = dataplane.port_set_admin(port, false) {
                tracing::warn!(port = name, "not stopped: {e}");
            }
        }
    }
}
