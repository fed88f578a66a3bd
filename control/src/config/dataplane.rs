//! What the data plane and EAL are started with, from the configuration.

use ironlane_dataplane::dataplane::{
    DataplaneConfig, IdleConfig, InterfaceConfig, PolicerConfig, PortConfig,
};
use ironlane_dataplane::eal::{EalConfig, Memory};
use ironlane_fib::VrfId;

use super::{Config, Idle, IdleMode, IpsecInterface, Port};

impl Config {
    /// Settings of EAL.
    pub fn eal(&self) -> EalConfig {
        let dpdk = &self.dpdk;
        let mib = dpdk.memory_mib;
        EalConfig {
            memory: if dpdk.hugepages {
                Memory::Hugepages { mib: Some(mib) }
            } else {
                Memory::NoHuge { mib }
            },
            file_prefix: (!dpdk.in_memory).then(|| dpdk.file_prefix.clone()),
            pci: self
                .ports
                .iter()
                .filter(|p| p.device.is_pci())
                .map(|p| p.device.to_string())
                .collect(),
            extra: dpdk.extra_args.clone(),
            ..EalConfig::default()
        }
    }

    /// Settings of the data plane.
    pub fn dataplane(&self) -> DataplaneConfig {
        let policers = self
            .punt
            .policers
            .iter()
            .map(|&(reason, policer)| PolicerConfig {
                reason,
                rate_pps: policer.rate_pps,
                burst: policer.burst,
            });
        DataplaneConfig {
            lcores: self.lcores.cpus.iter().map(|&cpu| cpu.into()).collect(),
            ports: self.ports.iter().map(port).collect(),
            mbufs: self.mempool.mbufs,
            exception_mbufs: self.mempool.exception_mbufs,
            idle: idle(&self.lcores.idle),
            idle_by_cpu: self
                .own_idle
                .0
                .iter()
                .map(|(cpu, own)| (usize::from(*cpu), idle(own)))
                .collect(),
            policers: policers.collect(),
            interfaces: self.ipsec_interfaces.iter().map(interface).collect(),
            ..DataplaneConfig::default()
        }
    }
}

fn idle(idle: &Idle) -> IdleConfig {
    match idle.mode {
        IdleMode::Poll => IdleConfig::busy(),
        IdleMode::Sleep => IdleConfig {
            spin_us: idle.spin_us,
            pause_us: idle.pause_us,
            sleep_min_us: idle.sleep_min_us,
            sleep_max_us: idle.sleep_max_us,
        },
    }
}

fn port(port: &Port) -> PortConfig {
    PortConfig {
        mtu: port.mtu,
        rx_queues: port.rx_queues,
        tx_queues: port.tx_queues,
        rx_descriptors: port.rx_descriptors,
        tx_descriptors: port.tx_descriptors,
        mac: port.mac.map(super::MacAddress::octets),
        promiscuous: port.promiscuous,
        joins_chains: false,
        ..PortConfig::new(port.name.as_str(), port.device.to_string())
    }
}

fn interface(interface: &IpsecInterface) -> InterfaceConfig {
    InterfaceConfig {
        name: interface.name.to_string(),
        if_id: interface.if_id,
        mark: interface.mark,
        mtu: interface.mtu,
        vrf: VrfId::DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_reaches_eal_and_the_data_plane() {
        let config = Config::parse(
            "c",
            r#"
            lcores = { cpus = "1-2", idle = { mode = "poll" } }
            lcore.2 = { mode = "sleep", sleep_max_us = 200 }
            dpdk = { memory_mib = 128, in_memory = false }
            punt.arp = { rate_pps = 7 }
            [[port]]
            name = "p0"
            device = "3b:02.1,rxq_pkt_pad_en=1"
            mac = "02:00:00:00:00:01"
            "#,
        )
        .unwrap();
        let eal = config.eal();
        assert_eq!(eal.memory, Memory::Hugepages { mib: Some(128) });
        assert_eq!(eal.file_prefix.as_deref(), Some("ironlane"));
        assert_eq!(eal.pci, ["0000:3b:02.1,rxq_pkt_pad_en=1"]);
        let dataplane = config.dataplane();
        assert_eq!(dataplane.lcores, [1, 2]);
        assert_eq!(dataplane.idle_of(1), IdleConfig::busy());
        let own = IdleConfig {
            sleep_max_us: 200,
            ..IdleConfig::default()
        };
        assert_eq!(dataplane.idle_of(2), own);
        assert_eq!(dataplane.policers[0].rate_pps, 7);
        assert_eq!(dataplane.ports[0].mac, Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(dataplane.ports[0].mtu, 1500);
    }

    #[test]
    fn without_hugepages_the_memory_is_ordinary_and_no_file_is_made() {
        let config = Config::parse("c", "dpdk = { hugepages = false, memory_mib = 64 }").unwrap();
        assert_eq!(config.eal(), EalConfig::without_hugepages(64));
    }
}
