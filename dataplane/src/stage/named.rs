//! What a packet for the router names: an SA, IKE, or nothing of IPsec.

use std::net::IpAddr;

use ironlane_fib::VrfId;
use ironlane_ipsec::{Direction, Encapsulated, Protocol, Sa};
use ironlane_packet::proto::{ip, port};
use ironlane_packet::udp::{self, Ports};

use super::TablesView;
use crate::eal::crypto::Session;

/// What a packet for the router is to IPsec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// To be opened.
    Sa(NamedSa),
    /// Made to keep a NAT's memory alive.
    Keepalive,
    /// IKE.
    Ike,
    /// Anything else.
    Other,
}

/// An SA, as a packet names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamedSa {
    protocol: Protocol,
    /// `None`: the packet is too short to say.
    spi: Option<u32>,
    /// Where the header of the SA ends, as far as it is always there.
    pub(crate) header_end: usize,
}

impl Named {
    /// By a protocol and its bytes, as far as they are there.
    #[inline]
    pub(crate) fn by(protocol: u8, upper: &[u8]) -> Self {
        let sa = |protocol, at: usize, header_end| {
            let spi = upper.get(at..).and_then(<[u8]>::first_chunk);
            Self::Sa(NamedSa {
                protocol,
                spi: spi.map(|spi| u32::from_be_bytes(*spi)),
                header_end,
            })
        };
        match protocol {
            // SPI and sequence number; of AH behind next header and length.
            ip::ESP => sa(Protocol::Esp, 0, 8),
            ip::AH => sa(Protocol::Ah, 4, 12),
            ip::UDP => match Ports::new(upper).map(|ports| ports.dst) {
                Some(port::IKE) => Self::Ike,
                Some(port::IKE_NAT) => {
                    let at = udp::HEADER_LEN_BYTES;
                    match Encapsulated::of(upper.get(at..).unwrap_or(&[])) {
                        Encapsulated::Keepalive => Self::Keepalive,
                        Encapsulated::Ike => Self::Ike,
                        // What is too short names no SA.
                        Encapsulated::Esp | Encapsulated::Short => sa(Protocol::Esp, at, at + 8),
                    }
                }
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl NamedSa {
    /// The SPI, if the packet is long enough to say it.
    #[inline]
    pub(crate) fn spi(self) -> Option<u32> {
        self.spi
    }

    /// The inbound SA, if there is one.
    pub(crate) fn find<'q>(
        self,
        dst: IpAddr,
        vrf: VrfId,
        view: &TablesView<'q>,
    ) -> Option<&'q Sa<Session>> {
        let sa = view
            .ipsec
            .find_sa(view.guard, self.protocol, self.spi?, dst, vrf)?;
        (sa.spec().direction == Direction::In).then_some(sa)
    }
}
