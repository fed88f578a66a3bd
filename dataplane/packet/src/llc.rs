//! 802.2 LLC headers and SNAP (IEEE 802.2, RFC 1042): IS-IS, spanning tree, CDP.

/// What an 802.3 frame carries, by its LLC header.
///
/// ```
/// use ironlane_packet::llc::Llc;
/// assert_eq!(Llc::new(&[0xfe, 0xfe, 0x03, 0x83]), Some(Llc::Osi));
/// assert_eq!(Llc::new(&[0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0]), Some(Llc::Snap { oui: 0x0c, protocol: 0x2000 }));
/// assert_eq!(Llc::new(&[0xfe, 0xfe]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Llc {
    /// DSAP and SSAP 0xfe: ISO network layer, that is IS-IS and ES-IS.
    Osi,
    /// DSAP and SSAP 0x42: bridge protocols, that is spanning tree.
    Bridge,
    /// SNAP: an organisation and its protocol.
    Snap {
        /// Organisation, 24 bits; 0 means that `protocol` is an EtherType (RFC 1042).
        oui: u32,
        /// Protocol of that organisation.
        protocol: u16,
    },
    /// Any other pair of service access points.
    Other {
        /// Destination service access point.
        dsap: u8,
        /// Source service access point.
        ssap: u8,
    },
}

impl Llc {
    /// Reads the header at the start of `bytes`; `None` if it is cut.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let &[dsap, ssap, _control] = bytes.first_chunk()?;
        match (dsap, ssap) {
            (0xfe, 0xfe) => Some(Self::Osi),
            (0x42, 0x42) => Some(Self::Bridge),
            (0xaa, 0xaa) => {
                let &[_, _, _, a, b, c, d, e] = bytes.first_chunk()?;
                Some(Self::Snap {
                    oui: u32::from_be_bytes([0, a, b, c]),
                    protocol: u16::from_be_bytes([d, e]),
                })
            }
            _ => Some(Self::Other { dsap, ssap }),
        }
    }

    /// True for Cisco's discovery protocol.
    pub fn is_cdp(self) -> bool {
        self == Self::Snap {
            oui: 0x00000c,
            protocol: 0x2000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_access_points_are_told_apart() {
        assert_eq!(Llc::new(&[0x42, 0x42, 3]), Some(Llc::Bridge));
        let other = Llc::Other {
            dsap: 0xf0,
            ssap: 0xf1,
        };
        assert_eq!(Llc::new(&[0xf0, 0xf1, 3, 0]), Some(other));
        assert_eq!(Llc::new(&[0xaa, 0xaa, 3, 0, 0, 0, 8]), None, "SNAP cut");
        assert!(Llc::new(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]).is_some_and(Llc::is_cdp));
        assert!(!Llc::new(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]).is_some_and(Llc::is_cdp));
    }
}
