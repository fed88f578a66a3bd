//! A network port: open it, set it up, start it, close it.

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use dpdk_sys as c;
use nix::errno::Errno;

use super::device::{Device, text};
use super::error::strerror;
use super::tap_link::TapLink;
use super::{Eal, EalError, Mempool, PortCaps, PortSettings, RxQueue, TxQueue, frame_len};

/// An open device.
#[derive(Debug)]
pub struct Port {
    pub(super) device: Arc<Device>,
    pub(super) label: String,
    pub(super) caps: PortCaps,
    pub(super) tap: Option<TapLink>,
    started: bool,
    /// Receive queues point into them until the device is closed or set up anew.
    pools: Vec<Mempool>,
}

impl Port {
    /// Opens the device that `string` names, for the port that the configuration calls `label`.
    pub fn open(eal: Eal, label: &str, string: &str) -> Result<Self, EalError> {
        let device = Arc::new(Device::open(eal, label, string)?);
        let (caps, if_index) = Self::ask(&device, label)?;
        let tap = (caps.driver == "net_tap")
            .then(|| TapLink::find(if_index))
            .flatten();
        Ok(Self {
            device,
            label: label.to_owned(),
            caps,
            tap,
            started: false,
            pools: Vec::new(),
        })
    }

    /// DPDK's port number.
    pub fn id(&self) -> u16 {
        self.device.id
    }

    /// DPDK's name of the device.
    pub fn device(&self) -> &str {
        &self.device.name
    }

    /// What the device can do.
    pub fn caps(&self) -> &PortCaps {
        &self.caps
    }

    fn info(device: &Device, label: &str) -> Result<c::rte_eth_dev_info, EalError> {
        let mut info = MaybeUninit::<c::rte_eth_dev_info>::zeroed();
        // SAFETY: room for one struct, which DPDK fills on success.
        let rc = unsafe { c::rte_eth_dev_info_get(device.id, info.as_mut_ptr()) };
        if rc != 0 {
            return Err(refused(label, device, "ask what it can do", rc, Vec::new()));
        }
        // SAFETY: filled just now; zeroed memory is valid for the struct in any case.
        Ok(unsafe { info.assume_init() })
    }

    fn ask(device: &Device, label: &str) -> Result<(PortCaps, u32), EalError> {
        let info = Self::info(device, label)?;
        let mut mac = c::rte_ether_addr::default();
        // SAFETY: `mac` is written; the port exists.
        let rc = unsafe { c::rte_eth_macaddr_get(device.id, &raw mut mac) };
        if rc != 0 {
            return Err(refused(
                label,
                device,
                "read the MAC address",
                rc,
                Vec::new(),
            ));
        }
        // SAFETY: strings and device belong to the driver and last while the port is open.
        let (driver, bus, socket) = unsafe {
            let bus = if info.device.is_null() {
                String::new()
            } else {
                text(c::rte_bus_name(c::rte_dev_bus(info.device)))
            };
            (
                text(info.driver_name),
                bus,
                c::rte_eth_dev_socket_id(device.id),
            )
        };
        let caps = PortCaps {
            driver,
            bus,
            socket,
            mac: mac.addr_bytes,
            max_rx_queues: info.max_rx_queues,
            max_tx_queues: info.max_tx_queues,
            max_mtu: largest_mtu(&info),
            rx_scatter: info.rx_offload_capa & c::IL_RX_OFFLOAD_SCATTER != 0,
            tx_multi_segment: info.tx_offload_capa & c::IL_TX_OFFLOAD_MULTI_SEGS != 0,
            rss_flows: info.flow_type_rss_offloads & c::IL_ETH_RSS_FLOWS,
            rx_offloads: info.rx_offload_capa,
            tx_offloads: info.tx_offload_capa,
        };
        Ok((caps, info.if_index))
    }

    /// Sets the port up and starts it. `pool` gives the buffers of all its receive queues; if a
    /// frame of the MTU does not fit in one of `room` bytes, the device must be able to scatter.
    pub fn start(
        &mut self,
        settings: &PortSettings,
        pool: &Mempool,
        room: u16,
    ) -> Result<(Vec<RxQueue>, Vec<TxQueue>), EalError> {
        self.configure(settings, room)?;
        self.pools = vec![pool.clone()];
        self.set_up_queues(settings, pool)?;
        if let Some(mac) = settings.mac {
            self.set_mac(mac)?;
        }
        self.set_mtu_of_device(settings.mtu)?;
        let id = self.device.id;
        // SAFETY: configured, with all queues set up.
        self.check("start", move || unsafe { c::rte_eth_dev_start(id) })?;
        self.started = true;
        self.receive_groups(settings.promiscuous);
        let rx = (0..settings.rx_queues)
            .map(|queue| RxQueue {
                device: Arc::clone(&self.device),
                queue,
                file: self.wake_file(queue),
            })
            .collect();
        let multi_segment = self.caps.takes_chains() && !settings.joins_chains;
        let tx = (0..settings.tx_queues)
            .map(|queue| TxQueue {
                device: Arc::clone(&self.device),
                queue,
                multi_segment,
            })
            .collect();
        Ok((rx, tx))
    }

