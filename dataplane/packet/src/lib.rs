//! Header views, writers and checksums.
//!
//! A view borrows the bytes of one header and reads its fields; it is made by a constructor that
//! checks the length once, so no accessor can panic, whatever the bytes. A writer (`*Fields`) is a
//! plain struct that becomes the bytes of a header. Nothing here allocates, keeps state or uses
//! `unsafe`; lcores call it for every packet.
//!
//! | module | header | rules |
//! | --- | --- | --- |
//! | [`eth`], [`vlan`], [`llc`] | Ethernet II, 802.1Q tags, 802.2 LLC and SNAP | IEEE 802.3, 802.1Q |
//! | [`arp`] | ARP for IPv4 | RFC 826, 5227 |
//! | [`ip4`], [`ip4_options`] | IPv4 and its options | RFC 791, 1812, 2113 |
//! | [`ip6`], [`ip6_ext`] | IPv6 and its extension headers | RFC 8200, 2711, 7045 |
//! | [`icmp`], [`icmp6`] | ICMP, ICMPv6, neighbour discovery | RFC 792, 4443, 4861 |
//! | [`udp`], [`tcp`] | ports and lengths | RFC 768, 9293 |
//! | [`checksum`] | the Internet checksum, whole and incremental | RFC 1071, 1624 |
//! | [`flow`] | flow hash for nexthop groups | RFC 2992 |
//!
//! ```
//! use ironlane_packet::{eth::Eth, ip4::Ip4};
//!
//! let frame = [
//!     2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
//!     0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
//! ];
//! let eth = Eth::new(&frame).unwrap();
//! assert_eq!(eth.ethertype().0, 0x0800);
//! let ip = Ip4::new(eth.payload()).unwrap();
//! assert_eq!((ip.ttl(), ip.total_len_bytes()), (64, 20));
//! ```

pub mod arp;
pub mod checksum;
pub mod eth;
pub mod flow;
pub mod icmp;
pub mod icmp6;
pub mod ip4;
pub mod ip4_options;
pub mod ip6;
pub mod ip6_ext;
pub mod llc;
pub mod proto;
pub mod tcp;
pub mod udp;
pub mod vlan;
