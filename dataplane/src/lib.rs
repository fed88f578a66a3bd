//! What runs on lcores: EAL wrappers, stages, the poll loop.

pub mod burst;
pub mod dataplane;
pub mod eal;
pub mod lcore;
pub mod reason;
pub mod stage;