    /// A copy of the file that tells of packets in a queue. `net_tap` only: its queues are files
    /// that need no arming. Copies must be closed before the device is.
    fn wake_file(&self, queue: u16) -> Option<OwnedFd> {
        if self.caps.driver != "net_tap" {
            return None;
        }
        // SAFETY: the port is started, with receive interrupts configured and this queue.
        let number = unsafe { c::rte_eth_dev_rx_intr_ctl_q_get_fd(self.device.id, queue) };
        if number < 0 {
            return None;
        }
        // SAFETY: the driver's file, open as long as the port is.
        unsafe { BorrowedFd::borrow_raw(number) }
            .try_clone_to_owned()
            .ok()
    }

    /// Whether the device hands mbufs on as they are, in chains or not.
    pub(super) fn passes_mbufs(&self) -> bool {
        self.caps.passes_mbufs()
    }

    fn configure(&mut self, settings: &PortSettings, room: u16) -> Result<(), EalError> {
        // SAFETY: all zero is DPDK's own default for the whole struct.
        let mut conf: c::rte_eth_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        conf.rxmode.mtu = u32::from(self.mtu_of_device(settings.mtu)?);
        if frame_len(settings.mtu) > u32::from(room) {
            conf.rxmode.offloads |= c::IL_RX_OFFLOAD_SCATTER & self.caps.rx_offloads;
        }
        if self.caps.bus != "vdev" {
            // Virtual devices would compute these in software, and so would we, better.
            let wanted = c::IL_RX_OFFLOAD_IPV4_CKSUM | c::IL_RX_OFFLOAD_RSS_HASH;
            conf.rxmode.offloads |= wanted & self.caps.rx_offloads;
        }
        conf.txmode.offloads = c::IL_TX_OFFLOAD_MULTI_SEGS & self.caps.tx_offloads;
        conf.intr_conf
            .set_rxq(u32::from(self.caps.driver == "net_tap"));
        let spread = settings.rx_queues > 1 && self.caps.rss_flows != 0;
        if spread {
            conf.rxmode.mq_mode = c::IL_ETH_MQ_RX_RSS as _;
            conf.rx_adv_conf.rss_conf.rss_hf = self.caps.rss_flows;
        } else {
            conf.rxmode.mq_mode = c::IL_ETH_MQ_RX_NONE as _;
            conf.rxmode.offloads &= !c::IL_RX_OFFLOAD_RSS_HASH;
        }
        let (id, rx, tx) = (self.device.id, settings.rx_queues, settings.tx_queues);
        let what = format!(
            "have {rx} receive and {tx} transmit queues, MTU {}",
            settings.mtu
        );
        let conf = Conf(conf);
        self.check(&what, move || {
            let conf = conf;
            // SAFETY: the port is stopped; `conf` lives through the call.
            unsafe { c::rte_eth_dev_configure(id, rx, tx, &raw const conf.0) }
        })
    }

    /// The MTU to ask the device for, or why there is none.
    fn mtu_of_device(&self, mtu: u16) -> Result<u16, EalError> {
        let most = self.caps.max_mtu;
        if mtu <= most {
            return Ok(mtu);
        }
        if self.caps.is_modest() {
            return Ok(most);
        }
        Err(EalError::Port {
            port: self.label.clone(),
            device: self.device.name.clone(),
            what: format!("have MTU {mtu}"),
            reason: format!("{} does at most {most}", self.caps.driver),
            log: Vec::new(),
        })
    }

