//! Numbers and layouts of `linux/xfrm.h`, in the byte order of the machine but for what packets have.

use std::net::IpAddr;

use ironlane_ipsec::{Mark, Protocol};

use crate::ipsec::model::SaKey;
use crate::netlink::Malformed;
use crate::netlink::attr::{Attribute, ip};

/// `NETLINK_XFRM`.
pub(super) const NETLINK_XFRM: isize = 6;

/// Groups of events (`XFRMNLGRP_*`): expire, SA, policy, migrate.
pub(super) const GROUPS: [u32; 4] = [2, 3, 4, 7];

/// Types of messages (`XFRM_MSG_*`).
pub(super) mod kind {
    pub(crate) const NEW_SA: u16 = 0x10;
    pub(crate) const DEL_SA: u16 = 0x11;
    pub(crate) const GET_SA: u16 = 0x12;
    pub(crate) const NEW_POLICY: u16 = 0x13;
    pub(crate) const DEL_POLICY: u16 = 0x14;
    pub(crate) const GET_POLICY: u16 = 0x15;
    pub(crate) const ACQUIRE: u16 = 0x17;
    pub(crate) const EXPIRE: u16 = 0x18;
    pub(crate) const UPDATE_POLICY: u16 = 0x19;
    pub(crate) const UPDATE_SA: u16 = 0x1a;
    pub(crate) const POLICY_EXPIRE: u16 = 0x1b;
    pub(crate) const FLUSH_SA: u16 = 0x1c;
    pub(crate) const FLUSH_POLICY: u16 = 0x1d;
    pub(crate) const NEW_AE: u16 = 0x1e;
    pub(crate) const MIGRATE: u16 = 0x21;
    pub(crate) const GET_DEFAULT: u16 = 0x28;
}

/// Attributes (`XFRMA_*`).
pub(super) mod attribute {
    pub(crate) const ALG_AUTH: u16 = 1;
    pub(crate) const ALG_CRYPT: u16 = 2;
    pub(crate) const ALG_COMP: u16 = 3;
    pub(crate) const ENCAP: u16 = 4;
    pub(crate) const TEMPLATES: u16 = 5;
    pub(crate) const POLICY: u16 = 7;
    pub(crate) const SECURITY_CONTEXT: u16 = 8;
    pub(crate) const LIFETIME: u16 = 9;
    pub(crate) const REPLAY: u16 = 10;
    pub(crate) const CARE_OF: u16 = 14;
    pub(crate) const POLICY_TYPE: u16 = 16;
    pub(crate) const ALG_AEAD: u16 = 18;
    pub(crate) const ALG_AUTH_TRUNC: u16 = 20;
    pub(crate) const MARK: u16 = 21;
    pub(crate) const TFC_PAD: u16 = 22;
    pub(crate) const REPLAY_ESN: u16 = 23;
    pub(crate) const EXTRA_FLAGS: u16 = 24;
    pub(crate) const OFFLOAD: u16 = 28;
    pub(crate) const SET_MARK: u16 = 29;
    pub(crate) const SET_MARK_MASK: u16 = 30;
    pub(crate) const IF_ID: u16 = 31;
    pub(crate) const DIRECTION: u16 = 33;
}

/// Lengths of structures.
pub(super) mod len {
    pub(crate) const SELECTOR: usize = 56;
    /// `xfrm_usersa_info`.
    pub(crate) const SA: usize = 224;
    /// `xfrm_usersa_id`.
    pub(crate) const SA_ID: usize = 24;
    /// `xfrm_user_expire`, without what fills it up.
    pub(crate) const EXPIRE: usize = 225;
    /// `xfrm_userpolicy_info`.
    pub(crate) const POLICY: usize = 168;
    /// `xfrm_userpolicy_id`.
    pub(crate) const POLICY_ID: usize = 64;
    /// `xfrm_user_polexpire`, without what fills it up.
    pub(crate) const POLICY_EXPIRE: usize = 169;
    pub(crate) const TEMPLATE: usize = 64;
}

/// The limit that is none (`XFRM_INF`).
pub(super) const NO_LIMIT: u64 = u64::MAX;

/// A structure, of which parts are read at their places. Its length was looked at before.
#[derive(Clone, Copy)]
pub(super) struct Fixed<'a>(&'a [u8]);

impl<'a> Fixed<'a> {
    /// The structure at the start of a message.
    pub fn of(body: &'a [u8], len: usize) -> Result<Self, Malformed> {
        body.get(..len).map(Self).ok_or(Malformed::ObjectHeader)
    }

    /// The structure that an attribute has.
    pub fn in_attribute(attribute: &Attribute<'a>, len: usize) -> Result<Self, Malformed> {
        let kind = attribute.kind;
        Self::of(attribute.value, len).map_err(|_| Malformed::AttributeValue { kind })
    }

    pub fn bytes<const N: usize>(self, at: usize) -> [u8; N] {
        self.0[at..]
            .first_chunk()
            .copied()
            .expect("places lie within the length that was asked for")
    }

    pub fn u8(self, at: usize) -> u8 {
        self.0[at]
    }

    pub fn u16(self, at: usize) -> u16 {
        u16::from_ne_bytes(self.bytes(at))
    }

    /// Two bytes in the order of packets.
    pub fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.bytes(at))
    }

    pub fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at))
    }

    /// Four bytes in the order of packets.
    pub fn be32(self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes(at))
    }

    pub fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(at))
    }

    /// An `xfrm_address_t` of a family.
    pub fn address(self, at: usize, is_ip6: bool) -> IpAddr {
        let bytes: [u8; 16] = self.bytes(at);
        let len = if is_ip6 { 16 } else { 4 };
        ip(&bytes[..len]).expect("4 or 16 bytes are an address")
    }
}

/// Whether a family is IPv6.
pub(super) fn is_ip6(family: u16) -> Result<bool, Malformed> {
    match family {
        2 => Ok(false),
        10 => Ok(true),
        _ => Err(Malformed::ObjectHeader),
    }
}

/// The number of a family.
pub(super) fn family(addr: IpAddr) -> u16 {
    if addr.is_ipv4() { 2 } else { 10 }
}

/// An `xfrm_address_t`.
pub(super) fn address(addr: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match addr {
        IpAddr::V4(addr) => bytes[..4].copy_from_slice(&addr.octets()),
        IpAddr::V6(addr) => bytes = addr.octets(),
    }
    bytes
}

/// The name in an `xfrm_usersa_id`; `None` for a protocol that is neither ESP nor AH.
pub(super) fn sa_id(body: &[u8]) -> Result<Option<SaKey>, Malformed> {
    let fixed = Fixed::of(body, len::SA_ID)?;
    let is_ip6 = is_ip6(fixed.u16(20))?;
    Ok(Protocol::from_number(fixed.u8(22)).map(|protocol| SaKey {
        protocol,
        spi: fixed.be32(16),
        dst: fixed.address(0, is_ip6),
    }))
}

/// An `xfrm_mark`.
pub(super) fn mark(attribute: &Attribute<'_>) -> Result<Mark, Malformed> {
    let fixed = Fixed::in_attribute(attribute, 8)?;
    Ok(Mark {
        value: fixed.u32(0),
        mask: fixed.u32(4),
    })
}
