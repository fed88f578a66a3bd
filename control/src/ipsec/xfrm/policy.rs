//! Policies as the kernel tells them: `xfrm_userpolicy_info` and its attributes, and what becomes of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ironlane_ipsec::{Mark, Mode, PolicyDirection, Protocol};

use super::judge::mode;
use super::selector::KernelSelector;
use super::wire::{Fixed, attribute, is_ip6, len, mark};
use crate::ipsec::model::{Class, PolicyKey, PolicyUse, Refusal, Verdict};
use crate::netlink::Malformed;
use crate::netlink::attr::{Attribute, Attributes};

/// Most templates of a policy (`XFRM_MAX_DEPTH`).
const MAX_TEMPLATES: usize = 6;

/// How packets are to be protected (`xfrm_user_tmpl`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Protocol of the SA.
    pub protocol: u8,
    /// Its SPI; 0 for any.
    pub spi: u32,
    /// Outer source; unspecified for any.
    pub src: IpAddr,
    /// Outer destination; unspecified for any.
    pub dst: IpAddr,
    /// Request id.
    pub reqid: u32,
    /// `XFRM_MODE_*`.
    pub mode: u8,
    /// Whether packets may pass without (`level use`).
    pub optional: bool,
}

/// What tells one policy of the kernel from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyName {
    direction: u8,
    selector: [u8; len::SELECTOR],
    mark: Mark,
    if_id: u32,
    is_sub: bool,
}

impl PolicyName {
    /// The selector, byte by byte.
    pub(super) fn selector(&self) -> &[u8; len::SELECTOR] {
        &self.selector
    }
}

/// A policy of the kernel, nothing judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Which packets are asked about; `None` for one of a socket, which IKE daemons have for their own.
    pub direction: Option<PolicyDirection>,
    /// Which packets it is for.
    pub selector: KernelSelector,
    /// Smaller decides first.
    pub priority: u32,
    /// Number by which the kernel names it.
    pub index: u32,
    /// Whether packets are dropped.
    pub blocks: bool,
    /// Protection, from the inside out.
    pub templates: Vec<Template>,
    /// Only packets with this mark.
    pub mark: Mark,
    /// Only packets through this XFRM interface.
    pub if_id: u32,
    /// It is asked before others, and both must agree (`ptype sub`).
    pub is_sub: bool,
    /// Only packets with this label.
    pub has_context: bool,
}

impl KernelPolicy {
    /// Reads the body of a message.
    pub(super) fn read(body: &[u8], header: usize) -> Result<Self, Malformed> {
        let mut policy = Self::fixed(Fixed::of(body, len::POLICY)?)?;
        policy.take_all(Attributes::after(body, header))?;
        Ok(policy)
    }

    /// Reads the body of the message that tells its end: a name, and the policy in an attribute.
    pub(super) fn read_deleted(body: &[u8]) -> Result<Self, Malformed> {
        Fixed::of(body, len::POLICY_ID)?;
        let attrs = || Attributes::after(body, len::POLICY_ID);
        let missing = Malformed::Missing {
            kind: attribute::POLICY,
        };
        let mut policy = None;
        for attr in attrs() {
            let attr = attr?;
            if attr.kind == attribute::POLICY {
                policy = Some(Self::fixed(Fixed::in_attribute(&attr, len::POLICY)?)?);
            }
        }
        let mut policy = policy.ok_or(missing)?;
        policy.take_all(attrs())?;
        Ok(policy)
    }

    fn fixed(fixed: Fixed<'_>) -> Result<Self, Malformed> {
        let direction = fixed.u8(160);
        Ok(Self {
            name: PolicyName {
                direction,
                selector: fixed.bytes(0),
                mark: Mark::default(),
                if_id: 0,
                is_sub: false,
            },
            direction: match direction {
                0 => Some(PolicyDirection::In),
                1 => Some(PolicyDirection::Out),
                2 => Some(PolicyDirection::Fwd),
                _ => None,
            },
            selector: KernelSelector::read(fixed, 0, fixed.u16(40))?,
            priority: fixed.u32(152),
            index: fixed.u32(156),
            blocks: fixed.u8(161) != 0,
            templates: Vec::new(),
            mark: Mark::default(),
            if_id: 0,
            is_sub: false,
            has_context: false,
        })
    }

