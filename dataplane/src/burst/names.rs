//! What SAs and policies are asked with for the packets of a burst.

use std::net::{IpAddr, Ipv4Addr};

use ironlane_ipsec::{Asked, Flow};

use crate::eal::BURST_MAX;

const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A packet of which nothing is asked.
pub(crate) const NOTHING_ASKED: Asked = Asked {
    flow: Flow {
        src: NOWHERE,
        dst: NOWHERE,
        proto: 0,
        ports: None,
    },
    if_id: 0,
    mark: 0,
};

/// Room for what packets of a burst name. It is kept from burst to burst, since to clear it for each takes some ten cycles a
/// packet. Whole cache lines, so that what lies beside it in the store keeps to its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Names {
    /// SPI and destination of those for an SA.
    pub(crate) sas: Some64<(u32, IpAddr)>,
    /// Those that policies decide about.
    pub(crate) flows: Some64<Asked>,
}

impl Names {
    pub(super) const fn new() -> Self {
        Self {
            sas: Some64::new((0, NOWHERE)),
            flows: Some64::new(NOTHING_ASKED),
        }
    }

    /// None are named.
    #[inline]
    pub(crate) fn clear(&mut self) {
        (self.sas.count, self.flows.count) = (0, 0);
    }
}

/// Numbers of packets of a list, with what was taken of each. What is beyond `count` is left from bursts before.
#[derive(Debug)]
pub(crate) struct Some64<T> {
    pub(crate) count: usize,
    pub(crate) of: [u8; BURST_MAX],
    pub(crate) what: [T; BURST_MAX],
}

impl<T: Copy> Some64<T> {
    const fn new(nothing: T) -> Self {
        Self {
            count: 0,
            of: [0; BURST_MAX],
            what: [nothing; BURST_MAX],
        }
    }

    /// Adds what was taken of packet `of` of the list.
    #[inline]
    pub(crate) fn push(&mut self, of: usize, what: T) {
        let at = self.count % BURST_MAX;
        (self.of[at], self.what[at]) = (of as u8, what);
        self.count = at + 1;
    }

    /// What was taken, in order.
    #[inline]
    pub(crate) fn whats(&self) -> &[T] {
        &self.what[..self.count]
    }

    /// The numbers of the packets that it was taken of, in order.
    #[inline]
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.of[..self.count]
            .iter()
            .map(|&of| usize::from(of) % BURST_MAX)
    }
}
