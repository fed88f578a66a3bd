//! Benchmarks of the data plane: traffic, the router under test, and the check of what came out.

#[cfg(feature = "baselines")]
pub mod baselines;
pub mod bursts;
pub mod compare;
pub mod cost;
pub mod crypto;
pub mod frames;
pub mod generator;
pub mod ipsec;
pub mod latency;
pub mod lookup;
pub mod noise;
pub mod numbers;
pub mod oracle;
pub mod play;
pub mod rings;
pub mod router;
pub mod routes;
pub mod scene;
pub mod table;
pub mod transfer;
pub mod trial;
