//! IPsec's control side: SAs and policies, whoever feeds them.
//!
//! ```text
//! charon --plugin--> charon::CharonServer --\
//! kernel's XFRM (later) ---------------------+--> Model --DataPlane--> ironlane_ipsec::Writer --RCU--> lcores
//! tests -------------------------------------/      ^--- events of lcores, time
//! ```
//!
//! The [`Model`](model::Model) has no sockets and no clock of its own; [`charon`] speaks the protocol of
//! `plugins/charon/PROTOCOL.md`; [`Ipsec`] runs both. Beside them, [`vici`] asks charon for what the router
//! need not know.

pub mod charon;
pub mod model;
mod service;
pub mod vici;

pub use service::{Ipsec, IpsecError, boot_number};
