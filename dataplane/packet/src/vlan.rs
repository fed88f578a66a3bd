//! VLAN tags (IEEE 802.1Q 9.6).

use crate::eth::EtherType;

/// Length of a tag behind the type field that announces it.
pub const TAG_LEN_BYTES: usize = 4;

/// A VLAN identifier: 12 bits. 0 means "no VLAN, priority only", 4095 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VlanId(u16);

impl VlanId {
    /// Priority tag: the frame belongs to the untagged interface.
    pub const PRIORITY: Self = Self(0);
    /// Never to be sent (IEEE 802.1Q table 9-2).
    pub const RESERVED: Self = Self(4095);

    /// The identifier, or `None` above 4095.
    pub const fn new(id: u16) -> Option<Self> {
        if id < 4096 { Some(Self(id)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What stands behind a VLAN type field: the tag, then the next type field.
///
/// ```
/// use ironlane_packet::{eth::EtherType, vlan::{VlanId, VlanTag}};
/// let tag = VlanTag::new(&[0x60, 0x64, 0x08, 0x00]).unwrap();
/// assert_eq!(tag.id(), VlanId::new(100).unwrap());
/// assert_eq!(tag.priority(), 3);
/// assert_eq!(tag.ethertype(), EtherType::IP4);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VlanTag<'a>(&'a [u8; TAG_LEN_BYTES]);

impl<'a> VlanTag<'a> {
    /// A view of the first bytes of `bytes`, or `None` if there are fewer than four.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The VLAN.
    #[inline]
    pub fn id(&self) -> VlanId {
        VlanId(u16::from_be_bytes([self.0[0] & 0x0f, self.0[1]]))
    }

    /// Priority code point, 0 to 7.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.0[0] >> 5
    }

    /// Type of what follows.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.0[2], self.0[3]]))
    }
}

/// The bytes of a tag: VLAN, priority (its low three bits) and the type of what follows.
pub fn tag_bytes(id: VlanId, priority: u8, ethertype: EtherType) -> [u8; TAG_LEN_BYTES] {
    let [a, b] = (u16::from(priority & 7) << 13 | id.get()).to_be_bytes();
    let [c, d] = ethertype.0.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_written() {
        for id in [0, 1, 100, 4094, 4095] {
            let id = VlanId::new(id).unwrap();
            let bytes = tag_bytes(id, 7, EtherType::IP6);
            let tag = VlanTag::new(&bytes).unwrap();
            assert_eq!((tag.id(), tag.priority()), (id, 7));
            assert_eq!(tag.ethertype(), EtherType::IP6);
        }
        assert!(VlanId::new(4096).is_none());
        assert!(VlanTag::new(&[0; 3]).is_none());
    }
}
