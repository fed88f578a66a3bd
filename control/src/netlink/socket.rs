//! Netlink sockets: one that hears events, one that asks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::NetlinkError;

/// Multicast groups of events (`RTNLGRP_*`): links, neighbours, addresses, routes and rules of
/// both families, nexthop objects.
const GROUPS: [u32; 9] = [1, 3, 5, 7, 8, 9, 11, 19, 32];

/// Largest datagram taken. Dumps come in pieces of 32 KiB at most; one event with a route of
/// thousands of paths is longer.
const DATAGRAM_LEN: usize = 256 << 10;

/// Seconds without an answer after which a request is given up; the kernel answers at once.
const ANSWER_TIMEOUT_S: i64 = 10;

/// What a read of a socket brought.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// A datagram of the kernel.
    Datagram(&'a [u8]),
    /// Nothing that waits.
    Empty,
    /// The kernel dropped messages, since the buffer was full (`ENOBUFS`), or one was too long.
    Overrun,
}

/// Room for any datagram.
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    /// An empty one; memory is taken as far as it is used.
    pub fn new() -> Self {
        Self(vec![0; DATAGRAM_LEN].into_boxed_slice())
    }

    /// Its first bytes.
    pub fn first(&self, len: usize) -> &[u8] {
        &self.0[..len]
    }
}

/// A netlink socket with its receive buffer, in the network namespace of the thread that opened
/// it.
pub(crate) struct NetlinkSocket {
    socket: Socket,
    buffer: Buffer,
    seq: u32,
}

impl NetlinkSocket {
    fn open(protocol: isize) -> Result<Self, NetlinkError> {
        let mut socket = Socket::new(protocol).map_err(at("opening it"))?;
        socket.bind_auto().map_err(at("binding it"))?;
        socket
            .set_ext_ack(true)
            .map_err(at("asking for explained errors"))?;
        Ok(Self {
            socket,
            buffer: Buffer::new(),
            seq: 0,
        })
    }

    /// A socket that hears every change of links, routes and the like. It does not block.
    pub fn events(receive_buffer_bytes: usize) -> Result<Self, NetlinkError> {
        Self::events_of(NETLINK_ROUTE, &GROUPS, receive_buffer_bytes)
    }

    /// A socket that hears these groups of a protocol (`NETLINK_*`). It does not block.
    pub fn events_of(
        protocol: isize,
        groups: &[u32],
        receive_buffer_bytes: usize,
    ) -> Result<Self, NetlinkError> {
        let this = Self::open(protocol)?;
        // Beyond net.core.rmem_max with CAP_NET_ADMIN only; without it as much as is allowed.
        if setsockopt(&this.socket, sockopt::RcvBufForce, &receive_buffer_bytes).is_err() {
            setsockopt(&this.socket, sockopt::RcvBuf, &receive_buffer_bytes)
                .map_err(|errno| at("setting its buffer")(errno.into()))?;
        }
        for &group in groups {
            this.socket
                .add_membership(group)
                .map_err(at("joining a group of events"))?;
        }
        this.socket
            .set_non_blocking(true)
            .map_err(at("making it non-blocking"))?;
        Ok(this)
    }

    /// A socket for requests whose answers, if any, are thrown away. It does not block.
    pub fn orders() -> Result<Self, NetlinkError> {
        Self::orders_of(NETLINK_ROUTE)
    }

    /// As [`orders`](Self::orders), of a protocol.
    pub fn orders_of(protocol: isize) -> Result<Self, NetlinkError> {
        let this = Self::open(protocol)?;
        this.socket
            .set_non_blocking(true)
            .map_err(at("making it non-blocking"))?;
        Ok(this)
    }

    /// A socket for requests, whose answers are waited for.
    pub fn requests() -> Result<Self, NetlinkError> {
        let this = Self::requests_of(NETLINK_ROUTE)?;
        this.socket
            .set_netlink_get_strict_chk(true)
            .map_err(at("asking for strict checks"))?;
        Ok(this)
    }

    /// A socket for requests of a protocol, whose answers are waited for.
    pub fn requests_of(protocol: isize) -> Result<Self, NetlinkError> {
        let this = Self::open(protocol)?;
        setsockopt(
            &this.socket,
            sockopt::ReceiveTimeout,
            &TimeVal::seconds(ANSWER_TIMEOUT_S),
        )
        .map_err(|errno| at("setting its time limit")(errno.into()))?;
        Ok(this)
    }

    /// Reads a datagram.
    pub fn receive(&mut self) -> Result<Received<'_>, NetlinkError> {
        Ok(match receive(&self.socket, &mut self.buffer.0)? {
            Read::Datagram(len) => Received::Datagram(self.buffer.first(len)),
            Read::Empty => Received::Empty,
            Read::Overrun => Received::Overrun,
        })
    }

    /// Overwrites what was read: it had keys in it.
    pub fn wipe(&mut self, len: usize) {
        let len = len.min(self.buffer.0.len());
        self.buffer.0[..len].fill(0);
    }

    /// Reads a datagram into a buffer of the caller's.
    pub fn receive_into(&self, buffer: &mut Buffer) -> Result<Read, NetlinkError> {
        receive(&self.socket, &mut buffer.0)
    }

    /// Sends a request and gives the number that its answers will have.
    pub fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<u32, NetlinkError> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        self.push(&mut bytes, kind, flags, body);
        self.write(&bytes)?;
        Ok(self.seq)
    }

    /// Sends many requests of one kind that need no answer.
    pub fn send_all(
        &mut self,
        kind: u16,
        flags: u16,
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<(), NetlinkError> {
        let mut bytes = Vec::new();
        for body in bodies {
            self.push(&mut bytes, kind, flags, &body);
            if bytes.len() >= BATCH_LEN {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            self.write(&bytes)
        }
    }

    /// Adds a request to those that are sent together, and gives the number that its answers will have.
    pub fn push(&mut self, bytes: &mut Vec<u8>, kind: u16, flags: u16, body: &[u8]) -> u32 {
        self.seq = self.seq.wrapping_add(1).max(1);
        let len = HEADER_LEN + body.len();
        let end = bytes.len() + len.next_multiple_of(4);
        bytes.extend_from_slice(&(len as u32).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&self.seq.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(end, 0);
        self.seq
    }

    /// Sends requests; the kernel carries them out one right behind the other.
    pub fn write(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        let kernel = SocketAddr::new(0, 0);
        self.socket
            .send_to(bytes, &kernel, 0)
            .map_err(at("sending a request"))?;
        Ok(())
    }
}

/// As [`Received`], of a datagram that is in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Datagram(usize),
    Empty,
    Overrun,
}

/// Reads a datagram into a buffer.
fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<Read, NetlinkError> {
    loop {
        return match socket.recv_from(&mut &mut *buffer, libc::MSG_TRUNC) {
            // Another process may write to our port; only the kernel is believed.
            Ok((_, from)) if from.port_number() != 0 => continue,
            Ok((len, _)) if len <= buffer.len() => Ok(Read::Datagram(len)),
            Ok(_) => Ok(Read::Overrun),
            Err(e) => match Errno::from_raw(e.raw_os_error().unwrap_or_default()) {
                Errno::EAGAIN => Ok(Read::Empty),
                Errno::EINTR => continue,
                Errno::ENOBUFS => Ok(Read::Overrun),
                _ => Err(at("reading")(e)),
            },
        };
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
const NLM_F_REQUEST: u16 = 1;
/// Requests that need no answer are sent together up to about this many bytes.
const BATCH_LEN: usize = 16 << 10;

fn at(step: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError::Socket { step, source }
}
