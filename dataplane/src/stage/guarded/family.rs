//! What differs between IPv4 and IPv6 where SAs and policies have a say.

use std::net::IpAddr;

use ironlane_ipsec::{Deciding, Flow};

use super::alike::{Mask, set_prefix};
use crate::stage::straight::{Family, V4, V6};

/// What differs between IPv4 and IPv6 for policies and SAs.
pub(super) trait Guardable: Family {
    /// Length of a header that is plain.
    const HEADER_LEN: usize;

    /// What policies see of a plain packet.
    fn flow(packet: &[u8]) -> Option<Flow>;

    /// The protocol right behind a plain header; `None`: it is, or may be, a fragment.
    fn protocol(packet: &[u8]) -> Option<u8>;

    fn address(address: Self::Address) -> IpAddr;

    /// Where else than in these bits of a plain packet nothing decides about policies.
    fn policy_mask(deciding: Deciding) -> Option<Mask>;

    /// The same about SAs, of ESP.
    fn esp_mask() -> Mask;
}

impl Guardable for V4 {
    const HEADER_LEN: usize = 20;

    #[inline]
    fn flow(packet: &[u8]) -> Option<Flow> {
        Flow::of_ip4(packet)
    }

    #[inline]
    fn protocol(packet: &[u8]) -> Option<u8> {
        const MF_AND_OFFSET: u16 = 0x3fff;
        let header: &[u8; 20] = packet.first_chunk()?;
        let word = u16::from_be_bytes([header[6], header[7]]);
        (word & MF_AND_OFFSET == 0).then_some(header[9])
    }

    #[inline]
    fn address(address: u32) -> IpAddr {
        IpAddr::V4(address.into())
    }

    fn policy_mask(deciding: Deciding) -> Option<Mask> {
        let mut mask = [0; 48];
        if deciding.proto {
            set_prefix(&mut mask, 9, 8);
        }
        set_prefix(&mut mask, 12, deciding.src_len);
        set_prefix(&mut mask, 16, deciding.dst_len);
        Some(mask)
    }

    fn esp_mask() -> Mask {
        let mut mask = [0; 48];
        // No fragment: all but DF.
        mask[6..8].copy_from_slice(&[0x3f, 0xff]);
        set_prefix(&mut mask, 9, 8);
        // Destination and SPI.
        set_prefix(&mut mask, 16, 64);
        mask
    }
}

impl Guardable for V6 {
    const HEADER_LEN: usize = 40;

    #[inline]
    fn flow(packet: &[u8]) -> Option<Flow> {
        Flow::of_ip6(packet)
    }

    #[inline]
    fn protocol(packet: &[u8]) -> Option<u8> {
        packet.get(6).copied()
    }

    #[inline]
    fn address(address: u128) -> IpAddr {
        IpAddr::V6(address.into())
    }

    fn policy_mask(deciding: Deciding) -> Option<Mask> {
        // The protocol may be behind extension headers.
        if deciding.proto {
            return None;
        }
        let mut mask = [0; 48];
        set_prefix(&mut mask, 8, deciding.src_len);
        set_prefix(&mut mask, 24, deciding.dst_len);
        Some(mask)
    }

    fn esp_mask() -> Mask {
        let mut mask = [0; 48];
        set_prefix(&mut mask, 6, 8);
        // Destination and SPI.
        set_prefix(&mut mask, 24, 160);
        mask
    }
}
