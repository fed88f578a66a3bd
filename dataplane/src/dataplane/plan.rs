//! Which lcore polls which queue, and which one sends by it.

use crate::eal::{DATA_ROOM, PortCaps, frame_len};
use crate::lcore::outlet::Way;

use super::{DataplaneConfig, DataplaneError, PortConfig};

/// The queues of one port, by lcore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortPlan {
    /// The lcore that polls each receive queue.
    pub(super) rx: Vec<usize>,
    /// The lcore that sends by each transmit queue.
    pub(super) tx: Vec<usize>,
    /// How each lcore reaches the port; of a queue its number at the port.
    pub(super) ways: Vec<Way>,
    /// The lcore that sends what the kernel writes to the port's tap.
    pub(super) sender: usize,
    /// Bytes of data in the buffers that its receive queues are filled with.
    pub(super) room: u16,
}

/// Plans the queues of one port. `first` is the lcore that gets its first queue, so that ports
/// with a single queue spread over the lcores.
pub(super) fn plan_port(
    config: &PortConfig,
    caps: &PortCaps,
    lcores: usize,
    first: usize,
) -> Result<PortPlan, DataplaneError> {
    let (rx, tx) = queue_counts(config, caps, lcores)?;
    let lcore_of = |queue: u16| (first + usize::from(queue)) % lcores;
    let rx: Vec<usize> = (0..rx).map(lcore_of).collect();
    let tx: Vec<usize> = (0..tx).map(lcore_of).collect();
    let ways = (0..lcores)
        .map(|lcore| match tx.iter().position(|&owner| owner == lcore) {
            // Queue numbers are below 256: there are no more lcores than that.
            Some(queue) => Way::Queue(queue as u8),
            // Always the same owner for one lcore, so that flows keep their order.
            None => Way::Handoff(tx[lcore % tx.len()] as u8),
        })
        .collect();
    let sender = tx[0];
    let room = room(config, caps)?;
    Ok(PortPlan {
        rx,
        tx,
        ways,
        sender,
        room,
    })
}

/// How many receive and transmit queues the port gets.
fn queue_counts(
    config: &PortConfig,
    caps: &PortCaps,
    lcores: usize,
) -> Result<(u16, u16), DataplaneError> {
    let bad = |what| DataplaneError::Port {
        port: config.name.clone(),
        what,
    };
    let wanted = u16::try_from(lcores).unwrap_or(u16::MAX);
    let rx = config.rx_queues.unwrap_or_else(|| default_rx(caps, wanted));
    let most_tx = caps.max_tx_queues.min(wanted);
    let (rx, tx) = match (caps.driver.as_str(), config.rx_queues, config.tx_queues) {
        // This driver wants as many of one kind as of the other.
        ("net_tap", None, Some(tx)) => (tx, tx),
        ("net_tap", _, None) => (rx, rx.min(most_tx.max(rx))),
        (_, _, tx) => (rx, tx.unwrap_or(most_tx)),
    };
    if rx > caps.max_rx_queues {
        return Err(bad(format!(
            "{rx} receive queues wanted, {} has at most {}",
            caps.driver, caps.max_rx_queues
        )));
    }
    if tx == 0 || tx > caps.max_tx_queues {
        return Err(bad(format!(
            "{tx} transmit queues wanted, {} has 1 to {}",
            caps.driver, caps.max_tx_queues
        )));
    }
    Ok((rx, tx))
}

/// Receive queues of a port for which none are configured.
fn default_rx(caps: &PortCaps, lcores: u16) -> u16 {
    match caps.driver.as_str() {
        // What they were made with: a queue that nobody polls would lose its packets.
        "net_ring" | "net_pcap" | "net_af_packet" | "net_af_xdp" => caps.max_rx_queues,
        // The kernel spreads flows, or the other end, over as many as we ask for.
        "net_tap" | "net_memif" => lcores.min(caps.max_rx_queues),
        _ if caps.rss_flows != 0 => lcores.min(caps.max_rx_queues),
        _ => caps.max_rx_queues.min(1),
    }
}

