//! IPsec's control side: SAs and policies, whoever feeds them.
//!
//! ```text
//! charon --plugin--> charon::CharonServer --\
//! kernel's XFRM --netlink--> xfrm::XfrmMirror+--> Model --DataPlane--> ironlane_ipsec::Writer --RCU--> lcores
//! tests -------------------------------------/      ^--- events of lcores, time
//! ```
//!
//! The [`Model`](model::Model) has no sockets and no clock of its own; [`charon`] speaks the protocol of
//! `plugins/charon/PROTOCOL.md`; [`xfrm`] follows the kernel; [`Ipsec`] runs them. Beside them, [`vici`] asks
//! charon for what the router need not know, and [`too_big`] hears what routers say of paths to peers.

pub mod charon;
pub mod model;
mod service;
pub mod too_big;
pub mod vici;
pub mod xfrm;

pub use service::{Ipsec, IpsecError, PathEars, boot_number};
