//! What is known of a port and what is asked of it: capabilities, settings, link, statistics.

/// What a device can do, before it is configured.
#[derive(Clone, Debug)]
pub struct PortCaps {
    /// DPDK's driver, `net_tap` for example.
    pub driver: String,
    /// The bus it is on: `pci`, `vdev` and so on.
    pub bus: String,
    /// NUMA node; -1 if it has none.
    pub socket: i32,
    /// MAC address.
    pub mac: [u8; 6],
    /// Most receive queues.
    pub max_rx_queues: u16,
    /// Most transmit queues.
    pub max_tx_queues: u16,
    /// Largest MTU it says it can do.
    pub max_mtu: u16,
    /// Whether one frame may be received into several buffers.
    pub rx_scatter: bool,
    /// Whether one frame may be sent from several buffers.
    pub tx_multi_segment: bool,
    /// Flows that it can spread over receive queues; 0 if it cannot.
    pub rss_flows: u64,
    pub(super) rx_offloads: u64,
    pub(super) tx_offloads: u64,
}

impl PortCaps {
    /// Whether the device hands mbufs on as they are, in chains or not, so that the size of a
    /// pool's buffers does not matter to it.
    pub fn passes_mbufs(&self) -> bool {
        matches!(self.driver.as_str(), "net_ring" | "net_null")
    }

    /// Whether packets in several buffers can be sent as they are.
    pub fn takes_chains(&self) -> bool {
        self.tx_multi_segment || self.passes_mbufs()
    }

    /// Whether the device carries larger frames than it says it can: `net_af_packet` says 1500
    /// whatever its `framesz` is.
    pub fn is_modest(&self) -> bool {
        self.driver == "net_af_packet"
    }

    /// A device that can do nothing much.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            driver: String::new(),
            bus: "vdev".to_owned(),
            socket: 0,
            mac: [2, 0, 0, 0, 0, 1],
            max_rx_queues: 1,
            max_tx_queues: 1,
            max_mtu: 9000,
            rx_scatter: false,
            tx_multi_segment: false,
            rss_flows: 0,
            rx_offloads: 0,
            tx_offloads: 0,
        }
    }
}

/// How to set a port up.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Slots in each receive queue, before the device's own limits.
    pub rx_descriptors: u16,
    /// Slots in each transmit queue.
    pub tx_descriptors: u16,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// MAC address, if not the device's own.
    pub mac: Option<[u8; 6]>,
    /// Receive frames for anybody.
    pub promiscuous: bool,
    /// Give it no packets in several buffers, whatever it can do.
    pub joins_chains: bool,
}

/// What a port's link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Carrier is there.
    Up,
    /// No carrier.
    Down,
    /// The device cannot be asked; to be treated as up.
    Unknown,
}

/// Link state with its details, where the device tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLink {
    /// Up, down or not known.
    pub state: LinkState,
    /// Mbit/s; `None` if the device does not know or has no speed.
    pub speed_mbps: Option<u32>,
    /// Both directions at once.
    pub full_duplex: bool,
}

/// What the device itself counted. Virtual devices may leave fields at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames lost since no slot was free in a receive queue.
    pub rx_missed: u64,
    /// Frames received broken.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Times no packet buffer was to be had for reception.
    pub rx_no_mbuf: u64,
}

/// Bytes of the longest Ethernet frame for an MTU: header and two VLAN tags. DPDK leaves the
/// frame check sequence off.
pub fn frame_len(mtu: u16) -> u32 {
    u32::from(mtu) + 14 + 8
}
