//! SAs of the kernel as lcores have them. What they cannot do is refused here, by name.

use std::time::Duration;

use ironlane_fib::VrfId;
use ironlane_ipsec::{Df, Direction, Dscp, Limits, Mode, Protocol, SaSpec, Selector, UdpEncap};

use super::sa::{KernelSa, extra, flag};
use super::wire::NO_LIMIT;
use crate::ipsec::model::{Lifetime, NewSa, Refusal, selectors};

/// The type of ESP in UDP (`UDP_ENCAP_ESPINUDP`).
const ESP_IN_UDP: u16 = 2;

/// A mode of XFRM, if lcores have it.
pub(super) fn mode(number: u8) -> Result<Mode, Refusal> {
    match number {
        0 => Ok(Mode::Transport),
        1 => Ok(Mode::Tunnel),
        4 => Ok(Mode::Beet),
        other => unsupported(format!(
            "mode {other}; there are transport, tunnel and BEET"
        )),
    }
}

impl KernelSa {
    /// The SA for lcores. Its last sequence number is that of the kernel.
    ///
    /// # Errors
    /// A [`Refusal`] that names what lcores cannot do.
    pub fn to_new(&self, direction: Direction, now_s: u64) -> Result<NewSa, Refusal> {
        self.refuse(direction)?;
        let mode = mode(self.mode)?;
        let (algorithm, enc_key, auth_key) = self.algorithms.known()?;
        let has = |flag: u8| self.flags & flag != 0;
        let spec = SaSpec {
            direction,
            protocol: self.key.protocol,
            spi: self.key.spi,
            src: self.src,
            dst: self.key.dst,
            vrf: VrfId::DEFAULT,
            mode,
            algorithm,
            enc_key,
            auth_key,
            esn: has(flag::ESN),
            replay_window: self.replay_window,
            last_seq: match direction {
                Direction::In => self.numbers.seen,
                Direction::Out => self.numbers.out,
            },
            encap: self.encap()?,
            reqid: self.reqid,
            if_id: self.if_id,
            mark: match self.set_mark.mask {
                0 => self.mark,
                _ => self.set_mark,
            },
            selectors: self.selectors(mode)?,
            dscp: match self.extra_flags & extra::DONT_ENCAP_DSCP {
                0 => Dscp::Copy,
                _ => Dscp::Set(0),
            },
            df: match has(flag::NO_PMTU_DISCOVERY) {
                false => Df::Copy,
                true => Df::Clear,
            },
            ecn: !has(flag::NO_ECN),
            tfc_pad: u16::try_from(self.tfc_pad)
                .or_else(|_| unsupported(format!("TFC padding to {} bytes", self.tfc_pad)))?,
            limits: self.left(),
        };
        Ok(NewSa {
            spec,
            lifetime: self.lifetime(),
            age: Duration::from_secs(now_s.saturating_sub(self.used.added_s)),
        })
    }

    fn refuse(&self, direction: Direction) -> Result<(), Refusal> {
        let is_out = direction == Direction::Out;
        let refused = [
            (
                self.is_offloaded,
                "an SA that a network card does (offload)",
            ),
            (self.has_care_of, "a care-of address (Mobile IPv6)"),
            (
                self.flags & flag::WILD_RECEIVE != 0,
                "flag wildrecv: SAs of any destination",
            ),
            (
                self.flags & flag::DECAP_DSCP != 0 && !is_out,
                "flag decap-dscp: the inner DSCP is never changed",
            ),
            (
                is_out && self.extra_flags & extra::OSEQ_MAY_WRAP != 0,
                "extra-flag oseq-may-wrap: no sequence number is used twice",
            ),
            (
                is_out && self.set_mark.mask != 0,
                "output-mark: packets get no mark when they leave",
            ),
            (
                is_out && self.pads_ah_to_8(),
                "AH that pads its ICV to 8 bytes in IPv4; give it the flag align4 (RFC 4302 3.3.3.2.1)",
            ),
        ];
        match refused.into_iter().find(|(is_so, _)| *is_so) {
            Some((_, what)) => unsupported(what),
            None => Ok(()),
        }
    }

    /// Whether Linux pads where RFC 4302 does not: by all ICVs but those that are a multiple already.
    fn pads_ah_to_8(&self) -> bool {
        let is_even = self
            .algorithms
            .auth
            .as_ref()
            .is_some_and(|a| a.name == "hmac(sha1)");
        self.key.protocol == Protocol::Ah
            && self.key.dst.is_ipv4()
            && self.flags & flag::ALIGN4 == 0
            && !is_even
    }

    fn encap(&self) -> Result<Option<UdpEncap>, Refusal> {
        match self.encap {
            None => Ok(None),
            Some((ESP_IN_UDP, encap)) => Ok(Some(encap)),
            Some((kind, _)) => unsupported(format!("encapsulation {kind}; there is espinudp")),
        }
    }

    /// BEET knows its inner addresses by them; else policies decide, as in the kernel.
    fn selectors(&self, mode: Mode) -> Result<Vec<Selector>, Refusal> {
        if mode != Mode::Beet {
            return Ok(Vec::new());
        }
        let (src, dst) = self.selector.sides()?;
        selectors(&src, &dst)
    }

    /// What is left of limits: lcores begin to count at 0.
    fn left(&self) -> Limits {
        let left = |limit: u64, used: u64| match limit {
            NO_LIMIT | 0 => 0,
            limit => limit.saturating_sub(used).max(1),
        };
        let ((soft_bytes, hard_bytes), (soft_packets, hard_packets)) =
            (self.limits.bytes, self.limits.packets);
        Limits {
            soft_bytes: left(soft_bytes, self.used.bytes),
            hard_bytes: left(hard_bytes, self.used.bytes),
            soft_packets: left(soft_packets, self.used.packets),
            hard_packets: left(hard_packets, self.used.packets),
        }
    }

    fn lifetime(&self) -> Lifetime {
        let seconds = |limit: u64| {
            let is_one = limit != 0 && limit != NO_LIMIT;
            is_one.then(|| Duration::from_secs(limit.min(MOST_SECONDS)))
        };
        Lifetime {
            soft: seconds(self.limits.seconds.0),
            hard: seconds(self.limits.seconds.1),
        }
    }
}

/// More than any machine runs, and little enough to be added to its clock.
const MOST_SECONDS: u64 = 100 * 365 * 86_400;

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotSupported(what.into()))
}
