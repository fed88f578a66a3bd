//! SAs as the kernel tells them: `xfrm_usersa_info` and its attributes.

use std::collections::HashSet;
use std::net::IpAddr;

use ironlane_ipsec::{Direction, Mark, Protocol, UdpEncap};

use super::algorithm::Algorithms;
use super::selector::KernelSelector;
use super::wire::{Fixed, attribute, is_ip6, len, mark};
use crate::ipsec::model::SaKey;
use crate::netlink::Malformed;
use crate::netlink::attr::{Attribute, Attributes};

/// Flags of an SA (`XFRM_STATE_*`).
pub mod flag {
    /// ECN is not carried.
    pub const NO_ECN: u8 = 1;
    /// The inner DSCP is set on arrival.
    pub const DECAP_DSCP: u8 = 2;
    /// Outer packets may be fragmented.
    pub const NO_PMTU_DISCOVERY: u8 = 4;
    /// Any destination is taken.
    pub const WILD_RECEIVE: u8 = 8;
    /// AH pads to four bytes in IPv4.
    pub const ALIGN4: u8 = 64;
    /// Sequence numbers of 64 bits.
    pub const ESN: u8 = 128;
}

/// Further flags (`XFRM_SA_XFLAG_*`).
pub mod extra {
    /// The outer DSCP is 0.
    pub const DONT_ENCAP_DSCP: u32 = 1;
    /// Sequence numbers begin anew after the last.
    pub const OSEQ_MAY_WRAP: u32 = 2;
}

/// Limits (`xfrm_lifetime_cfg`); all ones or, for seconds, 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes until it is rekeyed and deleted.
    pub bytes: (u64, u64),
    /// Packets until it is rekeyed and deleted.
    pub packets: (u64, u64),
    /// Seconds from its making until it is rekeyed and deleted.
    pub seconds: (u64, u64),
}

/// What passed (`xfrm_lifetime_cur`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Bytes of inner packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// When it was made, seconds of the wall clock.
    pub added_s: u64,
    /// When it was used first; 0 for never.
    pub first_use_s: u64,
}

/// Sequence numbers, the last ones used and seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Sent.
    pub out: u64,
    /// Received.
    pub seen: u64,
    /// Words of the bitmap, where it is one of any length (`xfrm_replay_state_esn`).
    pub bitmap_words: Option<u32>,
    /// Packets of the window in that case.
    pub window: u32,
}

/// An SA of the kernel, nothing judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSa {
    /// Protocol, SPI and destination.
    pub key: SaKey,
    /// Outer source.
    pub src: IpAddr,
    /// Inner packets.
    pub selector: KernelSelector,
    /// Limits.
    pub limits: Limits,
    /// What passed.
    pub used: Used,
    /// Request id.
    pub reqid: u32,
    /// `XFRM_MODE_*`.
    pub mode: u8,
    /// Packets of the anti-replay window.
    pub replay_window: u32,
    /// [`flag`].
    pub flags: u8,
    /// [`extra`].
    pub extra_flags: u32,
    /// With keys.
    pub algorithms: Algorithms,
    /// Type (2: ESP in UDP) and ports of the encapsulation.
    pub encap: Option<(u16, UdpEncap)>,
    /// Mark by which it is found.
    pub mark: Mark,
    /// Mark that its packets get.
    pub set_mark: Mark,
    /// XFRM interface.
    pub if_id: u32,
    /// Length to which inner packets are padded.
    pub tfc_pad: u32,
    /// A network card does the work.
    pub is_offloaded: bool,
    /// It has a care-of address (Mobile IPv6).
    pub has_care_of: bool,
    /// Which way, if the kernel says (Linux 6.10 and later).
    pub direction: Option<Direction>,
    /// Sequence numbers.
    pub numbers: Numbers,
}

