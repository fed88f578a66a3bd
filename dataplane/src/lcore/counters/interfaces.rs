//! What passes IPsec interfaces. It is beside the identity of [`snapshot`](crate::lcore::snapshot): a
//! packet is counted there at the ports by which its protected form arrives and leaves.

use ironlane_fib::PortId;

use super::LcoreCounters;

impl LcoreCounters {
    /// One packet that an SA of the IPsec interface `port` has opened.
    #[inline]
    pub fn opened(&mut self, port: PortId, bytes: u64) {
        let port = self.port(port);
        port.opened_packets.add(1);
        port.opened_bytes.add(bytes);
    }

    /// One packet that an SA of the IPsec interface `port` has sealed.
    #[inline]
    pub fn sealed(&mut self, port: PortId, bytes: u64) {
        let port = self.port(port);
        port.sealed_packets.add(1);
        port.sealed_bytes.add(bytes);
    }
}
