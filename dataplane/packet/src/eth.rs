//! Ethernet II and 802.3 headers (IEEE 802.3 3.1, RFC 894, RFC 2464).

use std::fmt;
use std::str::FromStr;

/// Length of an Ethernet header without tags.
pub const HEADER_LEN_BYTES: usize = 14;

/// An Ethernet address.
///
/// ```
/// use ironlane_packet::eth::Mac;
/// let mac: Mac = "02:00:00:00:00:09".parse().unwrap();
/// assert!(!mac.is_group());
/// assert_eq!(mac.to_string(), "02:00:00:00:00:09");
/// assert_eq!("02::9".parse::<Mac>(), Ok(mac)); // short form, as in tests
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// True for multicast and broadcast: the lowest bit of the first byte.
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True for the broadcast address.
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        self.to_u64() == 0xffff_ffff_ffff
    }

    /// The address as a number below 2^48, the first byte highest.
    #[inline]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The inverse of [`to_u64`](Self::to_u64); the upper 16 bits are ignored.
    #[inline]
    pub const fn from_u64(value: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// The group MAC of an IPv4 multicast address in host order (RFC 1112 6.4).
    pub const fn of_ip4_group(group: u32) -> Self {
        let [_, b, c, d] = group.to_be_bytes();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group MAC of an IPv6 multicast address in host order (RFC 2464 7).
    pub const fn of_ip6_group(group: u128) -> Self {
        let [a, b, c, d] = (group as u32).to_be_bytes();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Not an Ethernet address; write it as `02:00:00:00:00:01`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMac;

impl fmt::Display for BadMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an Ethernet address; write it as 02:00:00:00:00:01")
    }
}

impl std::error::Error for BadMac {}

impl FromStr for Mac {
    type Err = BadMac;

    /// Six hexadecimal bytes between colons; `::` once stands for the zero bytes between.
    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bytes = |part: &str| -> Result<Vec<u8>, BadMac> {
            part.split(':')
                .filter(|byte| !part.is_empty() || !byte.is_empty())
                .map(|byte| match byte.len() {
                    1 | 2 => u8::from_str_radix(byte, 16).map_err(|_| BadMac),
                    _ => Err(BadMac),
                })
                .collect()
        };
        let mut mac = [0; 6];
        let (front, back) = match text.split_once("::") {
            Some((front, back)) => (bytes(front)?, bytes(back)?),
            None => (bytes(text)?, Vec::new()),
        };
        let full = front.len() == 6 && back.is_empty() && !text.contains("::");
        if !full && (!text.contains("::") || front.len() + back.len() >= 6) {
            return Err(BadMac);
        }
        mac[..front.len()].copy_from_slice(&front);
        mac[6 - back.len()..].copy_from_slice(&back);
        Ok(Self(mac))
    }
}

/// The type field of an Ethernet header, in host order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IP4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IP6: Self = Self(0x86dd);
    /// 802.1Q tag.
    pub const VLAN: Self = Self(0x8100);
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// MAC control: PAUSE and priority flow control.
    pub const MAC_CONTROL: Self = Self(0x8808);
    /// Slow protocols: LACP, marker, OAM.
    pub const SLOW_PROTOCOLS: Self = Self(0x8809);
    /// LLC in frames longer than 1500 bytes, used by IS-IS.
    pub const LLC_JUMBO: Self = Self(0x8870);
    /// LLDP.
    pub const LLDP: Self = Self(0x88cc);
    /// MPLS unicast.
    pub const MPLS: Self = Self(0x8847);

    /// The greatest value that is a length and not a type (IEEE 802.3 3.2.6).
    pub const MAX_LENGTH: u16 = 1500;
    /// The least value that is a type.
    pub const MIN_TYPE: u16 = 0x0600;
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// A frame: its Ethernet header and what follows.
///
/// ```
/// use ironlane_packet::eth::{Eth, Mac};
/// let frame = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0xaa];
/// let eth = Eth::new(&frame).unwrap();
/// assert_eq!(eth.dst(), Mac::BROADCAST);
/// assert_eq!(eth.payload(), [0xaa]);
/// assert!(Eth::new(&frame[..13]).is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Eth<'a> {
    header: &'a [u8; HEADER_LEN_BYTES],
    payload: &'a [u8],
}

