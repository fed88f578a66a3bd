//! Attributes of netlink messages: length, type, value, padded to four bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ironlane_fib::Mac;
use netlink_packet_core::NLA_TYPE_MASK;

use super::Malformed;

/// One attribute; its value borrows from the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// Its number, without the flags for "nested" and "byte order".
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
}

/// Iterates over attributes one after another. It ends with the first that is malformed.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

const HEADER: usize = 4;

impl<'a> Attributes<'a> {
    /// Those in `bytes`, which starts with the first.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Those after a header of fixed length.
    pub fn after(message: &'a [u8], header_len: usize) -> Self {
        Self::new(message.get(header_len..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Some((header, _)) = rest.split_first_chunk::<HEADER>() else {
            return Some(Err(Malformed::AttributeHeader));
        };
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & NLA_TYPE_MASK;
        let Some(value) = rest.get(HEADER..len) else {
            return Some(Err(Malformed::AttributeLength { kind }));
        };
        // The padding of the last one may be missing.
        self.rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Attribute { kind, value }))
    }
}

impl<'a> Attribute<'a> {
    fn fixed<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value
            .try_into()
            .map_err(|_| Malformed::AttributeValue { kind: self.kind })
    }

    /// Its value as a number of one byte.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.fixed().map(u8::from_ne_bytes)
    }

    /// Its value as a number of four bytes.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_ne_bytes)
    }

    /// Its value as an address of either family, told by the length.
    pub fn ip(&self) -> Result<IpAddr, Malformed> {
        ip(self.value).ok_or(Malformed::AttributeValue { kind: self.kind })
    }

    /// Its value as an address of the family that the header names.
    pub fn ip_of(&self, ipv6: bool) -> Result<IpAddr, Malformed> {
        let ip = self.ip()?;
        if ip.is_ipv6() == ipv6 {
            Ok(ip)
        } else {
            Err(Malformed::AttributeValue { kind: self.kind })
        }
    }

    /// Its value as an Ethernet address; `None` if it is a link address of another kind.
    pub fn mac(&self) -> Option<Mac> {
        self.value.try_into().ok()
    }

    /// Its value as text; the zero at the end may be missing.
    pub fn text(&self) -> String {
        let end = self
            .value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// The attributes within it.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// An address of either family, told by the length.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_skipped_and_may_be_missing_at_the_end() {
        let bytes = [
            5, 0, 1, 0, 0xaa, 0, 0, 0, 8, 0, 2, 0x80, 1, 0, 0, 0, 5, 0, 3, 0, 0xbb,
        ];
        let all: Result<Vec<_>, _> = Attributes::new(&bytes).collect();
        let all = all.unwrap();
        assert_eq!(all.iter().map(|a| a.kind).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[0].u8(), Ok(0xaa));
        assert_eq!(
            all[1].u32(),
            Ok(1),
            "the flag for nested is not of the number"
        );
        assert_eq!(all[2].value, [0xbb]);
    }

    #[test]
    fn a_length_beyond_the_message_ends_it() {
        let mut all = Attributes::new(&[9, 0, 1, 0, 1, 2, 3, 4]);
        assert!(matches!(
            all.next(),
            Some(Err(Malformed::AttributeLength { kind: 1 }))
        ));
        assert!(all.next().is_none());
    }

    #[test]
    fn a_length_below_the_header_ends_it() {
        for len in 0..4 {
            let bytes = [len, 0, 7, 0, 1, 2, 3, 4];
            let mut all = Attributes::new(&bytes);
            let first = all.next().map(|a| a.map(|_| ()));
            assert_eq!(
                first,
                Some(Err(Malformed::AttributeLength { kind: 7 })),
                "{len}"
            );
            assert!(all.next().is_none());
        }
    }

    #[test]
    fn an_address_has_the_length_of_its_family() {
        let of = |value| Attribute { kind: 1, value };
        assert_eq!(
            of(&[192, 0, 2, 1]).ip_of(false),
            Ok("192.0.2.1".parse().unwrap())
        );
        assert!(of(&[192, 0, 2, 1]).ip_of(true).is_err());
        assert!(of(&[192, 0, 2]).ip().is_err());
        assert!(of(&[0; 16]).ip_of(true).is_ok());
    }
}
