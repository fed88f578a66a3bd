//! What a running port is asked and told: link and statistics.

use dpdk_sys as c;

use super::error::strerror;
use super::tap_link::TapLink;
use super::{LinkState, Port, PortLink, PortStats};

impl Port {
    /// Shows the other side whether this port is in use: the carrier of a tap's kernel end, the
    /// link of a physical port. Devices that cannot show it show nothing.
    pub fn show_carrier(&self, up: bool) {
        if let Some(tap) = &self.tap {
            return tap.set_carrier(up);
        }
        if self.caps.bus == "vdev" {
            return;
        }
        let id = self.device.id;
        let (rc, log) = self.device.eal.call_logged(move || {
            // SAFETY: plain numbers.
            unsafe {
                if up {
                    c::rte_eth_dev_set_link_up(id)
                } else {
                    c::rte_eth_dev_set_link_down(id)
                }
            }
        });
        if rc != 0 {
            tracing::debug!("port {}: link {up}: {} {log:?}", self.label, strerror(rc));
        }
    }

    /// Link state now. For a device that cannot be asked it is unknown.
    ///
    /// `net_tap` asks for its kernel end by name, in the network namespace where it was made. Once
    /// that end is moved to another one the driver finds nothing and says "down"; so the kernel
    /// is asked by way of the tap's own file instead.
    pub fn link(&self) -> PortLink {
        let unknown = PortLink {
            state: LinkState::Unknown,
            speed_mbps: None,
            full_duplex: true,
        };
        if self.caps.driver == "net_tap" {
            let state = self.tap.as_ref().map_or(LinkState::Unknown, TapLink::state);
            return PortLink { state, ..unknown };
        }
        let (mut speed, mut duplex, mut up) = (0, 0, 0);
        // SAFETY: three numbers are written.
        let rc =
            unsafe { c::il_eth_link(self.device.id, &raw mut speed, &raw mut duplex, &raw mut up) };
        if rc != 0 {
            return unknown;
        }
        PortLink {
            state: if up != 0 {
                LinkState::Up
            } else {
                LinkState::Down
            },
            speed_mbps: (speed != 0 && speed != u32::MAX).then_some(speed),
            full_duplex: duplex != 0,
        }
    }

    /// What the device counted.
    pub fn stats(&self) -> PortStats {
        let mut raw = c::rte_eth_stats::default();
        // SAFETY: `raw` is written.
        if unsafe { c::rte_eth_stats_get(self.device.id, &raw mut raw) } != 0 {
            return PortStats::default();
        }
        PortStats {
            rx_packets: raw.ipackets,
            tx_packets: raw.opackets,
            rx_bytes: raw.ibytes,
            tx_bytes: raw.obytes,
            rx_missed: raw.imissed,
            rx_errors: raw.ierrors,
            tx_errors: raw.oerrors,
            rx_no_mbuf: raw.rx_nombuf,
        }
    }
}
