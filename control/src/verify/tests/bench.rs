//! A kernel and its mirror, for damage to be done to.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ironlane_fib::{NexthopIndex, PortId, Tables, VrfId, Writer};
use ironlane_rcu::Domain;
use ironlane_rib::{
    Change, IfIndex, Link, Neighbour, NeighbourState, ObjectKind, Path, PortBinding, Rib, Route,
    RouteFlags, Rule,
};

use super::*;

/// A kernel that is a list of what a dump of it says, and a mirror of it.
pub(super) struct Bench {
    pub(super) kernel: RefCell<Vec<Change>>,
    pub(super) live: RefCell<(Rib, Writer)>,
    /// Applied after each dump of the kernel, as if it had gone on meanwhile.
    pub(super) later: RefCell<Vec<Vec<Change>>>,
    pub(super) dumps: Cell<u32>,
}

pub(super) const P0: IfIndex = IfIndex(10);
pub(super) const P1: IfIndex = IfIndex(11);

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn route(prefix: &str, paths: &[(&str, IfIndex)]) -> Change {
    let path = |&(gateway, ifindex): &(&str, IfIndex)| Path {
        gateway: gateway.parse().ok(),
        ..Path::dev(ifindex)
    };
    let route = Route::new(prefix.parse().unwrap(), paths.iter().map(path).collect());
    Change::SetRoute(route, RouteFlags::DUMP)
}

pub(super) fn neighbour(address: &str, ifindex: IfIndex, last: u8) -> Change {
    let mac = Some([2, 0, 0, 0, 0, last]);
    let state = NeighbourState::Reachable;
    Change::SetNeighbour(Neighbour {
        ifindex,
        address: ip(address),
        mac,
        state,
    })
}

fn binding(port: u16) -> PortBinding {
    PortBinding {
        port: PortId(port),
        mac: Some([2, 0xff, 0, 0, 0, port as u8]),
        mtu: 1500,
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let link = |index: IfIndex, name: &str| {
            let up = Link {
                up: true,
                carrier: true,
                ..Link::new(index)
            };
            Change::SetLink(Link {
                name: name.into(),
                ..up
            })
        };
        let kernel = vec![
            link(P0, "p0"),
            link(P1, "p1"),
            neighbour("192.0.2.9", P0, 9),
            neighbour("198.51.100.9", P1, 19),
            route("192.0.2.0/24", &[("", P0)]),
            route("198.51.100.0/24", &[("", P1)]),
            route("10.0.0.0/8", &[("192.0.2.9", P0)]),
            route("10.1.0.0/16", &[("198.51.100.9", P1)]),
            route("11.0.0.0/8", &[("192.0.2.9", P0), ("198.51.100.9", P1)]),
            route("2001:db8::/32", &[("", P1)]),
        ];
        let domain = Domain::new();
        let tables = Arc::new(Tables::new(&domain));
        let live = (Rib::new(VrfId::DEFAULT), Writer::new(tables, domain));
        let rules = [Family::Ip4, Family::Ip6]
            .into_iter()
            .flat_map(Rule::defaults);
        let kernel = rules.map(Change::SetRule).chain(kernel).collect();
        let this = Self {
            kernel: RefCell::new(kernel),
            live: RefCell::new(live),
            later: RefCell::default(),
            dumps: Cell::new(0),
        };
        this.resync().unwrap();
        this
    }

    fn fill(&self, rib: &mut Rib) {
        rib.bind_port(P0, binding(0));
        rib.bind_port(P1, binding(1));
        for kind in ObjectKind::ALL {
            rib.sync_begin(kind);
        }
        for change in self.kernel.borrow().iter() {
            rib.apply(change.clone());
        }
        for kind in ObjectKind::ALL {
            rib.sync_end(kind);
        }
    }

    /// The slot that answers for an address, and the writer to damage it with.
    pub(super) fn damage<R>(
        &self,
        address: &str,
        with: impl FnOnce(&mut Writer, NexthopIndex) -> R,
    ) -> R {
        let mut live = self.live.borrow_mut();
        let (rib, writer) = &mut *live;
        let (index, _) = rib.answer(ip(address));
        with(writer, index)
    }

    pub(super) fn verify(&self, repair: bool) -> VerifyReport {
        let options = VerifyOptions {
            repair,
            settle: Duration::ZERO,
            ..VerifyOptions::default()
        };
        verify(self, &options, None).unwrap()
    }

    /// Expects one difference, then that repair mends it.
    pub(super) fn expect_one(&self, object: Object, cause: Cause, subject: &str) -> Difference {
        let report = self.verify(false);
        assert_eq!(report.differences.len(), 1, "{report:#?}");
        let difference = report.differences[0].clone();
        assert_eq!(
            (difference.object, difference.cause),
            (object, cause),
            "{difference:#?}"
        );
        assert!(difference.subject.starts_with(subject), "{difference:#?}");
        assert!(!report.is_clean() && !difference.repaired);
        let mended = self.verify(true);
        assert!(
            mended.is_clean() && mended.summary.repaired == 1,
            "{mended:#?}"
        );
        let after = self.verify(false);
        assert_eq!(
            (after.differences.len(), after.summary.differences),
            (0, 0),
            "{after:#?}"
        );
        difference
    }
}

impl Source for Bench {
    fn kernel(&self) -> Result<Rib, VerifyError> {
        self.dumps.set(self.dumps.get() + 1);
        let mut rib = Rib::new(VrfId::DEFAULT);
        self.fill(&mut rib);
        let mut later = self.later.borrow_mut();
        if !later.is_empty() {
            let (live, writer) = &mut *self.live.borrow_mut();
            for change in later.remove(0) {
                self.kernel.borrow_mut().push(change.clone());
                live.apply(change);
            }
            live.commit(writer);
        }
        Ok(rib)
    }

    fn live<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Rib, &mut Writer) -> R + Send + 'static,
    ) -> Result<R, VerifyError> {
        let (rib, writer) = &mut *self.live.borrow_mut();
        Ok(f(rib, writer))
    }

    fn resync(&self) -> Result<(), VerifyError> {
        let (rib, writer) = &mut *self.live.borrow_mut();
        self.fill(rib);
        rib.commit(writer);
        Ok(())
    }
}
