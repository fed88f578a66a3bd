//! The multicast groups that the kernel has joined on each port's tap.
//!
//! Multicast of the link goes to the kernel in any case. Of the wider one only groups that somebody
//! on the router has joined do: a DHCPv6 server on ff05::1:3, NTP on 224.0.1.1. They are known by
//! their MAC, as a NIC would know them: 32 groups of IPv4 share one, and the kernel sorts them out.

use std::sync::atomic::{AtomicU64, Ordering};

use ironlane_fib::PortId;
use ironlane_packet::eth::Mac;

use crate::eal::PORTS_MAX;

/// Groups remembered for each port. A tap has a handful, and one for each IPv6 address.
const GROUPS_MAX: usize = 64;

/// Groups by port; written by control, read by lcores for multicast beyond the link alone.
#[derive(Debug)]
pub struct JoinedGroups {
    /// MACs as numbers. No group is 0.
    ports: [[AtomicU64; GROUPS_MAX]; PORTS_MAX],
}

impl Default for JoinedGroups {
    fn default() -> Self {
        let none = |_| std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            ports: std::array::from_fn(none),
        }
    }
}

impl JoinedGroups {
    /// Replaces the groups of a port; returns how many found no room. Control. Meanwhile a lcore may
    /// miss a group, or still find one that was left: a packet more or less for the kernel.
    pub(crate) fn set(&self, port: PortId, groups: &[Mac]) -> usize {
        let Some(slots) = self.ports.get(usize::from(port.0)) else {
            return groups.len();
        };
        // Those that are solicited-node groups (ff02::1:ff00:0/104) as a rule come last.
        let (last, first): (Vec<Mac>, _) = groups
            .iter()
            .filter(|group| group.is_group())
            .partition(|group| group.0[..3] == [0x33, 0x33, 0xff]);
        let words = first.iter().chain(&last).map(|mac| mac.to_u64());
        for (slot, word) in slots.iter().zip(words.chain(std::iter::repeat(0))) {
            // Pairs with the load in `has`; each word is complete in itself.
            slot.store(word, Ordering::Relaxed);
        }
        (first.len() + last.len()).saturating_sub(GROUPS_MAX)
    }

    /// Whether the kernel has joined a group with this MAC at a port.
    pub(crate) fn has(&self, port: PortId, group: Mac) -> bool {
        let wanted = group.to_u64();
        let Some(slots) = self.ports.get(usize::from(port.0)) else {
            return false;
        };
        // Pairs with the store in `set`.
        let mut words = slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        words.find(|&word| word == 0 || word == wanted) == Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_the_groups_that_it_was_told_last() {
        let (joined, ntp) = (JoinedGroups::default(), Mac::of_ip4_group(0xe000_0101));
        let dhcp = Mac::of_ip6_group(0xff05 << 112 | 0x1_0003);
        assert!(!joined.has(PortId(1), ntp));
        assert_eq!(joined.set(PortId(1), &[ntp, dhcp]), 0);
        assert!(joined.has(PortId(1), ntp) && joined.has(PortId(1), dhcp));
        assert!(!joined.has(PortId(0), ntp) && !joined.has(PortId(99), ntp));
        joined.set(PortId(1), &[dhcp]);
        assert!(!joined.has(PortId(1), ntp) && joined.has(PortId(1), dhcp));
    }

    #[test]
    fn solicited_node_groups_leave_room_for_the_others() {
        let (joined, ntp) = (JoinedGroups::default(), Mac::of_ip4_group(0xe000_0101));
        let mut groups: Vec<_> = (0..70).map(|i| Mac([0x33, 0x33, 0xff, 0, 0, i])).collect();
        groups.push(ntp);
        assert_eq!(joined.set(PortId(0), &groups), 71 - GROUPS_MAX);
        assert!(joined.has(PortId(0), ntp));
    }
}