impl<'a> Eth<'a> {
    /// A view of `frame`, or `None` if it is shorter than the header.
    #[inline]
    pub fn new(frame: &'a [u8]) -> Option<Self> {
        let (header, payload) = frame.split_first_chunk()?;
        Some(Self { header, payload })
    }

    /// Destination.
    #[inline]
    pub fn dst(&self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.header;
        Mac([a, b, c, d, e, f])
    }

    /// Source.
    #[inline]
    pub fn src(&self) -> Mac {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.header;
        Mac([a, b, c, d, e, f])
    }

    /// True for a unicast frame from one station to another: to `own`, from a unicast address
    /// that is not `own`. Two wide loads instead of a look at each byte.
    ///
    /// ```
    /// use ironlane_packet::eth::{Eth, Mac};
    /// let eth = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    /// let own = Mac([2, 0, 0, 0, 0, 1]);
    /// assert!(Eth::new(&eth).unwrap().is_plain_to(own));
    /// assert!(!Eth::new(&eth).unwrap().is_plain_to(Mac([2, 0, 0, 0, 0, 9])));
    /// ```
    #[inline]
    pub fn is_plain_to(&self, own: Mac) -> bool {
        const GROUP: u64 = 1 << 40;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *self.header;
        let dst = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 16;
        let src = u64::from_be_bytes([g, h, i, j, k, l, m, n]) >> 16;
        let own = own.to_u64();
        (dst == own) & (src != own) & (src & GROUP == 0)
    }

    /// The type field; at most [`EtherType::MAX_LENGTH`] it is a length.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.header[12], self.header[13]]))
    }

    /// All after the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The fields of an Ethernet header, to write.
///
/// ```
/// use ironlane_packet::eth::{EthFields, EtherType, Mac};
/// let header = EthFields { dst: Mac::BROADCAST, src: Mac([2; 6]), ethertype: EtherType::ARP };
/// assert_eq!(header.to_bytes()[12..], [8, 6]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthFields {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// Type, or a length up to 1500.
    pub ethertype: EtherType,
}

impl EthFields {
    /// The header's bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN_BYTES] {
        let mut bytes = [0; HEADER_LEN_BYTES];
        bytes[..6].copy_from_slice(&self.dst.0);
        bytes[6..12].copy_from_slice(&self.src.0);
        bytes[12..].copy_from_slice(&self.ethertype.0.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let fields = EthFields {
            dst: Mac([1, 2, 3, 4, 5, 6]),
            src: Mac([7, 8, 9, 10, 11, 12]),
            ethertype: EtherType::LLDP,
        };
        let bytes = fields.to_bytes();
        let eth = Eth::new(&bytes).unwrap();
        assert_eq!(eth.dst(), fields.dst);
        assert_eq!(eth.src(), fields.src);
        assert_eq!(eth.ethertype(), fields.ethertype);
        assert!(eth.payload().is_empty());
    }

    #[test]
    fn group_addresses_map_to_group_macs() {
        assert_eq!(
            Mac::of_ip4_group(0xe000_0005).to_string(),
            "01:00:5e:00:00:05"
        );
        assert_eq!(
            Mac::of_ip4_group(0xefff_ffff).to_string(),
            "01:00:5e:7f:ff:ff"
        );
        let all_nodes = 0xff02_0000_0000_0000_0000_0000_0000_0001;
        assert_eq!(
            Mac::of_ip6_group(all_nodes).to_string(),
            "33:33:00:00:00:01"
        );
    }

    #[test]
    fn numbers_and_text_give_the_address_back() {
        let mac = Mac([2, 0xab, 0, 1, 2, 0xff]);
        assert_eq!(Mac::from_u64(mac.to_u64()), mac);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!("::1".parse(), Ok(Mac([0, 0, 0, 0, 0, 1])));
        assert_eq!("1::".parse(), Ok(Mac([1, 0, 0, 0, 0, 0])));
        for bad in [
            "",
            "1:2:3:4:5",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:x",
            "001:2:3:4:5:6",
            "1:2:3::4:5:6",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(BadMac), "{bad}");
        }
    }
}
