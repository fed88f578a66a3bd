#![doc = include_str!("../README.md")]

mod algorithm;
mod error;
mod event;
mod flow;
mod hash;
mod id;
mod index;
mod ipsec;
mod layout;
mod policy;
mod reject;
mod replay;
mod sa;
mod secret;
mod selector;
mod spd;
mod spec;
mod state;
mod writer;

pub use algorithm::{Algorithm, Auth, Cipher};
pub use error::IpsecError;
pub use event::{Event, Events};
pub use flow::Flow;
pub use id::{PolicyId, SaId};
pub use ipsec::Ipsec;
pub use layout::{Layout, Span};
pub use policy::{Action, Policy, PolicyDirection, PolicySpec};
pub use reject::Reject;
pub use replay::{MIN_WINDOW, ReplayWindow};
pub use sa::Sa;
pub use secret::{MAX_SECRET_BYTES, Secret, SecretError};
pub use selector::{ANY_PORT, Selector};
pub use spec::{
    Df, Direction, Dscp, Limits, MAX_REPLAY_WINDOW, Mark, Mode, Protocol, SaSpec, UdpEncap,
};
pub use state::{SaState, SaStats};
pub use writer::Writer;
