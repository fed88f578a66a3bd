//! Neighbours, by address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;

use ironlane_fib::Mac;

use crate::change::Family;
use crate::object::{IfIndex, Neighbour, NeighbourState};

#[derive(Debug, Clone, Copy)]
struct Known {
    mac: Option<Mac>,
    state: NeighbourState,
    generation: u32,
}

/// All neighbours of both families.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    by_address: BTreeMap<(IpAddr, IfIndex), Known>,
}

impl Neighbours {
    /// Takes in a neighbour; tells whether its usable MAC changed.
    pub(crate) fn set(&mut self, neighbour: &Neighbour, generation: u32) -> bool {
        let &Neighbour {
            ifindex,
            address,
            mac,
            state,
        } = neighbour;
        let before = self.usable_mac(ifindex, address);
        self.by_address.insert(
            (address, ifindex),
            Known {
                mac,
                state,
                generation,
            },
        );
        before != neighbour.usable_mac()
    }

    /// Forgets a neighbour; tells whether there was one.
    pub(crate) fn remove(&mut self, ifindex: IfIndex, address: IpAddr) -> bool {
        self.by_address.remove(&(address, ifindex)).is_some()
    }

    /// The MAC to send to.
    pub(crate) fn usable_mac(&self, ifindex: IfIndex, address: IpAddr) -> Option<Mac> {
        let known = self.by_address.get(&(address, ifindex))?;
        known.mac.filter(|_| known.state.is_usable())
    }

    /// A neighbour.
    pub(crate) fn get(&self, ifindex: IfIndex, address: IpAddr) -> Option<Neighbour> {
        let known = self.by_address.get(&(address, ifindex))?;
        Some(Neighbour {
            ifindex,
            address,
            mac: known.mac,
            state: known.state,
        })
    }

    /// All of them, IPv4 first, by address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Neighbour> {
        self.by_address
            .iter()
            .map(|(&(address, ifindex), known)| Neighbour {
                ifindex,
                address,
                mac: known.mac,
                state: known.state,
            })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Addresses of neighbours from `first` to `last`.
    pub(crate) fn between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        let last = Bound::Included((last, IfIndex(u32::MAX)));
        let range = (Bound::Included((first, IfIndex(0))), last);
        self.by_address
            .range(range)
            .map(|(&(address, _), _)| address)
    }

    /// Addresses of the neighbours of an interface.
    pub(crate) fn of_port(&self, ifindex: IfIndex) -> Vec<IpAddr> {
        let own = self
            .by_address
            .keys()
            .filter(|(_, other)| *other == ifindex);
        own.map(|&(address, _)| address).collect()
    }

    /// Takes out those of a family that the dump of this generation did not name.
    pub(crate) fn sweep(&mut self, family: Family, generation: u32) -> Vec<(IfIndex, IpAddr)> {
        let mut swept = Vec::new();
        self.by_address.retain(|&(address, ifindex), known| {
            let stale = Family::of(address) == family && known.generation != generation;
            if stale {
                swept.push((ifindex, address));
            }
            !stale
        });
        swept
    }
}
