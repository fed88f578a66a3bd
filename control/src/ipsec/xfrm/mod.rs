//! The mirror of the kernel's XFRM: SAs and policies that anybody installs there (`ip xfrm`, an IKE daemon
//! as it comes) reach the model, and with it the lcores.
//!
//! ```text
//!  NETLINK_XFRM --events, lists--> decode: Told --> Books --> Model --> lcores
//!        ^                                            |
//!        '-- encode <-- Link: take, usage, expire, acquire
//! ```
//!
//! - **Who seals.** An outbound SA is *taken* from the kernel before lcores have it: the kernel's own
//!   sequence number is set to the last there is, behind which the kernel seals nothing. So no number is
//!   used by both. Lcores go on behind the number that the kernel had, with a gap. When the router
//!   stops it gives the numbers back; one that crashed did not, and its SAs are rekeyed.
//! - **Which way** an SA protects, kernels before 6.10 do not say. It is told by which of its addresses is
//!   one of this host; when addresses change all is listed anew.
//! - **Time** is counted by the kernel, which deletes and tells IKE; bytes, packets and sequence numbers
//!   by lcores, whose ends are raised in the kernel for IKE to hear. What passed goes back every
//!   [`WRITE_BACK`](mirror::WRITE_BACK).
//! - **What lcores cannot do** is refused by name: an SA is not taken, a policy drops.
//!
//! The wire format is read by hand, like that of routes: the crate there is keeps keys in plain vectors
//! that print, and wants an older `netlink-packet-core`. `docs/ipsec.md` has the rest.

mod algorithm;
mod books;
mod decode;
mod defaults;
mod encode;
mod judge;
mod link;
mod mirror;
mod policies;
mod policy;
mod report;
mod sa;
mod selector;
mod taps;
#[cfg(test)]
mod tests;
mod wire;

pub use algorithm::{Algorithms, Named};
pub use decode::{Blocked, Told, told};
pub use mirror::{XfrmError, XfrmMirror, XfrmOptions};
pub use policy::{KernelPolicy, PolicyName, Template};
pub use report::{Refused, XfrmReport, XfrmReports};
pub use sa::{KernelSa, Limits, Numbers, Used, extra, flag};
pub use selector::KernelSelector;
