//! A crypto engine in software, which does what a [`Layout`] says and nothing else, as the real
//! one does: slow, simple, for tests.
#![allow(dead_code)] // each test uses its part

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};
use ironlane_ipsec::{Auth, Cipher, Layout, SaSpec};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

type Block = [u8; 16];

/// Encrypts, or decrypts, one block with AES.
pub fn aes_block(key: &[u8], block: Block, encrypt: bool) -> Block {
    fn run<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt>(
        key: &[u8],
        block: Block,
        encrypt: bool,
    ) -> Block {
        let cipher = C::new_from_slice(key).expect("a key of its length");
        let mut array = Array::try_from(&block[..]).expect("AES has blocks of 16 bytes");
        if encrypt {
            cipher.encrypt_block(&mut array);
        } else {
            cipher.decrypt_block(&mut array);
        }
        <Block>::try_from(&array[..]).expect("16 bytes")
    }
    match key.len() {
        16 => run::<Aes128>(key, block, encrypt),
        24 => run::<Aes192>(key, block, encrypt),
        _ => run::<Aes256>(key, block, encrypt),
    }
}

fn xor(block: Block, with: &[u8]) -> Block {
    let mut out = block;
    out.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
    out
}

fn cbc(key: &[u8], mut iv: Block, text: &mut [u8], encrypt: bool) {
    let (blocks, rest) = text.as_chunks_mut::<16>();
    assert!(rest.is_empty(), "whole blocks");
    for block in blocks {
        if encrypt {
            *block = aes_block(key, xor(iv, block), true);
            iv = *block;
        } else {
            let next = *block;
            *block = xor(aes_block(key, next, false), &iv);
            iv = next;
        }
    }
}

fn ctr(key: &[u8], counter: Block, text: &mut [u8]) {
    for (counter, chunk) in (u128::from_be_bytes(counter)..).zip(text.chunks_mut(16)) {
        let stream = aes_block(key, counter.to_be_bytes(), true);
        chunk.iter_mut().zip(stream).for_each(|(a, b)| *a ^= b);
    }
}

/// Encrypts in place and returns the tag.
fn aead(cipher: Cipher, key: &[u8], nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Vec<u8> {
    fn run<C: KeyInit + AeadInOut>(
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
    ) -> Vec<u8> {
        let cipher = C::new_from_slice(key).expect("a key of its length");
        let nonce = nonce.try_into().expect("a nonce of its length");
        let tag = cipher.encrypt_inout_detached(nonce, aad, text.into());
        tag.expect("a short text").to_vec()
    }
    match (cipher, key.len()) {
        (Cipher::ChaCha20Poly1305, _) => run::<ChaCha20Poly1305>(key, nonce, aad, text),
        (_, 16) => run::<AesGcm<Aes128, U12>>(key, nonce, aad, text),
        (_, 24) => run::<AesGcm<Aes192, U12>>(key, nonce, aad, text),
        _ => run::<AesGcm<Aes256, U12>>(key, nonce, aad, text),
    }
}

fn hmac(auth: Auth, key: &[u8], text: &[u8]) -> Vec<u8> {
    fn run<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes any key");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
    match auth {
        Auth::HmacSha1_96 => run::<Hmac<Sha1>>(key, text),
        Auth::HmacSha256_128 => run::<Hmac<Sha256>>(key, text),
        Auth::HmacSha384_192 => run::<Hmac<Sha384>>(key, text),
        Auth::HmacSha512_256 => run::<Hmac<Sha512>>(key, text),
        Auth::None | Auth::AesGmac => unreachable!("no HMAC"),
    }
}

/// The ICV over `auth`, where cipher and authenticator are two things, or GMAC is all.
fn icv(spec: &SaSpec, layout: &Layout, buffer: &[u8]) -> Vec<u8> {
    let text = &buffer[layout.auth.range()];
    match (spec.algorithm.cipher, spec.algorithm.auth) {
        (Cipher::AesGmac, _) => gmac(spec.cipher_key(), layout, text),
        (_, Auth::AesGmac) => gmac(spec.authenticator_key(), layout, text),
        (_, Auth::None) => Vec::new(),
        (_, auth) => hmac(auth, spec.authenticator_key(), text),
    }
}

fn gmac(key: &[u8], layout: &Layout, text: &[u8]) -> Vec<u8> {
    aead(Cipher::AesGmac, key, &layout.nonce[..12], text, &mut [])
}

fn has_tag(cipher: Cipher) -> bool {
    cipher.is_aead() && cipher != Cipher::AesGmac
}

/// Encrypts, then writes the ICV.
pub fn seal(spec: &SaSpec, layout: &Layout, buffer: &mut [u8]) {
    let (cipher, key) = (spec.algorithm.cipher, spec.cipher_key());
    let text = &mut buffer[layout.cipher.range()];
    let tag = match cipher {
        cipher if has_tag(cipher) => aead(cipher, key, &layout.nonce[..12], layout.aad(), text),
        Cipher::AesCbc => {
            cbc(key, layout.nonce, text, true);
            Vec::new()
        }
        Cipher::AesCtr => {
            ctr(key, layout.nonce, text);
            Vec::new()
        }
        _ => Vec::new(),
    };
    let tag = if has_tag(cipher) {
        tag
    } else {
        icv(spec, layout, buffer)
    };
    let place = &mut buffer[layout.icv.range()];
    place.copy_from_slice(&tag[..place.len()]);
}

/// Compares the ICV, then decrypts. False if the ICV is wrong.
pub fn open(spec: &SaSpec, layout: &Layout, buffer: &mut [u8]) -> bool {
    let (cipher, key) = (spec.algorithm.cipher, spec.cipher_key());
    let sent = buffer[layout.icv.range()].to_vec();
    if has_tag(cipher) {
        // A counter mode: encrypting twice gives the text back, and its tag.
        let nonce = &layout.nonce[..12];
        let mut text = buffer[layout.cipher.range()].to_vec();
        aead(cipher, key, nonce, layout.aad(), &mut text);
        let plain = text.clone();
        let tag = aead(cipher, key, nonce, layout.aad(), &mut text);
        buffer[layout.cipher.range()].copy_from_slice(&plain);
        return tag[..sent.len()] == sent;
    }
    if icv(spec, layout, buffer)[..sent.len()] != sent {
        return false;
    }
    let text = &mut buffer[layout.cipher.range()];
    match cipher {
        Cipher::AesCbc => cbc(key, layout.nonce, text, false),
        Cipher::AesCtr => ctr(key, layout.nonce, text),
        _ => {}
    }
    true
}
