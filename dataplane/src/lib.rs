//! What runs on lcores: EAL wrappers, stages, the poll loop.

pub mod burst;
pub mod eal;
pub mod reason;
pub mod stage;
