//! Crypto engines: known answers, all devices against each other, bursts of many sessions, wrong
//! input, and where keys lie in memory.

mod bursts;
mod known;
mod lab;
mod memory;
mod refusals;
#[path = "../rig/mod.rs"]
mod rig;
