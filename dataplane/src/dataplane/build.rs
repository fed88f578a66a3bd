//! Putting the data plane together.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use ironlane_fib::{PortId, Tables};
use ironlane_packet::eth::Mac;
use ironlane_rcu::{Domain, Reader};

use super::plan::{PortPlan, plan_port, whole_frames};
use super::pools::{exception_pool, long_pool, make_pools};
use super::{
    Dataplane, DataplaneConfig, DataplaneError, LcoreInfo, PortConfig, PortInfo, interfaces,
};
use crate::burst::{Arrival, Origin};
use crate::eal::{
    Clock, CpuList, Eal, MbufBatch, Mempool, PORTS_MAX, Port, PortSettings, RingConsumer,
    RingProducer, RxQueue, TxQueue, launch, node_of_cpu, ring,
};
use crate::ipsec::Ipsec;
use crate::lcore::idle::longest_sleep;
use crate::lcore::ipsec::{Crypto, Gatherer};
use crate::lcore::outlet::{LcoreOutlet, OutletParts, Way};
use crate::lcore::policer::Policers;
use crate::lcore::poll::{Lcore, Quiet, RxLane};
use crate::lcore::rings::Rings;
use crate::lcore::shared::Shared;
use crate::lcore::{CounterSet, ExceptionChannel, Waker};
use crate::stage::{Interfaces, Pipeline};

/// A port that is set up, with its queues not yet given to lcores.
pub(super) struct Started {
    // Queues go before the port, should something fail.
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
    plan: PortPlan,
    pub(super) info: PortInfo,
    port: Port,
}

pub(super) fn build(
    eal: Eal,
    config: &DataplaneConfig,
    tables: Arc<Tables>,
    domain: &Arc<Domain>,
) -> Result<Dataplane, DataplaneError> {
    check(config)?;
    let mut opened = Vec::new();
    let mut first = 0;
    for port_config in &config.ports {
        let port = Port::open(eal, &port_config.name, &port_config.device)?;
        let plan = plan_port(port_config, port.caps(), config.lcores.len(), first)?;
        first += plan.rx.len().max(1);
        opened.push((port_config, port, plan));
    }
    let ports = opened
        .iter_mut()
        .map(|(config, port, plan)| (*config, plan, port.caps()));
    whole_frames(ports.collect());
    let (pools, pool_of) = make_pools(eal, config, &opened)?;
    let exception_pool = exception_pool(eal, config)?;
    let long_pool = long_pool(eal, config)?;
    let mut started = Vec::new();
    for ((port_config, port, plan), pool) in opened.into_iter().zip(pool_of) {
        started.push(start_port(port_config, port, plan, &pools[pool])?);
    }
    let mut all_pools = pools;
    all_pools.extend(long_pool.clone());
    all_pools.push(exception_pool.clone());
    Assembly {
        eal,
        config,
        tables,
        all_pools,
        exception_pool,
        long_pool,
    }
    .finish(started, domain)
}

fn check(config: &DataplaneConfig) -> Result<(), DataplaneError> {
    if config.lcores.is_empty() {
        return Err(DataplaneError::NoLcores);
    }
    let allowed = CpuList::allowed();
    let mut cpus = HashSet::new();
    for &cpu in &config.lcores {
        allowed.check(cpu)?;
        if !cpus.insert(cpu) {
            tracing::warn!("CPU {cpu} is shared by two lcores; give each a CPU of its own");
        }
    }
    let (mut names, mut devices) = (HashSet::new(), HashSet::new());
    for interface in &config.interfaces {
        if !names.insert(interface.name.as_str()) {
            let value = interface.name.clone();
            return Err(DataplaneError::PortTwice {
                what: "name",
                value,
            });
        }
    }
    for port in &config.ports {
        let device = port.device.split(',').next().unwrap_or_default();
        for (seen, what, value) in [
            (&mut names, "name", port.name.as_str()),
            (&mut devices, "device", device),
        ] {
            if !seen.insert(value) {
                let value = value.to_owned();
                return Err(DataplaneError::PortTwice { what, value });
            }
        }
        if !(68..=9000).contains(&port.mtu) {
            return Err(DataplaneError::Port {
                port: port.name.clone(),
                what: format!("MTU {} is not between 68 and 9000", port.mtu),
            });
        }
    }
    Ok(())
}

