//! Frames at speed: by the burst, carried between ports, and never more under way than are looked after.

use ironlane_dataplane::dataplane::Dataplane;
use ironlane_dataplane::eal::{BURST_MAX, MbufBatch};
use ironlane_dataplane::ipsec::IpsecWriter;

use crate::running::Running;

/// The test's ends of ports, while the data plane runs.
pub struct Stream<'a> {
    pub(crate) running: &'a mut Running,
    pub(crate) batch: MbufBatch,
}

impl Stream<'_> {
    /// Has a port receive copies of `frame`, each as `stamp` leaves it: as many as there is room for, at most a
    /// burst. Tells how many.
    pub fn offer(
        &mut self,
        port: &str,
        count: usize,
        frame: &[u8],
        mut stamp: impl FnMut(&mut [u8]),
    ) -> usize {
        let place = self.running.place(port);
        let ring = &mut self.running.rings[place].to_port[0];
        let count = count.min(BURST_MAX).min(ring.capacity() - ring.len());
        if count == 0 || !self.running.pool.alloc(&mut self.batch, count) {
            return 0;
        }
        for mbuf in self.batch.as_mut_slice() {
            let room = mbuf.append(frame.len()).expect("there is room");
            room.copy_from_slice(frame);
            stamp(room);
        }
        assert_eq!(ring.enqueue(&mut self.batch), count, "nobody else fills it");
        count
    }

    /// Has port `to` receive what port `from` has sent: a burst, or nothing where `to` has no room for one. Tells how
    /// many.
    pub fn carry(&mut self, from: &str, to: &str) -> usize {
        let (from, to) = (self.running.place(from), self.running.place(to));
        let ring = &self.running.rings[to].to_port[0];
        if ring.capacity() - ring.len() < BURST_MAX {
            return 0;
        }
        let count = self.running.rings[from].from_port[0].dequeue(&mut self.batch);
        let sent = self.running.rings[to].to_port[0].enqueue(&mut self.batch);
        assert_eq!(sent, count, "nobody else fills it");
        count
    }

    /// Looks at what a port has sent, a burst at most. Tells how many.
    pub fn take(&mut self, port: &str, mut look: impl FnMut(&[u8])) -> usize {
        let place = self.running.place(port);
        let count = self.running.rings[place].from_port[0].dequeue(&mut self.batch);
        for mbuf in self.batch.as_slice() {
            look(mbuf.data());
        }
        self.batch.free();
        count
    }

    /// The writer of SAs and policies.
    pub fn ipsec(&mut self) -> &mut IpsecWriter {
        let ipsec = self.running.ipsec.as_mut();
        ipsec.expect("asked for in the settings")
    }

    /// The data plane.
    pub fn dataplane(&self) -> &Dataplane {
        self.running.dataplane.as_ref().expect("it runs")
    }
}