/// Bytes of data that buffers of the port's receive queues need.
fn room(config: &PortConfig, caps: &PortCaps) -> Result<u16, DataplaneError> {
    let mut frame = frame_len(config.mtu);
    if caps.driver == "net_af_packet" {
        frame = packet_socket_frame(config)?;
    }
    if frame <= u32::from(DATA_ROOM) || caps.rx_scatter || caps.passes_mbufs() {
        return Ok(DATA_ROOM);
    }
    // Whole cache lines; the headroom comes on top.
    let room = u16::try_from(frame.next_multiple_of(64)).ok();
    room.filter(|room| *room < u16::MAX - 256)
        .ok_or_else(|| DataplaneError::Port {
            port: config.name.clone(),
            what: format!("frames of {frame} bytes do not fit in a packet buffer"),
        })
}

/// Makes room for whole frames in the buffers of all ports where a port cannot send chains: what
/// arrives by any of them may leave by that one.
pub(super) fn whole_frames(mut ports: Vec<(&PortConfig, &mut PortPlan, &PortCaps)>) {
    let joins = |(config, _, caps): &&(&PortConfig, &mut PortPlan, &PortCaps)| {
        config.joins_chains || !caps.takes_chains()
    };
    let Some((config, ..)) = ports.iter().filter(joins).max_by_key(|(port, ..)| port.mtu) else {
        return;
    };
    let (name, longest) = (&config.name, frame_len(config.mtu));
    if longest > u32::from(DATA_ROOM) {
        tracing::info!(
            "port {name}: sends no packets of several buffers, so those of all ports take whole frames"
        );
    }
    for (config, plan, _) in &mut ports {
        // An MTU is at most 9000, so this fits.
        let room = longest.min(frame_len(config.mtu)).next_multiple_of(64) as u16;
        plan.room = plan.room.max(room);
    }
}

/// Size of the frames in a packet socket's ring: the driver wants every buffer to take a whole
/// one. It does not check that they hold the MTU, and reads at wrong places unless they fill
/// their blocks.
fn packet_socket_frame(config: &PortConfig) -> Result<u32, DataplaneError> {
    const HEADER: u32 = 64;
    let size = argument(&config.device, "framesz").unwrap_or(2048).max(1);
    let block = argument(&config.device, "blocksz").unwrap_or(4096);
    let wanted = (frame_len(config.mtu) + HEADER).next_power_of_two();
    if size >= frame_len(config.mtu) + HEADER && block.is_multiple_of(size) {
        return Ok(size);
    }
    Err(DataplaneError::Port {
        port: config.name.clone(),
        what: format!(
            "framesz={size} and blocksz={block} do not suit MTU {}: frames must hold it, and fill \
             their block; give the device framesz={wanted},blocksz={},framecnt=512",
            config.mtu,
            wanted.max(4096)
        ),
    })
}

/// A number among the arguments of a device string.
fn argument(device: &str, key: &str) -> Option<u32> {
    let mut pairs = device.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key)?.1.parse().ok()
}

/// Packet buffers below which receive queues and caches could take all, and nothing would move.
pub(super) fn fewest_mbufs(
    config: &DataplaneConfig,
    ports: &[(&PortConfig, &PortPlan, &PortCaps)],
) -> u32 {
    let queues: u32 = ports
        .iter()
        .filter(|(_, _, caps)| !caps.passes_mbufs())
        .map(|(port, plan, _)| plan.rx.len() as u32 * u32::from(port.rx_descriptors))
        .sum();
    if queues == 0 {
        return 1;
    }
    queues + config.lcores.len() as u32 * (256 * 3 / 2 + held(config)) + 256
}

