//! Known answers of NIST and the RFCs, and devices against each other.

use ironlane_dataplane::eal::Mempool;
use ironlane_dataplane::eal::crypto::{CryptoDevice, CryptoError, Engine, Job, Outcome, Part, Way};
use ironlane_ipsec::{Algorithm, Auth, Cipher};
use serde_json::Value;

use crate::lab::{DEVICES, Keyed, all, noise, one, open, packet, pool};

/// The vectors of the larger collection: `$IRONLANE_SHARED`, or `shared` beside the checkout.
fn vectors() -> Option<Vec<Value>> {
    let root = std::env::var_os("IRONLANE_SHARED").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into(),
        std::path::PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join("data/esp/primitive_kat.json")).ok()?;
    Some(serde_json::from_str(&text).expect("a list of vectors"))
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    let hex = vector[name].as_str().unwrap_or_default();
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
        .collect()
}

struct Bench<'a> {
    device: &'a CryptoDevice,
    engine: Engine,
    pool: Mempool,
}

impl Bench<'_> {
    /// Has `input` worked on in place; what became of it, and the bytes after.
    fn run(
        &mut self,
        keyed: &Keyed,
        way: Way,
        aad_len: usize,
        job: &Job,
        input: &[u8],
    ) -> (Outcome, Vec<u8>) {
        let session = keyed.session(self.device, way, aad_len as u16);
        let mut mbuf = packet(&self.pool, input);
        let outcome = one(&mut self.engine, &session, &mut mbuf, job);
        let after = mbuf.data().to_vec();
        mbuf.free();
        (outcome, after)
    }

    /// A cipher that authenticates: the additional data in front of the text, the ICV behind it.
    fn aead(&mut self, cipher: Cipher, vector: &Value) {
        let [key, nonce, aad, text, cipher_text, tag] =
            ["key", "nonce", "aad", "pt", "ct", "tag"].map(|name| bytes(vector, name));
        let keyed = Keyed {
            cipher_key: key,
            ..Keyed::new(cipher, 0, Auth::None, 1)
        };
        let mut block = [0; 16];
        block[..12].copy_from_slice(&nonce);
        let (start, len) = (aad.len() as u16, cipher_text.len() as u16);
        let job = Job {
            cipher: Part::new(start, len),
            auth: Part::new(0, start),
            icv_at: start + len,
            nonce: block,
            aad: [0; 12],
        };
        let sealed = [&aad[..], &cipher_text, &tag].concat();
        let (outcome, after) = self.run(&keyed, Way::Open, aad.len(), &job, &sealed);
        if vector["result"] == "fail" {
            assert_eq!(outcome, Outcome::BadIcv, "{vector}");
            return;
        }
        assert_eq!(outcome, Outcome::Done, "{vector}");
        assert_eq!(after, [&aad[..], &text, &tag].concat(), "{vector}");
        let open = [&aad[..], &text, &[0; 16]].concat();
        let (outcome, after) = self.run(&keyed, Way::Seal, aad.len(), &job, &open);
        assert_eq!(outcome, Outcome::Done, "{vector}");
        assert_eq!(after, sealed, "{vector}");
    }

    /// AES-CBC, with any HMAC over the same bytes.
    fn cbc(&mut self, vector: &Value) {
        let [key, iv, text, cipher_text] =
            ["key", "nonce", "pt", "ct"].map(|name| bytes(vector, name));
        let keyed = Keyed {
            cipher_key: key,
            ..Keyed::new(Cipher::AesCbc, 0, Auth::HmacSha1_96, 1)
        };
        let len = text.len() as u16;
        let job = Job {
            cipher: Part::new(0, len),
            auth: Part::new(0, len),
            icv_at: len,
            nonce: iv.try_into().expect("a block"),
            ..Job::default()
        };
        let (outcome, sealed) =
            self.run(&keyed, Way::Seal, 0, &job, &[&text[..], &[0; 12]].concat());
        assert_eq!(
            (outcome, &sealed[..text.len()]),
            (Outcome::Done, &cipher_text[..]),
            "{vector}"
        );
        let (outcome, open) = self.run(&keyed, Way::Open, 0, &job, &sealed);
        assert_eq!(
            (outcome, &open[..text.len()]),
            (Outcome::Done, &text[..]),
            "{vector}"
        );
    }

    /// A HMAC, cut as IPsec cuts it.
    fn hmac(&mut self, auth: Auth, vector: &Value) {
        let [key, message, mac] = ["key", "msg", "mac"].map(|name| bytes(vector, name));
        let keyed = Keyed {
            algorithm: Algorithm {
                cipher: Cipher::Null,
                auth,
            },
            cipher_key: Vec::new(),
            auth_key: key,
        };
        let len = message.len() as u16;
        let job = Job {
            auth: Part::new(0, len),
            icv_at: len,
            ..Job::default()
        };
        let icv = &mac[..auth.icv_len_bytes()];
        let mut signed = [&message[..], icv].concat();
        let unsigned = [&message[..], &vec![0; icv.len()]].concat();
        let (outcome, after) = self.run(&keyed, Way::Seal, 0, &job, &unsigned);
        assert_eq!((outcome, &after), (Outcome::Done, &signed), "{vector}");
        assert_eq!(
            self.run(&keyed, Way::Open, 0, &job, &signed).0,
            Outcome::Done,
            "{vector}"
        );
        signed[0] ^= 1;
        assert_eq!(
            self.run(&keyed, Way::Open, 0, &job, &signed).0,
            Outcome::BadIcv,
            "{vector}"
        );
    }
}

