//! `RTM_NEWADDR`, `RTM_DELADDR`: addresses of this router.

use std::net::IpAddr;

use ironlane_rib::{Address, IfIndex};

use super::Malformed;
use super::attr::Attributes;
use super::decode::{header, ipv6, u32_at};

/// `struct ifaddrmsg`.
pub(super) const HEADER_LEN: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;

const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;

/// The address; `None` for other families.
pub(super) fn decode(body: &[u8]) -> Result<Option<Address>, Malformed> {
    let (family, fixed) = header::<HEADER_LEN>(body)?;
    let Some(ipv6) = ipv6(family) else {
        return Ok(None);
    };
    let [_, prefix_len, flags, scope, ..] = *fixed;
    if prefix_len > if ipv6 { 128 } else { 32 } {
        return Err(Malformed::PrefixLength);
    }
    let (mut address, mut local, mut broadcast) = (None, None, None);
    let mut flags = u32::from(flags);
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        match attribute.kind {
            IFA_ADDRESS => address = Some(attribute.ip_of(ipv6)?),
            IFA_LOCAL => local = Some(attribute.ip_of(ipv6)?),
            IFA_BROADCAST => {
                if let IpAddr::V4(ip) = attribute.ip_of(ipv6)? {
                    broadcast = Some(ip);
                }
            }
            IFA_FLAGS => flags = attribute.u32()?,
            _ => {}
        }
    }
    // IFA_ADDRESS is the prefix's address: that of the other end where there is one.
    let (address, peer) = match (local, address) {
        (Some(local), Some(other)) if local != other => (local, Some(other)),
        (Some(own), _) | (None, Some(own)) => (own, None),
        (None, None) => return Err(Malformed::Missing { kind: IFA_ADDRESS }),
    };
    // An optimistic address may be used before its check is over (RFC 4429).
    let unchecked = flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0;
    Ok(Some(Address {
        ifindex: IfIndex(u32_at(fixed, 4)),
        address,
        prefix_len,
        peer,
        broadcast,
        scope,
        tentative: unchecked || flags & IFA_F_DADFAILED != 0,
    }))
}