/// Packet buffers that a pool needs for everything that can hold some at once: the receive queues of
/// `ports`, which are filled from it, and whatever the packets get into from there. They may leave by
/// any of the `tx_queues` of all ports, and wait in it until it is sent.
pub(super) fn mbufs_for(
    config: &DataplaneConfig,
    ports: &[(&PortConfig, &PortPlan, &PortCaps)],
    tx_queues: u32,
) -> u32 {
    let lcores = config.lcores.len() as u32;
    let rx: u32 = ports
        .iter()
        .map(|(port, plan, _)| plan.rx.len() as u32 * u32::from(port.rx_descriptors))
        .sum();
    let punts: u32 = config.rings.punt.iter().sum();
    // Per lcore: the pool's cache (which may hold half as much again), batches under way.
    let lcore = 256 * 3 / 2 + 8 * 64 + punts + (lcores - 1) * config.rings.handoff + held(config);
    rx + tx_queues + lcores * lcore + 1024
}

/// Fragments that wait on an lcore.
fn held(config: &DataplaneConfig) -> u32 {
    let ipsec = config.ipsec.as_ref();
    ipsec.map_or(0, |ipsec| ipsec.fragments.held.into())
}

/// Packets that the transmit queues of a port hold, with those that lcores gather for it.
pub(super) fn tx_queues(config: &PortConfig, plan: &PortPlan) -> u32 {
    plan.tx.len() as u32 * (u32::from(config.tx_descriptors) + 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(driver: &str, rx: u16, tx: u16) -> PortCaps {
        let mut caps = PortCaps::for_tests();
        driver.clone_into(&mut caps.driver);
        (caps.max_rx_queues, caps.max_tx_queues) = (rx, tx);
        caps
    }

    fn plan(driver: &str, rx: u16, tx: u16, lcores: usize, first: usize) -> PortPlan {
        plan_port(
            &PortConfig::new("p", "d"),
            &caps(driver, rx, tx),
            lcores,
            first,
        )
        .unwrap()
    }

    #[test]
    fn every_lcore_has_a_queue_where_there_are_enough() {
        let plan = plan("net_tap", 16, 16, 3, 1);
        assert_eq!(plan.rx, [1, 2, 0]);
        assert_eq!(plan.tx, [1, 2, 0]);
        assert_eq!(plan.ways, [Way::Queue(2), Way::Queue(0), Way::Queue(1)]);
    }

    #[test]
    fn a_port_that_could_have_any_number_of_queues_has_one_for_each_lcore() {
        for driver in ["net_tap", "net_memif"] {
            let plan = plan(driver, 256, 256, 2, 0);
            assert_eq!((plan.rx.len(), plan.tx.len()), (2, 2), "{driver}");
        }
        assert_eq!(plan("net_ring", 3, 3, 2, 0).rx.len(), 3, "made with three");
    }

    #[test]
    fn with_too_few_queues_the_others_hand_off() {
        let plan = plan("net_pcap", 1, 2, 4, 3);
        assert_eq!(plan.rx, [3]);
        assert_eq!(plan.tx, [3, 0]);
        let (queue, handoff) = (Way::Queue, Way::Handoff);
        assert_eq!(plan.ways, [queue(1), handoff(0), handoff(3), queue(0)]);
        assert_eq!(plan.sender, 3);
    }

    #[test]
    fn a_tap_has_as_many_queues_of_both_kinds() {
        let mut config = PortConfig::new("p", "net_tap0");
        config.rx_queues = Some(1);
        let plan = plan_port(&config, &caps("net_tap", 16, 16), 2, 0).unwrap();
        assert_eq!((plan.rx.len(), plan.tx.len()), (1, 1));
    }

    #[test]
    fn each_pool_has_buffers_for_the_transmit_queues_of_all_ports() {
        let config = DataplaneConfig {
            lcores: vec![0, 1],
            ..DataplaneConfig::default()
        };
        // Two nodes, and two sizes of buffers on the first.
        let node = |socket, mtu, scatter| {
            let mut caps = caps("net_x", 2, 2);
            (caps.socket, caps.rx_scatter, caps.rss_flows) = (socket, scatter, 1);
            let port = PortConfig {
                mtu,
                tx_descriptors: 4096,
                ..PortConfig::new("p", "x")
            };
            let plan = plan_port(&port, &caps, 2, 0).unwrap();
            (port, plan, caps)
        };
        let ports = [
            node(0, 1500, true),
            node(0, 9000, false),
            node(1, 1500, true),
        ];
        assert_eq!(
            ports.each_ref().map(|(_, plan, _)| plan.room),
            [2048, 9024, 2048]
        );
        let tx = ports
            .iter()
            .map(|(port, plan, _)| tx_queues(port, plan))
            .sum();
        assert_eq!(tx, 3 * 2 * (4096 + 64));
        for (port, plan, caps) in &ports {
            let mbufs = mbufs_for(&config, &[(port, plan, caps)], tx);
            let rx = 2 * 1024;
            assert!(mbufs > tx + rx, "{mbufs} at node {}", caps.socket);
            assert!(mbufs >= fewest_mbufs(&config, &[(port, plan, caps)]));
        }
    }

    #[test]
    fn more_queues_than_there_are_is_an_error() {
        let mut config = PortConfig::new("p0", "net_pcap0");
        config.rx_queues = Some(2);
        let error = plan_port(&config, &caps("net_pcap", 1, 1), 2, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "port p0: 2 receive queues wanted, net_pcap has at most 1"
        );
    }

    #[test]
    fn packet_sockets_get_buffers_of_their_frame_size() {
        let room = |mtu, args: &str| {
            let mut config = PortConfig::new("p0", format!("net_af_packet0,iface=v0{args}"));
            config.mtu = mtu;
            let plan = plan_port(&config, &caps("net_af_packet", 1, 1), 1, 0);
            plan.map(|plan| plan.room)
                .map_err(|error| error.to_string())
        };
        assert_eq!(room(1500, ""), Ok(2048));
        assert_eq!(room(9000, ",blocksz=65536,framesz=16384"), Ok(16384));
        for args in ["", ",framesz=16384", ",blocksz=65536,framesz=9216"] {
            let message = room(9000, args).unwrap_err();
            let cure = "give the device framesz=16384,blocksz=16384,framecnt=512";
            assert!(message.ends_with(cure), "{message}");
        }
    }

    #[test]
    fn a_device_that_sends_no_chains_has_all_ports_receive_whole_frames() {
        let mut configs = [1500, 9000, 4000].map(|mtu| PortConfig {
            mtu,
            ..PortConfig::new("p", "x")
        });
        let mut caps = caps("net_x", 1, 1);
        (caps.rx_scatter, caps.tx_multi_segment) = (true, true);
        let rooms = |configs: &[PortConfig; 3]| {
            let mut plans = configs
                .each_ref()
                .map(|config| plan_port(config, &caps, 1, 0).unwrap());
            let ports = configs.iter().zip(&mut plans);
            whole_frames(ports.map(|(config, plan)| (config, plan, &caps)).collect());
            plans.map(|plan| plan.room)
        };
        assert_eq!(rooms(&configs), [DATA_ROOM; 3]);
        configs[2].joins_chains = true;
        assert_eq!(rooms(&configs), [DATA_ROOM, 4032, 4032]);
        configs[0].joins_chains = true;
        configs[2].joins_chains = false;
        assert_eq!(rooms(&configs), [DATA_ROOM; 3]);
    }

    #[test]
    fn a_device_that_cannot_scatter_gets_buffers_for_whole_frames() {
        let mut config = PortConfig::new("p0", "x");
        config.mtu = 9000;
        let mut caps = caps("net_x", 1, 1);
        assert_eq!(plan_port(&config, &caps, 1, 0).unwrap().room, 9024);
        caps.rx_scatter = true;
        assert_eq!(plan_port(&config, &caps, 1, 0).unwrap().room, DATA_ROOM);
    }
}
