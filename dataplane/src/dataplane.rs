//! The data plane as a whole: start it, ask it, change it, stop it.
//!
//! [`Dataplane::start`] opens the ports, makes the pools and rings, decides which lcore polls
//! what, and starts the lcores. [`Dataplane::stop`] undoes all of it and reports whether every
//! packet buffer came back. It may be done many times in one process; EAL starts once.

mod build;
mod config;
mod error;
mod interfaces;
mod plan;
mod pools;
mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ironlane_fib::{PortId, Tables, VrfId};
use ironlane_packet::eth::Mac;
use ironlane_rcu::Domain;

use crate::eal::{Clock, Eal, LcoreThread, LinkState, Mempool, Port, PortLink, PortStats};
use crate::lcore::policer::Policers;
use crate::lcore::shared::Shared;
use crate::lcore::{CounterSet, ExceptionChannel, OwnAddresses, PathMtus};
use crate::reason::PuntReason;
use crate::stage::Interface;

pub use config::{
    DataplaneConfig, IdleConfig, InterfaceConfig, PolicerConfig, PortConfig, RingSizes,
};
pub use error::DataplaneError;
pub use report::{PoolUse, StopReport};

/// A running data plane.
#[derive(Debug)]
pub struct Dataplane {
    // The order matters when it is dropped: lcores end first (`halt`), then rings go, then ports,
    // then pools.
    threads: Vec<LcoreThread<()>>,
    exception: Option<ExceptionChannel>,
    ports: Vec<Mutex<Port>>,
    pools: Vec<Mempool>,
    infos: Vec<PortInfo>,
    lcores: Vec<LcoreInfo>,
    shared: Arc<Shared>,
    counters: Arc<CounterSet>,
    policers: Arc<Policers>,
    clock: Clock,
}

/// What is known of a port.
#[derive(Clone, Debug)]
pub struct PortInfo {
    /// Its number, as in adjacencies and mbufs: DPDK's.
    pub id: PortId,
    /// What the user calls it.
    pub name: String,
    /// DPDK's name of the device.
    pub device: String,
    /// DPDK's driver.
    pub driver: String,
    /// The bus the device is on.
    pub bus: String,
    /// MAC address.
    pub mac: Mac,
    /// Whether it receives only multicast groups that it is told of
    /// ([`Dataplane::port_set_groups`]), as virtual functions do.
    pub lists_groups: bool,
    /// MTU at start.
    pub mtu: u16,
    /// NUMA node; -1 if it has none.
    pub socket: i32,
    /// Tables that its packets are looked up in.
    pub vrf: VrfId,
    /// The lcore that polls each receive queue.
    pub rx_queues: Vec<usize>,
    /// The lcore that sends by each transmit queue.
    pub tx_queues: Vec<usize>,
    /// Which SAs are reached by it, of an IPsec interface: a port that has no device.
    pub interface: Option<Interface>,
}

/// What is known of an lcore.
#[derive(Clone, Debug)]
pub struct LcoreInfo {
    /// Its number, from 0.
    pub index: usize,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// NUMA node of the CPU.
    pub socket: i32,
    /// Receive queues that it polls.
    pub rx_queues: Vec<(PortId, u16)>,
    /// Those of them whose devices end its sleep when packets come.
    pub waking_queues: Vec<(PortId, u16)>,
    /// The longest that it sleeps between two looks at its queues: the time that a packet may wait in
    /// one whose device does not wake it. `None` if it never sleeps.
    pub longest_sleep: Option<Duration>,
    /// Transmit queues that it sends by.
    pub tx_queues: Vec<(PortId, u16)>,
}

impl Dataplane {
    /// Opens the ports and starts the lcores. On an error nothing is left behind.
    pub fn start(
        eal: Eal,
        config: &DataplaneConfig,
        tables: Arc<Tables>,
        domain: &Arc<Domain>,
    ) -> Result<Self, DataplaneError> {
        build::build(eal, config, tables, domain)
    }

    /// The ports, in the order of the configuration; behind them the IPsec interfaces.
    pub fn ports(&self) -> &[PortInfo] {
        &self.infos
    }

    /// The lcores.
    pub fn lcores(&self) -> &[LcoreInfo] {
        &self.lcores
    }

    /// The clock of the lcores, in seconds: that by which SAs and policies say when they were used.
    pub fn now_s(&self) -> u64 {
        self.clock.now_ns() / 1_000_000_000
    }

    /// Counters of all lcores. They can be read after the data plane stopped, too.
    pub fn counters(&self) -> Arc<CounterSet> {
        Arc::clone(&self.counters)
    }

    /// The exception thread's side. The first caller gets it.
    pub fn take_exception(&mut self) -> Option<ExceptionChannel> {
        self.exception.take()
    }

    /// The pools of packet buffers, the exception thread's last.
    pub fn pools(&self) -> &[Mempool] {
        &self.pools
    }

