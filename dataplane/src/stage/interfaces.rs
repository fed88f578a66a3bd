//! IPsec interfaces: ports without a device, which are the way to SAs and policies of one `if_id`.
//!
//! As Linux has them: what is routed to an XFRM interface meets the policies of its `if_id`, and no
//! others; what an SA of that `if_id` opens arrives by it. A VTI is the same with a mark in the place
//! of the `if_id`. Neither sends anything in clear.

use ironlane_fib::PortId;
use ironlane_ipsec::SaSpec;

/// An IPsec interface. Of `if_id` and `mark` one is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its port.
    pub port: PortId,
    /// SAs and policies with this `if_id` are its own; 0 for those without.
    pub if_id: u32,
    /// Packets by it have this mark.
    pub mark: u32,
}

/// Where a packet arrives that an SA has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Where its protected form did: the SA belongs to no interface.
    Wire,
    /// By this IPsec interface.
    Interface(PortId),
    /// The interface of the SA does not exist.
    Nowhere,
}

/// All IPsec interfaces; fixed at start.
#[derive(Debug, Clone, Default)]
pub struct Interfaces(Box<[Interface]>);

impl Interfaces {
    /// These.
    pub fn new(interfaces: impl IntoIterator<Item = Interface>) -> Self {
        Self(interfaces.into_iter().collect())
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The interface with this number; `None` for ports that have a device.
    #[inline]
    pub(crate) fn of_port(&self, port: PortId) -> Option<Interface> {
        self.0.iter().copied().find(|one| one.port == port)
    }

    /// Where packets of an SA arrive, or, if it is an outbound one, where they left by. An SA with a
    /// mark that no interface has belongs to none: only policies look at such a mark.
    #[inline]
    pub(crate) fn of_sa(&self, spec: &SaSpec) -> Entrance {
        let (if_id, mark) = (spec.if_id, spec.mark);
        if if_id == 0 && mark.mask == 0 {
            return Entrance::Wire;
        }
        let is_its = |one: &&Interface| match if_id {
            0 => one.if_id == 0 && mark.matches(one.mark),
            if_id => one.if_id == if_id,
        };
        match self.0.iter().find(is_its) {
            Some(one) => Entrance::Interface(one.port),
            None if if_id == 0 => Entrance::Wire,
            None => Entrance::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use ironlane_ipsec::{Algorithm, Auth, Cipher, Direction, Mark};

    use super::*;

    fn sa(if_id: u32, value: u32, mask: u32) -> SaSpec {
        let gcm = Algorithm {
            cipher: Cipher::AesGcm { icv: 16 },
            auth: Auth::None,
        };
        let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        SaSpec {
            if_id,
            mark: Mark { value, mask },
            ..SaSpec::new(Direction::In, 0x1000, src, dst, gcm)
        }
    }

    #[test]
    fn an_sa_is_of_the_interface_with_its_if_id_or_else_with_its_mark() {
        let one = |port, if_id, mark| Interface {
            port: PortId(port),
            if_id,
            mark,
        };
        let all = Interfaces::new([one(31, 42, 0), one(30, 0, 42)]);
        let is_by = |port| Entrance::Interface(PortId(port));
        assert_eq!(all.of_sa(&sa(42, 0, 0)), is_by(31));
        assert_eq!(all.of_sa(&sa(42, 7, u32::MAX)), is_by(31));
        assert_eq!(all.of_sa(&sa(0, 42, u32::MAX)), is_by(30));
        assert_eq!(all.of_sa(&sa(43, 0, 0)), Entrance::Nowhere);
        assert_eq!(all.of_sa(&sa(43, 42, u32::MAX)), Entrance::Nowhere);
        assert_eq!(all.of_sa(&sa(0, 7, u32::MAX)), Entrance::Wire);
        assert_eq!(all.of_sa(&sa(0, 0, 0)), Entrance::Wire);
        assert_eq!(all.of_port(PortId(30)), Some(one(30, 0, 42)));
        assert_eq!(all.of_port(PortId(0)), None);
    }
}