fn start_port(
    config: &PortConfig,
    mut port: Port,
    plan: PortPlan,
    pool: &Mempool,
) -> Result<Started, DataplaneError> {
    let settings = PortSettings {
        // There are at most 128 lcores, and devices have fewer queues than 65536.
        rx_queues: plan.rx.len() as u16,
        tx_queues: plan.tx.len() as u16,
        rx_descriptors: config.rx_descriptors,
        tx_descriptors: config.tx_descriptors,
        mtu: config.mtu,
        mac: config.mac,
        promiscuous: config.promiscuous,
        joins_chains: config.joins_chains,
    };
    let (rx, tx) = port.start(&settings, pool, plan.room)?;
    let caps = port.caps();
    let info = PortInfo {
        id: PortId(port.id()),
        name: config.name.clone(),
        device: port.device().to_owned(),
        driver: caps.driver.clone(),
        bus: caps.bus.clone(),
        mac: Mac(caps.mac),
        lists_groups: port.lists_groups(config.promiscuous),
        mtu: config.mtu,
        socket: caps.socket,
        vrf: config.vrf,
        rx_queues: plan.rx.clone(),
        tx_queues: plan.tx.clone(),
        interface: None,
    };
    tracing::info!(
        "port {}: {} ({}), MAC {}, MTU {}, {} receive and {} transmit queues",
        info.name,
        info.device,
        info.driver,
        info.mac,
        info.mtu,
        rx.len(),
        tx.len()
    );
    Ok(Started {
        rx,
        tx,
        plan,
        info,
        port,
    })
}

/// What the lcores are made of.
struct Assembly<'a> {
    eal: Eal,
    config: &'a DataplaneConfig,
    tables: Arc<Tables>,
    all_pools: Vec<Mempool>,
    exception_pool: Mempool,
    long_pool: Option<Mempool>,
}

/// The parts of one lcore, as they come together.
#[derive(Default)]
struct Parts {
    rx: Vec<RxLane>,
    tx: Vec<(PortId, TxQueue)>,
    ways: Vec<(PortId, Way)>,
    handoff_out: Vec<Option<RingProducer>>,
    handoff_in: Vec<RingConsumer>,
}

