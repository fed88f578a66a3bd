//! IPv6 headers and kinds of addresses (RFC 8200 3, RFC 4291).

/// Length of the fixed header.
pub const HEADER_LEN_BYTES: usize = 40;

/// An IPv6 header.
///
/// ```
/// use ironlane_packet::ip6::{Ip6, Ip6Fields};
/// let bytes = Ip6Fields { src: 1, dst: 2, hop_limit: 9, ..Ip6Fields::default() }.to_bytes(8);
/// let ip = Ip6::new(&bytes).unwrap();
/// assert_eq!((ip.version(), ip.payload_len_bytes(), ip.hop_limit()), (6, 8, 9));
/// assert!(Ip6::new(&bytes[..39]).is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ip6<'a>(&'a [u8; HEADER_LEN_BYTES]);

impl<'a> Ip6<'a> {
    /// A view of the header at the start of `bytes`, or `None` if there are fewer than 40.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// Version; 6 if this is IPv6 at all.
    #[inline]
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.0[0] << 4 | self.0[1] >> 4
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.0[1] & 0x0f, self.0[2], self.0[3]])
    }

    /// Bytes after this header, extension headers included; 0 also in a jumbogram.
    #[inline]
    pub fn payload_len_bytes(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// What follows this header: [`crate::proto::ip`].
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    #[inline]
    fn address(&self, at: usize) -> u128 {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[at..at + 16]);
        u128::from_be_bytes(bytes)
    }

    /// Source address, host order.
    #[inline]
    pub fn src(&self) -> u128 {
        self.address(8)
    }

    /// Destination address, host order.
    #[inline]
    pub fn dst(&self) -> u128 {
        self.address(24)
    }
}

/// An IPv6 header to change in place.
#[derive(Debug)]
pub struct Ip6Mut<'a>(&'a mut [u8; HEADER_LEN_BYTES]);

impl<'a> Ip6Mut<'a> {
    /// The header at the start of `bytes`, or `None` if there are fewer than 40.
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        bytes.first_chunk_mut().map(Self)
    }

    /// Lowers the hop limit by one. It must not be 0.
    #[inline]
    pub fn lower_hop_limit(&mut self) {
        debug_assert_ne!(
            self.0[7], 0,
            "the exception stage takes what has no hop left"
        );
        self.0[7] = self.0[7].wrapping_sub(1);
    }
}

/// The fields of a header, to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip6Fields {
    /// Traffic class.
    pub traffic_class: u8,
    /// Flow label; the upper 12 bits are ignored.
    pub flow_label: u32,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address, host order.
    pub src: u128,
    /// Destination address, host order.
    pub dst: u128,
}

impl Default for Ip6Fields {
    fn default() -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            next_header: crate::proto::ip::UDP,
            hop_limit: 64,
            src: 0,
            dst: 0,
        }
    }
}

impl Ip6Fields {
    /// The header of a packet with `payload_len_bytes` bytes after it.
    pub fn to_bytes(&self, payload_len_bytes: u16) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        bytes[..4].copy_from_slice(&word.to_be_bytes());
        bytes[4..6].copy_from_slice(&payload_len_bytes.to_be_bytes());
        bytes[6] = self.next_header;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.src.to_be_bytes());
        bytes[24..].copy_from_slice(&self.dst.to_be_bytes());
        bytes
    }
}

/// True for `ff00::/8`.
#[inline]
pub const fn is_multicast(address: u128) -> bool {
    address >> 120 == 0xff
}

/// True for `fe80::/10`.
#[inline]
pub const fn is_link_local(address: u128) -> bool {
    address >> 118 == 0xfe80 >> 6
}

/// True for `::`.
#[inline]
pub const fn is_unspecified(address: u128) -> bool {
    address == 0
}

/// True for `::1`.
#[inline]
pub const fn is_loopback(address: u128) -> bool {
    address == 1
}

/// True for `::ffff:0:0/96`, which is never on the wire (RFC 4291 2.5.5.2, RFC 6890).
#[inline]
pub const fn is_ip4_mapped(address: u128) -> bool {
    address >> 32 == 0xffff
}

/// The scope of a multicast address (RFC 4291 2.7): 1 interface, 2 link, 5 site, 14 global.
#[inline]
pub const fn multicast_scope(address: u128) -> u8 {
    (address >> 112) as u8 & 0x0f
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn a(text: &str) -> u128 {
        text.parse::<Ipv6Addr>().unwrap().to_bits()
    }

    #[test]
    fn fields_are_read_as_written() {
        let fields = Ip6Fields {
            traffic_class: 0xa5,
            flow_label: 0x8_1234,
            next_header: 58,
            hop_limit: 255,
            src: a("fe80::1"),
            dst: a("ff02::5"),
        };
        let mut bytes = fields.to_bytes(36);
        let ip = Ip6::new(&bytes).unwrap();
        assert_eq!(
            (ip.version(), ip.traffic_class(), ip.flow_label()),
            (6, 0xa5, 0x8_1234)
        );
        assert_eq!(
            (ip.payload_len_bytes(), ip.next_header(), ip.hop_limit()),
            (36, 58, 255)
        );
        assert_eq!((ip.src(), ip.dst()), (fields.src, fields.dst));
        Ip6Mut::new(&mut bytes).unwrap().lower_hop_limit();
        let lowered = Ip6Fields {
            hop_limit: 254,
            ..fields
        }
        .to_bytes(36);
        assert_eq!(bytes, lowered);
    }

    #[test]
    fn kinds_of_addresses_have_their_exact_borders() {
        assert!(is_link_local(a("fe80::")) && is_link_local(a("febf:ffff::1")));
        assert!(!is_link_local(a("fec0::")) && !is_link_local(a("fe7f:ffff::")));
        assert!(is_multicast(a("ff00::")) && !is_multicast(a("feff::")));
        assert!(is_ip4_mapped(a("::ffff:1.2.3.4")) && !is_ip4_mapped(a("::1.2.3.4")));
        assert_eq!(multicast_scope(a("ff05::2")), 5);
        assert_eq!(multicast_scope(a("ff3e::2")), 14);
        assert!(is_loopback(a("::1")) && is_unspecified(a("::")));
    }
}
