#![doc = include_str!("../README.md")]

pub mod burst;
pub mod dataplane;
pub mod eal;
pub mod ipsec;
pub mod lcore;
pub mod reason;
pub mod stage;
