//! Messages, server and client, generated from `proto/ironlane.proto`, where they are documented.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

tonic::include_proto!("ironlane.v1");

/// The encoded description of the service, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ironlane_descriptor.bin"));
