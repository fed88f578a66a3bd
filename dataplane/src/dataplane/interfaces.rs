//! Numbers for the ports that have no device.

use ironlane_fib::PortId;
use ironlane_packet::eth::Mac;

use super::build::Started;
use super::{DataplaneConfig, DataplaneError, PortInfo};
use crate::eal::PORTS_MAX;
use crate::stage::Interface;

/// What stands before packets of an IPsec interface on their way through the stages. It is never sent.
const MAC: Mac = Mac(*b"\x02ipsec");

/// Gives each IPsec interface a port number that no device has, the highest first: DPDK gives the lowest.
pub(super) fn assign(
    config: &DataplaneConfig,
    started: &[Started],
) -> Result<Vec<PortInfo>, DataplaneError> {
    let is_free = |id: &PortId| started.iter().all(|port| port.info.id != *id);
    // DPDK's own limit is far below 65536.
    let mut free = (0..PORTS_MAX as u16).rev().map(PortId).filter(is_free);
    let infos = config.interfaces.iter().map(|one| {
        let refused = |what: String| DataplaneError::Port {
            port: one.name.clone(),
            what,
        };
        let device = match (one.if_id, one.mark) {
            (0, 0) => {
                return Err(refused(
                    "an IPsec interface needs an if_id or a mark".into(),
                ));
            }
            (0, mark) => format!("mark {mark:#x}"),
            (if_id, _) => format!("if_id {if_id}"),
        };
        let id = free.next().ok_or_else(|| {
            refused(format!(
                "this DPDK has numbers for {PORTS_MAX} ports and IPsec interfaces; take fewer"
            ))
        })?;
        Ok(PortInfo {
            id,
            name: one.name.clone(),
            device,
            driver: "ipsec".into(),
            bus: String::new(),
            mac: MAC,
            lists_groups: false,
            mtu: one.mtu,
            socket: -1,
            vrf: one.vrf,
            rx_queues: Vec::new(),
            tx_queues: Vec::new(),
            interface: Some(Interface {
                port: id,
                if_id: one.if_id,
                mark: one.mark,
            }),
        })
    });
    infos.collect()
}
