use std::sync::mpsc;

use ironlane_fib::{PortId, VrfId};
use ironlane_rib::{IfIndex, Link};

use super::*;
use crate::netlink::PortChange;

#[test]
fn a_tap_that_went_unseen_is_told_to_its_port_by_the_next_list() {
    let (sender, told) = mpsc::channel();
    let mut ports = PortWatch::new(Box::new(move |event| sender.send(event).unwrap()));
    let mut rib = Rib::new(VrfId::DEFAULT);
    let mut totals = Totals::default();
    // The kernel never had it, as if its end had been among events that were lost.
    let tap = IfIndex(i32::MAX as u32);
    let link = Change::SetLink(Link::new(tap));
    ports.see(&link);
    ports.bind(tap, PortId(3));
    rib.apply(link);
    let mut sync = Sync::new(Dumper::default(), Duration::ZERO, None);
    while !sync.is_first_done() {
        let now = Instant::now();
        sync.step(&mut rib, &mut ports, &mut totals, true, now)
            .unwrap();
    }
    let changes: Vec<_> = told.try_iter().map(|e| (e.port.0, e.change)).collect();
    let expected = [(3, PortChange::Admin(false)), (3, PortChange::Gone)];
    assert_eq!(changes, expected);
}

/// All lists that are due at `now`.
fn read_all(sync: &mut Sync, rib: &mut Rib, totals: &mut Totals, now: Instant) {
    let mut ports = PortWatch::new(Box::new(|_| {}));
    while sync.step(rib, &mut ports, totals, true, now).unwrap() {}
}

#[test]
fn a_route_that_the_kernel_said_goes_is_not_taken_from_a_list_that_still_has_it() {
    let mut routes = Vec::new();
    let kind = ObjectKind::Routes(Family::Ip4);
    let keep = |change| match change {
        Some(Change::SetRoute(route, _)) => routes.push(route),
        Some(_) => {}
        None => routes.clear(),
    };
    Dumper::default().all(kind, keep).unwrap();
    let Some(going) = routes.first().cloned() else {
        println!("SKIP mirror/going: this network namespace has no IPv4 route");
        return;
    };

    let (mut rib, mut totals) = (Rib::new(VrfId::DEFAULT), Totals::default());
    let mut sync = Sync::new(Dumper::default(), Duration::from_millis(1), None);
    let start = Instant::now();
    sync.see(&Change::DelRoute(going.clone()), start);
    read_all(&mut sync, &mut rib, &mut totals, start);
    assert!(sync.is_first_done());
    assert!(!rib.confirm_route(going.clone()), "taken from the list");
    assert_eq!(totals.unconfirmed, 1);
    // The kernel has it still: then somebody put it back, and the events of that were lost.
    assert!(sync.next_due().is_some(), "it is looked at again");
    let later = start + PARTING + Duration::from_secs(1);
    read_all(&mut sync, &mut rib, &mut totals, later);
    assert!(rib.confirm_route(going), "it is there");
    assert_eq!(sync.next_due(), None);
}

#[test]
fn ipv4_routes_are_listed_once_more_after_events_may_have_been_lost() {
    let (mut rib, mut totals) = (Rib::new(VrfId::DEFAULT), Totals::default());
    let delay = Duration::from_millis(1);
    let mut sync = Sync::new(Dumper::default(), delay, None);
    for _ in 0..2 {
        let now = Instant::now();
        read_all(&mut sync, &mut rib, &mut totals, now);
        let before = totals.dumps;
        read_all(&mut sync, &mut rib, &mut totals, now + delay);
        assert_eq!(totals.dumps - before, 1);
        assert_eq!(sync.next_due(), None);
        sync.restart();
    }
}
