#![doc = include_str!("../README.md")]
#![allow(unsafe_code)] // publish.rs, slots.rs and retire.rs turn raw pointers into references and back; a hint

mod domain;
mod prefetch;
#[doc(hidden)]
pub mod primitive;
mod publish;
mod retire;
mod slots;

#[cfg(test)]
mod tests;

pub use domain::{Domain, Full, Guard, Reader};
pub use prefetch::{prefetch, prefetch_first};
pub use primitive::{Arc, MAX_READERS};
pub use publish::Published;
pub use retire::{Grace, Retirer};
pub use slots::Slots;
