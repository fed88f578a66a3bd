//! Benchmarks of the data plane: traffic, the rig, and the check of what came out.

#[cfg(feature = "baselines")]
pub mod baselines;
pub mod check;
pub mod lookup;
pub mod rig;
pub mod traffic;
