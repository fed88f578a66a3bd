//! `RTM_NEWROUTE`, `RTM_DELROUTE`: routes. The decoder that a full Internet table goes through: one
//! pass over the bytes, one allocation for the paths.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ironlane_rib::{IfIndex, NexthopId, Path, Route, RouteKind, RouteTarget, TableId};

use super::Malformed;
use super::attr::{Attribute, Attributes, ip};
use super::decode::{header, ipv6, u32_at};

/// `struct rtmsg`.
pub(super) const HEADER_LEN: usize = 12;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;
const RTAX_MTU: u16 = 2;

/// A cached exception of one destination (PMTU, redirect), and not a route.
const RTM_F_CLONED: u32 = 0x200;

pub(super) const RTNH_F_DEAD: u32 = 1;
pub(super) const RTNH_F_ONLINK: u32 = 4;
pub(super) const RTNH_F_LINKDOWN: u32 = 16;

/// `struct rtnexthop`.
const HOP_LEN: usize = 8;

/// The route; `None` for other families, cached exceptions and kinds that no lookup meets.
pub(super) fn decode(body: &[u8]) -> Result<Option<Route>, Malformed> {
    let (family, fixed) = header::<HEADER_LEN>(body)?;
    let Some(ipv6) = ipv6(family) else {
        return Ok(None);
    };
    let [_, dst_len, src_len, tos, table, protocol, scope, kind, ..] = *fixed;
    let flags = u32_at(fixed, 8);
    let Some(kind) = RouteKind::from_rtn(kind) else {
        return Ok(None);
    };
    if flags & RTM_F_CLONED != 0 {
        return Ok(None);
    }

    let any: IpAddr = if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let (mut dst, mut src, mut table, mut metric) = (any, any, u32::from(table), 0);
    let (mut prefsrc, mut mtu, mut object, mut hops) = (None, None, None, None);
    let mut path = path_of_flags(flags);
    for attribute in Attributes::after(body, HEADER_LEN) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => dst = attribute.ip_of(ipv6)?,
            RTA_SRC => src = attribute.ip_of(ipv6)?,
            RTA_PRIORITY => metric = attribute.u32()?,
            RTA_PREFSRC => prefsrc = Some(attribute.ip_of(ipv6)?),
            RTA_METRICS => mtu = metrics_mtu(&attribute)?,
            RTA_MULTIPATH => hops = Some(multipath(&attribute)?),
            RTA_TABLE => table = attribute.u32()?,
            RTA_NH_ID => object = Some(NexthopId(attribute.u32()?)),
            _ => path_attribute(&mut path, &attribute)?,
        }
    }
    let target = match (object, hops) {
        (Some(id), _) => RouteTarget::Object(id),
        (None, Some(hops)) => RouteTarget::Paths(hops),
        (None, None) if path.gateway.is_none() && path.ifindex == IfIndex::NONE => {
            RouteTarget::Paths(Vec::new())
        }
        (None, None) => RouteTarget::Paths(vec![path]),
    };
    Ok(Some(Route {
        table: TableId(table),
        prefix: prefix(dst, dst_len)?,
        from: (src_len > 0).then(|| prefix(src, src_len)).transpose()?,
        tos,
        metric,
        protocol,
        scope,
        kind,
        target,
        prefsrc,
        mtu,
    }))
}

fn prefix(address: IpAddr, len: u8) -> Result<IpNet, Malformed> {
    IpNet::new(address, len)
        .map(|net| net.trunc())
        .map_err(|_| Malformed::PrefixLength)
}

fn path_of_flags(flags: u32) -> Path {
    Path {
        dead: flags & RTNH_F_DEAD != 0,
        linkdown: flags & RTNH_F_LINKDOWN != 0,
        onlink: flags & RTNH_F_ONLINK != 0,
        ..Path::dev(IfIndex::NONE)
    }
}

/// What a path of its own and a member of RTA_MULTIPATH have in common.
fn path_attribute(path: &mut Path, attribute: &Attribute<'_>) -> Result<(), Malformed> {
    match attribute.kind {
        RTA_OIF => path.ifindex = IfIndex(attribute.u32()?),
        RTA_GATEWAY => path.gateway = Some(attribute.ip()?),
        RTA_VIA => path.gateway = Some(via(attribute)?),
        RTA_ENCAP => path.encap = true,
        _ => {}
    }
    Ok(())
}

/// A gateway of the other family: `struct rtvia`, the family and then its address.
fn via(attribute: &Attribute<'_>) -> Result<IpAddr, Malformed> {
    let address = attribute.value.get(2..).and_then(ip);
    address.ok_or(Malformed::AttributeValue {
        kind: attribute.kind,
    })
}

fn metrics_mtu(attribute: &Attribute<'_>) -> Result<Option<u32>, Malformed> {
    for metric in attribute.nested() {
        let metric = metric?;
        if metric.kind == RTAX_MTU {
            return metric.u32().map(Some);
        }
    }
    Ok(None)
}

fn multipath(attribute: &Attribute<'_>) -> Result<Vec<Path>, Malformed> {
    let mut rest = attribute.value;
    let mut paths = Vec::new();
    while !rest.is_empty() {
        let Some((header, _)) = rest.split_first_chunk::<HOP_LEN>() else {
            return Err(Malformed::AttributeValue {
                kind: attribute.kind,
            });
        };
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(attributes) = rest.get(HOP_LEN..len) else {
            return Err(Malformed::AttributeValue {
                kind: attribute.kind,
            });
        };
        let mut path = path_of_flags(header[2].into());
        path.weight = u16::from(header[3]) + 1;
        path.ifindex = IfIndex(u32_at(header, 4));
        for attribute in Attributes::new(attributes) {
            path_attribute(&mut path, &attribute?)?;
        }
        paths.push(path);
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(paths)
}
