//! What a policy looks at.

use std::net::IpAddr;

use crate::{Flow, PolicySpec, Selector, hash};

/// Which bits of a flow a selector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    is_ip6: bool,
    src_len: u8,
    dst_len: u8,
    /// One protocol, or any.
    proto: bool,
    /// One port; a range is looked at later.
    src_port: bool,
    dst_port: bool,
}

/// What selectors look at in a flow, as numbers.
pub(crate) struct Key {
    is_ip6: bool,
    src: u128,
    dst: u128,
    proto: u8,
    ports: Option<(u16, u16)>,
    if_id: u32,
}

impl Key {
    #[inline]
    pub(crate) fn of(flow: &Flow, if_id: u32) -> Self {
        Self {
            is_ip6: flow.src.is_ipv6(),
            src: number(flow.src),
            dst: number(flow.dst),
            proto: flow.proto,
            ports: flow.ports,
            if_id,
        }
    }

    /// Any flow that a policy matches, so that its hash is that of the policy.
    pub(crate) fn of_policy(spec: &PolicySpec) -> Self {
        let Selector {
            src,
            dst,
            proto,
            src_ports,
            dst_ports,
        } = &spec.selector;
        Self {
            is_ip6: src.addr().is_ipv6(),
            src: number(src.network()),
            dst: number(dst.network()),
            proto: *proto,
            ports: Some((*src_ports.start(), *dst_ports.start())),
            if_id: spec.if_id,
        }
    }
}

impl Shape {
    pub(crate) fn of(selector: &Selector) -> Self {
        Self {
            is_ip6: selector.src.addr().is_ipv6(),
            src_len: selector.src.prefix_len(),
            dst_len: selector.dst.prefix_len(),
            proto: selector.proto != 0,
            src_port: selector.src_ports.start() == selector.src_ports.end(),
            dst_port: selector.dst_ports.start() == selector.dst_ports.end(),
        }
    }

    /// The hash of what this shape looks at; `None` if no selector of this shape can match.
    #[inline(always)] // so that no key is made of what is in registers
    pub(crate) fn hash(&self, key: &Key) -> Option<u64> {
        if self.is_ip6 != key.is_ip6 {
            return None;
        }
        let mut rest = u64::from(key.if_id) << 32;
        if self.src_port || self.dst_port {
            let (src, dst) = key.ports?;
            rest ^= if self.src_port {
                u64::from(src) << 16
            } else {
                0
            };
            rest ^= if self.dst_port { u64::from(dst) } else { 0 };
        }
        let proto = if self.proto { key.proto } else { 0 };
        let hash = hash::mix(u64::from(proto), rest);
        if self.is_ip6 {
            let (src, dst) = (key.src & mask(self.src_len), key.dst & mask(self.dst_len));
            return Some(hash::mix_wide(hash::mix_wide(hash, src), dst));
        }
        let src = key.src as u64 & mask4(self.src_len);
        let dst = key.dst as u64 & mask4(self.dst_len);
        Some(hash::mix(hash, src << 32 | dst))
    }
}

/// The first bits of a number.
#[inline]
const fn mask(len: u8) -> u128 {
    match len {
        0 => 0,
        len => u128::MAX << (128 - len as u32),
    }
}

/// The first bits of an IPv4 address, in the lower half of a word.
#[inline]
const fn mask4(len: u8) -> u64 {
    (u32::MAX as u64) << (32 - len as u32)
}

#[inline]
fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => addr.to_bits().into(),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}
