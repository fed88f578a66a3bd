//! ARP for IPv4 on Ethernet (RFC 826, RFC 5227).

use crate::eth::{EtherType, Mac};

/// Length of an ARP packet for IPv4 on Ethernet.
pub const LEN_BYTES: usize = 28;

/// Why an ARP packet cannot be meant for an IPv4 host on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpFault {
    /// It ends before its addresses do.
    Truncated,
    /// Hardware is not Ethernet, or protocol is not IPv4.
    BadType,
    /// Address lengths are not 6 and 4.
    BadLength,
    /// The operation is neither request nor reply.
    BadOp,
    /// The sender is a group MAC, or an address that no host can have.
    BadSender,
}

/// What an ARP packet asks or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOp {
    /// Who has the target address?
    Request,
    /// The sender has its address.
    Reply,
}

/// A valid ARP packet.
///
/// ```
/// use ironlane_packet::{arp::{Arp, ArpFault, ArpOp}, eth::Mac};
/// let who_has = Arp {
///     op: ArpOp::Request,
///     sender_mac: Mac([2, 0, 0, 0, 0, 9]),
///     sender: 0xc000_0209,
///     target_mac: Mac::default(),
///     target: 0xc000_0201,
/// };
/// let bytes = who_has.to_bytes();
/// assert_eq!(Arp::parse(&bytes), Ok(who_has));
/// assert_eq!(Arp::parse(&bytes[..27]), Err(ArpFault::Truncated));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub op: ArpOp,
    /// Link-layer address of the sender.
    pub sender_mac: Mac,
    /// IPv4 address of the sender, host order; 0 in a probe (RFC 5227 2.1.1).
    pub sender: u32,
    /// Link-layer address of the target; no meaning in a request.
    pub target_mac: Mac,
    /// IPv4 address of the target, host order.
    pub target: u32,
}

impl Arp {
    /// Reads the packet at the start of `bytes` and judges it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArpFault> {
        let &[h0, h1, p0, p1, hlen, plen, o0, o1] =
            bytes.first_chunk().ok_or(ArpFault::Truncated)?;
        // IEEE 802 (6) is what some Token Ring bridges wrote; no Ethernet host sends it.
        if [h0, h1] != [0, 1] || [p0, p1] != EtherType::IP4.0.to_be_bytes() {
            return Err(ArpFault::BadType);
        }
        if (hlen, plen) != (6, 4) {
            return Err(ArpFault::BadLength);
        }
        let body: &[u8; 20] = bytes[8..].first_chunk().ok_or(ArpFault::Truncated)?;
        let op = match [o0, o1] {
            [0, 1] => ArpOp::Request,
            [0, 2] => ArpOp::Reply,
            _ => return Err(ArpFault::BadOp),
        };
        let mac = |at: usize| {
            Mac([
                body[at],
                body[at + 1],
                body[at + 2],
                body[at + 3],
                body[at + 4],
                body[at + 5],
            ])
        };
        let ip =
            |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let arp = Self {
            op,
            sender_mac: mac(0),
            sender: ip(6),
            target_mac: mac(10),
            target: ip(16),
        };
        // RFC 1812 3.3.2: an ARP answer must not be believed if the link-layer address is a
        // broadcast or multicast address. Sender 0.0.0.0 is a probe.
        let net = arp.sender >> 24;
        if arp.sender_mac.is_group() || net == 127 || net >= 224 || (net == 0 && arp.sender != 0) {
            return Err(ArpFault::BadSender);
        }
        Ok(arp)
    }

    /// The packet's bytes.
    pub fn to_bytes(&self) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        bytes[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        bytes[7] = match self.op {
            ArpOp::Request => 1,
            ArpOp::Reply => 2,
        };
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender.to_be_bytes());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..].copy_from_slice(&self.target.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> [u8; LEN_BYTES] {
        Arp {
            op: ArpOp::Reply,
            sender_mac: Mac([2, 0, 0, 0, 0, 9]),
            sender: 0xc000_0209,
            target_mac: Mac([2, 0, 0, 0, 0, 1]),
            target: 0xc000_0201,
        }
        .to_bytes()
    }

    #[test]
    fn each_fault_is_named() {
        assert!(Arp::parse(&good()).is_ok());
        let cases: &[(usize, u8, ArpFault)] = &[
            (1, 6, ArpFault::BadType),
            (2, 0x86, ArpFault::BadType),
            (4, 0, ArpFault::BadLength),
            (5, 16, ArpFault::BadLength),
            (7, 0, ArpFault::BadOp),
            (7, 3, ArpFault::BadOp),
            (6, 1, ArpFault::BadOp),
            (8, 1, ArpFault::BadSender),
            (14, 224, ArpFault::BadSender),
            (14, 255, ArpFault::BadSender),
            (14, 127, ArpFault::BadSender),
            (14, 0, ArpFault::BadSender),
        ];
        for &(at, value, fault) in cases {
            let mut bytes = good();
            bytes[at] = value;
            assert_eq!(Arp::parse(&bytes), Err(fault), "byte {at} = {value}");
        }
        for len in 0..LEN_BYTES {
            assert_eq!(
                Arp::parse(&good()[..len]),
                Err(ArpFault::Truncated),
                "{len} bytes"
            );
        }
    }

    #[test]
    fn a_probe_is_valid() {
        let mut probe = good();
        probe[7] = 1;
        probe[14..18].fill(0);
        assert_eq!(Arp::parse(&probe).map(|arp| arp.sender), Ok(0));
    }
}
