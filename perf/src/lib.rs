//! Benchmarks of the data plane: traffic, the rig, and the check of what came out.

pub mod check;
pub mod rig;
pub mod traffic;
