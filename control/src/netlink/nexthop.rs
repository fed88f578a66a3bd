//! `RTM_NEWNEXTHOP`, `RTM_DELNEXTHOP`: nexthop objects.

use ironlane_rib::{IfIndex, NexthopBody, NexthopId, NexthopMember, NexthopObject, Path};

use super::Malformed;
use super::attr::{Attribute, Attributes};
use super::decode::{header, u32_at};
use super::route::{RTNH_F_DEAD, RTNH_F_LINKDOWN, RTNH_F_ONLINK};

/// `struct nhmsg`.
pub(super) const HEADER_LEN: usize = 8;

// linux/nexthop.h
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP: u16 = 8;
const NHA_FDB: u16 = 11;

/// `struct nexthop_grp`.
const MEMBER_LEN: usize = 8;

/// The object; `None` for those that bridges use (`fdb`).
pub(super) fn decode(body: &[u8]) -> Result<Option<NexthopObject>, Malformed> {
    let (_, fixed) = header::<HEADER_LEN>(body)?;
    let protocol = fixed[2];
    let flags = u32_at(fixed, 4);
    let (mut id, mut members, mut blackhole) = (None, None, false);
    let mut path = Path {
        dead: flags & RTNH_F_DEAD != 0,
        linkdown: flags & RTNH_F_LINKDOWN != 0,
        onlink: flags & RTNH_F_ONLINK != 0,
        ..Path::dev(IfIndex::NONE)
    };
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        match attribute.kind {
            NHA_ID => id = Some(NexthopId(attribute.u32()?)),
            NHA_GROUP => members = Some(group(&attribute)?),
            NHA_BLACKHOLE => blackhole = true,
            NHA_OIF => path.ifindex = IfIndex(attribute.u32()?),
            NHA_GATEWAY => path.gateway = Some(attribute.ip()?),
            NHA_ENCAP => path.encap = true,
            NHA_FDB => return Ok(None),
            _ => {}
        }
    }
    let body = match (members, blackhole) {
        (Some(members), _) => NexthopBody::Group(members),
        (None, true) => NexthopBody::Blackhole,
        (None, false) => NexthopBody::Single(path),
    };
    let id = id.ok_or(Malformed::Missing { kind: NHA_ID })?;
    Ok(Some(NexthopObject { id, protocol, body }))
}

/// The number alone: all that a deletion surely has.
pub(super) fn decode_id(body: &[u8]) -> Result<NexthopId, Malformed> {
    header::<HEADER_LEN>(body)?;
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        if attribute.kind == NHA_ID {
            return attribute.u32().map(NexthopId);
        }
    }
    Err(Malformed::Missing { kind: NHA_ID })
}

fn group(attribute: &Attribute<'_>) -> Result<Vec<NexthopMember>, Malformed> {
    let (entries, rest) = attribute.value.as_chunks::<MEMBER_LEN>();
    if !rest.is_empty() {
        return Err(Malformed::AttributeValue {
            kind: attribute.kind,
        });
    }
    let member = |entry: &[u8; MEMBER_LEN]| NexthopMember {
        id: NexthopId(u32_at(entry, 0)),
        // Weight - 1; kernels from 6.12 on have the upper byte beside the lower.
        weight: u16::from_le_bytes([entry[4], entry[5]]).saturating_add(1),
    };
    Ok(entries.iter().map(member).collect())
}