    fn set_up_queues(&self, settings: &PortSettings, pool: &Mempool) -> Result<(), EalError> {
        let id = self.device.id;
        let socket = u32::try_from(self.caps.socket).unwrap_or(u32::MAX);
        let (mut rx_slots, mut tx_slots) = (settings.rx_descriptors, settings.tx_descriptors);
        // SAFETY: both numbers are written; the call only reads the device's limits.
        let rc = unsafe {
            c::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx_slots, &raw mut tx_slots)
        };
        if rc != 0 {
            return Err(refused(
                &self.label,
                &self.device,
                "choose queue sizes",
                rc,
                Vec::new(),
            ));
        }
        for queue in 0..settings.rx_queues {
            let pool = pool.clone();
            self.check(&format!("set up receive queue {queue}"), move || {
                // SAFETY: the port is configured with so many queues; a null configuration is the
                // driver's default; the pool is kept in `self.pools` while the port is open.
                unsafe {
                    c::rte_eth_rx_queue_setup(
                        id,
                        queue,
                        rx_slots,
                        socket,
                        std::ptr::null(),
                        pool.as_ptr(),
                    )
                }
            })?;
        }
        for queue in 0..settings.tx_queues {
            self.check(&format!("set up transmit queue {queue}"), move || {
                // SAFETY: as above.
                unsafe { c::rte_eth_tx_queue_setup(id, queue, tx_slots, socket, std::ptr::null()) }
            })?;
        }
        Ok(())
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), EalError> {
        let id = self.device.id;
        let address = c::rte_ether_addr { addr_bytes: mac };
        let set = self.check("set the MAC address", move || {
            let mut address = address;
            // SAFETY: `address` is read during the call.
            unsafe { c::rte_eth_dev_default_mac_addr_set(id, &raw mut address) }
        });
        // A device without a filter has no address of its own to set: ours is enough.
        if !self.passes_mbufs() {
            set?;
        }
        self.caps.mac = mac;
        Ok(())
    }

    fn set_mtu_of_device(&self, mtu: u16) -> Result<(), EalError> {
        if self.mtu_of_device(mtu)? != mtu {
            // Its interface in the kernel has been given one already.
            return Ok(());
        }
        let id = self.device.id;
        // SAFETY: plain numbers.
        let set = move || unsafe { c::rte_eth_dev_set_mtu(id, mtu) };
        match self.check(&format!("set MTU {mtu}"), set) {
            // The device has no MTU of its own to set.
            Err(EalError::Port { reason, .. }) if reason.starts_with(&not_supported()) => Ok(()),
            other => other,
        }
    }

    /// Changes the MTU of a started port.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<(), EalError> {
        self.set_mtu_of_device(mtu)
    }

    /// Stops the device; what is in its queues goes back to the pools, as far as the driver does
    /// that at stop (the others do when the device is closed).
    fn stop_device(&mut self) {
        if !std::mem::take(&mut self.started) {
            return;
        }
        let id = self.device.id;
        // SAFETY: no queue object is left, so nobody polls.
        let (rc, log) = self
            .device
            .eal
            .call_logged(move || unsafe { c::rte_eth_dev_stop(id) });
        if rc != 0 {
            // A tap whose kernel end was moved away cannot be set down from here, for one.
            tracing::debug!("port {}: stop: {} {log:?}", self.label, strerror(rc));
        }
    }

    /// Runs a call on `eal-main`; an error number becomes an error that says what was tried.
    pub(super) fn check(
        &self,
        what: &str,
        call: impl FnOnce() -> i32 + Send + 'static,
    ) -> Result<(), EalError> {
        let (rc, log) = self.device.eal.call_logged(call);
        if rc >= 0 {
            Ok(())
        } else {
            Err(refused(&self.label, &self.device, what, rc, log))
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Closing removes the tap's queue only when the last file of it is closed.
        self.tap = None;
        if Arc::strong_count(&self.device) == 1 {
            self.stop_device();
        } else {
            tracing::error!("port {}: dropped while polled; left running", self.label);
        }
    }
}

/// Carries a configuration to `eal-main`.
struct Conf(c::rte_eth_conf);

// SAFETY: its pointers (RSS key) are null.
unsafe impl Send for Conf {}

/// The largest MTU that a device says it can do, by both ways it has to say so.
fn largest_mtu(info: &c::rte_eth_dev_info) -> u16 {
    let header = match info.max_rx_pktlen.checked_sub(u32::from(info.max_mtu)) {
        Some(header) if info.max_mtu != u16::MAX => header,
        _ => 18,
    };
    let by_frame = info.max_rx_pktlen.saturating_sub(header);
    // No truncation: it is at most `max_mtu`.
    by_frame.min(u32::from(info.max_mtu)) as u16
}

fn not_supported() -> String {
    strerror(Errno::EOPNOTSUPP as i32)
}

fn refused(label: &str, device: &Device, what: &str, rc: i32, log: Vec<String>) -> EalError {
    EalError::Port {
        port: label.to_owned(),
        device: device.name.clone(),
        what: what.to_owned(),
        reason: strerror(rc),
        log,
    }
}