    /// The device of a port; `None` of an IPsec interface, which has none.
    fn device(&self, id: PortId) -> Result<Option<MutexGuard<'_, Port>>, DataplaneError> {
        let place = self.infos.iter().position(|info| info.id == id);
        let place = place.ok_or(DataplaneError::NoSuchPort(id))?;
        // IPsec interfaces come last.
        let port = self.ports.get(place);
        Ok(port.map(|port| port.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Sets a port up or down. What arrives at a port that is down, or is to leave by it, is
    /// dropped and counted; where the device can show it, the other side sees no carrier.
    pub fn port_set_admin(&self, id: PortId, up: bool) -> Result<(), DataplaneError> {
        let device = self.device(id)?;
        self.shared.set_admin_up(id, up);
        if let Some(port) = device {
            port.show_carrier(up);
        }
        Ok(())
    }

    /// Whether a port is set up.
    pub fn port_is_admin_up(&self, id: PortId) -> bool {
        self.shared.is_admin_up(id)
    }

    /// Changes the MTU of a port's device. Adjacencies have their own copy of it.
    pub fn port_set_mtu(&self, id: PortId, mtu: u16) -> Result<(), DataplaneError> {
        match self.device(id)? {
            Some(mut port) => Ok(port.set_mtu(mtu)?),
            None => Ok(()),
        }
    }

    /// Tells which multicast groups the kernel has joined at a port. Packets for groups of them
    /// that are wider than the link go to the kernel too. A port that receives listed groups only
    /// ([`PortInfo::lists_groups`]) receives these beside those of the routing protocols.
    pub fn port_set_groups(&self, id: PortId, groups: &[Mac]) -> Result<(), DataplaneError> {
        let device = self.device(id)?;
        let left = self.shared.joined.set(id, groups);
        let info = self.infos.iter().find(|info| info.id == id);
        if left > 0 {
            let name = info.map_or("", |info| info.name.as_str());
            tracing::warn!("port {name}: too many multicast groups, {left} of them are not known");
        }
        if let Some(port) = device.filter(|_| info.is_some_and(|info| info.lists_groups)) {
            let groups: Vec<[u8; 6]> = groups.iter().map(|group| group.0).collect();
            port.set_groups(&groups)?;
        }
        Ok(())
    }

    /// Link state of a port; of an IPsec interface it is unknown.
    pub fn port_link(&self, id: PortId) -> Result<PortLink, DataplaneError> {
        let unknown = PortLink {
            state: LinkState::Unknown,
            speed_mbps: None,
            full_duplex: true,
        };
        Ok(self.device(id)?.map_or(unknown, |port| port.link()))
    }

    /// What the device of a port counted itself.
    pub fn port_stats(&self, id: PortId) -> Result<PortStats, DataplaneError> {
        Ok(self
            .device(id)?
            .map_or_else(PortStats::default, |port| port.stats()))
    }

    /// Says which addresses the router has, by which lcores tell senders what fits a tunnel. Without one of the
    /// family an IPv6 sender is not told: its packets are fragmented once they are sealed.
    pub fn set_own_addresses(&self, own: OwnAddresses) {
        self.shared.own.set(own);
    }

    /// Says what paths to IPsec peers take, where that is less than the first link does.
    pub fn set_path_mtus(&self, paths: PathMtus) {
        self.shared.path_mtus.set(paths);
    }

    /// Rate and burst of a punt reason.
    pub fn policer(&self, reason: PuntReason) -> PolicerConfig {
        self.policers.get(reason)
    }

    /// Changes rate and burst of a punt reason while lcores run.
    pub fn set_policer(&self, policer: PolicerConfig) {
        self.policers.set(policer);
    }

    /// Whether all lcores run. One that does not has panicked: [`stop`](Self::stop) tells with what
    /// message.
    pub fn is_running(&self) -> bool {
        !self.threads.iter().any(LcoreThread::is_finished)
    }

    /// Has an lcore panic when it is idle next: for tests of what follows.
    #[doc(hidden)]
    pub fn break_lcore(&self, index: usize) {
        self.shared.break_lcore(index);
        self.counters.waker(index).wake();
    }

    /// Stops lcores and ports, and gives everything back. The [`ExceptionChannel`] should have
    /// been dropped before: what its rings hold counts as in use.
    pub fn stop(mut self) -> StopReport {
        let before = report::uses(&self.pools);
        let failed = self.halt();
        self.exception = None;
        self.ports.clear();
        StopReport::new(&before, &self.pools, self.counters.snapshot(), failed)
    }

    /// Ends the lcores and stops the ports. Returns what went wrong.
    fn halt(&mut self) -> Vec<String> {
        self.shared.stop();
        for lcore in 0..self.counters.lcores() {
            self.counters.waker(lcore).wake();
        }
        let mut failed = Vec::new();
        for thread in self.threads.drain(..) {
            // The queues went with the thread; `Port::drop` stops the ports.
            failed.extend(thread.join().err().map(|error| error.to_string()));
        }
        failed
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        for failure in self.halt() {
            tracing::error!("{failure}");
        }
    }
}
