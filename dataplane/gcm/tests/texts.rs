//! Against published vectors, and against the crate `aes-gcm`.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, aes::Aes192};
use ironlane_gcm::{AAD_MAX, Key, KeySize, Nonce, Tag, Wide};
use proptest::prelude::*;

/// What this CPU has; `None`, said aloud, where a test cannot run.
fn wide(test: &str) -> Option<Wide> {
    let wide = Wide::find();
    if wide.is_none() {
        println!("SKIP gcm/{test}: this CPU has not AVX-512, VAES and VPCLMULQDQ");
    }
    wide
}

fn expanded(wide: Wide, key: &[u8]) -> (Key, KeySize) {
    let mut to = Key::empty();
    assert!(wide.expand(key, &mut to));
    (to, KeySize::of(key.len()).expect("a length of AES"))
}

/// What the other implementation makes of a text.
fn theirs(key: &[u8], nonce: &Nonce, aad: &[u8], text: &[u8]) -> (Vec<u8>, Tag) {
    fn run<C: AeadInOut + KeyInit>(key: &[u8], nonce: &Nonce, aad: &[u8], text: &mut [u8]) -> Tag {
        let cipher = C::new_from_slice(key).expect("a key of its length");
        let nonce = nonce[..].try_into().expect("12 bytes");
        let tag = cipher.encrypt_inout_detached(nonce, aad, text.into());
        tag.expect("a short text")[..].try_into().expect("16 bytes")
    }
    let mut sealed = text.to_vec();
    let tag = match key.len() {
        16 => run::<Aes128Gcm>(key, nonce, aad, &mut sealed),
        24 => run::<AesGcm<Aes192, U12>>(key, nonce, aad, &mut sealed),
        _ => run::<Aes256Gcm>(key, nonce, aad, &mut sealed),
    };
    (sealed, tag)
}

/// Seals and opens a text that lies between bytes which are to stay.
fn there_and_back(wide: Wide, key: &[u8], nonce: &Nonce, aad: &[u8], text: &[u8]) {
    const BESIDE: usize = 70;
    let (sealed, tag) = theirs(key, nonce, aad, text);
    let (key, size) = expanded(wide, key);
    let mut room = vec![0xa5; BESIDE + text.len() + BESIDE];
    let range = BESIDE..BESIDE + text.len();
    room[range.clone()].copy_from_slice(text);
    assert_eq!(
        wide.seal(&key, size, nonce, aad, &mut room[range.clone()]),
        tag
    );
    assert!(room[range.clone()] == sealed, "{} bytes", text.len());
    assert_eq!(
        wide.open(&key, size, nonce, aad, &mut room[range.clone()]),
        tag
    );
    assert!(room[range.clone()] == *text, "{} bytes", text.len());
    room.drain(range);
    assert!(room.iter().all(|byte| *byte == 0xa5), "written beside");
}

fn noise(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|i| ((i + seed).wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

/// Key, nonce, text, sealed text, tag: test cases 1, 2, 3, 7, 8, 13, 14 and 15 of the specification of GCM (McGrew and Viega,
/// appendix B), those with a nonce of 12 bytes and no additional data.
const PUBLISHED: [[&str; 5]; 8] = [
    [
        "00000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "58e2fccefa7e3061367f1d57a4e7455a",
    ],
    [
        "00000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "0388dace60b6a392f328c2b971b2fe78",
        "ab6e47d42cec13bdf53a67b21257bddf",
    ],
    [
        "feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
        "4d5c2af327cd64a62cf35abd2ba6fab4",
    ],
    [
        "000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "cd33b28ac773f74ba00ed1f312572435",
    ],
    [
        "000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "98e7247c07f0fe411c267e4384b0f600",
        "2ff58d80033927ab8ef4d4587514f0fb",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c",
    ],
];

#[test]
fn published_vectors_come_out() {
    let Some(wide) = wide("published") else {
        return;
    };
    for [key, nonce, text, sealed, tag] in PUBLISHED.map(|one| one.map(bytes)) {
        let nonce = nonce[..].try_into().expect("12 bytes");
        let (key, size) = expanded(wide, &key);
        let mut there = text.clone();
        assert_eq!(wide.seal(&key, size, nonce, &[], &mut there)[..], tag);
        assert_eq!(there, sealed);
        assert_eq!(wide.open(&key, size, nonce, &[], &mut there)[..], tag);
        assert_eq!(there, text);
    }
}

/// Every length up to some that take three steps, and some of jumbo frames.
#[test]
fn every_length_is_as_others_make_it() {
    let Some(wide) = wide("lengths") else { return };
    for bits in [128, 192, 256] {
        let key = noise(bits / 8, 1);
        let jumbo = [2048, 4095, 8999, 9000, 16_383];
        for len in (0..1700).chain(jumbo) {
            let nonce = noise(12, len)[..].try_into().expect("12 bytes");
            let aad = noise(if len % 2 == 0 { 8 } else { AAD_MAX }, 3);
            there_and_back(wide, &key, &nonce, &aad, &noise(len, len));
        }
    }
}

/// The counter of blocks has 32 bits, and no carry leaves it.
#[test]
fn nonces_of_ones_do_not_overflow() {
    let Some(wide) = wide("nonces") else { return };
    there_and_back(
        wide,
        &noise(16, 5),
        &[0xff; 12],
        &[0xff; 8],
        &noise(9000, 1),
    );
}

proptest! {
    #[test]
    fn any_text_is_as_others_make_it(
        key in prop::sample::select(vec![16, 24, 32])
            .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len)),
        nonce in any::<Nonce>(),
        aad in prop::collection::vec(any::<u8>(), 0..=AAD_MAX),
        text in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        if let Some(wide) = wide("any") {
            there_and_back(wide, &key, &nonce, &aad, &text);
        }
    }
}

#[test]
fn keys_of_other_lengths_are_refused() {
    let Some(wide) = wide("refused") else { return };
    for len in (0..40).filter(|len| KeySize::of(*len).is_none()) {
        assert!(
            !wide.expand(&noise(len, 0), &mut Key::empty()),
            "{len} bytes"
        );
    }
}

#[test]
fn more_additional_data_is_a_mistake() {
    let Some(wide) = wide("mistake") else { return };
    let (key, size) = expanded(wide, &[0; 16]);
    let seal = || wide.seal(&key, size, &[0; 12], &[0; AAD_MAX + 1], &mut [0; 16]);
    assert!(std::panic::catch_unwind(seal).is_err());
}
