//! What control threads tell lcores while they run: flags that are looked at once a turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ironlane_fib::PortId;
use ironlane_rcu::Domain;

use super::ipsec::{OwnAddresses, PathMtus, Told};
use crate::eal::PORTS_MAX;
use crate::stage::{Interfaces, JoinedGroups};

/// Flags of the whole data plane.
#[derive(Debug)]
pub(crate) struct Shared {
    stop: AtomicBool,
    /// Lcores that take nothing in any more; see [`Shared::quiet`].
    quiet: AtomicUsize,
    lcores: usize,
    admin_up: [AtomicBool; PORTS_MAX],
    /// The lcore that is to panic; see [`Shared::break_lcore`].
    broken: AtomicUsize,
    /// Groups that the kernel has joined.
    pub(crate) joined: JoinedGroups,
    /// Ports without a device.
    pub(crate) interfaces: Interfaces,
    /// By which senders are told what fits a tunnel.
    pub(crate) own: Told<OwnAddresses>,
    /// What paths to IPsec peers take.
    pub(crate) path_mtus: Told<PathMtus>,
}

impl Shared {
    pub(crate) fn new(lcores: usize, interfaces: Interfaces, domain: &Arc<Domain>) -> Self {
        Self {
            stop: AtomicBool::new(false),
            quiet: AtomicUsize::new(0),
            lcores,
            admin_up: std::array::from_fn(|_| AtomicBool::new(true)),
            broken: AtomicUsize::new(usize::MAX),
            joined: JoinedGroups::default(),
            interfaces,
            own: Told::new(domain),
            path_mtus: Told::new(domain),
        }
    }

    /// Control: lcores are to end.
    pub(crate) fn stop(&self) {
        // Pairs with the load in `is_stopping`; nothing else is told by it.
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Lcore: whether to end.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        // Pairs with the store in `stop`.
        self.stop.load(Ordering::Relaxed)
    }

    /// Lcore: it has flushed everything and puts nothing on a hand-off ring any more. What lies
    /// on the rings to it may still come.
    pub(crate) fn quiet(&self) {
        // Pairs with the acquire load in `all_quiet`: who sees the last one sees all rings filled.
        self.quiet.fetch_add(1, Ordering::AcqRel);
    }

    /// Lcore: whether nothing more will come from any other.
    pub(crate) fn all_quiet(&self) -> bool {
        // Pairs with the additions in `quiet`.
        self.quiet.load(Ordering::Acquire) >= self.lcores
    }

    /// Tests: has an lcore panic when it is idle next.
    pub(crate) fn break_lcore(&self, index: usize) {
        // Pairs with the load in `is_broken`.
        self.broken.store(index, Ordering::Relaxed);
    }

    /// Lcore: whether it is to panic. Asked before it sleeps, so it costs no packet anything.
    pub(crate) fn is_broken(&self, index: usize) -> bool {
        // Pairs with the store in `break_lcore`.
        self.broken.load(Ordering::Relaxed) == index
    }

    /// Control: sets a port up or down.
    pub(crate) fn set_admin_up(&self, port: PortId, up: bool) {
        if let Some(flag) = self.admin_up.get(usize::from(port.0)) {
            // Pairs with the load in `is_admin_up`.
            flag.store(up, Ordering::Relaxed);
        }
    }

    /// Whether a port is up.
    #[inline]
    pub(crate) fn is_admin_up(&self, port: PortId) -> bool {
        // Pairs with the store in `set_admin_up`.
        self.admin_up
            .get(usize::from(port.0))
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}
