//! charon's plugin: the protocol of `plugins/charon/PROTOCOL.md`, and its server.
//!
//! [`frame`] cuts the stream, [`decode`] makes requests of frames, [`convert`] makes what the model knows of
//! what charon says, [`answer`] writes answers and events, [`server`] ties them together.

mod answer;
mod convert;
mod decode;
mod frame;
mod reader;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use answer::{Status, answer, event, refusal};
pub use decode::decode;
pub use frame::{Frame, FrameError, MAX_LENGTH};
pub use reader::Malformed;
pub use request::{AddSa, Lifetimes, PolicyName, Request, SaName, Ts, UpdateSa, UseOfPolicy, flag};
pub use server::{CharonServer, Shared};

/// Version of the protocol.
pub const VERSION: u16 = 1;
