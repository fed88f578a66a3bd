//! Ports: what the data plane, the devices and Linux say of them.

use std::collections::HashMap;

use ironlane_dataplane::dataplane::{Dataplane, PortInfo};
use ironlane_dataplane::eal::{LinkState, PortStats};
use ironlane_fib::PortId;
use ironlane_rib::{Link, Rib};

use super::counters;
use super::proto;
use super::routes::mac_text;
use super::sample::Sample;

/// What Linux says of the tap of each port.
pub(super) fn taps(rib: &Rib) -> HashMap<PortId, Link> {
    let bound = rib.bindings();
    bound
        .filter_map(|(ifindex, port)| Some((port.port, rib.link(ifindex)?.clone())))
        .collect()
}

/// What the devices counted themselves, by port.
pub(super) type DeviceCounts = HashMap<PortId, PortStats>;

/// Asks every device for its own counts; those that have none are left out.
pub(super) fn device_counts(dataplane: &Dataplane) -> DeviceCounts {
    let ports = dataplane.ports().iter();
    ports
        .filter_map(|port| Some((port.id, dataplane.port_stats(port.id).ok()?)))
        .collect()
}

/// One port. `tap_name` is the configured one, for a tap that is gone.
pub(super) fn port(
    dataplane: &Dataplane,
    info: &PortInfo,
    tap_name: &str,
    tap: Option<&Link>,
    sample: &Sample,
    base: &DeviceCounts,
) -> proto::Port {
    let link = dataplane.port_link(info.id).ok();
    let now = dataplane.port_stats(info.id).unwrap_or_default();
    let base = base.get(&info.id).copied().unwrap_or_default();
    let mtu = tap.map_or(u32::from(info.mtu), |tap| tap.mtu);
    let mac = match info.interface {
        None => mac_text(tap.and_then(|tap| tap.mac).unwrap_or(info.mac.0)),
        Some(_) => String::new(),
    };
    let count = |queues: &[usize]| u32::try_from(queues.len()).unwrap_or(u32::MAX);
    proto::Port {
        name: info.name.clone(),
        id: info.id.0.into(),
        device: info.device.clone(),
        driver: info.driver.clone(),
        tap: tap.map_or(tap_name, |tap| &tap.name).to_owned(),
        ifindex: tap.map_or(0, |tap| tap.index.0),
        mac,
        mtu,
        admin_up: dataplane.port_is_admin_up(info.id),
        link_up: link
            .as_ref()
            .is_some_and(|link| link.state != LinkState::Down),
        speed_mbps: link.as_ref().and_then(|link| link.speed_mbps).unwrap_or(0),
        full_duplex: link.is_some_and(|link| link.full_duplex),
        numa_node: info.socket,
        rx_queues: count(&info.rx_queues),
        tx_queues: count(&info.tx_queues),
        counters: Some(counters::port(sample, info.id)),
        rx_missed: now.rx_missed.wrapping_sub(base.rx_missed),
        rx_errors: now.rx_errors.wrapping_sub(base.rx_errors),
        rx_nombuf: now.rx_no_mbuf.wrapping_sub(base.rx_no_mbuf),
    }
}
