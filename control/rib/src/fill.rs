//! Filling empty tables while the first list comes: where no reader sees it, so that the commit behind
//! the list has little left to do.

use ironlane_fib::Writer;

use crate::rib::Rib;

impl Rib {
    /// Writes to empty tables what a list of IPv4 routes has brought so far, where no reader finds it
    /// before the next [`commit`](Self::commit), which also mends what has changed since and counts all of it in
    /// its report. To be called again and again while a list is read; nothing happens behind the first
    /// commit, or if the tables have routes.
    ///
    /// A list of IPv6 routes names what covers behind what it covers, so these are left to the commit.
    pub fn fill(&mut self, writer: &mut Writer) {
        if !self.ip4.is_filling() && !writer.is_empty(self.vrf, false) {
            return;
        }
        let taken = self.ip4.take_listed();
        let mut report = std::mem::take(&mut self.filled);
        let left = self.load_prefixes(&taken, Writer::fill, writer, &mut report);
        self.filled = report;
        for queued in left {
            self.ip4.enqueue(queued.prefix);
        }
    }
}
