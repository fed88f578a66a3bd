//! TCP headers as far as a router looks: none of it matters to forwarding (RFC 1812 5.2).

use crate::checksum;
use crate::proto::ip;

/// Length of a header without options.
pub const HEADER_LEN_BYTES: usize = 20;

/// The SYN flag.
pub const SYN: u8 = 0x02;
/// The ACK flag.
pub const ACK: u8 = 0x10;

/// A TCP header without options, to write.
///
/// ```
/// use ironlane_packet::tcp::{TcpFields, SYN};
/// let syn = TcpFields { src_port: 40000, dst_port: 179, sequence: 1, flags: SYN };
/// let header = syn.to_bytes4(&[], 0x0a00_0001, 0x0a00_0002);
/// assert_eq!(header[2..4], [0, 179]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFields {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Flags: [`SYN`], [`ACK`].
    pub flags: u8,
}

impl TcpFields {
    /// The header over IPv4, with its checksum, before `data`.
    pub fn to_bytes4(&self, data: &[u8], src: u32, dst: u32) -> [u8; HEADER_LEN_BYTES] {
        let len = (HEADER_LEN_BYTES + data.len()) as u16;
        self.to_bytes(data, checksum::pseudo4(src, dst, ip::TCP, len))
    }

    /// The header over IPv6, with its checksum, before `data`.
    pub fn to_bytes6(&self, data: &[u8], src: u128, dst: u128) -> [u8; HEADER_LEN_BYTES] {
        let len = (HEADER_LEN_BYTES + data.len()) as u32;
        self.to_bytes(data, checksum::pseudo6(src, dst, ip::TCP, len))
    }

    fn to_bytes(self, data: &[u8], pseudo: u32) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[..2].copy_from_slice(&self.src_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[12] = 5 << 4;
        bytes[13] = self.flags;
        bytes[14..16].copy_from_slice(&0xffffu16.to_be_bytes());
        let check = !checksum::fold(checksum::add(checksum::add(pseudo, &bytes), data));
        bytes[16..18].copy_from_slice(&check.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_checksums_add_up() {
        let tcp = TcpFields {
            src_port: 1,
            dst_port: 179,
            sequence: 9,
            flags: SYN | ACK,
        };
        let bytes = [&tcp.to_bytes4(b"odd", 3, 4)[..], b"odd"].concat();
        let sum = checksum::pseudo4(3, 4, ip::TCP, bytes.len() as u16);
        assert_eq!(checksum::fold(checksum::add(sum, &bytes)), 0xffff);
        let bytes = [&tcp.to_bytes6(b"odd", 3, 4)[..], b"odd"].concat();
        let sum = checksum::pseudo6(3, 4, ip::TCP, bytes.len() as u32);
        assert_eq!(checksum::fold(checksum::add(sum, &bytes)), 0xffff);
    }
}