    fn take_all(&mut self, attrs: Attributes<'_>) -> Result<(), Malformed> {
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                attribute::TEMPLATES => self.templates = templates(&attr)?,
                attribute::MARK => self.mark = mark(&attr)?,
                attribute::IF_ID => self.if_id = attr.u32()?,
                attribute::SECURITY_CONTEXT => self.has_context = true,
                attribute::POLICY_TYPE => {
                    self.is_sub = *attr.value.first().unwrap_or(&0) == 1;
                }
                _ => {}
            }
        }
        self.name = PolicyName {
            mark: self.mark,
            if_id: self.if_id,
            is_sub: self.is_sub,
            ..self.name
        };
        Ok(())
    }

    /// The policy for lcores. What they cannot do becomes a policy that drops, with the reason: nothing
    /// passes in clear only since it cannot be protected. `None` for a policy of a socket.
    pub fn to_use(&self) -> Option<(PolicyKey, PolicyUse, Option<Refusal>)> {
        let direction = self.direction?;
        let (sides, refused) = match self.selector.sides() {
            Ok(sides) => (sides, None),
            Err(refusal) => (self.selector.wide_sides(), Some(refusal)),
        };
        let key = PolicyKey {
            direction,
            src: sides.0,
            dst: sides.1,
            mark: self.mark,
            if_id: self.if_id,
        };
        let drop = PolicyUse {
            verdict: Verdict::Discard,
            class: Class::Default,
            // The model has its own order where none is given.
            priority: self.priority.saturating_add(1),
            reqid: 0,
            mode: Mode::Tunnel,
            protocol: Protocol::Esp,
            spi: None,
            outer: None,
            optional: false,
        };
        if refused.is_some() {
            return Some((key, drop, refused));
        }
        Some(match self.verdict(direction, drop) {
            Ok(of) => (key, of, None),
            Err(refusal) => (key, drop, Some(refusal)),
        })
    }

    fn verdict(&self, direction: PolicyDirection, drop: PolicyUse) -> Result<PolicyUse, Refusal> {
        if self.has_context {
            return unsupported("a security label (ctx)");
        }
        if self.is_sub {
            return unsupported("ptype sub");
        }
        let template = match &self.templates[..] {
            _ if self.blocks => return Ok(drop),
            [] => {
                return Ok(PolicyUse {
                    verdict: Verdict::Bypass,
                    ..drop
                });
            }
            [one] => one,
            _ => return unsupported("several templates: an SA inside another, or IPComp"),
        };
        let protocol = Protocol::from_number(template.protocol).ok_or_else(|| {
            let number = template.protocol;
            Refusal::NotSupported(format!(
                "a template of protocol {number}; there are ESP and AH"
            ))
        })?;
        let mode = mode(template.mode)?;
        let is_out = direction == PolicyDirection::Out;
        if is_out && template.optional {
            return unsupported("level use for packets that leave: they would pass in clear");
        }
        let outer = match (mode, is_out) {
            (Mode::Transport, true) => self.ends()?,
            (Mode::Transport, false) => (any_like(template.src), any_like(template.dst)),
            _ => (template.src, template.dst),
        };
        Ok(PolicyUse {
            verdict: Verdict::Protect,
            reqid: template.reqid,
            mode,
            protocol,
            spi: (template.spi != 0).then_some(template.spi),
            outer: Some(outer),
            optional: template.optional,
            ..drop
        })
    }

    /// The ends of a transport mode SA are those of the packet, so there must be one destination.
    fn ends(&self) -> Result<(IpAddr, IpAddr), Refusal> {
        let KernelSelector { src, dst, .. } = self.selector;
        if dst.prefix_len() != dst.max_prefix_len() {
            return unsupported("transport mode to a network; give a policy for each host");
        }
        let src = match src.prefix_len() == src.max_prefix_len() {
            true => src.addr(),
            false => any_like(src.addr()),
        };
        Ok((src, dst.addr()))
    }
}

/// The unspecified address of the same family.
fn any_like(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn templates(attr: &Attribute<'_>) -> Result<Vec<Template>, Malformed> {
    let (all, rest) = attr.value.as_chunks::<{ len::TEMPLATE }>();
    if !rest.is_empty() || all.len() > MAX_TEMPLATES {
        return Err(Malformed::AttributeValue { kind: attr.kind });
    }
    let read = |bytes: &[u8; len::TEMPLATE]| {
        let fixed = Fixed::of(bytes, len::TEMPLATE)?;
        let is_ip6 = is_ip6(fixed.u16(24))?;
        Ok(Template {
            protocol: fixed.u8(20),
            spi: fixed.be32(16),
            src: fixed.address(28, is_ip6),
            dst: fixed.address(0, is_ip6),
            reqid: fixed.u32(44),
            mode: fixed.u8(48),
            optional: fixed.u8(50) != 0,
        })
    };
    all.iter().map(read).collect()
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotSupported(what.into()))
}
