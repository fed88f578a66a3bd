//! VICI: what charon knows and the router does not, and what charon can be asked to do.
//!
//! SAs and policies come from charon's plugin ([`super::charon`]); names, identities and states of
//! IKE stay with charon and are asked for when somebody wants to see them. Nothing that forwards packets
//! depends on the answer, and nothing but the call of the API that asked waits for it.
//!
//! ```text
//! ipsec connection show, sa show --> sas::list, conns::list --\
//! ipsec initiate, terminate -------> control ------------------+--> Connection --> charon.vici
//! ipsec monitor <-- broadcast <----- watch --------------------/    one each, closed after the answer
//! ```
//!
//! The protocol is written down in strongSwan's `src/libcharon/plugins/vici/README.md`. The client is our
//! own: that of the package `rsvici` (0.1.5) neither ends a request nor stops spinning when charon closes
//! the connection, and believes any length that it is told.

mod connection;
mod conns;
mod control;
mod event;
mod message;
mod sas;
#[cfg(test)]
mod tests;
mod watch;

pub use connection::{Connection, ViciError};
pub use conns::{Configured, ConfiguredChild, list as list_conns};
pub use control::{Initiate, LogLine, Terminate, Which, initiate, terminate};
pub use event::{Event, EventKind};
pub use message::{Malformed, Section, Value};
pub use sas::{ChildSa, Endpoint, IkeSa, list as list_sas};
pub use watch::{Vici, ViciHandle, state_of};
