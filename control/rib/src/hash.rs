//! A hash for keys that routing protocols and the administrator choose: who could choose them to
//! collide could as well withdraw the routes, so speed is worth more than SipHash.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes one [`Fold`] for each key.
pub(crate) type BuildFold = BuildHasherDefault<Fold>;

/// Multiplies and folds.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Fold {
    fn fold(&mut self, word: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word) * ODD;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(32);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte) + 1);
    }

    fn write_u16(&mut self, word: u16) {
        self.fold(u64::from(word) + 1);
    }

    fn write_u32(&mut self, word: u32) {
        self.fold(u64::from(word) + 1);
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word.wrapping_add(1));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn keys_that_differ_little_spread() {
        let build = BuildFold::default();
        let hash = |n: u16| build.hash_one(([10_u8, 0, 0, 1], Some(n), "p0"));
        let mut places: Vec<u64> = (0..4096).map(|n| hash(n) % 4096).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 2400, "{} of 4096 are used", places.len()); // random: 63 %
    }
}
