//! A tap: the Linux face of a port.
//!
//! It is an ordinary Ethernet interface for the kernel, for `ip`, for routing daemons; its other
//! end is a file descriptor that the exception thread reads and writes, one frame a call. It has
//! the port's MAC and MTU, and belongs to the namespace in which it is made. It lives as long as
//! its file descriptor is open: a killed daemon leaves none behind.
//!
//! That of an IPsec interface is a tun: point to point, multicast, without ARP, as an XFRM interface is.
//! Here it is read and written with an Ethernet header nevertheless, so that nobody else needs to know;
//! the header never reaches the kernel.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use ipnet::IpNet;
use ironlane_dataplane::stage::GleanLimit;
use ironlane_packet::eth::EtherType;
use tun_tap::{Iface, Mode};

use super::links::{LinkError, LinkView, Links};
use super::netns::{Namespace, NamespaceError};

/// Length of the Ethernet header that stands before packets of a tun.
const ETHERNET: usize = 14;

/// What a tap is to be like.
#[derive(Debug, Clone)]
pub struct TapSpec {
    /// Its name.
    pub name: String,
    /// The port's MAC; `None` of an IPsec interface, which has no Ethernet and is a tun.
    pub mac: Option<[u8; 6]>,
    /// The port's MTU.
    pub mtu: u16,
    /// Addresses to give it.
    pub addresses: Vec<IpNet>,
    /// Whether the port has a carrier now.
    pub carrier: bool,
}

/// A tap that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The name is taken.
    #[error(
        "tap {name}: network namespace {namespace} has an interface of that name already; \
         {}, or set another [[port]] tap or [[ipsec_interface]] name",
        removal(name, namespace)
    )]
    NameExists {
        /// The name.
        name: String,
        /// Where.
        namespace: Namespace,
    },
    /// The kernel has no tun/tap devices, or hides them.
    #[error(
        "tap {name}: /dev/net/tun: {source}; run: modprobe tun (in a container: --device /dev/net/tun)"
    )]
    NoDriver {
        /// The name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("tap {name}: cannot be made: {source}; root, or CAP_NET_ADMIN in that namespace, may")]
    Refused {
        /// The name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It was made, and could not be set up.
    #[error("tap {0}")]
    Link(#[from] LinkError),
    /// Its namespace cannot be entered.
    #[error("tap {name}: {source}")]
    Namespace {
        /// The name.
        name: String,
        /// Why.
        source: NamespaceError,
    },
}

/// How to get rid of the interface that is in the way.
fn removal(name: &str, namespace: &Namespace) -> String {
    match namespace.path().and_then(|p| p.file_name()) {
        Some(ns) => format!("remove it (ip -n {} link del {name})", ns.to_string_lossy()),
        None => format!("remove it (ip link del {name})"),
    }
}

/// Has Linux hold as many packets for a neighbour that it resolves as an lcore punts for one at
/// once. Its own limit counts the memory of packets, and is reached by some 90 of 1500 bytes.
fn hold_gleans(tap: &str, mtu: u16) -> io::Result<()> {
    // A packet takes its size rounded up, to whole pages if it is long, and what describes it.
    let wanted = GleanLimit::default().burst * (2 * u32::from(mtu) + 2048);
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/neigh/{tap}/unres_qlen_bytes");
        let before = match fs::read_to_string(&path) {
            Ok(before) => before,
            // No IPv6.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if before
            .trim()
            .parse::<u32>()
            .is_ok_and(|bytes| bytes < wanted)
        {
            fs::write(&path, wanted.to_string())?;
        }
    }
    Ok(())
}

/// A tap and the file descriptor that keeps it.
#[derive(Debug)]
pub struct Tap {
    iface: Iface,
    link: LinkView,
    has_ethernet: bool,
}

impl Tap {
    /// Makes a tap in `namespace`, to which `links` is a connection, and sets it up.
    ///
    /// Fails if an interface of that name exists, also if it is a tap that could be taken over:
    /// what somebody made is theirs.
    pub fn create(namespace: &Namespace, links: &Links, spec: &TapSpec) -> Result<Self, TapError> {
        let name = || spec.name.clone();
        if links.find(&spec.name)?.is_some() {
            return Err(TapError::NameExists {
                name: name(),
                namespace: namespace.clone(),
            });
        }
        let mode = match spec.mac {
            Some(_) => Mode::Tap,
            None => Mode::Tun,
        };
        let iface = namespace
            .run(|| Iface::without_packet_info(&spec.name, mode))
            .map_err(|source| TapError::Namespace {
                name: name(),
                source,
            })?
            .map_err(|source| match source.raw_os_error() {
                Some(nix::libc::ENOENT | nix::libc::ENODEV | nix::libc::ENXIO) => {
                    TapError::NoDriver {
                        name: name(),
                        source,
                    }
                }
                Some(nix::libc::EBUSY) => TapError::NameExists {
                    name: name(),
                    namespace: namespace.clone(),
                },
                _ => TapError::Refused {
                    name: name(),
                    source,
                },
            })?;
        let refused = |source| TapError::Refused {
            name: spec.name.clone(),
            source,
        };
        iface.set_non_blocking().map_err(refused)?;
        let found = links.find(&spec.name)?;
        let mut link = found.ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?;
        if let Some(mac) = spec.mac {
            links.set_mac(&link, mac)?;
        }
        links.set_mtu(&link, spec.mtu.into())?;
        let raised = namespace.run(|| hold_gleans(&spec.name, spec.mtu));
        if let (Some(_), Ok(Err(e))) = (spec.mac, raised) {
            tracing::warn!(
                tap = spec.name,
                "unres_qlen_bytes stays as it is: {e}; of a burst for a neighbour that is not \
                 resolved yet Linux may lose a part"
            );
        }
        // Before it is set up, so that nobody sees a carrier that is not there.
        if !spec.carrier {
            links.set_carrier(&link, false)?;
        }
        links.set_admin(&link, true)?;
        for &address in &spec.addresses {
            links.add_address(&link, address)?;
        }
        link.mac = spec.mac.unwrap_or_default();
        link.mtu = spec.mtu.into();
        link.admin_up = true;
        link.carrier = spec.carrier;
        Ok(Self {
            iface,
            link,
            has_ethernet: spec.mac.is_some(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// Its number in its namespace.
    pub fn ifindex(&self) -> u32 {
        self.link.index
    }

    /// The link as it was made.
    pub fn link(&self) -> &LinkView {
        &self.link
    }

    /// Gives the kernel a frame. `WouldBlock` if its queue is full.
    #[inline]
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let packet = match self.has_ethernet {
            true => frame,
            false => frame.get(ETHERNET..).unwrap_or(&[]),
        };
        self.iface.send(packet).map(drop)
    }

    /// Takes a frame that the kernel sent; `WouldBlock` if there is none. What does not fit in
    /// `buffer` is cut off.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ethernet {
            return self.iface.recv(buffer);
        }
        let (header, packet) = buffer
            .split_at_mut_checked(ETHERNET)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let len = self.iface.recv(packet)?;
        header.fill(0);
        let ethertype = match packet[..len].first().map(|byte| byte >> 4) {
            Some(4) => EtherType::IP4,
            Some(6) => EtherType::IP6,
            // A frame that is not IP, which nobody takes.
            _ => EtherType(0),
        };
        header[12..].copy_from_slice(&ethertype.0.to_be_bytes());
        Ok(ETHERNET + len)
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.iface.as_raw_fd()
    }
}
