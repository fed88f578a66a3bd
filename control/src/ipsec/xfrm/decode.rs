//! From a message to what it tells. Nothing that arrives makes it panic.

use super::policy::KernelPolicy;
use super::sa::KernelSa;
use super::wire::{Fixed, kind, len, sa_id};
use crate::ipsec::model::SaKey;
use crate::netlink::{Malformed, Message};

/// What a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// An SA is new, or other than it was.
    Sa(Box<KernelSa>),
    /// An SA was deleted.
    SaGone(SaKey),
    /// All SAs of a protocol were deleted; 0 for every one.
    SasFlushed(u8),
    /// A policy is new, or other than it was.
    Policy(Box<KernelPolicy>),
    /// A policy was deleted.
    PolicyGone(Box<KernelPolicy>),
    /// All policies were deleted.
    PoliciesFlushed,
    /// SAs and policies got other addresses, which are told nowhere.
    Migrated,
    /// Whether packets without a policy are dropped.
    Default(Blocked),
}

/// Whether packets without a policy are dropped (`ip xfrm policy setdefault`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blocked {
    /// For the router.
    pub inbound: bool,
    /// Forwarded ones, as they arrive.
    pub forwarded: bool,
    /// As they leave.
    pub outbound: bool,
}

/// `XFRM_USERPOLICY_BLOCK`.
const BLOCK: u8 = 1;

/// What a message tells; `None` if that is nothing of interest.
///
/// # Errors
/// [`Malformed`] for what no kernel sends.
pub fn told(message: &Message<'_>) -> Result<Option<Told>, Malformed> {
    let body = message.body;
    Ok(match message.kind {
        kind::NEW_SA | kind::UPDATE_SA => KernelSa::read(body)?.map(Box::new).map(Told::Sa),
        kind::DEL_SA => sa_id(body)?.map(Told::SaGone),
        kind::EXPIRE => {
            let is_hard = Fixed::of(body, len::EXPIRE)?.u8(len::SA) != 0;
            // It has no attributes that count; the SA is the one that was told before.
            let of = KernelSa::read(&body[..len::SA])?;
            of.filter(|_| is_hard).map(|sa| Told::SaGone(sa.key))
        }
        kind::FLUSH_SA => Some(Told::SasFlushed(Fixed::of(body, 1)?.u8(0))),
        kind::NEW_POLICY | kind::UPDATE_POLICY => {
            let policy = KernelPolicy::read(body, len::POLICY)?;
            Some(Told::Policy(Box::new(policy)))
        }
        kind::DEL_POLICY => {
            let policy = KernelPolicy::read_deleted(body)?;
            Some(Told::PolicyGone(Box::new(policy)))
        }
        kind::POLICY_EXPIRE => {
            let is_hard = Fixed::of(body, len::POLICY_EXPIRE)?.u8(len::POLICY) != 0;
            let header = len::POLICY_EXPIRE.next_multiple_of(8);
            let policy = KernelPolicy::read(body, header)?;
            is_hard.then(|| Told::PolicyGone(Box::new(policy)))
        }
        kind::FLUSH_POLICY => Some(Told::PoliciesFlushed),
        kind::MIGRATE => Some(Told::Migrated),
        kind::GET_DEFAULT => {
            let fixed = Fixed::of(body, 3)?;
            Some(Told::Default(Blocked {
                inbound: fixed.u8(0) == BLOCK,
                forwarded: fixed.u8(1) == BLOCK,
                outbound: fixed.u8(2) == BLOCK,
            }))
        }
        _ => None,
    })
}
