//! `RTM_NEWNEIGH`, `RTM_DELNEIGH`: neighbours.

use ironlane_rib::{IfIndex, Neighbour, NeighbourState};

use super::Malformed;
use super::attr::Attributes;
use super::decode::{header, ipv6, u16_at, u32_at};

/// `struct ndmsg`.
pub(super) const HEADER_LEN: usize = 12;

pub(super) const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// An address that we answer for, and not a neighbour.
const NTF_PROXY: u8 = 0x08;

/// The neighbour; `None` for forwarding entries of bridges, other families and proxy entries.
pub(super) fn decode(body: &[u8]) -> Result<Option<Neighbour>, Malformed> {
    let (family, fixed) = header::<HEADER_LEN>(body)?;
    let Some(ipv6) = ipv6(family) else {
        return Ok(None);
    };
    if fixed[10] & NTF_PROXY != 0 {
        return Ok(None);
    }
    let (mut address, mut mac) = (None, None);
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        match attribute.kind {
            NDA_DST => address = Some(attribute.ip_of(ipv6)?),
            NDA_LLADDR => mac = attribute.mac(),
            _ => {}
        }
    }
    Ok(Some(Neighbour {
        ifindex: IfIndex(u32_at(fixed, 4)),
        address: address.ok_or(Malformed::Missing { kind: NDA_DST })?,
        mac,
        state: NeighbourState::from_nud(u16_at(fixed, 8)),
    }))
}
