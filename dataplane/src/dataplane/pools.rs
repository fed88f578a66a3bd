//! The pools of packet buffers.

use std::collections::BTreeMap;

use super::plan::{PortPlan, fewest_mbufs, mbufs_for, tx_queues};
use super::{DataplaneConfig, DataplaneError, PortConfig};
use crate::eal::{DATA_ROOM, Eal, Mempool, Port, frame_len};
use crate::lcore::ipsec::{LONG_BUFFERS, LONG_ROOM};

/// A pool for each NUMA node and size of buffers, and which of them each port uses.
pub(super) fn make_pools(
    eal: Eal,
    config: &DataplaneConfig,
    opened: &[(&PortConfig, Port, PortPlan)],
) -> Result<(Vec<Mempool>, Vec<usize>), DataplaneError> {
    let mut kinds: BTreeMap<(i32, u16), Vec<usize>> = BTreeMap::new();
    for (place, (_, port, plan)) in opened.iter().enumerate() {
        kinds
            .entry((port.caps().socket.max(0), plan.room))
            .or_default()
            .push(place);
    }
    let tx = opened.iter().map(|(port, _, plan)| tx_queues(port, plan));
    let tx: u32 = tx.sum();
    let mut pools = Vec::new();
    let mut pool_of = vec![0; opened.len()];
    for ((socket, room), places) in kinds {
        let users: Vec<_> = places
            .iter()
            .map(|&at| (opened[at].0, &opened[at].2, opened[at].1.caps()))
            .collect();
        let fewest = fewest_mbufs(config, &users);
        let mbufs = config
            .mbufs
            .unwrap_or_else(|| mbufs_for(config, &users, tx));
        if mbufs < fewest {
            return Err(DataplaneError::TooFewMbufs { mbufs, fewest });
        }
        let name = format!("node{socket}-{room}");
        for at in places {
            pool_of[at] = pools.len();
        }
        tracing::debug!("mempool {name}: {mbufs} buffers");
        pools.push(Mempool::create(eal, &name, mbufs, room, socket)?);
    }
    Ok((pools, pool_of))
}

/// The exception thread's pool: whole frames of the largest MTU fit in one buffer.
pub(super) fn exception_pool(
    eal: Eal,
    config: &DataplaneConfig,
) -> Result<Mempool, DataplaneError> {
    let ports = config.ports.iter().map(|port| port.mtu);
    let interfaces = config.interfaces.iter().map(|one| one.mtu);
    let largest = ports.chain(interfaces).map(frame_len).max().unwrap_or(0);
    // An MTU is at most 9000, so this fits.
    let room = (largest.next_multiple_of(64) as u16).max(DATA_ROOM);
    Ok(Mempool::create(
        eal,
        "exception",
        config.exception_mbufs,
        room,
        -1,
    )?)
}

/// A pool for packets of fragments that are longer than the buffers of ports; with IPsec alone.
pub(super) fn long_pool(
    eal: Eal,
    config: &DataplaneConfig,
) -> Result<Option<Mempool>, DataplaneError> {
    if config.ipsec.is_none() {
        return Ok(None);
    }
    // There are at most 128 lcores.
    let mbufs = config.lcores.len() as u32 * LONG_BUFFERS;
    Ok(Some(Mempool::of_few(eal, "long", mbufs, LONG_ROOM, -1)?))
}
