//! Routes that go with what they used leave the tables a few at a time.

use super::harness::{Box, NEW, up_link};
use crate::{Change, Link};

const ROUTES: u32 = 300;

/// Routes by p0 (every third by p1), some of which cover others.
fn many(b: &mut Box) {
    for number in 0..ROUTES {
        let way = [
            "192.0.2.9 dev p0",
            "192.0.2.9 dev p0",
            "198.51.100.9 dev p1",
        ][number as usize % 3];
        let len = 24 - number % 2 * 4;
        b.route(
            NEW,
            &format!("10.{}.{}.0/{len} via {way}", number / 16, number % 16 * 16),
        );
    }
    b.commit();
}

fn prefixes(b: &Box) -> usize {
    b.writer.prefixes(b.rib.vrf()).count()
}

#[test]
fn a_link_is_not_used_from_the_first_commit_on_and_its_routes_leave_by_and_by() {
    let mut b = Box::new();
    many(&mut b);
    let before = prefixes(&b);
    b.link("p0", false, false);
    let mut steps = 0;
    loop {
        let left = prefixes(&b);
        let report = b.rib.commit_some(&mut b.writer, 10);
        for number in (0..ROUTES).filter(|number| number % 3 != 2) {
            let address = format!("10.{}.{}.1", number / 16, number % 16 * 16);
            let answer = b.ask_now(address.parse().unwrap());
            assert!(!answer.starts_with("p0"), "{address} goes {answer}");
        }
        let gone = left - prefixes(&b);
        assert_eq!(report.prefixes_removed, gone);
        assert!(gone <= 20, "{gone} prefixes in one step");
        steps += 1;
        if !b.rib.is_cleaning() {
            break;
        }
        // What happens meanwhile is seen at once.
        let mtu = 1400 - steps;
        b.rib.apply(Change::SetLink(Link {
            mtu,
            ..up_link(11, "p1")
        }));
        assert!(b.rib.is_dirty());
    }
    assert!(steps > 10, "{steps} steps");
    assert!(
        before - prefixes(&b) >= 200,
        "{before} prefixes became {}",
        prefixes(&b)
    );
    assert!(
        b.rib.commit(&mut b.writer).is_empty(),
        "nothing is left to do"
    );
}

#[test]
fn routes_that_come_while_others_leave_stay() {
    let mut b = Box::new();
    many(&mut b);
    b.link("p0", false, false);
    b.rib.commit_some(&mut b.writer, 1);
    assert!(b.rib.is_cleaning());
    // Behind where the search is, and before.
    for net in ["10.0.0.0/24", "10.18.0.0/24"] {
        b.route(NEW, &format!("{net} via 198.51.100.9 dev p1"));
    }
    b.link("p1", false, false);
    b.rib.commit_some(&mut b.writer, 1);
    b.link("p1", true, true);
    b.route(
        NEW,
        "198.51.100.0/24 dev p1 proto 2 scope 253 src 198.51.100.1",
    );
    b.route(NEW, "10.0.0.0/24 via 198.51.100.9 dev p1");
    while b.rib.is_cleaning() {
        b.rib.commit_some(&mut b.writer, 1);
    }
    assert_eq!(b.ask("10.0.0.1"), "p1 to .9");
    assert_eq!(b.ask("10.18.0.1"), "no_route");
}
