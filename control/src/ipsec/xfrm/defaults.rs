//! The kernel's default policies (`ip xfrm policy setdefault`), as policies behind all others.

use ipnet::IpNet;
use ironlane_ipsec::{Mark, Mode, PolicyDirection, Protocol};

use super::Blocked;
use crate::ipsec::model::{Class, PolicyKey, PolicyUse, TrafficSelector, Verdict};

/// What stands for them.
pub(super) fn uses(blocked: Blocked) -> Vec<(PolicyKey, PolicyUse)> {
    let directions = [
        (PolicyDirection::In, blocked.inbound),
        (PolicyDirection::Fwd, blocked.forwarded),
        (PolicyDirection::Out, blocked.outbound),
    ];
    let blocked = directions.into_iter().filter(|(_, is_so)| *is_so);
    let both = |(direction, _)| all().map(|net| (key(direction, net), LAST));
    blocked.flat_map(both).collect()
}

fn all() -> [TrafficSelector; 2] {
    let net = |net: IpNet| TrafficSelector::net(net);
    [
        net(IpNet::V4(ipnet::Ipv4Net::default())),
        net(IpNet::V6(ipnet::Ipv6Net::default())),
    ]
}

fn key(direction: PolicyDirection, net: TrafficSelector) -> PolicyKey {
    PolicyKey {
        direction,
        src: net,
        dst: net,
        mark: Mark::default(),
        if_id: 0,
    }
}

/// Drops what no other policy decides about.
const LAST: PolicyUse = PolicyUse {
    verdict: Verdict::Discard,
    class: Class::Fallback,
    priority: u32::MAX,
    reqid: 0,
    mode: Mode::Tunnel,
    protocol: Protocol::Esp,
    spi: None,
    outer: None,
    optional: false,
};
