//! What is before the text of a packet that goes by IPv4 without UDP: written in words, most of which are the same for
//! all packets of an SA.

use ironlane_packet::checksum;
use ironlane_packet::ip4::DF;

use super::{IV_LEN, Usual};
use crate::SaSpec;
use crate::esp;
use crate::header::IP4_LEN;
use crate::outer::Outer;

/// Length of IP and ESP header, with the IV.
const LEN: usize = IP4_LEN + esp::HEADER_LEN_BYTES + IV_LEN;

/// An outer IPv4 header with the ESP header behind it, in words whose lowest byte is the first one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip4Front {
    /// TTL, protocol, no checksum, source.
    second: u64,
    /// Destination, SPI.
    third: u64,
    /// Sum of the words of the IP header that do not change.
    sum: u16,
}

impl Ip4Front {
    /// `None`: it goes by IPv6.
    pub(super) fn of(usual: &Usual, spec: &SaSpec) -> Option<Self> {
        if usize::from(usual.ip_len) != IP4_LEN {
            return None;
        }
        let mut words = [0; 16];
        words[..12].copy_from_slice(&usual.front[8..IP4_LEN]);
        words[2..4].fill(0);
        words[12..].copy_from_slice(&spec.spi.to_be_bytes());
        let words = u128::from_le_bytes(words);
        Some(Self {
            second: words as u64,
            third: (words >> 64) as u64,
            sum: usual.sum,
        })
    }

    /// Writes it for a packet of `len` bytes in all, with the number `seq`, which is the IV, too.
    #[inline]
    pub(super) fn write(&self, outer: Outer, len: u16, seq: u64, to: &mut [u8; LEN]) {
        let (id, word) = if outer.df { (0, DF) } else { (seq as u16, 0) };
        let class = u32::from(outer.class);
        let sum = u32::from(self.sum)
            + (0x4500 | class)
            + u32::from(len)
            + u32::from(id)
            + u32::from(word);
        let sum = !checksum::fold(sum);
        let [len, id, word, sum] = [len, id, word, sum].map(|word| u64::from(word.swap_bytes()));
        let first = 0x45 | u64::from(class) << 8 | len << 16 | id << 32 | word << 48;
        to[..8].copy_from_slice(&first.to_le_bytes());
        to[8..16].copy_from_slice(&(self.second | sum << 16).to_le_bytes());
        to[16..24].copy_from_slice(&self.third.to_le_bytes());
        to[24..28].copy_from_slice(&(seq as u32).to_be_bytes());
        to[28..].copy_from_slice(&seq.to_be_bytes());
    }
}
