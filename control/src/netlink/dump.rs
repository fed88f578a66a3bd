//! Lists that the kernel gives on request.

use std::io;

use ironlane_rib::{Change, Family, ObjectKind};
use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR,
};

use nix::libc;

use super::ahead::ReadAhead;
use super::attr::Attributes;
use super::decode::{self, AF_INET, AF_INET6};
use super::message::{Message, Messages};
use super::socket::{NetlinkSocket, Read};
use super::{NetlinkError, addr, link, neigh, nexthop, route, rule};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;
const RTM_GETNEXTHOP: u16 = 106;

const IFLA_EXT_MASK: u16 = 29;
/// Leave out statistics, which make up most of a link's message.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// How often a list that changes while it is read is asked for again.
const TRIES: u32 = 16;

/// How a dump goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// More is to come.
    More,
    /// That was all. If the list changed meanwhile (`NLM_F_DUMP_INTR`), entries may be missing.
    Done {
        /// Whether it changed.
        interrupted: bool,
    },
}

/// Asks for lists, one at a time, piece by piece, of the network namespace of the thread that does.
#[derive(Default)]
pub(crate) struct Dumper {
    running: Option<Running>,
    /// Messages that could not be decoded, since it was made.
    pub malformed: u64,
}

struct Running {
    kind: ObjectKind,
    seq: u32,
    pieces: ReadAhead,
    interrupted: bool,
}

impl Dumper {
    /// Asks for all objects of a kind. A list that was being read is forgotten.
    pub fn begin(&mut self, kind: ObjectKind) -> Result<(), NetlinkError> {
        // One of its own: whatever became of the list before, nothing of it is in the way.
        let mut socket = NetlinkSocket::requests()?;
        let (request, body) = request(kind);
        let seq = socket.send(request, NLM_F_DUMP, &body)?;
        self.running = Some(Running {
            kind,
            seq,
            pieces: ReadAhead::start(socket, seq)?,
            interrupted: false,
        });
        Ok(())
    }

    /// Takes in one piece, about 32 KiB, and hands over what is in it. Blocks until it is there.
    ///
    /// # Panics
    /// If no list was asked for.
    pub fn step(&mut self, mut sink: impl FnMut(Change)) -> Result<Step, NetlinkError> {
        let running = self.running.as_mut().expect("a dump was begun");
        let (len, buffer) = match running.pieces.next()? {
            (Read::Datagram(len), buffer) => (len, buffer),
            (Read::Overrun, _) => {
                running.interrupted = true;
                return Ok(Step::More);
            }
            (Read::Empty, _) => {
                let source = io::ErrorKind::TimedOut.into();
                return Err(NetlinkError::Socket {
                    step: "waiting for a list",
                    source,
                });
            }
        };
        for message in Messages::new(buffer.first(len)) {
            let Ok(message) = message else {
                self.malformed += 1;
                running.interrupted = true;
                break;
            };
            if message.seq != running.seq {
                continue;
            }
            running.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
            if message.kind == NLMSG_DONE || message.kind == NLMSG_ERROR {
                let (kind, interrupted) = (running.kind, running.interrupted);
                self.running = None;
                return end(kind, interrupted, &message);
            }
            match decode::change(&message) {
                Ok(Some(change)) => sink(change),
                Ok(None) => {}
                Err(_) => self.malformed += 1,
            }
        }
        running.pieces.give_back(buffer);
        Ok(Step::More)
    }

    /// Reads a whole list, again if it changed meanwhile. `sink` is told by `None` to forget what
    /// it has, and then all objects.
    pub fn all(
        &mut self,
        kind: ObjectKind,
        mut sink: impl FnMut(Option<Change>),
    ) -> Result<(), NetlinkError> {
        for _ in 0..TRIES {
            sink(None);
            self.begin(kind)?;
            let interrupted = loop {
                if let Step::Done { interrupted } = self.step(|change| sink(Some(change)))? {
                    break interrupted;
                }
            };
            if !interrupted {
                return Ok(());
            }
        }
        Err(NetlinkError::Restless { kind, tries: TRIES })
    }
}

/// How a list ends.
fn end(kind: ObjectKind, interrupted: bool, message: &Message<'_>) -> Result<Step, NetlinkError> {
    match refusal(message) {
        None => Ok(Step::Done { interrupted }),
        // A kernel without nexthop objects; one without IPv6, which refuses some lists by the one
        // number and some by the other. It has none of what was asked for.
        Some((source, _))
            if matches!(
                source.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT)
            ) =>
        {
            Ok(Step::Done { interrupted })
        }
        Some((source, said)) => Err(NetlinkError::Refused { kind, source, said }),
    }
}

