//! What is done with a packet, in one cache line.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::PortId;

/// An Ethernet address, as on the wire.
pub type Mac = [u8; 6];

/// What is done with a packet that resolves to an adjacency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AdjacencyKind {
    /// No prefix covers the address: ICMP network unreachable (RFC 1812 5.2.7.1).
    NoRoute,
    /// Sent by a port, behind a rewritten Ethernet header.
    Forward,
    /// The neighbour has no MAC yet: to the tap, where the kernel resolves it.
    Glean,
    /// An address of this router: to the tap.
    Local,
    /// Leaves by an interface that is not a port: to the tap, where the kernel forwards it.
    Kernel,
    /// Lost without an answer, by decision of this router.
    Drop,
    /// The kernel's `blackhole` route: lost without an answer.
    Blackhole,
    /// The kernel's `unreachable` route: ICMP host unreachable.
    Unreachable,
    /// The kernel's `prohibit` route: ICMP administratively prohibited.
    Prohibit,
    /// The kernel's `broadcast` route: to the tap of the port that has the subnet, and never
    /// forwarded from another (RFC 2644).
    Broadcast,
}

impl AdjacencyKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::NoRoute,
        Self::Forward,
        Self::Glean,
        Self::Local,
        Self::Kernel,
        Self::Drop,
        Self::Blackhole,
        Self::Unreachable,
        Self::Prohibit,
        Self::Broadcast,
    ];

    /// The name in the CLI, in JSON and in metrics.
    ///
    /// ```
    /// assert_eq!(ironlane_fib::AdjacencyKind::NoRoute.name(), "no_route");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Forward => "forward",
            Self::Glean => "glean",
            Self::Local => "local",
            Self::Kernel => "kernel",
            Self::Drop => "drop",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Broadcast => "broadcast",
        }
    }
}

impl fmt::Display for AdjacencyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The end of a lookup: a kind, and for [`Forward`](AdjacencyKind::Forward) all that is needed to
/// send the packet. One cache line.
///
/// What a packet sees of it never changes: a new adjacency is published in the nexthop's slot
/// and the old one retired. Only two fields are written by lcores: the mark that traffic uses
/// it, and the state of the glean policer.
///
/// ```
/// use ironlane_fib::{Adjacency, AdjacencyKind, PortId};
///
/// let adjacency = Adjacency::forward(PortId(1), 1500, [2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
/// assert_eq!(adjacency.kind(), AdjacencyKind::Forward);
/// assert_eq!(adjacency.rewrite()[..6], [2, 0, 0, 0, 0, 9]);
/// assert_eq!(size_of_val(&adjacency), 64);
/// ```
#[repr(C, align(64))]
pub struct Adjacency {
    kind: AdjacencyKind,
    used: AtomicBool,
    port: PortId,
    mtu: u16,
    /// The MTU where packets are forwarded, or 0.
    limit: u16,
    rewrite: [u8; 14],
    glean_tat_ns: AtomicU64,
}

const _: () = assert!(size_of::<Adjacency>() == 64 && align_of::<Adjacency>() == 64);

impl Adjacency {
    /// Sends by `port`, to `dst_mac` from `src_mac`. `mtu` is that of the IP packet.
    pub const fn forward(port: PortId, mtu: u16, dst_mac: Mac, src_mac: Mac) -> Self {
        let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (dst_mac, src_mac);
        let rewrite = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, 0, 0];
        Self {
            port,
            mtu,
            limit: mtu,
            rewrite,
            ..Self::simple(AdjacencyKind::Forward)
        }
    }

    /// Waits for the MAC of a neighbour behind `port`.
    pub const fn glean(port: PortId, mtu: u16) -> Self {
        Self {
            port,
            mtu,
            ..Self::simple(AdjacencyKind::Glean)
        }
    }

    /// The broadcast address of a subnet on `port`.
    pub const fn broadcast(port: PortId) -> Self {
        Self {
            port,
            ..Self::simple(AdjacencyKind::Broadcast)
        }
    }

    /// An adjacency that needs neither port nor rewrite.
    pub const fn simple(kind: AdjacencyKind) -> Self {
        Self {
            kind,
            used: AtomicBool::new(false),
            port: PortId::NONE,
            mtu: u16::MAX,
            limit: 0,
            rewrite: [0; 14],
            glean_tat_ns: AtomicU64::new(0),
        }
    }

    /// What is done with the packet.
    #[inline]
    pub const fn kind(&self) -> AdjacencyKind {
        self.kind
    }

    /// The port to leave by; [`PortId::NONE`] for kinds that do not leave by one.
    #[inline]
    pub const fn port(&self) -> PortId {
        self.port
    }

    /// The largest IP packet that may leave, in bytes; `u16::MAX` where nothing leaves.
    #[inline]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The largest IP packet that is forwarded, in bytes: [`mtu`](Self::mtu) of a
    /// [`Forward`](AdjacencyKind::Forward), and 0 of any other kind. One compare instead of two.
    #[inline]
    pub const fn forwards_up_to(&self) -> u16 {
        self.limit
    }

    /// The Ethernet header to write: destination, source, and an EtherType of zero, which the
    /// stage replaces by that of the packet.
    #[inline]
    pub const fn rewrite(&self) -> &[u8; 14] {
        &self.rewrite
    }

    /// Destination address of the rewrite.
    pub fn dst_mac(&self) -> Mac {
        self.rewrite[..6].try_into().expect("six bytes")
    }

    /// Source address of the rewrite.
    pub fn src_mac(&self) -> Mac {
        self.rewrite[6..12].try_into().expect("six bytes")
    }

    /// Notes that traffic uses this adjacency, so that its neighbour is kept fresh. Lcores; a
    /// store only where the mark is not set, so that the line stays shared between caches.
    #[inline]
    pub fn mark_used(&self) {
        // Relaxed, as in `take_used`: a hint that guards no data.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether traffic used it since the last call; clears the mark. Control.
    pub fn take_used(&self) -> bool {
        // Relaxed: see `mark_used`. A mark that is set meanwhile is seen by the next call.
        self.used.load(Ordering::Relaxed) && self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether traffic used it since the mark was last cleared.
    pub fn is_used(&self) -> bool {
        // Relaxed: see `mark_used`.
        self.used.load(Ordering::Relaxed)
    }

    /// Whether one more packet may go to the kernel, at most `burst` at once and then one each
    /// `interval_ns`: a policer by GCRA (ITU-T I.371), shared by all lcores.
    ///
    /// ```
    /// # use ironlane_fib::{Adjacency, PortId};
    /// let glean = Adjacency::glean(PortId(0), 1500);
    /// let at = |now_ns| glean.glean_admits(now_ns, 1_000, 2);
    /// assert_eq!([at(5), at(6), at(7)], [true, true, false]);
    /// assert_eq!([at(1_006), at(1_007)], [true, false]);
    /// ```
    pub fn glean_admits(&self, now_ns: u64, interval_ns: u64, burst: u32) -> bool {
        let tolerance_ns = interval_ns.saturating_mul(u64::from(burst));
        // Relaxed: the arrival time is all there is; it orders nothing else.
        let admitted =
            self.glean_tat_ns
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat_ns| {
                    let next_ns = tat_ns.max(now_ns).saturating_add(interval_ns);
                    (next_ns - now_ns <= tolerance_ns).then_some(next_ns)
                });
        admitted.is_ok()
    }

    /// The same adjacency with other rewrite bytes.
    pub(crate) fn with_rewrite(&self, rewrite: [u8; 14]) -> Self {
        Self {
            rewrite,
            ..self.clone()
        }
    }
}

