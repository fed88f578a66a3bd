//! Ports made of rings, for tests: what goes in one ring is received, what is sent comes out of
//! another. No hugepages, no kernel, no time: a test sees every packet exactly.

use std::ffi::CString;

use dpdk_sys as c;

use super::error::{errno, strerror};
use super::{Eal, EalError, Mempool, RingConsumer, RingProducer, ring};

/// A `net_ring` device with its test side. The device string for a port is
/// [`device`](Self::device); the port must be closed before this is dropped.
#[derive(Debug)]
pub struct RingPort {
    eal: Eal,
    device: String,
    /// One for each receive queue of the port: packets for it to receive.
    pub to_port: Vec<RingProducer>,
    /// One for each transmit queue of the port: packets that it sent.
    pub from_port: Vec<RingConsumer>,
    /// The ends that the device uses.
    _device_ends: (Vec<RingConsumer>, Vec<RingProducer>),
}

impl RingPort {
    /// Makes a device `net_ring_<name>` with so many queues of `size` packets each. `pools` are
    /// those that packets in it may come from.
    pub fn create(
        eal: Eal,
        name: &str,
        rx_queues: u16,
        tx_queues: u16,
        size: u32,
        pools: &[Mempool],
    ) -> Result<Self, EalError> {
        let mut to_port = Vec::new();
        let mut from_port = Vec::new();
        let mut device_ends = (Vec::new(), Vec::new());
        for _ in 0..rx_queues {
            let (producer, consumer) = ring(eal, name, size, -1, pools)?;
            to_port.push(producer);
            device_ends.0.push(consumer);
        }
        for _ in 0..tx_queues {
            let (producer, consumer) = ring(eal, name, size, -1, pools)?;
            from_port.push(consumer);
            device_ends.1.push(producer);
        }
        let rx = Rings(to_port.iter().map(|ring| ring.shared.as_ptr()).collect());
        let tx = Rings(from_port.iter().map(|ring| ring.shared.as_ptr()).collect());
        let c_name = CString::new(name)?;
        let ((rc, errno), log) = eal.call_logged(move || {
            let (rx, tx) = (rx, tx);
            // SAFETY: the arrays are as long as said; the rings live as long as the device, which
            // `drop` removes first.
            let rc = unsafe {
                c::rte_eth_from_rings(
                    c_name.as_ptr(),
                    rx.0.as_ptr().cast_mut(),
                    rx.0.len() as u32,
                    tx.0.as_ptr().cast_mut(),
                    tx.0.len() as u32,
                    0,
                )
            };
            (rc, errno())
        });
        if rc < 0 {
            return Err(EalError::Device {
                port: name.to_owned(),
                device: format!("net_ring_{name}"),
                reason: strerror(errno),
                log,
            });
        }
        let device = format!("net_ring_{name}");
        Ok(Self {
            eal,
            device,
            to_port,
            from_port,
            _device_ends: device_ends,
        })
    }

    /// The device string.
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for RingPort {
    fn drop(&mut self) {
        let Ok(name) = CString::new(self.device.as_str()) else {
            return;
        };
        let (rc, log) = self.eal.call_logged(move || {
            // SAFETY: strings that end with a zero byte. The device goes, and with it DPDK's
            // pointers to the rings, which go after it.
            unsafe { c::rte_eal_hotplug_remove(c"vdev".as_ptr(), name.as_ptr()) }
        });
        if rc != 0 {
            tracing::warn!(
                "device {}: not removed: {} {log:?}",
                self.device,
                strerror(rc)
            );
        }
    }
}

/// Carries pointers to `eal-main`.
struct Rings(Vec<*mut c::rte_ring>);

// SAFETY: the rings are alive until the port is gone, and the vector is only read.
unsafe impl Send for Rings {}
