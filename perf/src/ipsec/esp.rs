//! ESP with AES-128-GCM by an implementation that is not the data plane's (RFC 4303, RFC 4106).

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Nonce, Tag};

/// Header and IV; ICV.
const BEFORE: usize = 16;
const ICV: usize = 16;

fn cipher(key: &[u8; 20], iv: &[u8]) -> (Aes128Gcm, Nonce<aes_gcm::aead::consts::U12>) {
    let cipher = Aes128Gcm::new_from_slice(&key[..16]).expect("16 bytes");
    let nonce = [&key[16..], iv].concat();
    (cipher, Nonce::try_from(&nonce[..]).expect("12 bytes"))
}

/// ESP that carries a packet in tunnel mode. The last four bytes of `key` are the salt.
pub(super) fn seal(key: &[u8; 20], spi: u32, seq: u32, packet: &[u8]) -> Vec<u8> {
    let header = [spi.to_be_bytes(), seq.to_be_bytes()].concat();
    let iv = u64::from(seq).to_be_bytes();
    let pad = (4 - (packet.len() + 2) % 4) % 4;
    let next = if packet[0] >> 4 == 4 { 4 } else { 41 };
    let mut text = packet.to_vec();
    text.extend((1..=pad as u8).chain([pad as u8, next]));
    let (cipher, nonce) = cipher(key, &iv);
    let tag = cipher.encrypt_inout_detached(&nonce, &header, text.as_mut_slice().into());
    let tag = tag.expect("a short text");
    [&header[..], &iv, &text, &tag].concat()
}

/// The sequence number and the packet that ESP carries in tunnel mode.
///
/// # Errors
/// What is wrong with it.
pub(super) fn open(key: &[u8; 20], esp: &[u8]) -> Result<(u32, Vec<u8>), &'static str> {
    if esp.len() < BEFORE + 2 + ICV {
        return Err("it is too short for ESP");
    }
    let (head, rest) = esp.split_at(BEFORE);
    let (text, tag) = rest.split_at(rest.len() - ICV);
    let (cipher, nonce) = cipher(key, &head[8..]);
    let (mut text, tag) = (text.to_vec(), Tag::try_from(tag).expect("16 bytes"));
    cipher
        .decrypt_inout_detached(&nonce, &head[..8], text.as_mut_slice().into(), &tag)
        .map_err(|_| "it is not authentic")?;
    let (pad, next) = (usize::from(text[text.len() - 2]), text[text.len() - 1]);
    let end = (text.len() - 2).checked_sub(pad);
    let end = end.ok_or("its padding is longer than it")?;
    if !text[end..end + pad].iter().copied().eq(1..=pad as u8) || !text.len().is_multiple_of(4) {
        return Err("its padding is wrong");
    }
    text.truncate(end);
    match (next, text.first().map(|byte| byte >> 4)) {
        (4, Some(4)) | (41, Some(6)) => {
            let seq = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            Ok((seq, text))
        }
        _ => Err("it does not say what it carries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        let (key, packet) = (b"sixteen byte key/slt", [0x45; 51]);
        let esp = seal(key, 7, 9, &packet);
        assert_eq!(open(key, &esp), Ok((9, packet.to_vec())));
        for at in 0..esp.len() {
            let mut other = esp.clone();
            other[at] ^= 1;
            assert!(open(key, &other).is_err(), "{at}");
        }
    }
}