impl Clone for Adjacency {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            used: AtomicBool::new(self.is_used()),
            port: self.port,
            mtu: self.mtu,
            limit: self.limit,
            rewrite: self.rewrite,
            // Relaxed: see `glean_admits`.
            glean_tat_ns: AtomicU64::new(self.glean_tat_ns.load(Ordering::Relaxed)),
        }
    }
}

/// Equal in what a packet sees: not in marks and policer state.
impl PartialEq for Adjacency {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.port, self.mtu, self.rewrite)
            == (other.kind, other.port, other.mtu, other.rewrite)
    }
}

impl Eq for Adjacency {}

impl fmt::Debug for Adjacency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Adjacency");
        debug.field("kind", &self.kind);
        if matches!(self.kind, AdjacencyKind::Forward | AdjacencyKind::Glean) {
            debug.field("port", &self.port.0).field("mtu", &self.mtu);
        }
        if self.kind == AdjacencyKind::Forward {
            debug.field("rewrite", &format_args!("{:02x?}", self.rewrite));
        }
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_snake_case_and_follow_the_numbers() {
        for (number, kind) in AdjacencyKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let snake = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(kind.name().bytes().all(snake), "{kind}");
            let same = AdjacencyKind::ALL
                .iter()
                .filter(|other| other.name() == kind.name());
            assert_eq!(same.count(), 1, "{kind}");
        }
    }

    #[test]
    fn the_rewrite_is_destination_then_source() {
        let (dst_mac, src_mac) = ([0x02, 1, 2, 3, 4, 5], [0x02, 6, 7, 8, 9, 10]);
        let adjacency = Adjacency::forward(PortId(4), 9000, dst_mac, src_mac);
        assert_eq!(
            *adjacency.rewrite(),
            [2, 1, 2, 3, 4, 5, 2, 6, 7, 8, 9, 10, 0, 0]
        );
        assert_eq!(
            (adjacency.dst_mac(), adjacency.src_mac()),
            (dst_mac, src_mac)
        );
        assert_eq!((adjacency.port(), adjacency.mtu()), (PortId(4), 9000));
    }

    #[test]
    fn a_mark_is_taken_once() {
        let adjacency = Adjacency::simple(AdjacencyKind::Forward);
        assert!(!adjacency.take_used());
        adjacency.mark_used();
        adjacency.mark_used();
        assert!(adjacency.is_used() && adjacency.take_used() && !adjacency.take_used());
    }

    #[test]
    fn equality_ignores_marks_and_policer() {
        let (one, other) = (
            Adjacency::glean(PortId(1), 1500),
            Adjacency::glean(PortId(1), 1500),
        );
        one.mark_used();
        assert!(one.glean_admits(10, 1_000, 1) && !one.glean_admits(10, 1_000, 1));
        assert_eq!(one, other);
        assert!(one.clone().is_used() && !one.clone().glean_admits(10, 1_000, 1));
        assert_ne!(one, Adjacency::glean(PortId(2), 1500));
    }

    #[test]
    fn the_policer_survives_a_clock_that_stands_still_or_ends() {
        let glean = Adjacency::glean(PortId(0), 1500);
        assert!(
            !glean.glean_admits(0, 1_000, 0),
            "a burst of none admits none"
        );
        assert!(glean.glean_admits(u64::MAX, 1_000, 1));
        assert!(glean.glean_admits(0, 0, 1) || !glean.glean_admits(0, 0, 1));
    }
}
