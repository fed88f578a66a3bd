//! Packets that are like one before them, of which it is known what becomes of them.

/// The bits of the first `N` words of an IP packet by which others are like it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike<const N: usize> {
    mask: [u64; N],
    bits: [u64; N],
}

/// A mask of the first bytes of an IP packet.
pub(super) type Mask = [u8; 48];

impl<const N: usize> Alike<N> {
    /// What is like `packet` in all bits of a mask. `None` if the packet is shorter than `N` words.
    pub(super) fn of(packet: &[u8], mask: &Mask) -> Option<Self> {
        let mask = words(mask)?;
        let mut bits = words(packet)?;
        for (bits, mask) in bits.iter_mut().zip(mask) {
            *bits &= mask;
        }
        Some(Self { mask, bits })
    }

    /// Whether a packet is.
    #[inline]
    pub(super) fn takes(&self, packet: &[u8]) -> bool {
        let Some(words) = words::<N>(packet) else {
            return false;
        };
        let pairs = words.iter().zip(&self.mask).zip(&self.bits);
        pairs.fold(0, |other, ((word, mask), bits)| other | word & mask ^ bits) == 0
    }
}

/// The first words.
#[inline]
fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (words, _) = bytes.as_chunks::<8>();
    Some(words.first_chunk::<N>()?.map(u64::from_ne_bytes))
}

/// Sets the first `len` bits from a byte on.
pub(super) fn set_prefix(mask: &mut Mask, at: usize, len: u8) {
    let (whole, rest) = (usize::from(len / 8), len % 8);
    mask[at..at + whole].fill(0xff);
    if rest != 0 {
        mask[at + whole] = !(0xff >> rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bits_of_the_mask_count() {
        let mut mask = [0; 48];
        set_prefix(&mut mask, 12, 20);
        set_prefix(&mut mask, 16, 32);
        let packet: [u8; 24] = std::array::from_fn(|at| at as u8);
        let alike = Alike::<3>::of(&packet, &mask).unwrap();
        for at in 0..packet.len() {
            for bit in 0..8 {
                let mut other = packet;
                other[at] ^= 0x80 >> bit;
                let counts =
                    (12 * 8..12 * 8 + 20).contains(&(at * 8 + bit)) || (16..20).contains(&at);
                assert_eq!(alike.takes(&other), !counts, "byte {at}, bit {bit}");
            }
        }
        assert!(!alike.takes(&packet[..23]), "cut");
        assert!(Alike::<3>::of(&packet[..23], &mask).is_none());
    }
}