impl Assembly<'_> {
    fn finish(
        self,
        mut started: Vec<Started>,
        domain: &Arc<Domain>,
    ) -> Result<Dataplane, DataplaneError> {
        let lcores = self.config.lcores.len();
        let readers = self.readers(domain)?;
        let counters = CounterSet::new(&self.config.lcores);
        let virtual_ports = interfaces::assign(self.config, &started)?;
        let ids = Interfaces::new(virtual_ports.iter().filter_map(|info| info.interface));
        let shared = Arc::new(Shared::new(lcores, ids, domain));
        let policers = Policers::new(&self.config.policers);
        let exception_waker = Arc::new(Waker::new());
        let clock = Clock::start(self.eal);
        let mut rings = Rings::default();
        let mut parts = self.hand_offs(&started, &mut rings)?;
        let mut senders = [None; PORTS_MAX];
        let mut arrivals = [None; PORTS_MAX];
        for port in &mut started {
            arrivals[usize::from(port.info.id.0)] = Some(arrival(&port.info));
            share_out(port, &mut parts);
            senders[usize::from(port.info.id.0)] = Some(port.plan.sender as u8);
        }
        for (place, info) in virtual_ports.iter().enumerate() {
            arrivals[usize::from(info.id.0)] = Some(arrival(info));
            // There are at most 128 lcores.
            senders[usize::from(info.id.0)] = Some((place % lcores) as u8);
        }
        let lcore_infos = self.lcore_infos(&parts);
        let ipsec = match &self.config.ipsec {
            Some(setup) => Arc::clone(&setup.ipsec),
            None => Arc::new(Ipsec::with_room(domain, 0, 0)),
        };
        let hasher = RandomState::new();
        let (mut punts, mut injects, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for (index, parts) in parts.into_iter().enumerate() {
            let (punt_in, punt_out) = self.punt_rings(index)?;
            rings.punt.extend(punt_in.iter().map(RingProducer::gauge));
            punts.push(punt_out);
            let (producer, inject) = self.ring("inject", self.config.rings.inject)?;
            rings.inject.push(producer.gauge());
            injects.push(producer);
            let mut ways = [Way::None; PORTS_MAX];
            for (port, way) in parts.ways {
                ways[usize::from(port.0)] = way;
            }
            let engine = match &self.config.ipsec {
                Some(setup) => Some(setup.device.engine()?),
                None => None,
            };
            let setup = self.config.ipsec.as_ref().zip(self.long_pool.clone());
            let gatherer = setup
                .map(|(setup, long)| Gatherer::new(setup.fragments, hasher.clone(), long, lcores));
            let outlet = LcoreOutlet::new(OutletParts {
                counters: counters.writer(index),
                ways,
                tx: parts.tx,
                handoff: parts.handoff_out,
                punt: punt_in,
                policers: Arc::clone(&policers),
                shared: Arc::clone(&shared),
                set: Arc::clone(&counters),
                exception: Arc::clone(&exception_waker),
            });
            bodies.push(Lcore {
                index,
                rx: parts.rx,
                handoff: parts.handoff_in,
                inject,
                outlet,
                pipeline: Pipeline::new(self.config.pipeline),
                tables: Arc::clone(&self.tables),
                ipsec: Arc::clone(&ipsec),
                crypto: Crypto {
                    engine,
                    arrivals,
                    gatherer,
                    // A pool of ports: what it makes leaves by their transmit queues.
                    pool: self.all_pools[0].clone(),
                    // Where one lcore is, another will hardly be; nobody outside knows (RFC 7739).
                    next_id: hasher.hash_one(index) as u32,
                },
                shared: Arc::clone(&shared),
                set: Arc::clone(&counters),
                clock,
                idle: self.config.idle_of(self.config.lcores[index]),
                quiet: Some(Quiet(Arc::clone(&shared))),
            });
        }
        counters.watch(rings);
        let exception = ExceptionChannel {
            punts,
            injects,
            pool: self.exception_pool,
            spare: MbufBatch::new(),
            counters: Arc::clone(&counters),
            waker: exception_waker,
            senders,
            turns: Default::default(),
        };
        let (mut ports, mut infos) = (Vec::new(), Vec::new());
        for port in started {
            ports.push(Mutex::new(port.port));
            infos.push(port.info);
        }
        infos.extend(virtual_ports);
        let mut dataplane = Dataplane {
            threads: Vec::new(),
            exception: Some(exception),
            ports,
            pools: self.all_pools,
            infos,
            lcores: lcore_infos,
            shared,
            counters,
            policers,
            clock,
        };
        for ((body, reader), &cpu) in bodies.into_iter().zip(readers).zip(&self.config.lcores) {
            let name = format!("lcore-{}", body.index);
            dataplane
                .threads
                .push(launch(self.eal, &name, cpu, move || body.run(reader))?);
        }
        Ok(dataplane)
    }

    fn readers(&self, domain: &Arc<Domain>) -> Result<Vec<Reader>, DataplaneError> {
        let lcores = self.config.lcores.len();
        let readers = (0..lcores)
            .map(|_| Domain::register(domain))
            .collect::<Result<_, _>>();
        readers.map_err(|_| DataplaneError::TooManyReaders { lcores })
    }

    fn ring(&self, name: &str, size: u32) -> Result<(RingProducer, RingConsumer), DataplaneError> {
        Ok(ring(self.eal, name, size, -1, &self.all_pools)?)
    }

    fn punt_rings(
        &self,
        lcore: usize,
    ) -> Result<([RingProducer; 3], [RingConsumer; 3]), DataplaneError> {
        let make = |size| self.ring(&format!("punt{lcore}"), size);
        let [high, medium, low] = self.config.rings.punt;
        let (high, medium, low) = (make(high)?, make(medium)?, make(low)?);
        Ok(([high.0, medium.0, low.0], [high.1, medium.1, low.1]))
    }

    /// Parts of all lcores, with the hand-off rings that the plans ask for.
    fn hand_offs(
        &self,
        started: &[Started],
        rings: &mut Rings,
    ) -> Result<Vec<Parts>, DataplaneError> {
        let lcores = self.config.lcores.len();
        let mut parts: Vec<Parts> = (0..lcores).map(|_| Parts::default()).collect();
        for from in 0..lcores {
            for to in 0..lcores {
                let wanted = |port: &Started| port.plan.ways[from] == Way::Handoff(to as u8);
                // An SA has one lcore, whoever meets its packets first.
                let for_sas = self.config.ipsec.is_some() && from != to;
                let producer = if for_sas || started.iter().any(wanted) {
                    let (producer, consumer) = self.ring("handoff", self.config.rings.handoff)?;
                    parts[to].handoff_in.push(consumer);
                    rings.handoff.push(producer.gauge());
                    Some(producer)
                } else {
                    None
                };
                parts[from].handoff_out.push(producer);
            }
        }
        Ok(parts)
    }

    fn lcore_infos(&self, parts: &[Parts]) -> Vec<LcoreInfo> {
        let infos = parts.iter().zip(&self.config.lcores).enumerate();
        let infos = infos.map(|(index, (parts, &cpu))| LcoreInfo {
            index,
            cpu,
            socket: node_of_cpu(cpu),
            rx_queues: parts
                .rx
                .iter()
                .map(|lane| (lane.arrival.port, lane.queue.queue()))
                .collect(),
            waking_queues: parts
                .rx
                .iter()
                .filter(|lane| lane.queue.fd().is_some())
                .map(|lane| (lane.arrival.port, lane.queue.queue()))
                .collect(),
            longest_sleep: longest_sleep(&self.config.idle_of(cpu), &parts.rx),
            tx_queues: parts
                .tx
                .iter()
                .map(|(port, queue)| (*port, queue.queue()))
                .collect(),
        });
        infos.collect()
    }
}

/// What arrives by a port.
fn arrival(info: &PortInfo) -> Arrival {
    Arrival {
        port: info.id,
        mac: info.mac,
        vrf: info.vrf,
        origin: Origin::Wire,
    }
}

/// Gives the queues of a port to their lcores.
fn share_out(port: &mut Started, parts: &mut [Parts]) {
    let info = &port.info;
    for (queue, &lcore) in port.rx.drain(..).zip(&port.plan.rx) {
        let arrival = arrival(info);
        parts[lcore].rx.push(RxLane { arrival, queue });
    }
    for (queue, &lcore) in port.tx.drain(..).zip(&port.plan.tx) {
        // A port with more queues than lcores: the first of each lcore's serves it.
        let place = parts[lcore].tx.len() as u8;
        if !parts[lcore].ways.iter().any(|(id, _)| *id == info.id) {
            parts[lcore].ways.push((info.id, Way::Queue(place)));
        }
        parts[lcore].tx.push((info.id, queue));
    }
    for (lcore, way) in port.plan.ways.iter().enumerate() {
        if let Way::Handoff(_) = way {
            parts[lcore].ways.push((info.id, *way));
        }
    }
}