#[test]
fn known_answers_come_out() {
    let Some(vectors) = vectors() else {
        println!("SKIP crypto/known_answers: no ../shared and no $IRONLANE_SHARED");
        return;
    };
    // OpenSSL's has not all of them; the test below compares it with these.
    for (number, string) in ["cpu", "crypto_aesni_mb"].into_iter().enumerate() {
        let device = open(string, 10 + number as u32, 1);
        let engine = device.engine().unwrap();
        let mut bench = Bench {
            device: &device,
            engine,
            pool: pool("known"),
        };
        for vector in &vectors {
            match vector["alg"].as_str().expect("a name") {
                "AES-128-GCM" | "AES-256-GCM" => bench.aead(Cipher::AesGcm { icv: 16 }, vector),
                "CHACHA20-POLY1305" => bench.aead(Cipher::ChaCha20Poly1305, vector),
                "AES-128-CBC" | "AES-256-CBC" => bench.cbc(vector),
                "HMAC-SHA1" => bench.hmac(Auth::HmacSha1_96, vector),
                "HMAC-SHA256" => bench.hmac(Auth::HmacSha256_128, vector),
                "HMAC-SHA512" => bench.hmac(Auth::HmacSha512_256, vector),
                other => panic!("vectors of {other} are not tested"),
            }
        }
        println!("{string}: {} vectors", vectors.len());
    }
}

#[test]
fn all_devices_make_the_same_packets_of_every_algorithm() {
    let pool = pool("same");
    let devices = DEVICES.map(|string| open(string, 20, 1));
    let mut engines = devices.each_ref().map(|device| device.engine().unwrap());
    for keyed in all() {
        for (tail, aad_len) in [(0, 8), (4, 12)] {
            for len in [16usize, 64, 80, 1408] {
                let plain = noise(len as u64, 24 + len + tail + 32);
                let job = keyed.job(len, tail, len as u64);
                let sealed = std::array::from_fn::<_, 3, _>(|i| {
                    let made = devices[i].session(&keyed.transform(Way::Seal, aad_len));
                    if i > 0 && matches!(made, Err(CryptoError::Unsupported { .. })) {
                        return None;
                    }
                    let session = made.unwrap_or_else(|error| panic!("{error}"));
                    let mut mbuf = packet(&pool, &plain);
                    let outcome = one(&mut engines[i], &session, &mut mbuf, &job);
                    assert_eq!(outcome, Outcome::Done, "{} {keyed:?} {len}", DEVICES[i]);
                    let after = mbuf.data().to_vec();
                    mbuf.free();
                    Some(after)
                });
                let first = sealed[0].as_ref();
                for (other, name) in sealed
                    .iter()
                    .zip(DEVICES)
                    .filter(|(other, _)| other.is_some())
                {
                    assert!(
                        other.as_ref() == first,
                        "{name} differs: {keyed:?}, {len} bytes"
                    );
                }
                assert_ne!(first, Some(&plain));
            }
        }
    }
    assert_eq!(pool.in_use(), 0);
}
