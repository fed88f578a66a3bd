//! Encryption and authentication of whole bursts, on the lcore that asks.
//!
//! A [`CryptoDevice`] makes [`Session`]s out of keys, on control threads, and an [`Engine`] for each
//! lcore. An lcore collects packets of any sessions in [`Jobs`] and has its engine do them all in one
//! call, in place.
//!
//! There are two kinds of device. [`CPU`](CryptoDevice::CPU) is, for AES-GCM where the CPU has AVX-512 and
//! VAES, [`ironlane_gcm`], and for all else Intel's libipsec-mb, called without anything between; DPDK's own driver
//! for that, `crypto_aesni_mb`, costs up to three times as much a packet (`perf/README.md` has the figures). All others are devices of `rte_cryptodev` by their device
//! strings: `crypto_openssl0`, `crypto_aesni_mb0`, a QAT's PCI address. Asked for a burst, they too are
//! waited for.
//!
//! What is authenticated must lie in the packet in one piece. Extended sequence numbers are put there
//! by the layout code of `ironlane-ipsec`, and taken out again.

mod algorithm;
mod cryptodev;
mod device;
mod engine;
mod error;
mod job;
mod pool;
mod session;
mod wide;

pub use algorithm::{KNOWN, Transform, Variant, Way};
pub use device::{CryptoDevice, cpu_algorithms, cpu_driver, cpu_instructions};
pub use engine::Engine;
pub use error::{CryptoError, JobError};
pub use job::{Job, Jobs, Outcome, Part};
pub use session::Session;
