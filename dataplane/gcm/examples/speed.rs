//! Ticks of the time stamp counter for a text, by length: `cargo run --release -p ironlane-gcm --example speed`.
#![allow(unsafe_code)]

use ironlane_gcm::{Key, KeySize, Wide};

fn main() {
    let Some(wide) = Wide::find() else {
        eprintln!("this CPU has not AVX-512, VAES and VPCLMULQDQ");
        std::process::exit(1);
    };
    let mut key = Key::empty();
    assert!(wide.expand(&[3; 16], &mut key));
    let (nonce, aad) = (std::hint::black_box([1; 12]), std::hint::black_box([2; 8]));
    let mut texts = vec![[7u8; 2240]; 64];
    for len in [52, 100, 500, 1408, 1420] {
        for seal in [true, false] {
            let mut readings: Vec<_> = (0..1000)
                .map(|_| {
                    // SAFETY: every CPU of 64 bits has the instruction.
                    let start = unsafe { std::arch::x86_64::_rdtsc() };
                    for buffer in &mut texts {
                        let (text, behind) = buffer[50..].split_at_mut(len);
                        let tag = match seal {
                            true => wide.seal(&key, KeySize::Aes128, &nonce, &aad, text),
                            false => wide.open(&key, KeySize::Aes128, &nonce, &aad, text),
                        };
                        behind[..16].copy_from_slice(&tag);
                    }
                    // SAFETY: as above.
                    (unsafe { std::arch::x86_64::_rdtsc() } - start) / texts.len() as u64
                })
                .collect();
            readings.sort_unstable();
            let way = if seal { "seal" } else { "open" };
            println!("{way} {len:5} bytes: {} ticks", readings[500]);
        }
    }
}
