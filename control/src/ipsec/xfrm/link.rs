//! The kernel, by netlink.

use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REPLACE, NLMSG_DONE, NLMSG_ERROR,
};
use nix::libc;

use super::books::{Kernel, NotTaken};
use super::encode::{self, SaName};
use super::policy::{KernelPolicy, Template};
use super::sa::{KernelSa, Numbers, Used};
use super::wire::{NETLINK_XFRM, kind};
use super::{Told, told};
use crate::ipsec::model::TrafficSelector;
use crate::netlink::dump::refusal;
use crate::netlink::socket::{NetlinkSocket, Received};
use crate::netlink::{Messages, NetlinkError};

/// Time in which no kernel seals as many packets by one SA as numbers are left out for.
const TAKEN_WITHIN: Duration = Duration::from_millis(250);

/// How often a list that changes while it is read is asked for again.
const TRIES: u32 = 16;

/// Requests to the kernel of the namespace of the thread that made it.
pub(super) struct Link {
    requests: NetlinkSocket,
    orders: NetlinkSocket,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Orders that the kernel refused.
    pub refused: u64,
}

impl Link {
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self {
            requests: NetlinkSocket::requests_of(NETLINK_XFRM)?,
            orders: NetlinkSocket::orders_of(NETLINK_XFRM)?,
            malformed: 0,
            refused: 0,
        })
    }

    /// Everything that a request tells: all SAs, all policies, or the default.
    pub fn list(&mut self, request: u16) -> Result<Vec<Told>, NetlinkError> {
        let flags = match request {
            kind::GET_DEFAULT => NLM_F_ACK,
            _ => NLM_F_DUMP,
        };
        for _ in 0..TRIES {
            let seq = self.requests.send(request, flags, &encode::ALL)?;
            let mut all = Vec::new();
            let is_whole = self.answers(seq, |told| all.push(told))?;
            if is_whole {
                return Ok(all);
            }
        }
        Err(NetlinkError::Socket {
            step: "reading a list of XFRM, which changed each time",
            source: std::io::ErrorKind::ResourceBusy.into(),
        })
    }

    /// Reads answers until the last one to the request `seq`. Whether they are all of one moment.
    fn answers(&mut self, seq: u32, mut sink: impl FnMut(Told)) -> Result<bool, NetlinkError> {
        let mut is_whole = true;
        loop {
            let (mut is_over, mut len) = (None, 0);
            match self.requests.receive()? {
                Received::Datagram(bytes) => {
                    len = bytes.len();
                    for message in Messages::new(bytes) {
                        let Ok(message) = message else {
                            self.malformed += 1;
                            break;
                        };
                        if message.seq != seq {
                            continue;
                        }
                        is_whole &= message.flags & NLM_F_DUMP_INTR == 0;
                        match message.kind {
                            NLMSG_DONE | NLMSG_ERROR => is_over = Some(refusal(&message)),
                            _ => match told(&message) {
                                Ok(Some(told)) => sink(told),
                                Ok(None) => {}
                                Err(e) => {
                                    tracing::warn!("XFRM: {e}");
                                    self.malformed += 1;
                                }
                            },
                        }
                    }
                }
                Received::Overrun => is_whole = false,
                Received::Empty => {
                    return Err(NetlinkError::Socket {
                        step: "waiting for an answer of XFRM",
                        source: std::io::ErrorKind::TimedOut.into(),
                    });
                }
            }
            // Keys were in it.
            self.requests.wipe(len);
            match is_over {
                None => {}
                Some(None) => return Ok(is_whole),
                Some(Some((source, _))) => {
                    return Err(NetlinkError::Socket {
                        step: "asking XFRM",
                        source,
                    });
                }
            }
        }
    }

    /// Sends an order. What the kernel says to those before is counted.
    fn order(&mut self, kind: u16, flags: u16, body: &[u8]) {
        loop {
            match self.orders.receive() {
                Ok(Received::Datagram(_)) => self.refused += 1,
                Ok(Received::Overrun) => {}
                Ok(Received::Empty) | Err(_) => break,
            }
        }
        if let Err(e) = self.orders.send(kind, flags, body) {
            tracing::warn!("XFRM: {e}");
            self.refused += 1;
        }
    }

    /// Has the kernel send IPv6 packets of this host in clear to the taps, whose lcores seal them.
    pub fn pass_ip6(&mut self) {
        self.order(kind::UPDATE_POLICY, 0, &encode::pass_ip6());
    }

    /// Takes that back.
    pub fn end_pass_ip6(&mut self) {
        self.order(kind::DEL_POLICY, 0, &encode::end_pass_ip6());
    }
}

impl Kernel for Link {
    fn take(&mut self, sa: &KernelSa) -> Result<u64, NotTaken> {
        let failed = |e: NetlinkError| NotTaken::Refused(e.to_string());
        let name = SaName {
            key: sa.key,
            mark: sa.mark,
        };
        let end = Numbers {
            out: sa.last_possible(),
            ..sa.numbers
        };
        let start = Instant::now();
        // Together: the kernel has no time to seal many packets in between.
        let mut bytes = Vec::new();
        let (get, set) = (
            encode::get_sa(&name),
            encode::set_state(&name, Some(&end), None),
        );
        let flags = NLM_F_REPLACE | NLM_F_ACK;
        let asked = self
            .requests
            .push(&mut bytes, kind::GET_SA, NLM_F_ACK, &get);
        let ordered = self.requests.push(&mut bytes, kind::NEW_AE, flags, &set);
        self.requests.write(&bytes).map_err(failed)?;
        let took = start.elapsed();
        let mut before = None;
        let answer = self.answers(asked, |told| {
            if let Told::Sa(sa) = told {
                before = Some(sa.numbers.out);
            }
        });
        let done = self.answers(ordered, |_| {});
        let is_gone = |result: &Result<bool, NetlinkError>| match result {
            Err(NetlinkError::Socket { source, .. }) => source.raw_os_error() == Some(libc::ESRCH),
            _ => false,
        };
        if is_gone(&answer) || is_gone(&done) {
            return Err(NotTaken::Gone);
        }
        answer.map_err(failed)?;
        done.map_err(failed)?;
        match before {
            Some(before) if took < TAKEN_WITHIN || before == sa.last_possible() => Ok(before),
            Some(_) => Err(NotTaken::Refused(format!(
                "the kernel took {} ms to let it go, and may have sealed packets meanwhile that nobody \
                 counted; rekey it",
                took.as_millis()
            ))),
            None => Err(NotTaken::Refused(
                "the kernel does not tell what it is".into(),
            )),
        }
    }

    fn set(&mut self, name: &SaName, numbers: Option<&Numbers>, used: Option<&Used>) {
        let body = encode::set_state(name, numbers, used);
        self.order(kind::NEW_AE, NLM_F_REPLACE, &body);
    }

    fn expire(&mut self, name: &SaName, is_hard: bool) {
        self.order(kind::EXPIRE, 0, &encode::expire(name, is_hard));
    }

    fn acquire(
        &mut self,
        policy: &KernelPolicy,
        template: &Template,
        packet: (&TrafficSelector, &TrafficSelector),
    ) {
        self.order(kind::ACQUIRE, 0, &encode::acquire(policy, template, packet));
    }
}
