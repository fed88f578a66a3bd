//! Packets on their way to an SA.

use ironlane_ipsec::SaId;

use crate::eal::{BURST_MAX, Mbuf, MbufBatch};

/// Up to a burst of packets, each with its SA.
#[derive(Debug)]
pub(crate) struct SaBatch {
    pub(super) packets: MbufBatch,
    pub(super) sas: [SaId; BURST_MAX],
}

impl SaBatch {
    pub(super) const fn new() -> Self {
        Self {
            packets: MbufBatch::new(),
            sas: [SaId::from_raw(0); BURST_MAX],
        }
    }

    /// Adds a packet; a full batch gives it back.
    #[inline]
    pub(crate) fn push(&mut self, sa: SaId, mbuf: Mbuf) -> Result<(), Mbuf> {
        let place = self.packets.len();
        self.packets.push(mbuf)?;
        self.sas[place] = sa;
        Ok(())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

/// What the stages gave to IPsec, and what goes back from it into the stages.
///
/// Packets have their IP header behind fourteen bytes, of which nothing counts but the source MAC; fragments
/// behind as many as their [`Mbuf::user`] says.
#[derive(Debug)]
pub(crate) struct IpsecLists {
    /// Fragments for the router.
    pub(crate) gather: MbufBatch,
    /// Protected packets for the router.
    pub(crate) open: SaBatch,
    /// Packets to be protected.
    pub(crate) seal: SaBatch,
}

impl IpsecLists {
    pub(crate) const fn new() -> Self {
        Self {
            gather: MbufBatch::new(),
            open: SaBatch::new(),
            seal: SaBatch::new(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.seal.is_empty() && self.gather.is_empty()
    }
}
