//! The API: a gRPC service on a Unix socket, with reflection.
//!
//! [`proto`] is generated from `proto/ironlane.proto`; [`serve`] listens. Whatever implements the
//! generated trait [`proto::ironlane_server::Ironlane`] can be served: the daemon's own service, or a
//! test's.

mod counters;
mod ipsec;
mod ports;
pub mod proto;
mod routes;
mod sample;
mod serve;
mod service;
mod state;
mod status;
mod verify;
mod vici;

pub use serve::{ServeError, Socket, serve};
pub use service::Service;
pub use state::Parts;
