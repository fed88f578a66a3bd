//! Benchmarks of the data plane: traffic, the rig, and the check of what came out.

#[cfg(feature = "baselines")]
pub mod baselines;
pub mod bursts;
pub mod check;
pub mod churn;
pub mod compare;
pub mod cost;
pub mod frames;
pub mod generator;
pub mod latency;
pub mod lookup;
pub mod noise;
pub mod oracle;
pub mod play;
pub mod rig;
pub mod rings;
pub mod router;
pub mod scene;
pub mod table;
pub mod traffic;
pub mod transfer;
pub mod trial;
pub mod updates;
