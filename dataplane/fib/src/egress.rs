//! What neighbours behind one port have in common: a row that their slots refer to.
//!
//! A slot has room for a neighbour's address and the number of a row, so it stays one word. Rows are
//! few (a port, an MTU, a source address), so those in use stay in the first cache of an lcore.

use ironlane_rcu::primitive::{AtomicU64, Ordering};

use crate::zeroed::{Zeroed, zeroed_slice};
use crate::{Adjacency, AdjacencyKind, Mac, PortId};

/// How many bits the number of a row has.
pub(crate) const ROW_BITS: u32 = 14;

/// How many rows there are: address space for all, memory for those that are used.
#[cfg(not(any(loom, miri)))]
pub(crate) const ROWS: usize = 1 << ROW_BITS;
#[cfg(any(loom, miri))]
pub(crate) const ROWS: usize = 4;

/// All of an adjacency but its destination address.
///
/// Two words, low bits first: source address (48), port (16); kind (16), MTU (16), MTU if packets
/// are forwarded, else 0 (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Egress([u64; 2]);

impl Egress {
    /// Leads nowhere: nothing is forwarded by it.
    pub const NOWHERE: Self = Self([(PortId::NONE.0 as u64) << 48, 0]);

    pub(crate) fn of(adjacency: &Adjacency) -> Self {
        let (port, mtu) = (adjacency.port.0, adjacency.mtu);
        let limit = match adjacency.kind {
            AdjacencyKind::Forward => mtu,
            _ => 0,
        };
        Self([
            mac_bits(adjacency.src_mac) | u64::from(port) << 48,
            adjacency.kind as u64 | u64::from(mtu) << 16 | u64::from(limit) << 32,
        ])
    }

    /// The adjacency of the neighbour with this address, the first byte the lowest.
    #[inline]
    pub(crate) fn to_neighbour(self, dst_mac_bits: u64) -> Adjacency {
        let [addresses, rules] = self.0;
        Adjacency {
            kind: self.kind(),
            port: self.port(),
            mtu: (rules >> 16) as u16,
            dst_mac: mac(dst_mac_bits),
            src_mac: mac(addresses),
        }
    }

    /// What is done with the packet.
    #[inline]
    pub fn kind(self) -> AdjacencyKind {
        // A row is written from a kind.
        AdjacencyKind::ALL[usize::from(self.0[1] as u8) % AdjacencyKind::ALL.len()]
    }

    /// The port to leave by; [`PortId::NONE`] for kinds that do not leave by one.
    #[inline]
    pub fn port(self) -> PortId {
        PortId((self.0[0] >> 48) as u16)
    }

    /// The largest IP packet that is forwarded, in bytes: the MTU of a
    /// [`Forward`](AdjacencyKind::Forward), and 0 of any other kind. One compare instead of two.
    #[inline]
    pub fn forwards_up_to(self) -> u16 {
        (self.0[1] >> 32) as u16
    }

    /// The source address, the first byte the lowest, below 16 other bits.
    #[inline]
    pub(crate) fn src_mac_bits(self) -> u64 {
        self.0[0]
    }
}

/// An address as a number, the first byte the lowest.
#[inline]
pub(crate) const fn mac_bits([a, b, c, d, e, f]: Mac) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The address in the lower bits of a number.
#[inline]
const fn mac(bits: u64) -> Mac {
    let [a, b, c, d, e, f, _, _] = bits.to_le_bytes();
    [a, b, c, d, e, f]
}

#[derive(Debug)]
struct Row([AtomicU64; 2]);

// SAFETY: two atomics, of which each is valid and empty as zeros.
#[allow(unsafe_code)]
unsafe impl Zeroed for Row {
    #[cfg(loom)]
    fn empty() -> Self {
        Self([AtomicU64::new(0), AtomicU64::new(0)])
    }
}

/// All rows. One that a slot refers to is not changed, nor within a grace period after the last did.
#[derive(Debug)]
pub(crate) struct Egresses(Box<[Row; ROWS]>);

impl Egresses {
    pub(crate) fn new() -> Self {
        let rows: Box<[Row; ROWS]> = zeroed_slice(ROWS).try_into().expect("as many as asked for");
        Self(rows)
    }

    /// The row of this number, of which the lowest bits count.
    ///
    /// Relaxed: the word of a slot that was loaded with Acquire led here, and its row was complete
    /// when that was published.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Egress {
        let [addresses, rules] = &self.0[number % ROWS].0;
        Egress([
            addresses.load(Ordering::Relaxed),
            rules.load(Ordering::Relaxed),
        ])
    }

    /// Writes a row that no reader can be led to, or says again what is in it.
    pub(crate) fn set(&self, number: u16, egress: Egress) {
        let number = usize::from(number);
        if self.get(number) == egress {
            return;
        }
        for (to, word) in self.0[number % ROWS].0.iter().zip(egress.0) {
            // Relaxed: published by the word of a slot.
            to.store(word, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_an_address_are_the_adjacency() {
        let (dst_mac, src_mac) = ([0xf2, 1, 2, 3, 4, 0xf5], [0xf6, 6, 7, 8, 9, 0xfa]);
        let forward = Adjacency::forward(PortId(0x8001), 9000, dst_mac, src_mac);
        let simple = AdjacencyKind::ALL.into_iter().map(Adjacency::simple);
        let others = [
            Adjacency::glean(PortId(3), 1500),
            Adjacency::broadcast(PortId(4)),
            Adjacency::ipsec(PortId(31), 1400),
            forward,
        ];
        for adjacency in simple.chain(others) {
            let egress = Egress::of(&adjacency);
            assert_eq!(egress.to_neighbour(mac_bits(adjacency.dst_mac)), adjacency);
            assert_eq!(egress.port(), adjacency.port());
            let limit = match adjacency.kind() {
                AdjacencyKind::Forward => adjacency.mtu(),
                _ => 0,
            };
            assert_eq!(egress.forwards_up_to(), limit, "{adjacency:?}");
        }
    }
}
