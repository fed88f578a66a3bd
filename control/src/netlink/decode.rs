//! From a message to a change.

use ironlane_rib::{Change, RouteFlags};
use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};

use super::message::Message;
use super::{Malformed, addr, link, neigh, nexthop, route, rule};

// linux/rtnetlink.h
pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_NEWNEIGH: u16 = 28;
pub(super) const RTM_DELNEIGH: u16 = 29;
pub(super) const RTM_NEWRULE: u16 = 32;
pub(super) const RTM_DELRULE: u16 = 33;
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;

/// `AF_INET`.
pub(super) const AF_INET: u8 = 2;
/// `AF_INET6`.
pub(super) const AF_INET6: u8 = 10;

/// Whether a family is IPv6; `None` if it is neither that nor IPv4.
pub(super) const fn ipv6(family: u8) -> Option<bool> {
    match family {
        AF_INET => Some(false),
        AF_INET6 => Some(true),
        _ => None,
    }
}

/// The address family of a message, and its fixed part, which starts with it.
pub(super) fn header<const N: usize>(body: &[u8]) -> Result<(u8, &[u8; N]), Malformed> {
    let (fixed, _) = body
        .split_first_chunk::<N>()
        .ok_or(Malformed::ObjectHeader)?;
    Ok((body[0], fixed))
}

/// The number of two bytes at a place of a fixed header.
pub(super) fn u16_at<const N: usize>(fixed: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([fixed[at], fixed[at + 1]])
}

/// The number of four bytes at a place of a fixed header.
pub(super) fn u32_at<const N: usize>(fixed: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
}

/// The change that a message tells.
///
/// `None` for what is well formed and not ours: other families, cached exceptions, bridge
/// entries, messages that are no objects.
pub fn change(message: &Message<'_>) -> Result<Option<Change>, Malformed> {
    let body = message.body;
    Ok(match message.kind {
        RTM_NEWROUTE => {
            let flags = RouteFlags::from_nlmsg(message.flags);
            route::decode(body)?.map(|route| Change::SetRoute(route, flags))
        }
        RTM_DELROUTE => route::decode(body)?.map(Change::DelRoute),
        RTM_NEWNEIGH => neigh::decode(body)?.map(Change::SetNeighbour),
        RTM_DELNEIGH => neigh::decode(body)?.map(|gone| Change::DelNeighbour {
            ifindex: gone.ifindex,
            address: gone.address,
        }),
        RTM_NEWNEXTHOP => nexthop::decode(body)?.map(Change::SetNexthop),
        RTM_DELNEXTHOP => Some(Change::DelNexthop(nexthop::decode_id(body)?)),
        RTM_NEWLINK => link::decode(body)?.map(Change::SetLink),
        RTM_DELLINK => link::decode(body)?.map(|link| Change::DelLink(link.index)),
        RTM_NEWADDR => addr::decode(body)?.map(Change::SetAddress),
        RTM_DELADDR => addr::decode(body)?.map(Change::DelAddress),
        RTM_NEWRULE => rule::decode(body)?.map(Change::SetRule),
        RTM_DELRULE => rule::decode(body)?.map(Change::DelRule),
        _ => None,
    })
}

/// The name of a message type, as in `linux/rtnetlink.h` and in small letters.
pub fn kind_name(kind: u16) -> &'static str {
    match kind {
        RTM_NEWLINK => "newlink",
        RTM_DELLINK => "dellink",
        RTM_NEWADDR => "newaddr",
        RTM_DELADDR => "deladdr",
        RTM_NEWROUTE => "newroute",
        RTM_DELROUTE => "delroute",
        RTM_NEWNEIGH => "newneigh",
        RTM_DELNEIGH => "delneigh",
        RTM_NEWRULE => "newrule",
        RTM_DELRULE => "delrule",
        RTM_NEWNEXTHOP => "newnexthop",
        RTM_DELNEXTHOP => "delnexthop",
        NLMSG_NOOP | NLMSG_ERROR | NLMSG_DONE | NLMSG_OVERRUN => "control",
        _ => "other",
    }
}
