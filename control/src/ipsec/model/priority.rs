//! The order of policies.

use super::{Class, PolicyKey, PolicyUse};

/// Between two classes: more than all that a selector can add.
const BAND: u32 = 200_000;

/// Largest priority, half of all numbers: the data plane's numbers have one bit more (see
/// [`Model`](super::Model)).
const MAX: u32 = u32::MAX >> 1;

/// The priority of a use of a policy; smaller decides first.
///
/// One that was given by hand counts as it is. Else the class decides, and within it the more specific
/// selector: longer prefixes first, then a protocol, then ports. A trap comes right behind the policy
/// of the SA that it leads to.
pub(super) fn priority(key: &PolicyKey, of: &PolicyUse) -> u32 {
    if of.priority != 0 {
        return of.priority.min(MAX);
    }
    let band = match of.class {
        Class::Pass => 1,
        Class::Default | Class::Routed => 2,
        Class::Fallback => 3,
    };
    let bits = u32::from(key.src.common_bits()) + u32::from(key.dst.common_bits());
    let port_bits = u32::from(key.src.common_port_bits()) + u32::from(key.dst.common_port_bits());
    let has_protocol = key.src.protocol() != 0 || key.dst.protocol() != 0;
    band * BAND - bits * 512 - u32::from(has_protocol) * 256 - port_bits * 4
        + u32::from(of.class == Class::Routed)
}

#[cfg(test)]
mod tests {
    use ironlane_ipsec::{Mark, Mode, PolicyDirection, Protocol};

    use super::super::{TrafficSelector, Verdict};
    use super::*;

    fn key(src: &str, dst: &str) -> PolicyKey {
        let net = |net: &str| TrafficSelector::net(net.parse().unwrap());
        PolicyKey {
            direction: PolicyDirection::Out,
            src: net(src),
            dst: net(dst),
            mark: Mark::default(),
            if_id: 0,
        }
    }

    fn of(class: Class, priority: u32) -> PolicyUse {
        PolicyUse {
            verdict: Verdict::Protect,
            class,
            priority,
            reqid: 1,
            mode: Mode::Tunnel,
            protocol: Protocol::Esp,
            spi: None,
            outer: None,
            optional: false,
        }
    }

    #[test]
    fn classes_then_selectors_then_traps() {
        let (wide, narrow) = (
            key("::/0", "::/0"),
            key("2001:db8::1/128", "2001:db8::2/128"),
        );
        let order = [
            priority(&narrow, &of(Class::Pass, 0)),
            priority(&wide, &of(Class::Pass, 0)),
            priority(&narrow, &of(Class::Default, 0)),
            priority(&narrow, &of(Class::Routed, 0)),
            priority(&wide, &of(Class::Default, 0)),
            priority(&wide, &of(Class::Routed, 0)),
            priority(&narrow, &of(Class::Fallback, 0)),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(priority(&wide, &of(Class::Fallback, 7)), 7);
        assert_eq!(priority(&wide, &of(Class::Pass, u32::MAX)), u32::MAX >> 1);
    }
}
