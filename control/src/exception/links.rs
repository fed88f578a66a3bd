//! Requests about links and their addresses, in one network namespace, by rtnetlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};
use tokio::runtime::{Builder, Runtime};

use super::netns::{Namespace, NamespaceError};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No netlink socket.
    #[error("no netlink socket in network namespace {namespace}: {source}")]
    Socket {
        /// Where.
        namespace: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("{link}: {what}: {source}")]
    Refused {
        /// The link.
        link: String,
        /// What was asked for.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// What the kernel says of a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkView {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Set up (`ip link set up`).
    pub admin_up: bool,
    /// Has a carrier, and so is set up.
    pub carrier: bool,
    /// Its MAC.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u32,
}

impl LinkView {
    /// Reads a link message.
    pub fn of(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut view = Self {
            index: message.header.index,
            admin_up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            ..Self::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => view.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => view.mtu = *mtu,
                LinkAttribute::Address(mac) => {
                    view.mac = mac.as_slice().try_into().unwrap_or_default();
                }
                _ => {}
            }
        }
        view
    }
}

/// Requests to the kernel in one namespace. Each waits for its answer, so this is for control
/// threads that may block, and not for async tasks.
pub struct Links {
    runtime: Runtime,
    handle: Handle,
}

impl Links {
    /// A connection to `namespace`.
    pub fn open(namespace: &Namespace) -> Result<Self, LinkError> {
        let open = || {
            let runtime = Builder::new_current_thread().enable_io().build()?;
            let handle = {
                let _inside = runtime.enter();
                let (connection, handle, _) = rtnetlink::new_connection()?;
                runtime.spawn(connection);
                handle
            };
            Ok(Self { runtime, handle })
        };
        namespace.run(open)?.map_err(|source| LinkError::Socket {
            namespace: namespace.to_string(),
            source,
        })
    }

    /// The link of this name, if there is one.
    pub fn find(&self, name: &str) -> Result<Option<LinkView>, LinkError> {
        let request = self.handle.link().get().match_name(name).execute();
        let found = self.runtime.block_on(async move {
            let mut answers = std::pin::pin!(request);
            answers.try_next().await
        });
        match found {
            Ok(message) => Ok(message.map(|m| LinkView::of(&m))),
            Err(e) => match cause(e) {
                source if source.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
                source => Err(LinkError::Refused {
                    link: name.to_owned(),
                    what: "looking for it".to_owned(),
                    source,
                }),
            },
        }
    }

    /// Changes a link as `build` says; `what` says it in words for the error message.
    fn set(
        &self,
        link: &LinkView,
        what: impl FnOnce() -> String,
        build: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), LinkError> {
        let message = build(LinkUnspec::new_with_index(link.index)).build();
        let request = self.handle.link().set(message).execute();
        self.runtime
            .block_on(request)
            .map_err(|e| LinkError::Refused {
                link: link.name.clone(),
                what: what(),
                source: cause(e),
            })
    }

    /// Sets the MAC. Most devices must be down for it; taps need not.
    pub fn set_mac(&self, link: &LinkView, mac: [u8; 6]) -> Result<(), LinkError> {
        self.set(
            link,
            || format!("setting its MAC to {mac:02x?}"),
            |b| b.address(mac.to_vec()),
        )
    }

    /// Sets the MTU.
    pub fn set_mtu(&self, link: &LinkView, mtu: u32) -> Result<(), LinkError> {
        self.set(link, || format!("setting its MTU to {mtu}"), |b| b.mtu(mtu))
    }

    /// Sets the link up or down.
    pub fn set_admin(&self, link: &LinkView, up: bool) -> Result<(), LinkError> {
        let word = if up { "up" } else { "down" };
        self.set(
            link,
            || format!("setting it {word}"),
            |b| if up { b.up() } else { b.down() },
        )
    }

    /// Gives a tap a carrier, or takes it, and lets everybody know at once.
    ///
    /// The kernel tells of carriers, on the whole machine, once a second at most; the change at a
    /// tap is often the second one, after that of whatever the port is connected to. A change of
    /// the operational state in the same request is told without delay, with the flags of the
    /// carrier; the kernel corrects the state (from dormant to down) when it gets round to it.
    pub fn set_carrier(&self, link: &LinkView, on: bool) -> Result<(), LinkError> {
        let state = if on { State::Up } else { State::Dormant };
        let what = || format!("setting its carrier {}", if on { "on" } else { "off" });
        self.set(link, what, |b| b.carrier(on).operstate(state.into()))
    }

    /// Renames a link, which must be down.
    pub fn rename(&self, link: &LinkView, name: &str) -> Result<(), LinkError> {
        self.set(link, || format!("renaming it to {name}"), |b| b.name(name))
    }

    /// Moves a link to another namespace, under the name `name`.
    pub fn move_to(
        &self,
        link: &LinkView,
        namespace: &Namespace,
        name: &str,
    ) -> Result<(), LinkError> {
        let Some(file) = namespace.open()? else {
            return self.rename(link, name);
        };
        self.set(
            link,
            || format!("moving it to network namespace {namespace} as {name}"),
            |b| b.setns_by_fd(file.as_raw_fd()).name(name),
        )
    }

    /// Adds an address; one that is there already is fine.
    pub fn add_address(&self, link: &LinkView, address: IpNet) -> Result<(), LinkError> {
        let ip: IpAddr = address.addr();
        let request = self
            .handle
            .address()
            .add(link.index, ip, address.prefix_len())
            .replace()
            .execute();
        self.runtime
            .block_on(request)
            .map_err(|e| LinkError::Refused {
                link: link.name.clone(),
                what: format!("adding address {address}"),
                source: cause(e),
            })
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

/// The error of the kernel in an error of rtnetlink.
fn cause(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
