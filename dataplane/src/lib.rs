//! What runs on lcores: EAL wrappers, stages, the poll loop.

pub mod eal;
pub mod reason;
