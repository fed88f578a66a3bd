//! The queues of a port: one owner each, bursts in and out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use dpdk_sys as c;

use super::MbufBatch;
use super::device::Device;

/// A receive queue of a started port. Its owner alone polls it.
#[derive(Debug)]
pub struct RxQueue {
    pub(super) device: Arc<Device>,
    pub(super) queue: u16,
    /// A file that is readable while packets wait, where the device has one.
    pub(super) file: Option<OwnedFd>,
}

impl RxQueue {
    /// DPDK's number of the port.
    #[inline]
    pub fn port(&self) -> u16 {
        self.device.id
    }

    /// Number of the queue at its port.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// A file that is readable while packets wait: to sleep on. Few devices have one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Adds received packets to `batch`, as many as there are and fit. Returns how many.
    ///
    /// Some virtual devices leave the mbuf's port as it was: the caller knows better.
    #[inline]
    pub fn receive(&mut self, batch: &mut MbufBatch) -> usize {
        // SAFETY: the port was started with this queue before the object was made, and is stopped
        // only after it is gone (`Port::drop` counts the owners of the device). `&mut self` makes this the
        // only poller. DPDK hands over the packets that it writes.
        unsafe {
            batch.fill(|to, room| {
                usize::from(c::il_eth_rx_burst(
                    self.device.id,
                    self.queue,
                    to,
                    room as u16,
                ))
            })
        }
    }
}

/// A transmit queue of a started port. Its owner alone sends by it.
#[derive(Debug)]
pub struct TxQueue {
    pub(super) device: Arc<Device>,
    pub(super) queue: u16,
    pub(super) multi_segment: bool,
}

impl TxQueue {
    /// DPDK's number of the port.
    #[inline]
    pub fn port(&self) -> u16 {
        self.device.id
    }

    /// Number of the queue at its port.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Whether packets of several segments may be sent. If not, each must be in one.
    #[inline]
    pub fn multi_segment(&self) -> bool {
        self.multi_segment
    }

    /// Sends packets from the front of `batch`, as many as the queue takes; the others stay.
    /// Returns how many went. Calling it with an empty batch lets some devices clean up.
    #[inline]
    pub fn send(&mut self, batch: &mut MbufBatch) -> usize {
        // SAFETY: as in `receive`; DPDK takes over the packets that it says.
        unsafe {
            batch.give(|from, len| {
                usize::from(c::il_eth_tx_burst(
                    self.device.id,
                    self.queue,
                    from,
                    len as u16,
                ))
            })
        }
    }
}
