//! The API: a gRPC service on a Unix socket, with reflection.
//!
//! [`proto`] is generated from `proto/ironlane.proto`; [`serve`] listens. Whatever implements the
//! generated trait [`proto::ironlane_server::Ironlane`] can be served: the daemon's own service, or a
//! test's.

pub mod proto;
mod serve;

pub use serve::{ServeError, Socket, serve};
