//! UDP (RFC 768), and the port pair that UDP, TCP and SCTP have at the same place.

use crate::checksum;
use crate::proto::ip;

/// Length of a UDP header.
pub const HEADER_LEN_BYTES: usize = 8;

/// Source and destination port.
///
/// ```
/// use ironlane_packet::udp::Ports;
/// assert_eq!(Ports::new(&[0x0f, 0xa0, 0, 53]), Some(Ports { src: 4000, dst: 53 }));
/// assert_eq!(Ports::new(&[0x0f, 0xa0, 0]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

impl Ports {
    /// The ports at the start of an upper-layer header, or `None` if it is cut.
    #[inline]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = bytes.first_chunk()?;
        Some(Self {
            src: u16::from_be_bytes([a, b]),
            dst: u16::from_be_bytes([c, d]),
        })
    }

    /// True if either end is `port`.
    #[inline]
    pub fn either(self, port: u16) -> bool {
        self.src == port || self.dst == port
    }

    /// True for protocols whose header starts with ports.
    #[inline]
    pub const fn are_in(protocol: u8) -> bool {
        matches!(protocol, ip::TCP | ip::UDP | ip::SCTP)
    }
}

/// The bytes of a UDP header over IPv4, with its checksum, before `data`.
///
/// ```
/// let header = ironlane_packet::udp::header4(4000, 53, b"?", 0x0a00_0001, 0x0a00_0002);
/// assert_eq!(header[..6], [0x0f, 0xa0, 0, 53, 0, 9]);
/// ```
pub fn header4(src_port: u16, dst_port: u16, data: &[u8], src: u32, dst: u32) -> [u8; 8] {
    let len_bytes = (HEADER_LEN_BYTES + data.len()) as u16;
    let sum = checksum::pseudo4(src, dst, ip::UDP, len_bytes);
    header(src_port, dst_port, len_bytes, data, sum)
}

/// The bytes of a UDP header over IPv6, with its checksum, before `data`.
pub fn header6(src_port: u16, dst_port: u16, data: &[u8], src: u128, dst: u128) -> [u8; 8] {
    let len_bytes = (HEADER_LEN_BYTES + data.len()) as u16;
    let sum = checksum::pseudo6(src, dst, ip::UDP, u32::from(len_bytes));
    header(src_port, dst_port, len_bytes, data, sum)
}

fn header(src_port: u16, dst_port: u16, len_bytes: u16, data: &[u8], pseudo: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&src_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&dst_port.to_be_bytes());
    bytes[4..6].copy_from_slice(&len_bytes.to_be_bytes());
    let check = !checksum::fold(checksum::add(checksum::add(pseudo, &bytes), data));
    // RFC 768: a computed zero is sent as all ones, since zero means "none".
    let check = if check == 0 { 0xffff } else { check };
    bytes[6..].copy_from_slice(&check.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_checksums_add_up() {
        let data = b"odd";
        let bytes = [&header4(1, 2, data, 3, 4)[..], data].concat();
        let sum = checksum::pseudo4(3, 4, ip::UDP, bytes.len() as u16);
        assert_eq!(checksum::fold(checksum::add(sum, &bytes)), 0xffff);
        let bytes = [&header6(1, 2, data, 3, 4)[..], data].concat();
        let sum = checksum::pseudo6(3, 4, ip::UDP, bytes.len() as u32);
        assert_eq!(checksum::fold(checksum::add(sum, &bytes)), 0xffff);
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_ones() {
        // Choose the source port so that all words add up to 0xffff.
        let zero = header4(0, 0, &[], 0, 0);
        let missing = u16::from_be_bytes([zero[6], zero[7]]);
        assert_eq!(header4(missing, 0, &[], 0, 0)[6..], [0xff, 0xff]);
    }
}