/// What the kernel refused and how it explains that, if the answer says so.
pub(crate) fn refusal(message: &Message<'_>) -> Option<(io::Error, String)> {
    let (code, rest) = message.body.split_first_chunk::<4>()?;
    let errno = i32::from_ne_bytes(*code);
    if errno >= 0 {
        return None;
    }
    // After the code an error repeats the header of the request, and more of it unless capped.
    let skip = match message.kind {
        NLMSG_ERROR if message.flags & NLM_F_CAPPED != 0 => 16,
        NLMSG_ERROR => rest.first_chunk().map_or(0, |len| u32::from_ne_bytes(*len)) as usize,
        _ => 0,
    };
    let mut said = String::new();
    if message.flags & NLM_F_ACK_TLVS != 0 {
        // NLMSGERR_ATTR_MSG is the first.
        let explained = Attributes::after(rest, skip.next_multiple_of(4));
        said = explained
            .flatten()
            .find(|a| a.kind == 1)
            .map(|a| a.text())
            .unwrap_or_default();
    }
    Some((io::Error::from_raw_os_error(errno.saturating_neg()), said))
}

/// Type and body of the request for all objects of a kind.
fn request(kind: ObjectKind) -> (u16, Vec<u8>) {
    let of = |family: Family, len: usize| {
        let mut body = vec![0; len];
        body[0] = match family {
            Family::Ip4 => AF_INET,
            Family::Ip6 => AF_INET6,
        };
        body
    };
    match kind {
        ObjectKind::Links => {
            let mut body = vec![0; link::HEADER_LEN];
            body.extend_from_slice(&8u16.to_ne_bytes());
            body.extend_from_slice(&IFLA_EXT_MASK.to_ne_bytes());
            body.extend_from_slice(&RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
            (RTM_GETLINK, body)
        }
        ObjectKind::Addresses(family) => (RTM_GETADDR, of(family, addr::HEADER_LEN)),
        ObjectKind::Neighbours(family) => (RTM_GETNEIGH, of(family, neigh::HEADER_LEN)),
        ObjectKind::Nexthops => (RTM_GETNEXTHOP, vec![0; nexthop::HEADER_LEN]),
        ObjectKind::Routes(family) => (RTM_GETROUTE, of(family, route::HEADER_LEN)),
        ObjectKind::Rules(family) => (RTM_GETRULE, of(family, rule::HEADER_LEN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_object_is_listed_by_this_kernel() {
        let mut dumper = Dumper::default();
        for kind in ObjectKind::ALL {
            let mut count = 0;
            dumper
                .all(kind, |change| count = change.map_or(0, |_| count + 1))
                .unwrap();
            assert!(
                kind != ObjectKind::Links || count > 0,
                "there is always a loopback interface"
            );
        }
        assert_eq!(dumper.malformed, 0);
    }

    #[test]
    fn a_list_can_be_left_and_another_begun() {
        let mut dumper = Dumper::default();
        dumper.begin(ObjectKind::Links).unwrap();
        dumper.begin(ObjectKind::Rules(Family::Ip4)).unwrap();
        let mut only_rules = true;
        while dumper
            .step(|c| only_rules &= matches!(c, Change::SetRule(_)))
            .unwrap()
            == Step::More
        {}
        assert!(only_rules);
    }

    #[test]
    fn what_a_kernel_does_not_know_is_an_empty_list() {
        let of = |errno: i32| {
            let mut body = (-errno).to_ne_bytes().to_vec();
            body.extend([0; 16]);
            let message = Message {
                kind: NLMSG_ERROR,
                flags: NLM_F_CAPPED,
                seq: 1,
                pid: 0,
                body: &body,
            };
            end(ObjectKind::Rules(Family::Ip6), false, &message)
        };
        for errno in [libc::EOPNOTSUPP, libc::EAFNOSUPPORT] {
            assert_eq!(of(errno).unwrap(), Step::Done { interrupted: false });
        }
        assert!(of(libc::EPERM).is_err());
    }

    #[test]
    fn a_refusal_is_explained() {
        let mut body = (-22i32).to_ne_bytes().to_vec();
        body.extend([0; 16]); // the header of the request, capped
        body.extend([8, 0, 1, 0, b'n', b'o', b'!', 0]);
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        let message = Message {
            kind: NLMSG_ERROR,
            flags,
            seq: 1,
            pid: 0,
            body: &body,
        };
        let (error, said) = refusal(&message).unwrap();
        assert_eq!((error.raw_os_error(), said.as_str()), (Some(22), "no!"));
        body[..4].fill(0);
        let message = Message {
            kind: NLMSG_DONE,
            flags: 0,
            seq: 1,
            pid: 0,
            body: &body[..4],
        };
        assert!(refusal(&message).is_none(), "0 is success");
    }
}
