//! Tables that are filled while the first list comes.

use super::harness::{Box, DUMP, NEW};
use crate::{Family, ObjectKind};

/// A list of /24s with a gap at 10.0.7.0; as the kernel does, it names the longest prefix of an address first.
fn listed(b: &mut Box, numbers: std::ops::Range<u32>) {
    for number in numbers.filter(|&number| number != 7) {
        let gateway = ["192.0.2.9 dev p0", "198.51.100.9 dev p1"][number as usize % 2];
        if number % 16 == 0 {
            b.route(DUMP, &format!("10.0.{number}.0/28 via 203.0.113.9 dev p2"));
        }
        b.route(DUMP, &format!("10.0.{number}.0/24 via {gateway}"));
        if number % 16 == 0 {
            b.route(DUMP, &format!("10.0.{number}.0/20 via {gateway}"));
        }
    }
}

fn prefixes(b: &Box) -> usize {
    b.writer.prefixes(b.rib.vrf()).count()
}

/// A box that heard of its ports and has committed nothing.
fn begun() -> Box {
    let mut b = Box::bare();
    for (port, net) in ["192.0.2", "198.51.100", "203.0.113"].iter().enumerate() {
        let neighbour = format!("{net}.9");
        b.neighbour(
            &neighbour,
            &format!("p{port}"),
            crate::NeighbourState::Reachable,
        );
    }
    b.rib.sync_begin(ObjectKind::Routes(Family::Ip4));
    b
}

#[test]
fn a_list_is_in_the_tables_before_it_is_seen() {
    let mut b = begun();
    for first in (0..256).step_by(32) {
        listed(&mut b, first..first + 32);
        b.rib.fill(&mut b.writer);
        let last = format!("10.0.{}.1", first + 31);
        assert_eq!(b.ask_now(last.parse().unwrap()), "no_route");
    }
    // The address to which the list came last may have more.
    assert_eq!(prefixes(&b), 255 + 2 * 16 - 1);
    // What the list has in another order, and what events say meanwhile.
    b.route(DUMP, "local 10.0.3.1/32 dev p0 table local scope 254");
    b.route(DUMP, "203.0.113.0/24 dev p2 proto 2 scope 253");
    b.route(NEW, "10.0.7.0/24 via 203.0.113.9 dev p2");
    b.del_route("10.0.9.0/24 via 198.51.100.9 dev p1");
    b.rib.fill(&mut b.writer);
    b.rib.sync_end(ObjectKind::Routes(Family::Ip4));
    assert!(b.rib.is_dirty());
    let report = b.commit();
    assert_eq!(report.prefixes_added, prefixes(&b) + 1, "{report:?}");
    assert_eq!(report.prefixes_removed, 1);
    for (address, answer) in [
        ("10.0.3.1", "local"),
        ("10.0.3.2", "p1 198"),
        ("10.0.7.7", "p2"),
        ("10.0.9.1", "p0"),
        ("10.0.16.1", "p2"),
        ("10.0.16.17", "p0"),
        ("10.0.255.1", "p1"),
        ("203.0.113.9", "p2"),
    ] {
        let found = b.ask_now(address.parse().unwrap());
        assert!(
            found.starts_with(answer.split(' ').next().unwrap()),
            "{address}: {found}"
        );
    }
    assert!(b.commit().is_empty());
}

#[test]
fn a_list_that_begins_anew_and_lacks_routes_leaves_none_of_them() {
    let mut b = begun();
    listed(&mut b, 0..200);
    b.rib.fill(&mut b.writer);
    let before = prefixes(&b);
    b.rib.sync_begin(ObjectKind::Routes(Family::Ip4));
    for numbers in [0..100, 120..256] {
        listed(&mut b, numbers);
        b.rib.fill(&mut b.writer);
    }
    assert!(
        prefixes(&b) > before,
        "it went on behind the end of the first"
    );
    assert_eq!(b.rib.sync_end(ObjectKind::Routes(Family::Ip4)), 20 + 2);
    b.commit();
    assert_eq!(b.ask_now("10.0.110.1".parse().unwrap()), "p0 to .9");
    assert_eq!(b.ask_now("10.0.115.1".parse().unwrap()), "no_route");
    assert_eq!(prefixes(&b), 235 + 2 * 15);
}

#[test]
fn nothing_is_filled_behind_a_commit() {
    let mut b = begun();
    b.commit();
    listed(&mut b, 0..100);
    b.rib.fill(&mut b.writer);
    assert_eq!(prefixes(&b), 0);
    b.commit();
    assert!(prefixes(&b) > 100);
}
