//! The RIB with real tables behind it: changes in, full lookups out.

mod cleaning;
mod events_ip4;
mod events_ip6;
mod filling;
mod harness;
mod model;
mod neighbours;
mod nexthops;
mod tables;
mod views;
