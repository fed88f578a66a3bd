//! IPv4 headers (RFC 791, RFC 1812).

use crate::checksum;

/// Length of a header without options.
pub const HEADER_LEN_BYTES: usize = 20;

/// "Don't fragment", in the word of flags and fragment offset.
pub const DF: u16 = 0x4000;
/// "More fragments", in the word of flags and fragment offset.
pub const MF: u16 = 0x2000;
/// The fragment offset, in units of eight bytes.
pub const OFFSET: u16 = 0x1fff;

/// An IPv4 header: the 20 bytes that are always there.
///
/// ```
/// use ironlane_packet::ip4::{Ip4, Ip4Fields};
/// let header = Ip4Fields { src: 0xc000_0201, dst: 0xc633_6402, ttl: 7, ..Ip4Fields::default() };
/// let bytes = header.to_bytes(0);
/// let ip = Ip4::new(&bytes).unwrap();
/// assert_eq!((ip.version(), ip.ttl(), ip.dst()), (4, 7, 0xc633_6402));
/// assert!(Ip4::new(&bytes[..19]).is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ip4<'a>(&'a [u8; HEADER_LEN_BYTES]);

impl<'a> Ip4<'a> {
    /// A view of the header at the start of `bytes`, or `None` if there are fewer than 20.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    #[inline]
    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    /// Version; 4 if this is IPv4 at all.
    #[inline]
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Header length in bytes, options included: 0 to 60, valid from 20.
    #[inline]
    pub fn header_len_bytes(&self) -> usize {
        usize::from(self.0[0] & 0x0f) * 4
    }

    /// DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.0[1]
    }

    /// Length of the datagram, header included.
    #[inline]
    pub fn total_len_bytes(&self) -> u16 {
        self.word(2)
    }

    /// Identification.
    #[inline]
    pub fn id(&self) -> u16 {
        self.word(4)
    }

    /// Flags and fragment offset: [`DF`], [`MF`], [`OFFSET`].
    #[inline]
    pub fn fragment_word(&self) -> u16 {
        self.word(6)
    }

    /// True if routers must not fragment it.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.fragment_word() & DF != 0
    }

    /// True for any fragment, the first included.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & (MF | OFFSET) != 0
    }

    /// True for a fragment that does not start the datagram, and so has no ports.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_word() & OFFSET != 0
    }

    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// Protocol above: [`crate::proto::ip`].
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.word(10)
    }

    /// Source address, host order.
    #[inline]
    pub fn src(&self) -> u32 {
        u32::from_be_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    /// Destination address, host order.
    #[inline]
    pub fn dst(&self) -> u32 {
        u32::from_be_bytes([self.0[16], self.0[17], self.0[18], self.0[19]])
    }

    /// True if the checksum of a header without options is right.
    #[inline]
    pub fn is_checksum_valid(&self) -> bool {
        checksum::is_valid_ip4(self.0)
    }
}

/// An IPv4 header to change in place.
#[derive(Debug)]
pub struct Ip4Mut<'a>(&'a mut [u8; HEADER_LEN_BYTES]);

impl<'a> Ip4Mut<'a> {
    /// The header at the start of `bytes`, or `None` if there are fewer than 20.
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        bytes.first_chunk_mut().map(Self)
    }

    /// Lowers the TTL by one and mends the checksum (RFC 1624). The TTL must not be 0.
    ///
    /// ```
    /// use ironlane_packet::ip4::{Ip4, Ip4Fields, Ip4Mut};
    /// let mut bytes = Ip4Fields { ttl: 64, ..Ip4Fields::default() }.to_bytes(0);
    /// Ip4Mut::new(&mut bytes).unwrap().lower_ttl();
    /// let ip = Ip4::new(&bytes).unwrap();
    /// assert!(ip.ttl() == 63 && ip.is_checksum_valid());
    /// ```
    #[inline]
    pub fn lower_ttl(&mut self) {
        let [ttl, protocol, high, low] = [self.0[8], self.0[9], self.0[10], self.0[11]];
        debug_assert_ne!(ttl, 0, "the exception stage takes what has no hop left");
        let check = checksum::update(
            u16::from_be_bytes([high, low]),
            u16::from_be_bytes([ttl, protocol]),
            u16::from_be_bytes([ttl.wrapping_sub(1), protocol]),
        );
        self.0[8] = ttl.wrapping_sub(1);
        self.0[10..12].copy_from_slice(&check.to_be_bytes());
    }
}

