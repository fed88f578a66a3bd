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

/// Tells routes that are said again from those that replace another.
///
/// When a nexthop object is replaced, the kernel says its routes again (`nexthop_compat_mode`),
/// with the flags of a replacement, behind the object and with the number of the same request.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    object: Option<(u32, u32)>,
}

impl Repeats {
    /// Looks at an event, in order, and marks it. True if it cannot be told for sure: its sender
    /// gives all its requests the number 0.
    pub fn see(&mut self, message: &Message<'_>, change: &mut Change) -> bool {
        let request = (message.pid, message.seq);
        match change {
            Change::SetNexthop(_) => self.object = Some(request),
            Change::SetRoute(_, flags) => {
                flags.again = flags.replace && message.pid != 0 && self.object == Some(request);
                return flags.again && message.seq == 0;
            }
            _ => {}
        }
        false
    }
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

#[cfg(test)]
mod tests {
    use ironlane_rib::{NexthopBody, NexthopId, NexthopObject, Route};

    use super::*;

    #[test]
    fn a_route_of_the_request_that_replaced_its_object_is_said_again() {
        let object = Change::SetNexthop(NexthopObject {
            id: NexthopId(1),
            protocol: 0,
            body: NexthopBody::Blackhole,
        });
        let route = Route::new("2001:db8::/48".parse().unwrap(), vec![]);
        let mut repeats = Repeats::default();
        let mut see = |change: &Change, pid, seq| {
            let mut change = change.clone();
            let message = Message {
                kind: 0,
                flags: 0,
                seq,
                pid,
                body: &[],
            };
            let doubtful = repeats.see(&message, &mut change);
            let again = matches!(change, Change::SetRoute(_, flags) if flags.again);
            (again, doubtful)
        };
        let replacement = Change::SetRoute(route.clone(), RouteFlags::from_nlmsg(0x100));
        let new = Change::SetRoute(route, RouteFlags::from_nlmsg(0x600));
        assert_eq!(see(&replacement, 0, 0), (false, false));
        see(&object, 7, 5);
        assert_eq!(see(&replacement, 7, 5), (true, false));
        assert_eq!(see(&replacement, 7, 5), (true, false), "each of its routes");
        assert_eq!(see(&new, 7, 5), (false, false));
        assert_eq!(see(&replacement, 7, 6), (false, false), "the next request");
        assert_eq!(see(&replacement, 8, 5), (false, false), "another sender");
        see(&object, 7, 0);
        assert_eq!(
            see(&replacement, 7, 0),
            (true, true),
            "all its requests are 0"
        );
        see(&object, 0, 0);
        assert_eq!(
            see(&replacement, 0, 0),
            (false, false),
            "the kernel by itself"
        );
    }
}
