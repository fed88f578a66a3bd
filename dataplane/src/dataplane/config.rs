//! What the data plane is started with. Plain data, checked by [`Dataplane::start`](super::Dataplane::start).

use ironlane_fib::VrfId;

use crate::ipsec::IpsecSetup;
use crate::reason::PuntReason;
use crate::stage::PipelineConfig;

/// Settings of the data plane.
#[derive(Clone, Debug)]
pub struct DataplaneConfig {
    /// One lcore for each CPU named here, pinned to it.
    pub lcores: Vec<usize>,
    /// The ports.
    pub ports: Vec<PortConfig>,
    /// Packet buffers of each NUMA node's pool; `None` counts what queues and rings can hold.
    pub mbufs: Option<u32>,
    /// Packet buffers of the exception thread's own pool.
    pub exception_mbufs: u32,
    /// Sizes of the rings between threads.
    pub rings: RingSizes,
    /// What an lcore does that has nothing to do.
    pub idle: IdleConfig,
    /// CPUs whose lcores do something else then.
    pub idle_by_cpu: Vec<(usize, IdleConfig)>,
    /// Rates that differ from the default ones.
    pub policers: Vec<PolicerConfig>,
    /// Settings of the stages.
    pub pipeline: PipelineConfig,
    /// SAs, policies and what encrypts; without it, IPsec packets for the router go to the kernel.
    pub ipsec: Option<IpsecSetup>,
    /// Ports without a device, by which SAs and policies are reached.
    pub interfaces: Vec<InterfaceConfig>,
}

impl Default for DataplaneConfig {
    fn default() -> Self {
        Self {
            lcores: vec![0],
            ports: Vec::new(),
            mbufs: None,
            exception_mbufs: 4095,
            rings: RingSizes::default(),
            idle: IdleConfig::default(),
            idle_by_cpu: Vec::new(),
            policers: Vec::new(),
            pipeline: PipelineConfig::default(),
            ipsec: None,
            interfaces: Vec::new(),
        }
    }
}

impl DataplaneConfig {
    /// What the lcore on `cpu` does that has nothing to do.
    pub fn idle_of(&self, cpu: usize) -> IdleConfig {
        let own = self.idle_by_cpu.iter().find(|(of, _)| *of == cpu);
        own.map_or(self.idle, |(_, idle)| *idle)
    }
}

/// One port.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// What the user calls it.
    pub name: String,
    /// DPDK's device string: PCI address or virtual device, with arguments after a comma.
    pub device: String,
    /// Largest IP packet in bytes, 68 to 9000 (above 1500 in chains of buffers).
    pub mtu: u16,
    /// Receive queues; `None` takes one for each lcore where the device spreads flows.
    pub rx_queues: Option<u16>,
    /// Transmit queues; `None` takes one for each lcore, as far as the device has them.
    pub tx_queues: Option<u16>,
    /// Slots in a receive queue.
    pub rx_descriptors: u16,
    /// Slots in a transmit queue.
    pub tx_descriptors: u16,
    /// MAC address, if not the device's own.
    pub mac: Option<[u8; 6]>,
    /// Receive frames for anybody.
    pub promiscuous: bool,
    /// Join packets in several buffers before they are sent, as for a device that cannot send them.
    /// For tests: devices say themselves what they can do.
    pub joins_chains: bool,
    /// Tables that its packets are looked up in.
    pub vrf: VrfId,
}

impl PortConfig {
    /// A port with usual settings.
    pub fn new(name: impl Into<String>, device: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            mtu: 1500,
            rx_queues: None,
            tx_queues: None,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mac: None,
            promiscuous: false,
            joins_chains: false,
            vrf: VrfId::DEFAULT,
        }
    }
}

/// One IPsec interface. Of `if_id` and `mark` one is not 0.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// What the user calls it.
    pub name: String,
    /// Its SAs and policies have this `if_id`; 0 for those without.
    pub if_id: u32,
    /// Its SAs and policies have this mark; 0 for those without.
    pub mark: u32,
    /// Largest IP packet in bytes, 68 to 9000.
    pub mtu: u16,
    /// Tables that its packets are looked up in.
    pub vrf: VrfId,
}

/// How many packets the rings between threads hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// From each lcore to the exception thread, by [`PuntPriority`](crate::reason::PuntPriority).
    pub punt: [u32; 3],
    /// From the exception thread to each lcore.
    pub inject: u32,
    /// From each lcore to each other one, where a port has too few queues.
    pub handoff: u32,
}

impl Default for RingSizes {
    fn default() -> Self {
        Self {
            punt: [1023; 3],
            inject: 1023,
            handoff: 1023,
        }
    }
}

/// What an lcore does that finds no packets: first it goes on polling, then it polls with
/// pauses, then it sleeps between polls.
///
/// A sleeping lcore is woken for packets of the kernel and of other lcores, and by devices that can
/// (`net_tap`); packets of other devices wait until it looks again, at most `sleep_max_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleConfig {
    /// Polls without any pause for so long after the last packet.
    pub spin_us: u32,
    /// Then polls with CPU pauses between, for so long.
    pub pause_us: u32,
    /// Then sleeps: at first this long, twice as long each time, at most `sleep_max_us`. 0 never
    /// sleeps, and keeps the CPU busy for good.
    pub sleep_min_us: u32,
    /// Longest sleep while a device of the lcore cannot wake it.
    pub sleep_max_us: u32,
}

impl Default for IdleConfig {
    fn default() -> Self {
        Self {
            spin_us: 20,
            pause_us: 100,
            sleep_min_us: 50,
            sleep_max_us: 500,
        }
    }
}

impl IdleConfig {
    /// For dedicated cores: never sleeps.
    pub fn busy() -> Self {
        Self {
            spin_us: u32::MAX,
            pause_us: 0,
            sleep_min_us: 0,
            sleep_max_us: 0,
        }
    }
}

/// How fast packets of one punt reason may reach the kernel, over all lcores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicerConfig {
    /// The reason.
    pub reason: PuntReason,
    /// Packets a second; 0 lets none through.
    pub rate_pps: u32,
    /// Packets at once; `None` takes what the rate gives in a quarter of a second.
    pub burst: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::GleanLimit;

    #[test]
    fn what_one_neighbour_may_punt_at_once_fits_in_a_ring() {
        let [.., low] = RingSizes::default().punt;
        assert!(low >= 2 * GleanLimit::default().burst);
    }
}
