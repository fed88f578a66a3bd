//! Multicast that a port receives.

use dpdk_sys as c;

use super::error::strerror;
use super::{EalError, Port, host};

/// Groups of the protocols that a router speaks, most wanted first: virtual functions may take as
/// few as 16. The last three bytes of the solicited-node group are those of the MAC, as
/// in the link-local address that the kernel makes of it.
fn base_groups(mac: [u8; 6]) -> Vec<[u8; 6]> {
    let ip4 = |last| [0x01, 0x00, 0x5e, 0, 0, last];
    let ip6 = |last| [0x33, 0x33, 0, 0, 0, last];
    let bridge = |last| [0x01, 0x80, 0xc2, 0, 0, last];
    vec![
        bridge(0x14), // IS-IS, level 1
        bridge(0x15), // IS-IS, level 2
        ip4(5),       // OSPF
        ip4(6),       // OSPF, designated routers
        ip6(5),       // OSPFv3
        ip6(6),
        [0x33, 0x33, 0xff, mac[3], mac[4], mac[5]], // neighbour discovery
        ip6(1),                                     // all nodes
        ip6(2),                                     // all routers
        ip4(1),
        ip4(2),  // all routers, LDP
        ip4(18), // VRRP
        ip6(18),
        bridge(0x0e), // LLDP
        ip4(13),      // PIM
        ip4(9),       // RIP
    ]
}

impl Port {
    /// Whether the device is a VF, by what the kernel says, or by its driver where the device was
    /// handed into a machine that knows nothing of the PF.
    fn is_virtual_function(&self) -> bool {
        let driver = self.caps.driver.as_str();
        self.caps.bus == "pci"
            && (host::is_virtual_function(&self.device.name)
                || driver.ends_with("_vf")
                || driver == "net_iavf")
    }

    /// Whether only groups of a list arrive: at a virtual function, unless it is promiscuous.
    pub fn lists_groups(&self, promiscuous: bool) -> bool {
        self.is_virtual_function() && !promiscuous
    }

    /// Receives these groups beside those of the protocols that a router speaks. Replaces the
    /// list given before; lost when the port is stopped.
    pub fn set_groups(&self, more: &[[u8; 6]]) -> Result<(), EalError> {
        let id = self.device.id;
        let mut groups = base_groups(self.caps.mac);
        for group in more.iter().filter(|group| group[0] & 1 == 1) {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
        let what = format!("receive {} multicast groups", groups.len());
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|addr_bytes| c::rte_ether_addr { addr_bytes })
            .collect();
        self.check(&what, move || {
            // SAFETY: the array is as long as said, and DPDK copies it.
            unsafe { c::rte_eth_dev_set_mc_addr_list(id, groups.as_mut_ptr(), groups.len() as u32) }
        })
    }

    /// OSPF, IS-IS, ND and others arrive by multicast: all groups are received.
    ///
    /// A virtual function is told by a list which ones: "all multicast" needs a trusted VF
    /// on most hardware, answers "success" without doing anything on some, and loses even listed
    /// groups on others.
    pub(super) fn receive_groups(&self, promiscuous: bool) {
        if self.lists_groups(promiscuous) {
            match self.set_groups(&[]) {
                Ok(()) => {
                    let groups = base_groups(self.caps.mac).len();
                    let label = &self.label;
                    return tracing::info!(
                        "port {label}: a virtual function, receives {groups} multicast groups"
                    );
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
        let id = self.device.id;
        // SAFETY: plain numbers, a started port.
        let (all, log) = self
            .device
            .eal
            .call_logged(move || unsafe { c::rte_eth_allmulticast_enable(id) });
        let driver = &self.caps.driver;
        // These hand over every frame that arrives, and some do not know the call.
        let unfiltered = self.passes_mbufs()
            || matches!(driver.as_str(), "net_pcap" | "net_af_packet" | "net_memif");
        let wants_all = promiscuous || (all != 0 && !unfiltered);
        if all != 0 && !unfiltered {
            tracing::warn!(
                "port {}: {driver} cannot receive all multicast ({}) {log:?}; promiscuous mode \
                 instead, else OSPF, IS-IS and neighbour discovery would miss frames",
                self.label,
                strerror(all)
            );
        }
        if !wants_all {
            return;
        }
        // SAFETY: as above.
        let (rc, log) = self
            .device
            .eal
            .call_logged(move || unsafe { c::rte_eth_promiscuous_enable(id) });
        if rc != 0 && !unfiltered {
            tracing::warn!(
                "port {}: {driver} has no promiscuous mode ({}) {log:?}{}",
                self.label,
                strerror(rc),
                if all == 0 {
                    ""
                } else {
                    "; multicast may not arrive"
                }
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_are_groups_and_few_enough_for_a_virtual_function() {
        let groups = base_groups([2, 0, 0, 0x12, 0x34, 0x56]);
        assert!(groups.len() <= 16 && groups.iter().all(|group| group[0] & 1 == 1));
        assert!(groups.contains(&[0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
        assert!(groups.contains(&[0x01, 0, 0x5e, 0, 0, 5]));
    }
}
