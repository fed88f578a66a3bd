#![doc = include_str!("../README.md")]

mod ah;
mod algorithm;
mod beet;
mod buffer;
mod ecn;
mod error;
mod esp;
mod event;
mod flow;
pub mod fragments;
mod hash;
mod header;
mod id;
mod index;
mod inner;
mod ipsec;
mod layout;
mod outer;
mod policy;
mod process;
mod reject;
mod replay;
mod room;
mod sa;
mod secret;
mod selector;
mod spd;
mod spec;
mod state;
mod usual;
mod warm;
mod writer;

pub use algorithm::{Algorithm, Auth, Cipher};
pub use error::IpsecError;
pub use event::{Event, Events};
pub use flow::Flow;
pub use id::{PolicyId, SaId};
pub use inner::Inner;
pub use ipsec::Ipsec;
pub use layout::{Layout, Span};
pub use outer::Encapsulated;
pub use policy::{Action, NotAdmitted, Policy, PolicyDirection, PolicySpec, admits};
pub use process::OPEN_ROOM_BYTES;
pub use reject::Reject;
pub use replay::{MIN_WINDOW, ReplayWindow};
pub use room::Room;
pub use sa::Sa;
pub use secret::{MAX_SECRET_BYTES, Secret, SecretError};
pub use selector::{ANY_PORT, Selector};
pub use spd::{Asked, BurstPolicies, Deciding};
pub use spec::{
    Df, Direction, Dscp, Limits, MAX_REPLAY_WINDOW, Mark, Mode, Protocol, SaSpec, UdpEncap,
};
pub use state::{SaState, SaStats};
pub use usual::{OpenRun, SealRun, Text};
pub use writer::Writer;

/// Packets that are looked up together at most.
pub(crate) const BURST: usize = ironlane_fib::BURST;
