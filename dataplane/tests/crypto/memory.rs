//! Where keys lie in the memory of this process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use ironlane_dataplane::eal::crypto::{Transform, Way};
use ironlane_ipsec::{Algorithm, Auth, Cipher};

use crate::lab::{noise, open};

/// A mapping of the process: addresses, and the kernel's flags of it.
struct Mapping {
    from: u64,
    to: u64,
    flags: Vec<String>,
}

fn mappings() -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((from, to)) = first.split_once('-')
            && let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16))
        {
            let readable = line
                .split(' ')
                .nth(1)
                .is_some_and(|rights| rights.starts_with("rw"));
            found.push(Mapping {
                from,
                to: if readable { to } else { from },
                flags: Vec::new(),
            });
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            let last = found.last_mut().unwrap();
            last.flags = flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    found
}

/// The mappings that have `needle`, which is given inverted so as not to find itself.
fn holding(inverted: &[u8]) -> Vec<Mapping> {
    const STEP: u64 = 1 << 20;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0; STEP as usize + inverted.len()];
    let mut found = Vec::new();
    'mappings: for mapping in mappings() {
        let mut at = mapping.from;
        while at < mapping.to {
            let len = ((mapping.to - at) as usize).min(buffer.len());
            if memory.read_at(&mut buffer[..len], at).is_err() {
                break;
            }
            // What was read is a copy of the key as well: it must not be found by the next look.
            let here = buffer[..len]
                .windows(inverted.len())
                .any(|w| w.iter().zip(inverted).all(|(a, b)| *a == !b));
            buffer.fill(0);
            if here {
                found.push(mapping);
                continue 'mappings;
            }
            at += STEP;
        }
    }
    found
}

/// ChaCha20-Poly1305 works with the key as it is, so it can be looked for.
#[test]
fn keys_lie_in_locked_memory_left_out_of_core_dumps_and_go_with_the_session() {
    for string in ["cpu", "crypto_aesni_mb"] {
        let device = open(string, 70, 1);
        let inverted = noise(u64::from(string.len() as u32) + 4711, 32);
        let mut key: Vec<u8> = inverted.iter().map(|byte| !byte).collect();
        let session = device
            .session(&Transform {
                algorithm: Algorithm {
                    cipher: Cipher::ChaCha20Poly1305,
                    auth: Auth::None,
                },
                cipher_key: &key,
                auth_key: &[],
                way: Way::Seal,
                aad_len: 8,
            })
            .unwrap();
        key.fill(0);
        std::hint::black_box(&mut key);
        let places = holding(&inverted);
        assert!(
            !places.is_empty(),
            "{string}: the session has the key nowhere"
        );
        for place in places {
            for flag in ["lo", "dd"] {
                assert!(
                    place.flags.iter().any(|has| has == flag),
                    "{string}: a key at {:x}-{:x}, {:?} without {flag}",
                    place.from,
                    place.to,
                    place.flags
                );
            }
        }
        drop(session);
        assert_eq!(
            holding(&inverted).len(),
            0,
            "{string}: the key outlives its session"
        );
    }
}