impl KernelSa {
    /// Reads the body of a message; `None` for a protocol that is neither ESP nor AH.
    pub(super) fn read(body: &[u8]) -> Result<Option<Self>, Malformed> {
        let fixed = Fixed::of(body, len::SA)?;
        let family = fixed.u16(212);
        let is_ip6 = is_ip6(family)?;
        let Some(protocol) = Protocol::from_number(fixed.u8(76)) else {
            return Ok(None);
        };
        let pair = |at| (fixed.u64(at), fixed.u64(at + 8));
        let mut sa = Self {
            key: SaKey {
                protocol,
                spi: fixed.be32(72),
                dst: fixed.address(56, is_ip6),
            },
            src: fixed.address(80, is_ip6),
            selector: KernelSelector::read(fixed, 0, family)?,
            limits: Limits {
                bytes: pair(96),
                packets: pair(112),
                seconds: pair(128),
            },
            used: used(fixed, 160),
            reqid: fixed.u32(208),
            mode: fixed.u8(214),
            replay_window: fixed.u8(215).into(),
            flags: fixed.u8(216),
            extra_flags: 0,
            algorithms: Algorithms::default(),
            encap: None,
            mark: Mark::default(),
            set_mark: Mark::default(),
            if_id: 0,
            tfc_pad: 0,
            is_offloaded: false,
            has_care_of: false,
            direction: None,
            numbers: Numbers::default(),
        };
        for attr in Attributes::after(body, len::SA) {
            sa.take(&attr?)?;
        }
        Ok(Some(sa))
    }

    fn take(&mut self, attr: &Attribute<'_>) -> Result<(), Malformed> {
        match attr.kind {
            attribute::ENCAP => {
                let fixed = Fixed::in_attribute(attr, 6)?;
                let encap = UdpEncap {
                    src_port: fixed.be16(2),
                    dst_port: fixed.be16(4),
                };
                self.encap = Some((fixed.u16(0), encap));
            }
            attribute::REPLAY => {
                let fixed = Fixed::in_attribute(attr, 12)?;
                if self.numbers.bitmap_words.is_none() {
                    self.numbers.out = fixed.u32(0).into();
                    self.numbers.seen = fixed.u32(4).into();
                }
            }
            attribute::REPLAY_ESN => {
                let fixed = Fixed::in_attribute(attr, 24)?;
                let wide = |low, high| u64::from(fixed.u32(high)) << 32 | u64::from(fixed.u32(low));
                self.replay_window = fixed.u32(20);
                self.numbers = Numbers {
                    out: wide(4, 12),
                    seen: wide(8, 16),
                    bitmap_words: Some(fixed.u32(0)),
                    window: fixed.u32(20),
                };
            }
            attribute::MARK => self.mark = mark(attr)?,
            attribute::SET_MARK => {
                self.set_mark.value = attr.u32()?;
                self.set_mark.mask = u32::MAX;
            }
            attribute::SET_MARK_MASK => self.set_mark.mask = attr.u32()?,
            attribute::IF_ID => self.if_id = attr.u32()?,
            attribute::TFC_PAD => self.tfc_pad = attr.u32()?,
            attribute::EXTRA_FLAGS => self.extra_flags = attr.u32()?,
            attribute::OFFLOAD => self.is_offloaded = true,
            attribute::CARE_OF => self.has_care_of = true,
            attribute::DIRECTION => {
                self.direction = match attr.u8()? {
                    1 => Some(Direction::In),
                    2 => Some(Direction::Out),
                    _ => return Err(Malformed::AttributeValue { kind: attr.kind }),
                };
            }
            _ => self.algorithms.take(attr)?,
        }
        Ok(())
    }

    /// Whether it is but a reserved SPI, or a packet that waits for IKE.
    pub fn is_larval(&self) -> bool {
        self.algorithms.is_empty() || self.key.spi == 0
    }

    /// Which way it protects, if that can be told: the kernel itself knows only when a packet meets it.
    pub fn direction_at(&self, local: &HashSet<IpAddr>) -> Option<Direction> {
        self.direction.or_else(|| {
            let ends = (local.contains(&self.src), local.contains(&self.key.dst));
            match ends {
                (_, true) => Some(Direction::In),
                (true, false) => Some(Direction::Out),
                (false, false) => None,
            }
        })
    }

    /// The last sequence number that it can send.
    pub fn last_possible(&self) -> u64 {
        match self.flags & flag::ESN {
            0 => u32::MAX.into(),
            _ => u64::MAX,
        }
    }
}

/// Reads an `xfrm_lifetime_cur`.
fn used(fixed: Fixed<'_>, at: usize) -> Used {
    Used {
        bytes: fixed.u64(at),
        packets: fixed.u64(at + 8),
        added_s: fixed.u64(at + 16),
        first_use_s: fixed.u64(at + 24),
    }
}
