//! What the tests share: devices, packets, jobs for an algorithm.

use ironlane_dataplane::eal::crypto::{
    CryptoDevice, CryptoError, Engine, Job, Jobs, Outcome, Part, Session, Transform, Way,
};
use ironlane_dataplane::eal::{Mbuf, MbufBatch, Mempool};
use ironlane_ipsec::{Algorithm, Auth, Cipher};

use crate::rig::eal;

/// Devices that tests run on, each with what it has.
pub const DEVICES: [&str; 4] = [
    CryptoDevice::CPU,
    CryptoDevice::LIBRARY,
    "crypto_aesni_mb",
    "crypto_openssl",
];

/// Opens a device; each test has its own, by a number of its own.
pub fn open(string: &str, test: u32, engines: u16) -> CryptoDevice {
    let string = match string {
        CryptoDevice::CPU | CryptoDevice::LIBRARY => string.to_owned(),
        driver => format!("{driver}{test}"),
    };
    CryptoDevice::open(eal(), &string, engines, -1).unwrap_or_else(|error| panic!("{error}"))
}

/// A pool of packets for a test.
pub fn pool(name: &str) -> Mempool {
    Mempool::create(eal(), name, 255, 4096, -1).expect("a pool")
}

/// A packet with these bytes.
pub fn packet(pool: &Mempool, bytes: &[u8]) -> Mbuf {
    let mut batch = MbufBatch::new();
    assert!(pool.alloc(&mut batch, 1), "no packet left");
    let mut mbuf = batch.pop().expect("one packet");
    mbuf.append(bytes.len())
        .expect("room")
        .copy_from_slice(bytes);
    mbuf
}

/// Bytes that look random and are not.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// An algorithm with keys.
#[derive(Clone, Debug)]
pub struct Keyed {
    pub algorithm: Algorithm,
    pub cipher_key: Vec<u8>,
    pub auth_key: Vec<u8>,
}

impl Keyed {
    pub fn new(cipher: Cipher, cipher_key_len: usize, auth: Auth, seed: u64) -> Self {
        let auth_key_len = match auth {
            Auth::AesGmac => 16,
            auth => auth.key_lens_bytes()[0],
        };
        Self {
            algorithm: Algorithm { cipher, auth },
            cipher_key: noise(seed, cipher_key_len),
            auth_key: noise(!seed, auth_key_len),
        }
    }

    pub fn transform(&self, way: Way, aad_len: u16) -> Transform<'_> {
        Transform {
            algorithm: self.algorithm,
            cipher_key: &self.cipher_key,
            auth_key: &self.auth_key,
            way,
            aad_len,
        }
    }

    pub fn session(&self, device: &CryptoDevice, way: Way, aad_len: u16) -> Session {
        device
            .session(&self.transform(way, aad_len))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Bytes that text must be a multiple of.
    pub fn block(&self) -> usize {
        if self.algorithm.cipher == Cipher::AesCbc {
            16
        } else {
            1
        }
    }

    /// The job for an ESP-like packet: 24 bytes of header, `len` of text, `tail` more that are
    /// authenticated, the ICV.
    pub fn job(&self, len: usize, tail: usize, seed: u64) -> Job {
        let nonce = noise(seed ^ 0x55, 16).try_into().expect("16 bytes");
        let aad = noise(seed ^ 0x77, 12).try_into().expect("12 bytes");
        let part = |at: usize, len: usize| Part::new(at as u16, len as u16);
        let cipher = self.algorithm.cipher;
        let encrypts = !matches!(cipher, Cipher::Null | Cipher::AesGmac);
        let covers = cipher == Cipher::AesGmac || !cipher.is_aead();
        Job {
            cipher: if encrypts {
                part(24, len)
            } else {
                Part::default()
            },
            auth: if covers {
                part(0, 24 + len + tail)
            } else {
                Part::default()
            },
            icv_at: (24 + len + tail) as u16,
            nonce,
            aad,
        }
    }
}

/// Every algorithm of IPsec, each length of key and ICV.
pub fn all() -> Vec<Keyed> {
    let mut all = Vec::new();
    let hmacs = [
        Auth::HmacSha1_96,
        Auth::HmacSha256_128,
        Auth::HmacSha384_192,
        Auth::HmacSha512_256,
    ];
    for key in [16, 24, 32] {
        for icv in [8, 12, 16] {
            all.push(Keyed::new(
                Cipher::AesGcm { icv },
                key,
                Auth::None,
                key as u64,
            ));
        }
        all.push(Keyed::new(Cipher::AesGmac, key, Auth::None, 3));
        for auth in hmacs {
            all.push(Keyed::new(Cipher::AesCbc, key, auth, 5));
            all.push(Keyed::new(Cipher::AesCtr, key, auth, 6));
        }
    }
    all.push(Keyed::new(Cipher::ChaCha20Poly1305, 32, Auth::None, 7));
    for auth in hmacs.into_iter().chain([Auth::AesGmac]) {
        all.push(Keyed::new(Cipher::Null, 0, auth, 8));
    }
    all
}

/// Those of [`all`] that a device has.
pub fn all_of(device: &CryptoDevice) -> Vec<Keyed> {
    let has = |keyed: &Keyed| match device.session(&keyed.transform(Way::Seal, 8)) {
        Ok(_) => true,
        Err(CryptoError::Unsupported { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    all().into_iter().filter(has).collect()
}

/// Does one job by itself.
pub fn one(engine: &mut Engine, session: &Session, mbuf: &mut Mbuf, job: &Job) -> Outcome {
    let mut jobs = Jobs::new(engine);
    jobs.push(session, mbuf, job)
        .unwrap_or_else(|error| panic!("{error}"));
    engine.process(&mut jobs);
    jobs.outcomes().next().expect("one job")
}
