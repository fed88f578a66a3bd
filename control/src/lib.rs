//! The ironlane program: daemon and command line.

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod exception;
pub mod ipsec;
pub mod log;
pub mod netlink;
pub mod verify;
