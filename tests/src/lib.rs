//! Whole-data-plane tests: frames in, exact frames out, every counter.
//!
//! One process has one EAL, without hugepages. A [`WholeDp`] starts the real data plane on ports made
//! of rings, with the tables that a test describes in the words of an operator:
//!
//! ```no_run
//! use ironlane_dataplane::reason::PuntReason;
//! use ironlane_tests::WholeDp;
//!
//! let mut dp = WholeDp::new().port("p0", "192.0.2.1/24").port("p1", "198.51.100.1/24");
//! dp.route("203.0.113.0/24 via 198.51.100.9").neighbour("198.51.100.9 dev p1 lladdr 02::9");
//! let frame = dp.frame("p0").ip4("192.0.2.7", "203.0.113.5").ttl(1).udp(4000, 53);
//!
//! let out = dp.send("p0", &frame);
//!
//! out.punted("p0", PuntReason::TtlExpired, &frame); // unchanged, byte by byte
//! out.nothing_else(); // no frame, no other counter moved
//! ```

pub mod data;
mod frame;
mod operator;
mod outcome;
mod pcap;
mod running;
mod stream;
mod whole_dp;

pub use frame::{FrameBuilder, Injected, expect_forwarded, mac};
pub use outcome::{Event, Outcome, take_seen};
pub use pcap::{Capture, PcapError};
pub use stream::Stream;
pub use whole_dp::{Settings, WholeDp};