/// The fields of a header without options, to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip4Fields {
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset: [`DF`], [`MF`], [`OFFSET`].
    pub fragment_word: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol above.
    pub protocol: u8,
    /// Source address, host order.
    pub src: u32,
    /// Destination address, host order.
    pub dst: u32,
}

impl Default for Ip4Fields {
    fn default() -> Self {
        Self {
            tos: 0,
            id: 0,
            fragment_word: 0,
            ttl: 64,
            protocol: crate::proto::ip::UDP,
            src: 0,
            dst: 0,
        }
    }
}

impl Ip4Fields {
    /// The header, with its checksum, of a datagram with `payload_len_bytes` bytes above IP.
    pub fn to_bytes(&self, payload_len_bytes: u16) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[0] = 0x45;
        bytes[1] = self.tos;
        let total = payload_len_bytes.saturating_add(HEADER_LEN_BYTES as u16);
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.fragment_word.to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = self.protocol;
        bytes[12..16].copy_from_slice(&self.src.to_be_bytes());
        bytes[16..].copy_from_slice(&self.dst.to_be_bytes());
        let check = checksum::of(&bytes);
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_read_as_written() {
        let fields = Ip4Fields {
            tos: 0xb8,
            id: 0x1234,
            fragment_word: DF,
            ttl: 9,
            protocol: 89,
            src: 0x0a00_0001,
            dst: 0xe000_0005,
        };
        let bytes = fields.to_bytes(44);
        let ip = Ip4::new(&bytes).unwrap();
        assert_eq!(
            (ip.version(), ip.header_len_bytes(), ip.total_len_bytes()),
            (4, 20, 64)
        );
        assert_eq!(
            (ip.tos(), ip.id(), ip.ttl(), ip.protocol()),
            (0xb8, 0x1234, 9, 89)
        );
        assert_eq!((ip.src(), ip.dst()), (0x0a00_0001, 0xe000_0005));
        assert!(ip.dont_fragment() && !ip.is_fragment() && !ip.is_later_fragment());
        assert!(ip.is_checksum_valid());
    }

    #[test]
    fn first_and_later_fragments_are_told_apart() {
        let word = |fragment_word| {
            Ip4Fields {
                fragment_word,
                ..Ip4Fields::default()
            }
            .to_bytes(0)
        };
        let [first, later, last] = [word(MF), word(MF | 1), word(185)];
        let view = |bytes| Ip4::new(bytes).unwrap();
        assert!(view(&first).is_fragment() && !view(&first).is_later_fragment());
        assert!(view(&later).is_later_fragment() && view(&last).is_later_fragment());
    }

    proptest! {
        #[test]
        fn lowering_the_ttl_keeps_a_right_checksum_right_and_touches_nothing_else(
            tos: u8, id: u16, ttl in 1u8.., protocol: u8, src: u32, dst: u32, len in 0u16..1400,
        ) {
            let fields = Ip4Fields { tos, id, fragment_word: DF, ttl, protocol, src, dst };
            let mut bytes = fields.to_bytes(len);
            Ip4Mut::new(&mut bytes).unwrap().lower_ttl();
            let lowered = Ip4Fields { ttl: ttl - 1, ..fields }.to_bytes(len);
            prop_assert!(Ip4::new(&bytes).unwrap().is_checksum_valid());
            prop_assert_eq!(&bytes[..10], &lowered[..10]);
            prop_assert_eq!(&bytes[12..], &lowered[12..]);
        }

        #[test]
        fn a_wrong_checksum_stays_wrong(bytes: [u8; 20]) {
            let mut after = bytes;
            if bytes[8] > 0 {
                Ip4Mut::new(&mut after).unwrap().lower_ttl();
                prop_assert_eq!(
                    Ip4::new(&bytes).unwrap().is_checksum_valid(),
                    Ip4::new(&after).unwrap().is_checksum_valid()
                );
            }
        }
    }
}
